"""``ModelState``: everything that a fitted model holds, checked for consistency when built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import sparse

from hashgnn._types import Array
from hashgnn.codes import BinaryCodes, ItemBias
from hashgnn.config import ModelConfig
from hashgnn.data import FeatureVocabulary, IdMap
from hashgnn.errors import ParameterError
from hashgnn.fold_in import FoldIn, HashProjection

_BLOCK_ROWS = 65536


@dataclass(frozen=True, eq=False)
class ModelState:
    """A fitted model as arrays and maps: what training makes, an artifact keeps and a search needs.

    Attributes
    ----------
    config : ModelConfig
        The hyper-parameters it was trained with.
    user_ids, item_ids : IdMap
        External ids in index order.
    seen : csr_matrix of shape (n_users, n_items), float32
        The training interactions, columns ascending in each row. ``filter_seen`` leaves these out.
    user_codes, item_codes : BinaryCodes of shape (n_users, n_bits) and (n_items, n_bits)
    item_bias : ItemBias of length n_items, or None
        Present where ``config.item_bias`` is set.
    user_embeddings, item_embeddings : ndarray of shape (n_users, d) and (n_items, d), float32
        What float search and re-ranking multiply: the encoder's output, or its relaxation in (-1, 1), as
        ``config.float_embedding`` says.
    fold_in : FoldIn
        The encoder's rule for users and items unseen in training.
    projection : HashProjection
        The hash layer: encoder's output to relaxation.
    user_features, item_features : FeatureVocabulary or None
        How side features become columns, where the model was trained with some.
    data_statistics, metrics, training : mapping
        JSON values: of the training data, of the validation, of the run.
    checksum : str or None
        Of the artifact that the state was read from.

    Raises
    ------
    ParameterError
        If the parts do not fit together.
    """

    config: ModelConfig
    user_ids: IdMap
    item_ids: IdMap
    seen: sparse.csr_matrix
    user_codes: BinaryCodes
    item_codes: BinaryCodes
    item_bias: ItemBias | None
    user_embeddings: Array
    item_embeddings: Array
    fold_in: FoldIn
    projection: HashProjection
    user_features: FeatureVocabulary | None = None
    item_features: FeatureVocabulary | None = None
    data_statistics: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    checksum: str | None = None

    def __post_init__(self) -> None:
        for side, n in (("user", self.n_users), ("item", self.n_items)):
            codes: BinaryCodes = getattr(self, f"{side}_codes")
            _must_equal(f"n_bits of {side}_codes", codes.n_bits, self.config.n_bits)
            _must_equal(f"length of {side}_codes", len(codes), n)
            embeddings: Array = getattr(self, f"{side}_embeddings")
            _must_equal(f"dtype of {side}_embeddings", embeddings.dtype.name, "float32")
            _must_equal(f"shape of {side}_embeddings", embeddings.shape, (n, self.dim))
        if self.config.float_embedding == "relaxed":
            _must_equal("width of relaxed embeddings", self.dim, self.config.n_bits)
        _must_equal("presence of item_bias", self.item_bias is not None, self.config.item_bias)
        if self.item_bias is not None:
            _must_equal("length of item_bias", len(self.item_bias), self.n_items)
        _check_seen(self.seen, (self.n_users, self.n_items))

    @property
    def n_users(self) -> int:
        """Number of users known from training."""
        return len(self.user_ids)

    @property
    def n_items(self) -> int:
        """Number of items in the catalogue."""
        return len(self.item_ids)

    @property
    def n_bits(self) -> int:
        """Width of a code."""
        return self.config.n_bits

    @property
    def dim(self) -> int:
        """Width of the embeddings that float search multiplies."""
        return int(self.item_embeddings.shape[-1])

    def check_finite(self) -> None:
        """Raise :class:`ParameterError` if an embedding is NaN or infinite; reads them all."""
        for name in ("user_embeddings", "item_embeddings"):
            table: Array = getattr(self, name)
            for start in range(0, len(table), _BLOCK_ROWS):
                finite = np.isfinite(table[start : start + _BLOCK_ROWS]).all(axis=1)
                if not finite.all():
                    row = start + int(np.flatnonzero(~finite)[0])
                    raise ParameterError(f"{name} must be finite, got NaN or infinity in row {row}")


def _must_equal(what: str, value: object, expected: object) -> None:
    if value != expected:
        raise ParameterError(f"{what} must be {expected}, got {value}")


def _check_seen(seen: sparse.csr_matrix, shape: tuple[int, int]) -> None:
    _must_equal("shape of seen", tuple(seen.shape), shape)
    indptr, indices = seen.indptr, seen.indices
    n = len(indices)
    if indptr[0] != 0 or indptr[-1] != n or (np.diff(indptr) < 0).any() or len(seen.data) != n:
        raise ParameterError("row pointers of seen must ascend from 0 to the number of its entries")
    if n and not 0 <= int(indices.min()) <= int(indices.max()) < shape[1]:
        raise ParameterError(f"columns of seen must be in [0, {shape[1]}), got others")
    rises = np.diff(indices) > 0
    starts = indptr[1:-1]
    rises[starts[(starts > 0) & (starts < n)] - 1] = True  # a new row may begin anywhere
    if not rises.all():
        raise ParameterError("columns of seen must ascend in each row, without repetition")
