"""``ModelState``: everything that a fitted model holds, checked for consistency when built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
from scipy import sparse

from hashgnn.config import ModelConfig
from hashgnn.data import Weighting
from hashgnn.errors import ParameterError
from hashgnn.fold_in import FoldIn, HashProjection
from hashgnn.index import HierarchicalIndex
from hashgnn.state.card import MAX_LICENSE, MAX_NOTES, check_card_text, model_card
from hashgnn.state.side import Side


@dataclass(frozen=True, eq=False, repr=False)
class ModelState:
    """A fitted model as arrays and maps: what training makes, an artifact keeps and a search needs.

    Attributes
    ----------
    config : ModelConfig
        The hyper-parameters it was trained with.
    users, items : Side
        Ids, codes, embeddings and features; of items also the bias, where ``config.item_bias`` is set.
    seen : csr_matrix of shape (n_users, n_items), float32
        The training interactions, columns ascending in each row. ``filter_seen`` leaves these out.
    fold_in : FoldIn
        The encoder's rule for users and items unseen in training.
    projection : HashProjection
        The hash layer: encoder's output to relaxation.
    index_recall : float, default=1.0
        Share of the exact best items by code that a search shall find.
    bytes_per_item : float or None, default=None
        Memory that hierarchical search for users may take; None: as much as codes and floats take.
    ranked_items : HierarchicalIndex or None, default=None
        The items for that search, where it was made before.
    weighting : Weighting or None
        What the events and ages of the training interactions weigh; ``None`` where neither counted.
    data_statistics, metrics, training : mapping
        JSON values: of the training data, of the validation, of the run.
    license : str, default=""
        The licence of the model, for its card; at most 200 characters of plain text.
    card_notes : str, default=""
        Notes for the card, Markdown; at most 65,536 characters of plain text.
    created : str
        When the model was made, UTC, ISO 8601; its artifacts keep it. So the same model saved again is the
        same bytes.
    checksum : str or None
        Of the artifact that the state was read from.

    Raises
    ------
    ParameterError
        If the parts do not fit together.
    """

    config: ModelConfig
    users: Side
    items: Side
    seen: sparse.csr_matrix
    fold_in: FoldIn
    projection: HashProjection
    index_recall: float = 1.0
    bytes_per_item: float | None = None
    ranked_items: HierarchicalIndex | None = None
    weighting: Weighting | None = None
    data_statistics: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    license: str = ""
    card_notes: str = ""
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    checksum: str | None = None

    def __post_init__(self) -> None:
        for name, side in (("users", self.users), ("items", self.items)):
            _must_equal(f"n_bits of {name}.codes", side.codes.n_bits, self.config.n_bits)
        _must_equal("width of users.embeddings", self.users.dim, self.items.dim)
        if self.config.float_embedding == "relaxed":
            _must_equal("width of relaxed embeddings", self.dim, self.config.n_bits)
        _must_equal("presence of items.bias", self.items.bias is not None, self.config.item_bias)
        if self.users.bias is not None:
            raise ParameterError("users.bias must be None: only items have a bias")
        for name, most in (("license", MAX_LICENSE), ("card_notes", MAX_NOTES)):
            object.__setattr__(self, name, check_card_text(name, getattr(self, name), most))
        _check_seen(self.seen, (self.n_users, self.n_items))

    def __repr__(self) -> str:
        return (
            f"ModelState(n_users={self.n_users}, n_items={self.n_items}, n_bits={self.n_bits}, dim={self.dim}, "
            f"encoder={self.config.encoder.name!r})"
        )

    @property
    def n_users(self) -> int:
        """Number of users known from training."""
        return len(self.users)

    @property
    def n_items(self) -> int:
        """Number of items in the catalogue."""
        return len(self.items)

    @property
    def n_bits(self) -> int:
        """Width of a code."""
        return self.config.n_bits

    @property
    def dim(self) -> int:
        """Width of the embeddings that float search multiplies."""
        return self.items.dim

    def card(self) -> str:
        """Return the model card, Markdown for people: data, metrics, code health, settings, licence, notes."""
        return model_card(self)

    def check_finite(self) -> None:
        """Raise :class:`ParameterError` if an embedding is NaN or infinite; reads them all."""
        self.users.check_finite("users.embeddings")
        self.items.check_finite("items.embeddings")


def _must_equal(what: str, value: object, expected: object) -> None:
    if value != expected:
        raise ParameterError(f"{what} must be {expected}, got {value}")


def _check_seen(seen: sparse.csr_matrix, shape: tuple[int, int]) -> None:
    _must_equal("shape of seen", tuple(seen.shape), shape)
    indptr, indices = seen.indptr, seen.indices
    n = len(indices)
    if seen.data.dtype != np.float32 or indptr.dtype.kind != "i" or indices.dtype.kind != "i":
        raise ParameterError(
            f"seen must hold float32 weights at signed integers, got {seen.data.dtype} at {indices.dtype}"
        )
    if indptr[0] != 0 or indptr[-1] != n or (indptr[1:] < indptr[:-1]).any() or len(seen.data) != n:
        raise ParameterError("row pointers of seen must ascend from 0 to the number of its entries")
    if n and not 0 <= int(indices.min()) <= int(indices.max()) < shape[1]:
        raise ParameterError(f"columns of seen must be in [0, {shape[1]}), got others")
    if not np.isfinite(seen.data).all():
        raise ParameterError("weights of seen must be finite, got NaN or infinity")
    rises = np.diff(indices) > 0
    starts = indptr[1:-1]
    rises[starts[(starts > 0) & (starts < n)] - 1] = True  # a new row may begin anywhere
    if not rises.all():
        raise ParameterError("columns of seen must ascend in each row, without repetition")
