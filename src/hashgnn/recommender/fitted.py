"""What a fitted model does, in internal terms: rows, filters, searches."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse

from hashgnn._checks import check_float
from hashgnn._types import Array
from hashgnn.data import Interactions
from hashgnn.errors import ParameterError
from hashgnn.index import HammingIndex, InvertedFile, build_index
from hashgnn.ranking import CandidateFilter, IndexLists, Matches
from hashgnn.recommender.answers import answer, in_external_ids
from hashgnn.recommender.encoded import Encoded, folded_in, trained
from hashgnn.recommender.filters import make_filters
from hashgnn.recommender.id_lists import as_list, id_array, look_up, look_up_lists
from hashgnn.recommender.new_item_bias import NewItemBias
from hashgnn.recommender.recommendations import Recommendations
from hashgnn.recommender.rows import Rows, rows_of_histories, rows_of_users
from hashgnn.recommender.search_space import SearchOptions, SearchSpace
from hashgnn.state import ModelState

_TUNING_USERS = 64


class Fitted:
    """A model state made ready to answer. What is built on first use is built from the state alone, so two
    threads that build it at once build the same.

    Parameters
    ----------
    state : ModelState
    index_recall : float, default=1.0
        Share of the exact best items by code that a search shall find. Below 1, many items lie in lists of
        which a search reads the nearest.
    """

    def __init__(self, state: ModelState, index_recall: float = 1.0) -> None:
        self.state = state
        self.index_recall = check_float("index_recall", index_recall, minimum=0, maximum=1, open_minimum=True)
        self.seen = IndexLists.from_matrix(state.seen)

    @cached_property
    def items_for_users(self) -> SearchSpace:
        """The items, to be recommended to users."""
        return SearchSpace(self.state, self.item_index, queries_are="user", searches="item")

    @cached_property
    def item_index(self) -> HammingIndex | InvertedFile:
        """The codes of the items, ready to be searched."""
        users = self.state.user_codes
        index = build_index(
            self.state.item_codes,
            item_bias=self.state.item_bias,
            index_recall=self.index_recall,
            queries=users[:: max(1, len(users) // _TUNING_USERS)] if len(users) else None,
        )
        assert isinstance(index, HammingIndex | InvertedFile)
        return index

    @cached_property
    def popularity(self) -> Array:
        """Users who interacted with each item, (n_items,) int64."""
        return np.bincount(self.state.seen.indices, minlength=self.state.n_items)

    @cached_property
    def new_item_bias(self) -> NewItemBias | None:
        """The bias of items that are folded in; ``None`` where the model has no item bias."""
        return NewItemBias.fit(self.state)

    @cached_property
    def alike(self) -> dict[str, SearchSpace]:
        """The items, to be compared with items, and the users with users."""
        indexes = {"item": self.item_index, "user": HammingIndex(self.state.user_codes)}
        return {
            side: SearchSpace(self.state, index, queries_are=side, searches=side)
            for side, index in indexes.items()
        }

    def rows_of_users(self, user_ids: Any, on_unknown: str) -> Rows:
        """Return the rows of users by external id."""
        return rows_of_users(self.state, self.seen, user_ids, on_unknown)

    def rows_of_histories(self, histories: Any, on_unknown: str, features: Any) -> Rows:
        """Return the rows of new users by their items."""
        listed = as_list("histories", histories)
        columns = self.encode_features("user", features, len(listed))
        return rows_of_histories(self.state, listed, on_unknown, columns)

    def answer(
        self, rows: Rows, options: SearchOptions, filter_seen: bool, allow: Any, block: Any, *, strict: bool
    ) -> Recommendations:
        """Filter, search and translate."""
        filters = make_filters(
            self.state.item_ids, rows, rows.seen if filter_seen else None, allow, block, strict=strict
        )
        return answer(self.items_for_users, self.state.item_ids, rows, options, filters, self.popularity)

    def similar(
        self, side: str, ids: Any, k: Any, search: Any, oversampling: Any, n_threads: Any
    ) -> Recommendations:
        """Rank the items or users alike to some."""
        space = self.alike[side]
        options = space.options(k, search, oversampling, n_threads)
        id_map = self.state.item_ids if side == "item" else self.state.user_ids
        # A bare id is a list of one; so is a tuple that is itself an id.
        is_one = isinstance(ids, str | bytes) or not isinstance(ids, Iterable)
        is_one = is_one or (isinstance(ids, tuple) and ids in id_map)
        asked = [ids] if is_one else as_list(f"{side}_ids", ids)
        index = look_up(id_map, side, asked, remedy=f"similar_{side}s knows those of the training data only")
        themselves = IndexLists.from_rows([index[row : row + 1] for row in range(len(index))])
        found = space.search(
            trained(self.state, side, index), options, CandidateFilter(block_per_query=themselves)
        )
        columns = (f"{side}_id", f"similar_{side}_id")
        return in_external_ids(id_array(asked, like=id_map.ids), found, id_map, columns)

    def encode(self, side: str, ids: Any) -> Encoded:
        """Return what training gave to users or items."""
        id_map = self.state.item_ids if side == "item" else self.state.user_ids
        index = look_up(id_map, side, as_list(f"{side}_ids", ids), remedy=f"use fold_in_{side}s for new ones")
        return trained(self.state, side, index)

    def fold_in(self, side: str, lists: Any, features: Any) -> Encoded:
        """Return codes, embeddings and, of items, the bias of new users or items."""
        known = self.state.item_ids if side == "user" else self.state.user_ids
        noun, name = ("item", "histories") if side == "user" else ("user", "audiences")
        if lists is None and features is None:
            raise ParameterError(f"fold_in_{side}s needs {name} or {side}_features, got neither")
        rows = None if lists is None else as_list(name, lists)
        columns = self.encode_features(side, features, None if rows is None else len(rows))
        if rows is None:
            rows = [[]] * len(features)
        edges = look_up_lists(known, noun, name, rows, remedy=f"fold-in needs {noun}s of the training data")
        matrix = edges.matrix(len(known))
        if side == "user":
            return folded_in(self.state, side, self.state.fold_in.users(matrix, columns))
        line = self.new_item_bias
        bias = None if line is None else line.of(edges.lengths)
        return folded_in(self.state, side, self.state.fold_in.items(matrix, columns), bias)

    def score_block(self, user_index: Array, search: str, k: int, oversampling: int) -> Array:
        """Return the scores of all items."""
        options = self.items_for_users.options(k, search, oversampling)
        index = self._check_index(user_index)
        filters = (
            CandidateFilter(block_per_query=self.seen[index])
            if search == "hierarchical"
            else CandidateFilter()
        )
        return self.items_for_users.scores(trained(self.state, "user", index), options, filters)

    def search_block(
        self, user_index: Array, search: str, k: int, oversampling: int, n_threads: int
    ) -> Matches:
        """Return the best unseen items as positions."""
        options = self.items_for_users.options(k, search, oversampling, n_threads)
        index = self._check_index(user_index)
        queries = trained(self.state, "user", index)
        return self.items_for_users.search(
            queries, options, CandidateFilter(block_per_query=self.seen[index])
        )

    def encode_features(self, side: str, frame: Any, n_rows: int | None) -> sparse.csr_matrix | None:
        """Return side features of new users or items as columns; ``n_rows`` is how many there must be."""
        if frame is None:
            return None
        vocabulary = self.state.user_features if side == "user" else self.state.item_features
        if vocabulary is None:
            raise ParameterError(f"{side}_features must be None, the model was fitted without them")
        columns = vocabulary.encode(frame)
        if n_rows is not None and columns.shape[0] != n_rows:
            raise ParameterError(f"{side}_features must have {n_rows} rows, got {columns.shape[0]}")
        return columns

    def _check_index(self, user_index: Array) -> Array:
        index = np.asarray(user_index)
        if index.ndim != 1 or index.dtype.kind not in "iu":
            raise ParameterError(
                f"user_index must be a 1-d array of integers, got {index.dtype} {index.shape}"
            )
        if index.size and not 0 <= index.min() <= index.max() < self.state.n_users:
            raise ParameterError(f"user_index must be in [0, {self.state.n_users}), got others")
        return index.astype(np.int64, copy=False)


def as_interactions(data: Any, like: Interactions | None = None) -> Interactions:
    """Return interactions from what a user may have: the object, a sparse matrix or a data frame.

    ``like`` gives the known ids; rows of others are left out, with a warning that counts them.
    """
    if isinstance(data, Interactions):
        return data
    user_ids, item_ids = (None, None) if like is None else (like.user_ids, like.item_ids)
    if sparse.issparse(data):
        return Interactions.from_csr(data, user_ids=user_ids, item_ids=item_ids)
    on_unknown = "error" if like is None else "drop"
    return Interactions.from_frame(data, user_ids=user_ids, item_ids=item_ids, on_unknown=on_unknown)
