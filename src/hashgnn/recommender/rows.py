"""Who is asked for: users of the training data, or histories of users who were not in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hashgnn._checks import check_choice
from hashgnn._types import Array
from hashgnn.errors import ParameterError
from hashgnn.ranking import IndexLists
from hashgnn.recommender.encoded import Encoded, folded_in, trained
from hashgnn.recommender.id_lists import ON_UNKNOWN, as_list, id_array, look_up, look_up_lists
from hashgnn.state import ModelState


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of an answer.

    Attributes
    ----------
    query_ids : ndarray of shape (n,)
        User ids, or places in the list of histories.
    n_asked : int
    places : ndarray of shape (n,), int64
        Place of each row in what was asked; ``on_unknown="skip"`` leaves some out.
    known : ndarray of shape (n,), bool
        Rows that have a code; the others get popular items.
    queries : Encoded
        Codes and embeddings of the known rows.
    seen : IndexLists of length n
        What each row has interacted with.
    column : str
        What ``query_ids`` are, in a table.
    """

    query_ids: Array
    n_asked: int
    places: Array
    known: Array
    queries: Encoded
    seen: IndexLists
    column: str = "user_id"


def rows_of_users(state: ModelState, seen: IndexLists, user_ids: Any, on_unknown: str) -> Rows:
    """Return the rows of users by external id."""
    check_choice("on_unknown", on_unknown, ON_UNKNOWN)
    ids = as_list("user_ids", user_ids)
    remedy = 'pass on_unknown="skip" or use recommend_for_history' if on_unknown == "error" else None
    index = look_up(state.user_ids, "user", ids, remedy=remedy)
    places = np.flatnonzero(index >= 0) if on_unknown == "skip" else np.arange(len(ids))
    index = index[places]
    known = index >= 0
    return Rows(
        query_ids=id_array([ids[place] for place in places], like=state.user_ids.ids),
        n_asked=len(ids),
        places=places,
        known=known,
        queries=trained(state, "user", index[known]),
        seen=seen[index],
    )


def rows_of_histories(state: ModelState, histories: Any, on_unknown: str, features: Any) -> Rows:
    """Return the rows of new users by the items that they interacted with."""
    check_choice("on_unknown", on_unknown, ON_UNKNOWN)
    remedy = 'pass on_unknown="skip" to leave them out' if on_unknown == "error" else None
    history = look_up_lists(state.item_ids, "item", "histories", histories, remedy=remedy)
    known = history.lengths > 0
    if on_unknown == "error" and not known.all():
        row = int(np.flatnonzero(~known)[0])
        raise ParameterError(
            f'each of histories must name an item, history {row} is empty; pass on_unknown="popular"'
        )
    places = np.flatnonzero(known) if on_unknown == "skip" else np.arange(len(history))
    output = state.fold_in.users(
        history[np.flatnonzero(known)].matrix(state.n_items), None if features is None else features[known]
    )
    return Rows(
        query_ids=places,
        n_asked=len(history),
        places=places,
        known=known[places],
        queries=folded_in(state, "user", output),
        seen=history[places],
        column="history",
    )
