"""What a user writes as lists of external ids, as index arrays."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from hashgnn._checks import quote_some
from hashgnn._types import Array
from hashgnn.data import IdMap
from hashgnn.errors import ParameterError, UnknownIdError

ON_UNKNOWN = ("error", "skip", "popular")


@dataclass(frozen=True, eq=False)
class Lists:
    """Lists of item indices, one a row, as the two arrays of a CSR pattern.

    Attributes
    ----------
    indptr : ndarray of shape (n + 1,), int64
    indices : ndarray of shape (indptr[-1],), int32
        Ascending in each row, without repetition.
    """

    indptr: Array
    indices: Array

    @classmethod
    def of(cls, rows: list[Array]) -> Lists:
        """Return arrays of indices as lists; a repeated index counts once."""
        unique = [np.unique(row).astype(np.int32) for row in rows]
        indptr = np.zeros(len(rows) + 1, np.int64)
        np.cumsum([len(row) for row in unique], out=indptr[1:])
        return cls(indptr, np.concatenate(unique) if unique else np.empty(0, np.int32))

    @classmethod
    def of_matrix(cls, matrix: sparse.csr_matrix) -> Lists:
        """Return the pattern of a matrix with sorted columns; its arrays are shared."""
        return cls(matrix.indptr, matrix.indices)

    def __len__(self) -> int:
        return len(self.indptr) - 1

    @property
    def lengths(self) -> Array:
        """Length of each list, int64."""
        return np.diff(self.indptr)

    def __getitem__(self, rows: Array) -> Lists:
        """Return some lists; row -1 gives an empty one."""
        starts = self.indptr[rows]
        lengths = np.where(rows >= 0, self.indptr[rows + 1] - starts, 0)
        indptr = np.zeros(len(rows) + 1, np.int64)
        np.cumsum(lengths, out=indptr[1:])
        places = np.repeat(starts - indptr[:-1], lengths) + np.arange(indptr[-1])
        return Lists(indptr, self.indices[places])

    def matrix(self, n_columns: int) -> sparse.csr_matrix:
        """Return a matrix of ones with this pattern."""
        ones = np.ones(len(self.indices), np.float32)
        return sparse.csr_matrix((ones, self.indices, self.indptr), shape=(len(self), n_columns))

    def row_numbers(self) -> Array:
        """Return the row of each entry of ``indices``."""
        return np.repeat(np.arange(len(self)), self.lengths)


def union(one: Lists, other: Lists) -> Lists:
    """Return lists that hold what either holds, row by row."""
    split_one, split_other = (
        np.split(one.indices, one.indptr[1:-1]),
        np.split(other.indices, other.indptr[1:-1]),
    )
    return Lists.of([np.concatenate(pair) for pair in zip(split_one, split_other, strict=True)])


def as_list(name: str, values: Any) -> list[Any]:
    """Return a column, array or other iterable as a list; a bare string or number is refused."""
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise ParameterError(f"{name} must be a list, got {values!r}")
    for convert in ("tolist", "to_list", "to_pylist"):  # NumPy and pandas, polars, Arrow
        if hasattr(values, convert):
            return list(getattr(values, convert)())
    return list(values)


def look_up(ids: IdMap, noun: str, values: list[Any], *, remedy: str | None) -> Array:
    """Return the index of each id, int64, -1 where it is unknown.

    Raises
    ------
    UnknownIdError
        If ids are unknown and a remedy is given; the sentence ends with it.
    """
    index: Array = ids.index_of(values, on_unknown="skip")
    unknown = np.flatnonzero(index < 0)
    if len(unknown) and remedy is not None:
        named = quote_some(list(dict.fromkeys(values[place] for place in unknown)))
        raise UnknownIdError(
            f"{len(unknown)} of {len(values)} {noun} ids are not in the training data: {named}; {remedy}"
        )
    return index


def look_up_lists(ids: IdMap, noun: str, name: str, lists: Any, *, remedy: str | None) -> Lists:
    """Return lists of ids as lists of indices; unknown ids are left out, or an error with a remedy."""
    rows = [as_list(f"each of {name}", row) for row in as_list(name, lists)]
    flat = [value for row in rows for value in row]
    index = look_up(ids, noun, flat, remedy=remedy)
    parts = np.split(index, np.cumsum([len(row) for row in rows])[:-1]) if rows else []
    return Lists.of([part[part >= 0] for part in parts])


def id_array(values: list[Any], *, like: Array) -> Array:
    """Return ids as the id map keeps them; as objects where one does not fit, as an unknown one may."""
    if like.dtype.kind in "iu" and all(type(value) is int for value in values):
        return np.array(values, np.int64)
    result = np.empty(len(values), object)
    result[:] = values
    return result
