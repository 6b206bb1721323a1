"""From a trained module to a ``ModelState``: NumPy arrays, codes and the rule for unseen nodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hashgnn._types import Array
from hashgnn.codes import BinaryCodes, ItemBias
from hashgnn.config import ModelConfig
from hashgnn.data import FeatureVocabulary, Interactions
from hashgnn.fold_in import HashProjection, build_fold_in
from hashgnn.nn import GraphView
from hashgnn.state import ModelState, Side
from hashgnn.training.hash_model import HashModel

_BLOCK_ROWS = 65536


@dataclass(frozen=True)
class Provenance:
    """The provenance of a state; JSON values."""

    data_statistics: Mapping[str, Any]
    metrics: Mapping[str, Any]
    training: Mapping[str, Any]


def export_state(
    model: HashModel,
    view: GraphView,
    interactions: Interactions,
    config: ModelConfig,
    provenance: Provenance,
    *,
    user_features: FeatureVocabulary | None = None,
    item_features: FeatureVocabulary | None = None,
) -> ModelState:
    """Encode every node of ``view`` and gather the arrays for recommending.

    Codes come from the NumPy hash layer that fold-in uses, so that a code does not depend on which of the
    two made it. Those of items may be refined afterwards (``training/refinement.py``).
    """
    users, items = (table.float().cpu().numpy() for table in model.encode_all(view))
    projection = HashProjection(model.hash_layer.export())
    kind, arrays, params = model.encoder.export_fold_in(view)
    relaxed = config.float_embedding == "relaxed"
    user_codes, z_users = _coded(projection.users, users, keep=relaxed)
    item_codes, z_items = _coded(projection.items, items, keep=relaxed)
    bits = model.bias_in_bits()
    return ModelState(
        config=config,
        users=Side(
            ids=interactions.user_ids,
            codes=user_codes,
            embeddings=users if z_users is None else z_users,
            features=user_features,
        ),
        items=Side(
            ids=interactions.item_ids,
            codes=item_codes,
            embeddings=items if z_items is None else z_items,
            bias=None if bits is None else ItemBias.from_values(bits),
            features=item_features,
        ),
        seen=interactions.csr,
        weighting=interactions.weighting,
        fold_in=build_fold_in(kind, arrays, params),
        projection=projection,
        data_statistics=dict(provenance.data_statistics),
        metrics=dict(provenance.metrics),
        training=dict(provenance.training),
    )


def _coded(function: Any, rows: Array, *, keep: bool) -> tuple[BinaryCodes, Array | None]:
    """Return the codes of some embeddings, and what their signs were taken of where that is kept."""
    packed, kept = [], []
    for start in range(0, len(rows), _BLOCK_ROWS):
        part = function(rows[start : start + _BLOCK_ROWS])
        codes = BinaryCodes.from_signs(part)
        packed.append(codes.packed)
        if keep:
            kept.append(part)
    found = BinaryCodes(np.concatenate(packed), codes.n_bits)
    return found, np.ascontiguousarray(np.concatenate(kept), np.float32) if keep else None
