"""``CandidateFilter``: which positions a query may return."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hashgnn._types import Array
from hashgnn.errors import ParameterError
from hashgnn.ranking.index_lists import IndexLists


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
        Length of ``allow_all``, and a bit for each of its entries.

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
        chosen = object.__new__(CandidateFilter)  # the mask is packed already
        object.__setattr__(chosen, "block_per_query", None if block is None else block[queries])
        object.__setattr__(chosen, "allow_per_query", None if allow is None else allow[queries])
        object.__setattr__(chosen, "allow_all", self.allow_all)
        object.__setattr__(chosen, "packed", self.packed)
        return chosen

    def mask(self, scores: Array) -> None:
        """Set scores of all but the candidates to -inf, in place.

        Parameters
        ----------
        scores : ndarray of shape (n_queries, n_codes), float32 or float64
        """
        if self.allow_all is not None:
            scores[:, ~self.allow_all] = -np.inf
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
