"""From positions of users or items to ranked positions: queries, filters, one search. Knows no JSON and no ids."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hashgnn._types import Array
from hashgnn.codes import BinaryCodes
from hashgnn.ranking import CandidateFilter, IndexLists, Matches
from hashgnn.recommender.encoded import Encoded, folded_in, trained
from hashgnn.recommender.fitted import Fitted
from hashgnn.recommender.search_space import SearchOptions, SearchSpace

MODEL, HISTORY, POPULAR = 0, 1, 2
SOURCES = ("model", "history", "popular")

_BLOCK_ROWS = 64  # searched between two looks at the clock


@dataclass(frozen=True, eq=False)
class Queries:
    """Rows to be answered.

    Attributes
    ----------
    source : ndarray of shape (n,), int8
        ``MODEL``, ``HISTORY`` or ``POPULAR``.
    encoded : Encoded
        Of the rows that are not ``POPULAR``, in order.
    seen : IndexLists of length n
        The items that each row has interacted with.
    """

    source: Array
    encoded: Encoded
    seen: IndexLists

    @property
    def source_names(self) -> list[str]:
        """The source of each row as a word."""
        return [SOURCES[source] for source in self.source.tolist()]


class Answerer:
    """Answers queries from one fitted model. Read-only, so safe to use from many threads.

    Parameters
    ----------
    fitted : Fitted
    """

    def __init__(self, fitted: Fitted) -> None:
        self._fitted, self._state = fitted, fitted.state

    @cached_property
    def popular(self) -> Array:
        """Items from the most to the least popular, (n_items,) int64; ties go to the smaller position."""
        return np.argsort(-self._fitted.popularity, kind="stable")

    @property
    def items_for_users(self) -> SearchSpace:
        """The items, to be recommended to users."""
        return self._fitted.items_for_users

    @property
    def items_for_items(self) -> SearchSpace:
        """The items, to be compared with items."""
        return self._fitted.alike["item"]

    def of_users(self, index: Array, new_items: Sequence[Array] | None, on_unknown: str) -> Queries:
        """Return the queries of users.

        Parameters
        ----------
        index : ndarray of shape (n,), int64
            Positions of the users, -1 where one is unknown.
        new_items : list of n arrays, or None
            Items that each user has interacted with since the training.
        on_unknown : str
            Where an unknown user has new items, ``"popular"`` ignores them and every other word folds them in.
        """
        seen = self._fitted.seen[index]
        source = np.where(index >= 0, MODEL, POPULAR).astype(np.int8)
        if new_items is None:
            return Queries(source, trained(self._state, "user", index[index >= 0]), seen)
        since = IndexLists.from_rows(list(new_items))
        seen = seen.union(since)
        folds = since.lengths > 0
        if on_unknown == "popular":
            folds &= index >= 0
        source[folds] = HISTORY
        return Queries(source, self._encode(source, index, seen), seen)

    def of_histories(self, histories: Sequence[Array]) -> Queries:
        """Return the queries of new users by the positions of their items."""
        seen = IndexLists.from_rows(list(histories))
        source = np.where(seen.lengths > 0, HISTORY, POPULAR).astype(np.int8)
        return Queries(source, self._encode(source, np.full(len(seen), -1), seen), seen)

    def of_items(self, index: Array) -> tuple[Encoded, Array | None]:
        """Return codes and embeddings of items, and their bias in bits."""
        bias = self._state.item_bias
        return trained(self._state, "item", index), None if bias is None else bias[index].values()

    def recommend(
        self,
        queries: Queries,
        options: SearchOptions,
        *,
        filter_seen: bool,
        allow: Array | None = None,
        block: Array | None = None,
        check: Callable[[], None],
    ) -> Matches:
        """Rank items for queries.

        Parameters
        ----------
        queries : Queries
        options : SearchOptions
        filter_seen : bool
            Leave out ``queries.seen``.
        allow, block : ndarray of int64, optional
            Positions of the only items, and of items that are left out.
        check : callable
            Called between blocks; what it raises ends the search.
        """
        filters = CandidateFilter(
            queries.seen if filter_seen else None, allow_all=self._allowed(allow, block)
        )
        popular = np.flatnonzero(queries.source == POPULAR)
        if not len(popular):
            return _search(self.items_for_users, queries.encoded, options, filters, check)
        result = Matches.empty(len(queries.source), options.k)
        ranked = np.flatnonzero(queries.source != POPULAR)
        if len(ranked):
            found = _search(self.items_for_users, queries.encoded, options, filters[ranked], check)
            result.positions[ranked], result.scores[ranked] = found.positions, found.scores
            result.counts[ranked] = found.counts
        for row in popular.tolist():
            check()
            self._put_popular(result, row, filters[np.array([row])])
        return result

    def similar(self, index: Array, options: SearchOptions, check: Callable[[], None]) -> Matches:
        """Rank the items most similar to some items, which are left out of their own rows."""
        themselves = IndexLists.from_rows([index[row : row + 1] for row in range(len(index))])
        queries = trained(self._state, "item", index)
        return _search(
            self.items_for_items, queries, options, CandidateFilter(block_per_query=themselves), check
        )

    def _encode(self, source: Array, index: Array, seen: IndexLists) -> Encoded:
        """Return the codes and embeddings of the rows that are trained or folded in, in their order."""
        folds = np.flatnonzero(source == HISTORY)
        output = self._state.fold_in.users(seen[folds].matrix(self._state.n_items))
        folded = folded_in(self._state, "user", output)
        if len(folds) == len(source):
            return folded
        learned = trained(self._state, "user", index[source == MODEL])
        codes = np.concatenate((folded.codes.packed, learned.codes.packed))
        embeddings = np.concatenate((folded.embeddings, learned.embeddings))
        rows = np.concatenate((folds, np.flatnonzero(source == MODEL)))
        order = np.argsort(rows, kind="stable")
        return Encoded(BinaryCodes(codes[order], self._state.n_bits), embeddings[order])

    def _allowed(self, allow: Array | None, block: Array | None) -> Array | None:
        if allow is None and block is None:
            return None
        allowed = np.full(self._state.n_items, allow is None)
        if allow is not None:
            allowed[allow] = True
        if block is not None:
            allowed[block] = False
        return allowed

    def _put_popular(self, result: Matches, row: int, filters: CandidateFilter) -> None:
        order, k = self.popular, result.k
        if filters.allow_all is not None:
            order = order[filters.allow_all[order]]
        if filters.block_per_query is not None:
            n_blocked = len(filters.block_per_query.indices)
            order = order[: k + n_blocked]
            order = order[~np.isin(order, filters.block_per_query.indices)]
        best = order[:k]
        result.positions[row, : len(best)] = best
        result.scores[row, : len(best)] = self._fitted.popularity[best]
        result.counts[row] = len(best)


def _search(
    space: SearchSpace,
    queries: Encoded,
    options: SearchOptions,
    filters: CandidateFilter,
    check: Callable[[], None],
) -> Matches:
    n = len(queries)
    check()
    if n <= _BLOCK_ROWS:
        return space.search(queries, options, filters)
    parts = []
    for start in range(0, n, _BLOCK_ROWS):
        rows = np.arange(start, min(start + _BLOCK_ROWS, n))
        parts.append(space.search(queries[rows], options, filters[rows]))
        check()
    return Matches.concatenate(parts)
