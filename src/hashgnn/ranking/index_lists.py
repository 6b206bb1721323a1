"""``IndexLists``: lists of indices, one a row, as two arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from hashgnn._checks import quote_some
from hashgnn._types import Array
from hashgnn.errors import ParameterError


@dataclass(frozen=True, eq=False)
class IndexLists:
    """Lists of item indices, one a row, as the two arrays of a CSR pattern.

    Attributes
    ----------
    indptr : ndarray of shape (n + 1,), int64
        Row ``r`` has the indices ``indices[indptr[r]:indptr[r + 1]]``.
    indices : ndarray of shape (indptr[-1],), int32
        The library's own lists ascend in each row, without repetition.

    Raises
    ------
    ParameterError
        If an array has another shape or no integer dtype, or an index does not fit int32. Ranges are checked
        by what uses the lists, which knows the number of rows and of indices.

    Examples
    --------
    >>> lists = IndexLists.from_rows([[7, 3, 7], []])
    >>> lists.indptr, lists.indices
    (array([0, 2, 2]), array([3, 7], dtype=int32))
    """

    indptr: Array
    indices: Array

    def __post_init__(self) -> None:
        if _is_ready(self.indptr, np.int64) and _is_ready(self.indices, np.int32) and len(self.indptr):
            return  # made by the library, some of them for every request
        for name in ("indptr", "indices"):
            array = np.asarray(getattr(self, name))
            if array.ndim != 1 or array.dtype.kind not in "iu":
                raise ParameterError(
                    f"{name} must have shape (n,) and an integer dtype, got {array.shape} {array.dtype}"
                )
            object.__setattr__(self, name, array)
        if len(self.indptr) == 0:
            raise ParameterError("indptr must have one entry more than there are rows, got 0")
        if self.indices.dtype != np.int32:
            limits = np.iinfo(np.int32)
            outside = self.indices[(self.indices < limits.min) | (self.indices > limits.max)]
            if outside.size:
                raise ParameterError(f"indices must fit int32, got {quote_some(outside.tolist())}")
        object.__setattr__(self, "indptr", np.ascontiguousarray(self.indptr, np.int64))
        object.__setattr__(self, "indices", np.ascontiguousarray(self.indices, np.int32))

    @classmethod
    def from_rows(cls, rows: Sequence[Any]) -> IndexLists:
        """Return sequences of indices as lists: ascending, a repeated index counts once.

        Raises
        ------
        ParameterError
            If a row is no sequence of integers.
        """
        arrays = [np.asarray(row) for row in rows]
        for row, array in enumerate(arrays):
            if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
                raise ParameterError(f"each row must hold integers, got {rows[row]!r:.80} for row {row}")
        unique = [np.unique(array) for array in arrays]
        indptr = np.zeros(len(rows) + 1, np.int64)
        np.cumsum([len(row) for row in unique], out=indptr[1:])
        flat = np.concatenate([row.astype(np.int64) for row in unique]) if unique else np.empty(0, np.int64)
        return cls(indptr, flat)

    @classmethod
    def from_matrix(cls, matrix: sparse.csr_matrix) -> IndexLists:
        """Return the pattern of a matrix with sorted columns; its arrays are shared where they have the dtype."""
        return cls(matrix.indptr, matrix.indices)

    def __len__(self) -> int:
        return len(self.indptr) - 1

    @property
    def lengths(self) -> Array:
        """Length of each list, shape (n,), int64."""
        return np.diff(self.indptr)

    @property
    def rows(self) -> Array:
        """Row of each entry of ``indices``, int64."""
        return np.repeat(np.arange(len(self)), self.lengths)

    def __getitem__(self, rows: Array) -> IndexLists:
        """Return the lists at the positions ``rows``; position -1 gives an empty list."""
        starts = self.indptr[rows]
        lengths = np.where(rows >= 0, self.indptr[rows + 1] - starts, 0)
        indptr = np.zeros(len(rows) + 1, np.int64)
        np.cumsum(lengths, out=indptr[1:])
        places = np.repeat(starts - indptr[:-1], lengths) + np.arange(indptr[-1])
        return IndexLists(indptr, self.indices[places])

    def union(self, other: IndexLists) -> IndexLists:
        """Return the union of both lists, row by row."""
        if len(self) != len(other):
            raise ParameterError(f"lists must have as many rows, {len(self)}, got {len(other)}")
        if not len(self):  # np.split gives one part at least
            return self
        mine, theirs = (np.split(lists.indices, lists.indptr[1:-1]) for lists in (self, other))
        return IndexLists.from_rows([np.concatenate(pair) for pair in zip(mine, theirs, strict=True)])

    def matrix(self, n_columns: int) -> sparse.csr_matrix:
        """Return a matrix of ones with this pattern, float32."""
        ones = np.ones(len(self.indices), np.float32)
        return sparse.csr_matrix((ones, self.indices, self.indptr), shape=(len(self), n_columns))


def _is_ready(array: Any, dtype: type[np.generic]) -> bool:
    return (
        isinstance(array, np.ndarray)
        and array.dtype == dtype
        and array.ndim == 1
        and array.flags.c_contiguous
    )
