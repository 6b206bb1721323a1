"""``Queries``: who is recommended to, and ``EncodedEntities``: the codes and embeddings that are searched with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sized
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from hashgnn._checks import quote_some
from hashgnn._types import Array, Id, IdLists, Ids
from hashgnn.codes import BinaryCodes, ItemBias
from hashgnn.data import HistoryWeighting, IdMap, InteractionsLike, as_interactions
from hashgnn.data.history_weighting import times_of_histories
from hashgnn.data.id_lists import as_list
from hashgnn.data.weighting import microseconds
from hashgnn.errors import ParameterError
from hashgnn.index import EmbeddedCodes
from hashgnn.ranking import CandidateFilter, IndexLists
from hashgnn.state import Side

MODEL, HISTORY, POPULAR = 0, 1, 2
SOURCES = ("model", "history", "popular")


@dataclass(frozen=True, eq=False, repr=False)
class EncodedEntities(EmbeddedCodes):
    """Codes and embeddings of some users or items, trained or folded in.

    Attributes
    ----------
    codes : BinaryCodes of shape (n, n_bits)
    embeddings : ndarray of shape (n, d), float32
        The vectors of float search and re-ranking.
    bias : ItemBias of length n, or None
        Of items, where the model has an item bias. That of a folded-in item depends on its number of users.
    """

    bias: ItemBias | None = None

    @classmethod
    def of(cls, side: Side, index: Array) -> EncodedEntities:
        """Return the trained codes and embeddings of users or items at some indices."""
        bias = None if side.bias is None else side.bias[index]
        return cls(side.codes[index], np.ascontiguousarray(side.embeddings[index]), bias)

    def __getitem__(self, rows: slice | Array) -> EncodedEntities:
        bias = None if self.bias is None else self.bias[rows]
        return EncodedEntities(self.codes[rows], self.embeddings[rows], bias)


@dataclass(frozen=True, eq=False)
class Queries:
    """The rows of a request: the source of each, and the seen items of its user.

    Attributes
    ----------
    source : ndarray of shape (n,), int8
        ``MODEL``: the trained code; ``HISTORY``: the items of the user, folded in; ``POPULAR``: nothing is
        known of the user, who gets the most popular items. ``SOURCES`` has their names.
    entities : EncodedEntities
        Of the rows that are not ``POPULAR``, in their order.
    seen : IndexLists of length n
        The seen items of each row.
    places : ndarray of shape (n,), int64
        Place of each row in the request; ``on_unknown="skip"`` leaves some out.
    n_requested : int
        Rows of the request.
    histories : csr_matrix of shape (n_folded, n_items), or None
        The weights that each ``HISTORY`` row was folded in from, in their order.
    """

    source: Array
    entities: EncodedEntities
    seen: IndexLists
    places: Array
    n_requested: int
    histories: sparse.csr_matrix | None = None

    @classmethod
    def of_entities(cls, entities: EncodedEntities, seen: IndexLists | None = None) -> Queries:
        """Return one row for each code and embedding, with its excluded items, if any."""
        n = len(entities)
        nothing = IndexLists(np.zeros(n + 1, np.int64), np.empty(0, np.int32))
        return cls(np.full(n, MODEL, np.int8), entities, nothing if seen is None else seen, np.arange(n), n)

    def __len__(self) -> int:
        return len(self.source)

    def candidates(
        self,
        n_items: int,
        *,
        filter_seen: bool = True,
        allow: Array | IndexLists | None = None,
        block: Array | IndexLists | None = None,
    ) -> CandidateFilter:
        """Return one filter for each row, from seen items, an allow list and a block list.

        Parameters
        ----------
        n_items : int
        filter_seen : bool, default=True
            Leave out the seen items of each row.
        allow, block : ndarray of item indices, or IndexLists of length ``n_requested``, optional
            Only these items, or none of these: one array for all rows, or one list for each row of the
            request.
        """
        excluded = self.seen if filter_seen else None
        allow_all = allow_per_query = None
        if isinstance(allow, IndexLists):
            allow_per_query = allow[self.places]
        elif allow is not None:
            allow_all = np.zeros(n_items, bool)
            allow_all[allow] = True
        if isinstance(block, IndexLists):
            blocked = block[self.places]
            excluded = blocked if excluded is None else excluded.union(blocked)
        elif block is not None and len(block):
            allow_all = np.ones(n_items, bool) if allow_all is None else allow_all
            allow_all[block] = False
        return CandidateFilter(excluded, allow_per_query, allow_all)

    @property
    def source_names(self) -> list[str]:
        """The source of each row as a word."""
        return [SOURCES[source] for source in self.source.tolist()]


def interleave(parts: list[tuple[Array, EncodedEntities]], n_bits: int) -> EncodedEntities:
    """Return entities of several sources in the order of their rows.

    Parameters
    ----------
    parts : list of pairs
        Rows, int64, and the codes and embeddings of each.
    n_bits : int
    """
    if len(parts) == 1:
        return parts[0][1]
    order = np.argsort(np.concatenate([rows for rows, _ in parts]), kind="stable")
    codes = np.concatenate([part.codes.packed for _, part in parts])
    embeddings = np.concatenate([part.embeddings for _, part in parts])
    return EncodedEntities(BinaryCodes(codes[order], n_bits), embeddings[order])


def lists_of_ids(ids: IdMap, noun: str, name: str, lists: IdLists, *, remedy: str | None) -> IndexLists:
    """Return lists of ids as lists of indices; unknown ids are left out, or an error with a remedy."""
    rows = [as_list(f"each of {name}", row) for row in as_list(name, lists, of_lists=True, in_order=True)]
    flat = [value for row in rows for value in row]
    index = ids.look_up(flat, noun, remedy=remedy)
    parts = np.split(index, np.cumsum([len(row) for row in rows])[:-1]) if rows else []
    return IndexLists.from_rows([part[part >= 0] for part in parts])


def weights_of_histories(
    ids: IdMap, rows: IdLists, timestamps: Any, weighting: HistoryWeighting | None
) -> sparse.csr_matrix | None:
    """Return what the items of histories weigh, shape (n, n_items); None without a weighting.

    Unknown items take no place. Lists are from the oldest item to the newest.
    """
    if weighting is None:
        if timestamps is not None:
            raise ParameterError("timestamps must be None without history_weighting, which uses them")
        return None
    lists = [as_list("each of histories", row, in_order=True) for row in rows]
    times = times_of_histories(lists, timestamps)
    flat = [value for row in lists for value in row]
    index = ids.index_of(flat, on_unknown="skip", noun="item ids") if flat else np.empty(0, np.int64)
    parts = np.split(index, np.cumsum([len(row) for row in lists])[:-1]) if lists else []
    return weighting.matrix(parts, times, len(ids))


class RecentInteractions:
    """Interactions of users since the training, in the order of their times.

    Parameters
    ----------
    user_ids, item_ids : IdMap
        Of the model.
    interactions : Interactions, data frame or None
    weighting : HistoryWeighting

    Raises
    ------
    ParameterError
        If there are no interactions, or they have no times, which say their order.
    """

    def __init__(
        self,
        user_ids: IdMap,
        item_ids: IdMap,
        interactions: InteractionsLike | None,
        weighting: HistoryWeighting,
    ) -> None:
        if interactions is None:
            raise ParameterError("history_weighting needs since_training, whose times say the order of items")
        data = as_interactions(interactions)
        if data.timestamp is None:
            raise ParameterError("history_weighting needs the times of since_training, got none")
        seconds = np.asarray(data.timestamp, np.float64)
        if len(seconds):
            seconds = seconds * (microseconds(int(data.timestamp.max())) / 1e6)
        index = item_ids.index_of(data.item_ids.ids, on_unknown="skip", noun="item ids")[data.item_index]
        self._known, code = user_ids.translated(data.user_ids, "user ids")
        order = np.lexsort((seconds, code[data.user_index]))
        self._of_user = code[data.user_index][order]
        self._items, self._seconds = index[order], seconds[order]
        self._weighting, self._n_items = weighting, len(item_ids)

    def weights(self, users: list[Any]) -> sparse.csr_matrix:
        """Return what the items weigh for each of some users, shape (n, n_items)."""
        wanted = self._known.index_of(users, on_unknown="skip", noun="user ids")
        starts, ends = (np.searchsorted(self._of_user, wanted, side=side) for side in ("left", "right"))
        rows = [slice(start, end) for start, end in zip(starts, ends, strict=True)]
        return self._weighting.matrix(
            [self._items[row] for row in rows], [self._seconds[row] for row in rows], self._n_items
        )


def choice_of_ids(
    ids: IdMap, name: str, choice: Ids | IdLists | None, n_rows: int, *, remedy: str | None
) -> Array | IndexLists | None:
    """Return a list of items for all rows as an index array, or one list per row as lists of indices.

    Unknown ids are left out, or an error with a remedy. A tuple is an id, as a tuple may be one.
    """
    if choice is None:
        return None
    if not _is_per_row(choice):
        index = ids.look_up(as_list(name, choice), "item ids", remedy=remedy)
        return index[index >= 0]
    lists = as_list(name, choice, of_lists=True, in_order=True)
    if len(lists) != n_rows:
        raise ParameterError(f"{name} must have one list per row, {n_rows}, got {len(lists)}")
    return lists_of_ids(ids, "item ids", name, lists, remedy=remedy)


def lists_by_user(
    user_ids: IdMap, name: str, choice: Mapping[Id, Ids], users: list[Any], *, may_miss: bool
) -> list[list[Any]]:
    """Return the list of each user of a mapping; a user without one is an error, or has an empty list."""
    lists = dict(zip(user_ids.read(list(choice), f"keys of {name}"), choice.values(), strict=True))
    for value in choice.values():  # also those of other users: a mapping from items to scores blocks nothing
        if not isinstance(value, Iterable):
            as_list(f"each of {name}", value)
    without = [user for user in users if user not in lists]
    if without and not may_miss:
        raise ParameterError(f"{name} must have a list for every user, got none for {quote_some(without)}")
    return [as_list(f"each of {name}", lists.get(user, [])) for user in users]


def _is_per_row(choice: Any) -> bool:
    if getattr(choice, "ndim", 1) == 2 and not hasattr(choice, "columns"):
        return True
    return (
        isinstance(choice, list | tuple)
        and len(choice) > 0
        and all(
            isinstance(entry, Iterable) and not isinstance(entry, str | bytes | tuple) for entry in choice
        )
    )


def items_of_interactions(
    user_ids: IdMap, item_ids: IdMap, users: list[Any], interactions: InteractionsLike
) -> IndexLists:
    """Return the items that each user has in some interactions, as lists of indices; unknown items are left out.

    Parameters
    ----------
    user_ids, item_ids : IdMap
        Of the model, which say what the ids of the interactions are. Users may be unknown.
    users : list of n ids
        In the order of the lists; users without interactions get an empty one.
    interactions : Interactions or data frame
        May be empty, as right after the training.

    Raises
    ------
    ParameterError
        If they have ids of a kind that the model does not have.
    """
    if isinstance(interactions, Sized) and not sparse.issparse(interactions) and not len(interactions):
        return IndexLists.from_rows([[]] * len(users))
    data = as_interactions(interactions)
    known, code = user_ids.translated(data.user_ids, "user ids")
    matrix = data.csr
    if len(known) < len(data.user_ids):  # several forms of one id
        shape = (len(known), len(code))
        matrix = sparse.csr_matrix((np.ones(len(code)), (code, np.arange(len(code)))), shape=shape) @ matrix
        matrix.sort_indices()
        code = np.arange(len(known))
    row_of = np.empty(len(known), np.int64)
    row_of[code] = np.arange(len(code))
    wanted = known.index_of(users, on_unknown="skip", noun="user ids")
    lists = IndexLists.from_matrix(matrix)[np.where(wanted < 0, -1, row_of[wanted])]
    index = item_ids.index_of(data.item_ids.ids, on_unknown="skip", noun="item ids")[lists.indices]
    parts = np.split(index, lists.indptr[1:-1]) if len(lists) else []
    return IndexLists.from_rows([part[part >= 0] for part in parts])
