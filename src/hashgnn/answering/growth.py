"""A fitted model with more items, made without building anything of the known ones again."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy import sparse

from hashgnn._types import Array
from hashgnn.answering.queries import EncodedEntities
from hashgnn.codes import ItemBias
from hashgnn.data.grown_ids import GrownIds
from hashgnn.errors import ParameterError
from hashgnn.index import HammingIndex, InvertedFile
from hashgnn.ranking import IndexLists
from hashgnn.state import IndexedCodes, ModelState, Side
from hashgnn.state.growing import Rooms


def grown_state(
    state: ModelState,
    index: HammingIndex | InvertedFile,
    ids: Sequence[Any],
    items: EncodedEntities,
    audiences: IndexLists,
    rows: Mapping[str, Array],
    rooms: Rooms,
    *,
    keep_seen: bool,
) -> tuple[ModelState, HammingIndex | InvertedFile]:
    """Return a state and an index that have more items behind the known ones.

    Codes, floats and bias of the known items are the same memory. The lists of an index stay; new codes join the
    last part of a scan, or the list of later codes.

    Parameters
    ----------
    state : ModelState
    index : HammingIndex or InvertedFile
        Of its items.
    ids : sequence of n ids
        As :func:`~hashgnn.data.grown_ids.readable_ids` gives them, none of them known.
    items : EncodedEntities of length n
    audiences : IndexLists of length n
        The users of each, by position.
    rows : mapping of str to ndarray of n rows
        Of :class:`NewItemRows`.
    rooms : Rooms
        Gets what the tables need.
    keep_seen : bool
        Whether the users of an item have seen it.
    """
    if not np.isfinite(items.embeddings).all():
        raise ParameterError("new items must have finite embeddings, got NaN or infinity")
    side, more = _side(state, index, ids, items, rooms)
    tables = {
        name: rooms.appended(name, table, rows[name]) for name, table in state.fold_in.item_tables.items()
    }
    changed = copy.copy(state)  # its parts fit, and to check all that was seen would take long
    for name, value in {
        "items": side,
        "seen": _seen(state.seen, audiences, keep_seen=keep_seen),
        "fold_in": state.fold_in.with_item_tables(tables),
        "ranked_items": None,
    }.items():
        object.__setattr__(changed, name, value)
    return changed, more


def _side(
    state: ModelState,
    index: HammingIndex | InvertedFile,
    ids: Sequence[Any],
    items: EncodedEntities,
    rooms: Rooms,
) -> tuple[Side, HammingIndex | InvertedFile]:
    """Return the items and their index with the new ones at the end."""
    old = state.items
    more = index.with_added(items.codes, items.bias)
    bias = None
    if old.bias is not None:
        assert items.bias is not None
        steps = np.rint((old.bias.top - items.bias.values()) / 2)
        bias = ItemBias(rooms.appended("penalty", old.bias.penalty, steps.astype(np.uint8)), old.bias.top)
    known = old.ids.ids
    new = np.empty(len(ids), known.dtype)
    new[:] = list(ids)
    side = replace(
        old,
        ids=GrownIds(old.ids, ids, rooms.appended("ids", known, new)),
        codes=IndexedCodes.of(more, bias),
        embeddings=rooms.appended("embeddings", old.embeddings, items.embeddings),
        bias=bias,
    )
    return side, more


def _seen(seen: sparse.csr_matrix, audiences: IndexLists, *, keep_seen: bool) -> sparse.csr_matrix:
    """Return what was seen, with columns for the new items."""
    n_users, n_items = seen.shape
    shape = (n_users, n_items + len(audiences))
    if not keep_seen or not len(audiences.indices):
        return sparse.csr_matrix((seen.data, seen.indices, seen.indptr), shape=shape)
    new = audiences.matrix(n_users).T.tocsr()
    new.sort_indices()
    # New items have the largest positions, so they stand at the ends of the rows.
    ends = np.repeat(seen.indptr[1:], np.diff(new.indptr))
    indices = np.insert(seen.indices, ends, (new.indices + n_items).astype(seen.indices.dtype))
    data = np.insert(seen.data, ends, new.data)
    return sparse.csr_matrix((data, indices, seen.indptr + new.indptr), shape=shape)


def grown_order(order: Array, popularity: Array, n_new: int) -> Array:
    """Return an order by popularity with the new items at the end of ``popularity`` put in: behind those that are as popular."""
    n = len(order)
    places = np.searchsorted(-popularity[order], -popularity[n:], side="right")
    by_place = np.argsort(-popularity[n:], kind="stable")
    return np.insert(order, places[by_place], n + np.arange(n_new)[by_place])
