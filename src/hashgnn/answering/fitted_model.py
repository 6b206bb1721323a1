"""``FittedModel``: the queries of a fitted model, in internal indices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from scipy import sparse

from hashgnn._checks import check_choice, check_float
from hashgnn._types import ON_UNKNOWN, Array, OnUnknown
from hashgnn.answering.growth import grown_order, grown_state
from hashgnn.answering.memory_budget import items_within
from hashgnn.answering.new_item_bias import NewItemBias
from hashgnn.answering.new_item_rows import NewItemRows
from hashgnn.answering.queries import HISTORY, MODEL, POPULAR, EncodedEntities, Queries, interleave
from hashgnn.answering.search_ways import SearchOptions, SearchWays
from hashgnn.codes import BinaryCodes, ItemBias
from hashgnn.engines import EngineIndex
from hashgnn.errors import ParameterError, UnknownIdError
from hashgnn.index import HammingIndex, HierarchicalIndex, InvertedFile, build_index
from hashgnn.index.budget import check_budget
from hashgnn.ranking import CandidateFilter, IndexLists, Matches
from hashgnn.state import IndexedCodes, ModelState
from hashgnn.state.float_queries import FloatQueries
from hashgnn.state.growing import Rooms

Check: TypeAlias = Callable[[], None]

_TUNING_USERS = 64
_ROOM_BYTES = 1 << 27
_CHECKED_ROWS = 64  # searched between two calls of ``check``


class FittedModel:
    """A model state made ready to answer. Read-only, so safe to use from many threads.

    This is the one way from queries to matches: the library, the service, the command line and evaluation
    all use it. Users and items go by internal index. What is built on first use is built from the state
    alone, so two threads that build it at the same time build the same.

    Parameters
    ----------
    state : ModelState
    index_recall : float, optional
        Share of the exact best items by code that a search shall find, in ``(0, 1]``; ``None`` takes that of
        the state. Below 1, many items lie in lists of which a search reads the nearest.
    engine_index : EngineIndex, optional
        The same items in an engine, which then answers every search by code.
    bytes_per_item : float, optional
        Memory that hierarchical search for users may take, see :func:`~hashgnn.index.hierarchical_within`;
        ``None`` takes that of the state.

    Raises
    ------
    ParameterError
        If ``index_recall`` or ``bytes_per_item`` is out of its range.
    """

    def __init__(
        self,
        state: ModelState,
        index_recall: float | None = None,
        engine_index: EngineIndex | None = None,
        bytes_per_item: float | None = None,
    ) -> None:
        self.state, self.engine_index = state, engine_index
        budget = state.bytes_per_item if bytes_per_item is None else check_budget(bytes_per_item)
        if bytes_per_item is not None and engine_index is not None:
            raise ParameterError(
                f"bytes_per_item must be None where an engine holds the items, got {bytes_per_item:g}"
            )
        self.bytes_per_item = None if engine_index is not None else budget
        share = state.index_recall if index_recall is None else index_recall
        self.index_recall = check_float("index_recall", share, minimum=0, maximum=1, open_minimum=True)
        self.seen = IndexLists.from_matrix(state.seen)
        self.rooms = Rooms()

    def __reduce__(self) -> tuple[Any, ...]:
        """Send the state by value, and the item index if it was made; the rest is made anew on first use."""
        names = ("item_index", "ranked_items", "new_item_bias", "new_item_rows")
        made = {name: self.__dict__[name] for name in names if name in self.__dict__}
        return FittedModel, (self.state, self.index_recall, self.engine_index, self.bytes_per_item), made

    @cached_property
    def item_index(self) -> HammingIndex | InvertedFile:
        """The codes of the items, ready to be searched: the index of the artifact, or one made from the codes."""
        saved, users = self.state.items.index, self.state.users.codes
        if saved is not None and self.index_recall == self.state.index_recall:
            return saved
        index = build_index(
            self.state.items.codes,
            item_bias=self.state.items.bias,
            index_recall=self.index_recall,
            queries=users[:: max(1, len(users) // _TUNING_USERS)] if len(users) else None,
        )
        assert isinstance(index, HammingIndex | InvertedFile)
        return index

    @property
    def indexed_state(self) -> ModelState:
        """The state with its items in ``item_index``, as it is saved."""
        codes = IndexedCodes(self.item_index)
        items = replace(self.state.items, codes=codes, bias=codes.bias)
        return replace(
            self.state,
            items=items,
            index_recall=self.index_recall,
            bytes_per_item=self.bytes_per_item,
            ranked_items=self.ranked_items,
        )

    @cached_property
    def ranked_items(self) -> HierarchicalIndex | None:
        """The items for hierarchical search within ``bytes_per_item``; None where there is no such budget.

        Raises
        ------
        ParameterError
            If nothing within it finds ``index_recall``.
        """
        if self.bytes_per_item is None or not self.state.n_items:
            return None
        return items_within(self.state, self.item_index, self.index_recall, self.bytes_per_item)

    @cached_property
    def items_for_users(self) -> SearchWays:
        """The items, to be recommended to users."""
        queries = FloatQueries.of_users(self.state)
        return SearchWays(
            self.state.items,
            self.item_index,
            queries,
            similar=False,
            engine_index=self.engine_index,
            ranked=self.ranked_items,
        )

    @cached_property
    def items_for_items(self) -> SearchWays:
        """The items, to be compared with items."""
        queries = FloatQueries.of_items(self.state)
        return SearchWays(
            self.state.items, self.item_index, queries, similar=True, engine_index=self.engine_index
        )

    @cached_property
    def users_for_users(self) -> SearchWays:
        """The users, to be compared with users."""
        queries = FloatQueries.of_users(self.state)
        return SearchWays(self.state.users, HammingIndex(self.state.users.codes), queries, similar=True)

    @cached_property
    def mean_weight(self) -> float:
        """Mean weight of the training interactions, which training divides each by; 1 where there are none."""
        weights = self.state.seen.data
        return float(weights.mean(dtype=np.float64)) if len(weights) else 1.0

    @cached_property
    def popularity(self) -> Array:
        """Users who interacted with each item, (n_items,) int64."""
        return np.bincount(self.state.seen.indices, minlength=self.state.n_items)

    @cached_property
    def popular_order(self) -> Array:
        """Items from the most to the least popular, (n_items,) int64; ties go to the smaller index."""
        return np.argsort(-self.popularity, kind="stable")

    @cached_property
    def new_item_bias(self) -> NewItemBias | None:
        """The bias of items that are folded in; ``None`` where the model has no item bias."""
        return NewItemBias.fit(self.state.items.bias, self.popularity)

    @cached_property
    def new_item_rows(self) -> NewItemRows:
        """Contribution of items that are folded in to those who interact with them."""
        return NewItemRows.fit(self.state)

    def ready_for_items(self) -> FittedModel:
        """Return the same model with room for more items, and all that new ones need at hand.

        Tables of some ten megabytes are copied into memory now. Larger ones stay where they are, mapped from a file
        as a rule, until the first item is added.
        """
        tables = [self.state.items.embeddings, *self.state.fold_in.item_tables.values()]
        assert self.new_item_rows is not None
        _ = self.new_item_bias, self.popularity
        if sum(table.nbytes for table in tables) > _ROOM_BYTES:
            return self
        nothing = self.fold_in_items(IndexLists.from_rows([]))
        return self.with_items([], nothing, IndexLists.from_rows([]), keep_seen=False)

    def with_items(
        self, ids: Sequence[Any], items: EncodedEntities, audiences: IndexLists, *, keep_seen: bool = True
    ) -> FittedModel:
        """Return a model that has more items behind the known ones; this one stays as it is.

        Nothing of the known items is built again. What items look like that are added later does not depend on
        those that were added before.

        Parameters
        ----------
        ids : sequence of n ids
            None of them known, of the kind of the model's, as :func:`~hashgnn.data.grown_ids.readable_ids` gives
            them.
        items : EncodedEntities of length n
            As :meth:`fold_in_items` returns them.
        audiences : IndexLists of length n
            The users of each.
        keep_seen : bool, default=True
            Whether the users of an item have seen it.

        Raises
        ------
        ParameterError
            If an embedding is not finite.
        """
        if self.engine_index is not None:
            raise ParameterError(
                "items cannot be added to a model whose items lie in an engine; load it without engine, or sync a new "
                "version"
            )
        model, made, rooms = FittedModel.__new__(FittedModel), self.__dict__, self.rooms.copy()
        model.engine_index = None
        rows = self.new_item_rows.of(self.state, items.embeddings)
        state, index = grown_state(
            self.state, self.item_index, ids, items, audiences, rows, rooms, keep_seen=keep_seen
        )
        model.state, model.index_recall, model.rooms = state, self.index_recall, rooms
        model.seen = IndexLists.from_matrix(state.seen) if keep_seen else self.seen
        model.item_index, model.bytes_per_item = index, self.bytes_per_item
        model.new_item_bias, model.new_item_rows = self.new_item_bias, self.new_item_rows
        model.mean_weight = self.mean_weight  # of the training
        queries = self.items_for_users.float_queries
        model.items_for_users = self.items_for_users.grown(state.items, index, queries, rooms)
        model.ranked_items = model.items_for_users.ranked
        if "items_for_items" in made:
            queries = FloatQueries.of_items(state)
            model.items_for_items = self.items_for_items.grown(state.items, index, queries, rooms)
        if "users_for_users" in made:
            model.users_for_users = self.users_for_users
        model.popularity = rooms.appended("popularity", self.popularity, audiences.lengths)
        if "popular_order" in made:
            model.popular_order = grown_order(self.popular_order, model.popularity, len(ids))
        return model

    def queries_of_users(
        self,
        user_index: Array,
        *,
        since_training: IndexLists | None = None,
        left: IndexLists | None = None,
        recent: sparse.csr_matrix | None = None,
        on_unknown: OnUnknown = "error",
    ) -> Queries:
        """Return one row for each user.

        A user with interactions since the training, or of whose training data something was deleted, is
        folded in from all that is known of them, seen in training or since; the others have their trained
        code.

        Parameters
        ----------
        user_index : ndarray of shape (n,), int64
            -1 for a user who is not in the training data.
        since_training : IndexLists of length n, optional
            Items that each user interacted with since the training.
        left : IndexLists of length n, optional
            Items of the training that are left of each user, where some were deleted. A user of whom nothing
            is left has index -1.
        recent : csr_matrix of shape (n, n_items), optional
            What each user did since the training, weighed as :class:`~hashgnn.data.HistoryWeighting` does. Where
            there is something, the user is folded in from that alone; the training has no order of items.
        on_unknown : {"error", "skip", "popular", "fold_in"}, default="error"
            A user who is not in the training data: raise, leave the row out, answer with popular items, or
            fold in the interactions since the training (popular items where there are none).

        Raises
        ------
        UnknownIdError
            If a user is unknown and ``on_unknown="error"``.
        """
        check_choice("on_unknown", on_unknown, ON_UNKNOWN)
        known = user_index >= 0
        if on_unknown == "error" and not known.all():
            raise UnknownIdError(f"{int((~known).sum())} of {len(known)} users are not in the training data")
        places = np.flatnonzero(known) if on_unknown == "skip" else np.arange(len(known))
        index, known = user_index[places], known[places]
        source, seen = np.where(known, np.int8(MODEL), np.int8(POPULAR)), self.seen[index]
        folds = np.zeros(len(index), bool)
        if left is not None:
            folds, seen = left[places].lengths < seen.lengths, left[places]
        if since_training is not None and len(since_training.indices):
            new = since_training[places]
            folds, seen = folds | (new.lengths > 0), seen.union(new)
        if not folds.any():
            entities = EncodedEntities.of(self.state.users, index[known])
            return Queries(source, entities, seen, places, len(user_index))
        source[folds if on_unknown == "fold_in" else folds & known] = HISTORY
        trained, folded = np.flatnonzero(source == MODEL), np.flatnonzero(source == HISTORY)
        history = seen[folded].matrix(self.state.n_items)
        if recent is not None:
            weighed = recent[places[folded]]
            rows = np.arange(len(folded))
            chosen = np.where(np.diff(weighed.indptr) > 0, rows, len(folded) + rows)
            history = sparse.csr_matrix(sparse.vstack([weighed, history], format="csr")[chosen])
        parts = [(folded, self._folded_users(history))]
        if len(trained):
            parts.append((trained, EncodedEntities.of(self.state.users, index[trained])))
        entities = interleave(parts, self.state.n_bits)
        return Queries(source, entities, seen, places, len(user_index), history)

    def queries_of_histories(
        self,
        histories: IndexLists,
        *,
        features: Any = None,
        weights: sparse.csr_matrix | None = None,
        on_unknown: OnUnknown = "error",
    ) -> Queries:
        """Return one row for each history: what a new user interacted with, folded in.

        Parameters
        ----------
        histories : IndexLists of length n
        features : sparse matrix of shape (n, n_columns), optional
            Side features of the same users.
        weights : csr_matrix of shape (n, n_items), optional
            What the items of each history weigh in the fold-in; all 1 by default.
        on_unknown : {"error", "skip", "popular", "fold_in"}, default="error"
            An empty history: raise, leave the row out, or answer with popular items (the last two).

        Raises
        ------
        ParameterError
            If a history is empty and ``on_unknown="error"``.
        """
        check_choice("on_unknown", on_unknown, ON_UNKNOWN)
        known = histories.lengths > 0
        if on_unknown == "error" and not known.all():
            row = int(np.flatnonzero(~known)[0])
            raise ParameterError(
                f'each of histories must name an item, history {row} is empty; pass on_unknown="popular"'
            )
        places = np.flatnonzero(known) if on_unknown == "skip" else np.arange(len(histories))
        source = np.where(known[places], HISTORY, POPULAR).astype(np.int8)
        some = None if features is None else features[known]
        whole = histories.matrix(self.state.n_items) if weights is None else weights
        history = whole[np.flatnonzero(known)]
        entities = self._folded_users(history, some)
        return Queries(source, entities, histories[places], places, len(histories), history)

    def recommend(
        self,
        queries: Queries,
        options: SearchOptions,
        candidates: CandidateFilter,
        check: Check | None = None,
    ) -> Matches:
        """Rank items for each query.

        Parameters
        ----------
        queries : Queries
        options : SearchOptions
            Of :meth:`SearchWays.options` of ``items_for_users``.
        candidates : CandidateFilter of as many queries
            The candidates of each query.
        check : callable, optional
            Called between blocks of rows; what it raises ends the search.

        Returns
        -------
        Matches
            Scores of the search way. Popular items are scored by the number of their users.
        """
        personal = np.flatnonzero(queries.source != POPULAR)
        if len(personal) == len(queries):
            return _search(self.items_for_users, queries.entities, options, candidates, check)
        result = Matches.empty(len(queries), options.k)
        if len(personal):
            found = _search(self.items_for_users, queries.entities, options, candidates[personal], check)
            result.positions[personal], result.scores[personal] = found.positions, found.scores
            result.counts[personal] = found.counts
        for row in np.flatnonzero(queries.source == POPULAR).tolist():
            if check is not None:
                check()
            best = self._most_popular(options.k, candidates[np.array([row])])
            result.positions[row, : len(best)] = best
            result.scores[row, : len(best)] = self.popularity[best]
            result.counts[row] = len(best)
        return result

    def similar_items(
        self,
        index: Array,
        options: SearchOptions,
        check: Check | None = None,
        candidates: CandidateFilter | None = None,
    ) -> Matches:
        """Rank the items most similar to some items, which are themselves left out.

        ``options`` are of :meth:`SearchWays.options` of ``items_for_items``. Of ``candidates`` counts what is
        packed: which items every query may return.
        """
        queries = EncodedEntities.of(self.state.items, index)
        limits = _all_but(index)
        if candidates is not None and candidates.packed is not None:
            limits = limits.within(*candidates.packed, candidates.n_allowed)
        return _search(self.items_for_items, queries, options, limits, check)

    def similar_users(self, index: Array, options: SearchOptions, check: Check | None = None) -> Matches:
        """Rank the users most similar to some users; as :meth:`similar_items`."""
        queries = EncodedEntities.of(self.state.users, index)
        return _search(self.users_for_users, queries, options, _all_but(index), check)

    def fold_in_users(
        self, histories: IndexLists, features: Any = None, weights: sparse.csr_matrix | None = None
    ) -> EncodedEntities:
        """Return codes and embeddings of new users from their items, their side features, or both.

        Parameters
        ----------
        histories : IndexLists of length n
        features : sparse matrix of shape (n, n_columns), optional
        weights : csr_matrix of shape (n, n_items), optional
            What the items of each history weigh; all 1 by default.
        """
        whole = histories.matrix(self.state.n_items) if weights is None else weights
        return self._folded_users(whole, features)

    def _folded_users(self, histories: sparse.csr_matrix, features: Any = None) -> EncodedEntities:
        output = self.state.fold_in.users(histories, features)
        return self._encoded(output, self.state.projection.users(output))

    def fold_in_items(self, audiences: IndexLists, features: Any = None) -> EncodedEntities:
        """Return codes, embeddings and bias of new items from their users, their side features, or both.

        Parameters
        ----------
        audiences : IndexLists of length n
        features : sparse matrix of shape (n, n_columns), optional
        """
        output = self.state.fold_in.items(audiences.matrix(self.state.n_users), features)
        line = self.new_item_bias
        bias = None if line is None else line.of(audiences.lengths)
        return self._encoded(output, self.state.projection.items(output), bias)

    def _encoded(self, output: Array, relaxed: Array, bias: ItemBias | None = None) -> EncodedEntities:
        keeps_relaxed = self.state.config.float_embedding == "relaxed"
        return EncodedEntities(BinaryCodes.from_signs(relaxed), relaxed if keeps_relaxed else output, bias)

    def _most_popular(self, k: int, candidates: CandidateFilter) -> Array:
        """Return the most popular candidates of one query, at most ``k``."""
        order = self.popular_order
        allowed = candidates.allowed
        if allowed is not None:
            order = order[allowed[order]]
        if candidates.allow_per_query is not None:
            order = order[np.isin(order, candidates.allow_per_query.indices)]
        if candidates.block_per_query is not None and len(candidates.block_per_query.indices):
            blocked = candidates.block_per_query.indices
            order = order[: k + len(blocked)]
            order = order[~np.isin(order, blocked)]
        return order[:k]


def _search(
    ways: SearchWays,
    queries: EncodedEntities,
    options: SearchOptions,
    candidates: CandidateFilter,
    check: Check | None,
) -> Matches:
    if check is None:
        return ways.search(queries, options, candidates)
    check()
    n = len(queries)
    if n <= _CHECKED_ROWS:
        return ways.search(queries, options, candidates)
    parts = []
    for start in range(0, n, _CHECKED_ROWS):
        rows = np.arange(start, min(start + _CHECKED_ROWS, n))
        parts.append(ways.search(queries[rows], options, candidates[rows]))
        check()
    return Matches.concatenate(parts)


def _all_but(index: Array) -> CandidateFilter:
    """Return a filter that leaves each query itself out."""
    return CandidateFilter(block_per_query=IndexLists(np.arange(len(index) + 1), index))
