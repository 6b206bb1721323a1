"""``Side``: the users or the items of a fitted model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hashgnn._types import Array
from hashgnn.codes import BinaryCodes, ItemBias
from hashgnn.data import FeatureVocabulary, IdMap
from hashgnn.errors import ParameterError
from hashgnn.index import HammingIndex, InvertedFile
from hashgnn.state.indexed_codes import IndexedCodes

_BLOCK_ROWS = 65536


@dataclass(frozen=True, eq=False, repr=False)
class Side:
    """The users or the items of a model: a row is one of them, in the order of ``ids``.

    Attributes
    ----------
    ids : IdMap of length n
        External ids in index order.
    codes : BinaryCodes of shape (n, n_bits)
        Those of the items of a loaded model are unpacked from its index when they are read.
    embeddings : ndarray of shape (n, d), float32
        What float search and re-ranking multiply: the encoder's output, or its relaxation in (-1, 1), as
        ``config.float_embedding`` says.
    bias : ItemBias of length n, or None, default=None
        Of items, where the model has an item bias.
    features : FeatureVocabulary or None, default=None
        How side features become columns, where the model was trained with some.

    Raises
    ------
    ParameterError
        If the parts have different lengths, or the embeddings are no float32 matrix.

    Examples
    --------
    >>> codes = BinaryCodes(np.array([[15], [240]], np.uint8))
    >>> side = Side(IdMap(["ann", "bob"]), codes, np.zeros((2, 4), np.float32))
    >>> len(side), side.dim
    (2, 4)
    """

    ids: IdMap
    codes: BinaryCodes
    embeddings: Array
    bias: ItemBias | None = None
    features: FeatureVocabulary | None = None

    def __post_init__(self) -> None:
        n = len(self.ids)
        if len(self.codes) != n:
            raise ParameterError(f"codes must have one row per id, {n}, got {len(self.codes)}")
        if self.embeddings.dtype != np.float32:
            raise ParameterError(f"embeddings must have dtype float32, got {self.embeddings.dtype}")
        if self.embeddings.ndim != 2 or len(self.embeddings) != n:
            raise ParameterError(f"embeddings must have one row per id, {n}, got {self.embeddings.shape}")
        if self.bias is not None and len(self.bias) != n:
            raise ParameterError(f"bias must have one value per id, {n}, got {len(self.bias)}")

    def __repr__(self) -> str:
        return (
            f"Side(n={len(self)}, n_bits={self.codes.n_bits}, dim={self.dim}, bias={self.bias is not None})"
        )

    @property
    def index(self) -> HammingIndex | InvertedFile | None:
        """The index that holds ``codes`` and ``bias``; None where they are in no index."""
        if isinstance(self.codes, IndexedCodes) and self.codes.bias is self.bias:
            return self.codes.index
        return None

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def dim(self) -> int:
        """Width of the embeddings."""
        return int(self.embeddings.shape[1])

    def check_finite(self, name: str) -> None:
        """Raise :class:`ParameterError` if an embedding is NaN or infinite; reads them all.

        Parameters
        ----------
        name : str
            Name of the table in messages, such as ``"users.embeddings"``.
        """
        for start in range(0, len(self), _BLOCK_ROWS):
            finite = np.isfinite(self.embeddings[start : start + _BLOCK_ROWS]).all(axis=1)
            if not finite.all():
                row = start + int(np.flatnonzero(~finite)[0])
                raise ParameterError(f"{name} must be finite, got NaN or infinity in row {row}")
