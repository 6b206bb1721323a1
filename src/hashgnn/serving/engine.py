"""From a checked request to ranked positions: who is asked for, what they may not get, one search."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hashgnn._types import Array
from hashgnn.codes import BinaryCodes
from hashgnn.ranking import CandidateFilter, IndexLists, Matches
from hashgnn.recommender.encoded import Encoded, folded_in, trained
from hashgnn.recommender.search_space import SearchOptions, SearchSpace
from hashgnn.serving.item_ids import IdReader
from hashgnn.serving.problems import ProblemError
from hashgnn.serving.versions import Version

Told = Callable[[Any], Sequence[Any]]

MODEL, HISTORY, POPULAR = 0, 1, 2
SOURCES = ("model", "history", "popular")

_BLOCK_ROWS = 64  # searched between two looks at the clock


@dataclass(frozen=True, eq=False)
class Question:
    """Rows to be answered.

    Attributes
    ----------
    source : ndarray of shape (n,), int8
        ``MODEL``, ``HISTORY`` or ``POPULAR``.
    queries : Encoded
        Of the rows that are not ``POPULAR``, in order.
    seen : IndexLists of length n
        What each row has interacted with.
    """

    source: Array
    queries: Encoded
    seen: IndexLists


class Engine:
    """Answers from one version of a model. Read-only, so safe to use from many threads.

    Parameters
    ----------
    version : Version
    """

    def __init__(self, version: Version) -> None:
        self.version = version
        self._fitted, self._state = version.fitted, version.state
        self.users = IdReader(self._state.user_ids, "user")
        self.items = IdReader(self._state.item_ids, "item")

    def of_users(self, user_ids: Sequence[Any], told: Told | None, on_unknown: str) -> Question:
        """Return the rows of users, with what the service was told of them since the training.

        Raises
        ------
        ProblemError
            If a user is unknown and ``on_unknown="error"``.
        """
        index = self.users.index(user_ids)
        if on_unknown == "error" and (index < 0).any():
            place = int(np.flatnonzero(index < 0)[0])
            raise ProblemError(404, f"users[{place}] is not a user of the model; pass another on_unknown")
        new = None if told is None else [told(user) for user in user_ids]
        seen = self._fitted.seen[index]
        if new is None or not any(new):
            source = np.where(index >= 0, MODEL, POPULAR).astype(np.int8)
            return Question(source, trained(self._state, "user", index[index >= 0]), seen)
        since = IndexLists.from_rows([self._known_items(items) for items in new])
        seen = seen.union(since)
        source = np.full(len(index), POPULAR, np.int8)
        source[index >= 0] = MODEL
        folds = since.lengths > 0
        if on_unknown == "popular":
            folds &= index >= 0
        source[folds] = HISTORY
        return Question(source, self._encode(source, index, seen), seen)

    def of_histories(self, histories: Sequence[Sequence[Any]]) -> Question:
        """Return the rows of new users; items that the model does not know are left out."""
        seen = IndexLists.from_rows([self._known_items(history, strict=True) for history in histories])
        source = np.where(seen.lengths > 0, HISTORY, POPULAR).astype(np.int8)
        return Question(source, self._encode(source, np.full(len(seen), -1), seen), seen)

    def recommend(
        self,
        question: Question,
        options: SearchOptions,
        *,
        filter_seen: bool,
        allow: Sequence[Any] | None,
        block: Sequence[Any] | None,
        check: Callable[[], None],
    ) -> Matches:
        """Rank items for the rows of a question; ``check`` is called between blocks and may raise."""
        filters = CandidateFilter(
            question.seen if filter_seen else None, allow_all=self._allowed(allow, block)
        )
        popular = np.flatnonzero(question.source == POPULAR)
        known = np.flatnonzero(question.source != POPULAR)
        space = self._fitted.items_for_users
        if not len(popular):
            return _search(space, question.queries, options, filters, check)
        n, k = len(question.source), options.k
        result = Matches(np.full((n, k), -1), np.full((n, k), -np.inf, np.float32), np.zeros(n, np.int64))
        if len(known):
            found = _search(space, question.queries, options, filters[known], check)
            _put(result, known, found)
        for row in popular.tolist():
            check()
            self._put_popular(result, row, filters[np.array([row])])
        return result

    def similar(self, item_ids: Sequence[Any], options: SearchOptions, check: Callable[[], None]) -> Matches:
        """Rank the items most alike to some items."""
        index = self.known_items(item_ids)
        themselves = IndexLists.from_rows([index[row : row + 1] for row in range(len(index))])
        queries = trained(self._state, "item", index)
        return _search(self.alike, queries, options, CandidateFilter(block_per_query=themselves), check)

    @property
    def alike(self) -> SearchSpace:
        """The items, to be compared with items."""
        return self._fitted.alike["item"]

    @property
    def space(self) -> SearchSpace:
        """The items, to be recommended to users."""
        return self._fitted.items_for_users

    def known_items(self, item_ids: Sequence[Any]) -> Array:
        """Return the index of items, all of which must be known."""
        index = self.items.index(item_ids)
        if (index < 0).any():
            place = int(np.flatnonzero(index < 0)[0])
            raise ProblemError(404, f"items[{place}] is not an item of the model")
        return index

    def items_encoded(self, index: Array) -> tuple[Encoded, Array | None]:
        """Return codes and embeddings of items, and their bias in bits."""
        bias = self._state.item_bias
        return trained(self._state, "item", index), None if bias is None else bias[index].values()

    def _known_items(self, item_ids: Sequence[Any], *, strict: bool = False) -> Array:
        index = self.items.index(item_ids, strict=strict)
        return index[index >= 0]

    def _encode(self, source: Array, index: Array, seen: IndexLists) -> Encoded:
        """Return the queries of the rows that are trained or folded in, in their order."""
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

    def _allowed(self, allow: Sequence[Any] | None, block: Sequence[Any] | None) -> Array | None:
        if allow is None and not block:
            return None
        allowed = np.full(self._state.n_items, allow is None)
        if allow is not None:
            allowed[self._known_items(allow, strict=True)] = True
        if block:
            allowed[self._known_items(block, strict=True)] = False
        return allowed

    def _put_popular(self, result: Matches, row: int, filters: CandidateFilter) -> None:
        order, k = self.version.popular, result.positions.shape[1]
        if filters.allow_all is not None:
            order = order[filters.allow_all[order]]
        if filters.block_per_query is not None:
            n_excluded = len(filters.block_per_query.indices)
            order = order[: k + n_excluded]
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
    return Matches(
        np.concatenate([part.positions for part in parts]),
        np.concatenate([part.scores for part in parts]),
        np.concatenate([part.counts for part in parts]),
    )


def _put(result: Matches, rows: Array, found: Matches) -> None:
    result.positions[rows], result.scores[rows], result.counts[rows] = (
        found.positions,
        found.scores,
        found.counts,
    )
