"""A fitted state without what users have deleted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from scipy import sparse

from hashgnn._types import Array
from hashgnn.codes import BinaryCodes
from hashgnn.data import Deletions, IdMap
from hashgnn.state.model_state import ModelState
from hashgnn.state.side import Side


def without_deleted(state: ModelState, deletions: Deletions) -> ModelState:
    """Return a state that has none of the deleted interactions, and no code that was trained on them.

    A user of whom interactions are left is folded in from these; the others are no users of the result. Items
    and the fold-in rule keep what training has learned, so the result is a start for training and no model to
    serve. Ids that the state does not have are passed over.

    Parameters
    ----------
    state : ModelState
        Left as it is.
    deletions : Deletions

    Raises
    ------
    ParameterError
        If an id is of another type than those of the state.
    """
    gone = _deleted_entries(state, deletions)
    if not gone.any():
        return state
    seen, n_users = state.seen, state.n_users
    row_of_entry = np.repeat(np.arange(n_users), np.diff(seen.indptr))
    left = sparse.csr_matrix(
        (seen.data[~gone], (row_of_entry[~gone], seen.indices[~gone])), shape=seen.shape, dtype=np.float32
    )
    changed = np.zeros(n_users, bool)
    changed[row_of_entry[gone]] = True
    kept = np.flatnonzero(~changed | (np.diff(left.indptr) > 0))
    folded = np.flatnonzero(changed[kept])
    seen = left[kept]
    seen.sort_indices()
    # Training divides weights by their mean, and so must what is folded in.
    mean = float(state.seen.data.mean(dtype=np.float64))
    histories = sparse.csr_matrix(seen[folded], copy=True)
    histories.data = np.maximum(histories.data / np.float32(mean), np.finfo(np.float32).tiny)
    return replace(state, users=_folded_side(state, kept, folded, histories), seen=seen)


def _deleted_entries(state: ModelState, deletions: Deletions) -> Array:
    """Return for each entry of ``seen`` whether it was deleted, (nnz,) bool."""
    seen = state.seen
    user_ids, item_ids = state.users.ids, state.items.ids
    gone = np.zeros(seen.nnz, bool)

    def positions(ids: IdMap, values: list[Any], noun: str) -> list[int]:
        if not values:
            return []
        if ids.kind == "other":  # a store keeps how they print
            texts = ids.printed(np.arange(len(ids)))
            printed = {str(value): place for place, value in enumerate(ids.ids.tolist())}
            printed |= {text: place for place, text in enumerate(texts)}
            return [printed.get(str(value), -1) for value in values]
        found: list[int] = ids.index_of(values, on_unknown="skip", noun=noun).tolist()
        return found

    for user in positions(user_ids, [user for _, user in deletions.users], "user ids"):
        if user >= 0:
            gone[seen.indptr[user] : seen.indptr[user + 1]] = True
    users = positions(user_ids, [user for _, user, _ in deletions.pairs], "user ids")
    items = positions(item_ids, [item for _, _, item in deletions.pairs], "item ids")
    for user, item in zip(users, items, strict=True):
        if user >= 0 and item >= 0:
            start, end = seen.indptr[user], seen.indptr[user + 1]
            gone[start:end] |= seen.indices[start:end] == item
    return gone


def _folded_side(state: ModelState, kept: Array, folded: Array, histories: sparse.csr_matrix) -> Side:
    """Return the users at some places; those of ``folded``, which counts in the result, from their histories."""
    users = state.users
    packed, embeddings = users.codes.packed[kept].copy(), np.array(users.embeddings[kept])
    if len(folded):
        output = state.fold_in.users(histories)
        relaxed = state.projection.users(output)
        packed[folded] = BinaryCodes.from_signs(relaxed).packed
        embeddings[folded] = relaxed if state.config.float_embedding == "relaxed" else output
    ids = IdMap(users.ids.ids[kept])
    return replace(users, ids=ids, codes=BinaryCodes(packed, users.codes.n_bits), embeddings=embeddings)
