"""Candidates of a ranking: ``IndexLists``, lists of positions, and ``CandidateFilter``, what a query may return."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
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

    def difference(self, other: IndexLists) -> IndexLists:
        """Return what is in these lists and not in the others, row by row."""
        if len(self) != len(other):
            raise ParameterError(f"lists must have as many rows, {len(self)}, got {len(other)}")
        if not len(self):
            return self
        mine, theirs = (np.split(lists.indices, lists.indptr[1:-1]) for lists in (self, other))
        return IndexLists.from_rows([np.setdiff1d(*pair) for pair in zip(mine, theirs, strict=True)])

    def matrix(self, n_columns: int) -> sparse.csr_matrix:
        """Return a matrix of ones with this pattern, float32."""
        ones = np.ones(len(self.indices), np.float32)
        return sparse.csr_matrix((ones, self.indices, self.indptr), shape=(len(self), n_columns))


@dataclass(frozen=True, eq=False)
class CandidateFilter:
    """Limits on what each query may return; a result has to pass all that are given.

    Parameters
    ----------
    block_per_query : IndexLists of n_queries rows, or None, default=None
        Positions that a query may not return, such as the items that a user has seen: one list per query.
    allow_per_query : IndexLists of n_queries rows, or None, default=None
        The only positions that a query may return: one list per query.
    allow_all : ndarray of shape (n_codes,), bool, or None, default=None
        Positions that any query may return. Packed when the filter is made: a filter that many searches
        share packs its mask once, and does not follow later changes of the array.

    Attributes
    ----------
    packed : pair of int and ndarray of shape (ceil(n_codes / 32),), uint32, or None
        How many codes there are, and a bit for each that any query may return: ``allow_all``, as far as
        :meth:`within` left it.
    n_allowed : int or None
        How many bits of ``packed`` are set, where that was counted already.
    condition : str or None
        What is packed, as a condition of the engine that holds the codes.

    Raises
    ------
    ParameterError
        If an array has another dtype or shape. Lengths and positions are checked by the search, which
        knows the queries and the codes.

    Examples
    --------
    >>> seen = CandidateFilter(block_per_query=IndexLists.from_rows([[7, 3], []]))
    >>> seen.block_per_query.lengths
    array([2, 0])
    """

    block_per_query: IndexLists | None = None
    allow_per_query: IndexLists | None = None
    allow_all: Array | None = None
    packed: tuple[int, Array] | None = field(default=None, init=False, repr=False)
    n_allowed: int | None = field(default=None, init=False, repr=False)
    condition: str | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("block_per_query", "allow_per_query"):
            lists = getattr(self, name)
            if lists is not None and not isinstance(lists, IndexLists):
                raise ParameterError(
                    f"{name} must be IndexLists, got {type(lists).__name__}; use CandidateFilter.from_lists"
                )
        if self.allow_all is not None:
            mask = np.asarray(self.allow_all)
            if mask.dtype != np.bool_ or mask.ndim != 1:
                raise ParameterError(
                    f"allow_all must have shape (n_codes,) and dtype bool, got {mask.shape} {mask.dtype}"
                )
            object.__setattr__(self, "allow_all", np.ascontiguousarray(mask))
            bits = np.zeros(-(-len(mask) // 32), "<u4")
            packed = np.packbits(mask, bitorder="little")
            bits.view(np.uint8)[: len(packed)] = packed
            object.__setattr__(self, "packed", (len(mask), bits))

    @classmethod
    def from_lists(
        cls,
        *,
        block_per_query: Sequence[Any] | None = None,
        allow_per_query: Sequence[Any] | None = None,
        allow_all: Array | None = None,
    ) -> CandidateFilter:
        """Build a filter from one sequence of positions a query.

        Examples
        --------
        >>> CandidateFilter.from_lists(block_per_query=[[7, 3], []]).block_per_query.indices
        array([3, 7], dtype=int32)
        """
        return cls(
            None if block_per_query is None else _as_lists("block_per_query", block_per_query),
            None if allow_per_query is None else _as_lists("allow_per_query", allow_per_query),
            allow_all,
        )

    def __getitem__(self, queries: Array) -> CandidateFilter:
        """Return the filter of the queries at some places; a list counts for the query that it moves with."""
        block, allow = self.block_per_query, self.allow_per_query
        return self._with(
            block_per_query=None if block is None else block[queries],
            allow_per_query=None if allow is None else allow[queries],
        )

    def within(
        self, n_codes: int, bits: Array, count: int | None = None, condition: str | None = None
    ) -> CandidateFilter:
        """Return the filter of what passes this one and has a bit set.

        Parameters
        ----------
        n_codes : int
        bits : ndarray of shape (ceil(n_codes / 32),), uint32
            Used in place where this filter has no ``allow_all``: it must not change.
        count : int, optional
            How many bits are set, where that is known.
        condition : str, optional
            The same as a condition of the engine that holds the codes.

        Examples
        --------
        >>> CandidateFilter().within(4, np.array([0b1001], np.uint32)).allowed
        array([ True, False, False,  True])
        """
        if self.packed is not None:
            bits, count, condition = bits & self.packed[1], None, None
        return self._with(allow_all=None, packed=(n_codes, bits), n_allowed=count, condition=condition)

    def without_mask(self) -> CandidateFilter:
        """Return the filter of the lists of each query, without what holds for any query."""
        return self._with(allow_all=None, packed=None, n_allowed=None)

    @property
    def allowed(self) -> Array | None:
        """Positions that any query may return, shape (n_codes,), bool; None where that is all of them."""
        if self.allow_all is not None or self.packed is None:
            return self.allow_all
        n_codes, bits = self.packed
        return np.unpackbits(bits.view(np.uint8), count=n_codes, bitorder="little").view(bool)

    @property
    def share(self) -> float:
        """Share of the codes that any query may return; lists of each query do not count."""
        if self.packed is None:
            return 1.0
        n_codes, bits = self.packed
        if self.n_allowed is None:
            counted = int(np.bitwise_count(bits).sum(dtype=np.int64))
            object.__setattr__(self, "n_allowed", counted)
        return (self.n_allowed or 0) / max(1, n_codes)

    def _with(self, **fields: Any) -> CandidateFilter:
        """Return the filter with other fields; what is packed is not packed again."""
        chosen = object.__new__(CandidateFilter)
        for name in ("block_per_query", "allow_per_query", "allow_all", "packed", "n_allowed", "condition"):
            object.__setattr__(chosen, name, fields.get(name, getattr(self, name)))
        return chosen

    def mask(self, scores: Array) -> None:
        """Set scores of all but the candidates to -inf, in place.

        Parameters
        ----------
        scores : ndarray of shape (n_queries, n_codes), float32 or float64
        """
        allowed = self.allowed
        if allowed is not None:
            np.copyto(scores, -np.inf, where=~allowed)
        if self.block_per_query is not None:
            scores[self.block_per_query.rows, self.block_per_query.indices] = -np.inf
        if self.allow_per_query is not None:
            keep = np.zeros(scores.shape, bool)
            keep[self.allow_per_query.rows, self.allow_per_query.indices] = True
            scores[~keep] = -np.inf


def _as_lists(name: str, lists: Sequence[Any]) -> IndexLists:
    if not isinstance(lists, list | tuple | np.ndarray):
        raise ParameterError(
            f"{name} must be IndexLists or one list of positions a query, got {type(lists).__name__}"
        )
    try:
        return IndexLists.from_rows(lists)
    except ParameterError as error:
        raise ParameterError(f"{name}: {error}") from None


def _is_ready(array: Any, dtype: type[np.generic]) -> bool:
    return (
        isinstance(array, np.ndarray)
        and array.dtype == dtype
        and array.ndim == 1
        and array.flags.c_contiguous
    )
