"""Model states made without training, for tests that need a fitted model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import sparse

from hashgnn._rng import RngLike, as_generator
from hashgnn.codes import BinaryCodes, ItemBias
from hashgnn.config import ModelConfig
from hashgnn.data import FeatureVocabulary, IdMap
from hashgnn.fold_in import HashProjection, build_fold_in
from hashgnn.state import ModelState, Side


def random_state(
    user_ids: Sequence[Any] | int = 20,
    item_ids: Sequence[Any] | int = 30,
    *,
    n_bits: int = 32,
    dim: int = 6,
    item_bias: bool = True,
    float_embedding: str = "encoder",
    density: float = 0.2,
    seen: sparse.csr_matrix | None = None,
    coarse: bool = False,
    features: FeatureVocabulary | None = None,
    rng: RngLike = 0,
) -> ModelState:
    """Return a state with random tables in which everything is consistent.

    Users are the history encoder's sum of their items' vectors, so that folding in a user's own history
    gives the user's own code.

    Parameters
    ----------
    user_ids, item_ids : list of ids, or int
        External ids; a number gives ``"u0"``, ``"u1"``… and ``"i0"``, ``"i1"``….
    n_bits, dim : int
    item_bias : bool
    float_embedding : {"encoder", "relaxed"}
    density : float
        Share of all pairs that were seen.
    seen : csr_matrix of shape (n_users, n_items), float32, optional
        The pairs that were seen, instead of random ones.
    coarse : bool, default=False
        Vectors of few distinct values, so that ties are common.
    features : FeatureVocabulary, optional
        How features of new users and of new items become columns; those of trained ones are all zero.
    rng : int or Generator

    Examples
    --------
    >>> random_state(3, ["a", "b"], n_bits=8).n_items
    2
    """
    generator = as_generator(rng)
    users = [f"u{n}" for n in range(user_ids)] if isinstance(user_ids, int) else list(user_ids)
    items = [f"i{n}" for n in range(item_ids)] if isinstance(item_ids, int) else list(item_ids)
    table = generator.normal(size=(len(items), dim)).astype(np.float32)
    if coarse:
        table = np.sign(table)
    drawn = generator.random((len(users), len(items))) < density
    seen = sparse.csr_matrix(drawn, dtype=np.float32) if seen is None else seen
    weight = generator.normal(size=(dim, n_bits)).astype(np.float32)
    projection = HashProjection({"shared_weight": weight, "shared_bias": np.zeros(n_bits, np.float32)})
    arrays = {
        "item_table": table,
        "user_table": generator.normal(size=(len(users), dim)).astype(np.float32),
        "item_mean": table.mean(axis=0),
    }
    if features is not None:
        for name in ("user_projection", "item_projection"):
            arrays[name] = generator.normal(size=(features.n_columns, dim)).astype(np.float32)
    rule = build_fold_in(
        "history",
        arrays,
        {"normalization": "degree", "degree_exponent": 0.5, "map_exponent": 0.5},
    )
    user_table = rule.users(seen)
    relaxed_users, relaxed_items = projection.users(user_table), projection.items(table)
    keeps_relaxed = float_embedding == "relaxed"
    config = ModelConfig(
        n_bits=n_bits,
        item_bias=item_bias,
        encoder="history",
        embedding_dim=dim,
        float_embedding="encoder" if float_embedding == "encoder" else "relaxed",
    )
    bias = ItemBias.from_values(generator.normal(scale=4.0, size=len(items)))
    return ModelState(
        config=config,
        users=Side(
            ids=IdMap(users),
            codes=BinaryCodes.from_signs(relaxed_users),
            embeddings=relaxed_users if keeps_relaxed else user_table,
            features=features,
        ),
        items=Side(
            ids=IdMap(items),
            codes=BinaryCodes.from_signs(relaxed_items),
            embeddings=relaxed_items if keeps_relaxed else table,
            bias=bias if item_bias else None,
            features=features,
        ),
        seen=seen,
        fold_in=rule,
        projection=projection,
        data_statistics={"n_interactions": int(seen.nnz)},
        metrics={"recall@20": 0.5},
        training={"epochs": 0, "seconds": 0.0},
    )
