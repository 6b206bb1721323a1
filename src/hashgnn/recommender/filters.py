"""Which items each row may get: seen items, allow and block lists, brought together."""

from __future__ import annotations

from typing import Any

import numpy as np

from hashgnn.data import IdMap
from hashgnn.errors import ParameterError
from hashgnn.ranking import CandidateFilter, IndexLists
from hashgnn.recommender.id_lists import as_list, look_up, look_up_lists
from hashgnn.recommender.rows import Rows


def make_filters(
    ids: IdMap, rows: Rows, excluded: IndexLists | None, allow: Any, block: Any, *, strict: bool
) -> CandidateFilter:
    """Bring seen items, an allow list and a block list together.

    Parameters
    ----------
    ids : IdMap
        Of the items.
    rows : Rows
        One list a row is aligned with what was asked, rows left out included.
    excluded : IndexLists of length n_rows, or None
        Seen items.
    allow, block : list of ids, list of lists of ids, or None
        One for all rows, or one a row.
    strict : bool
        Unknown ids in ``allow`` are an error. In ``block`` they are not: they cannot be recommended.
    """
    remedy = "remove them from allow, or pass another on_unknown" if strict else None
    allowed = only = None
    if allow is not None:
        if per_row(allow):
            only = _of_rows(ids, "allow", allow, rows, remedy)
        else:
            index = look_up(ids, "item", as_list("allow", allow), remedy=remedy)
            allowed = np.zeros(len(ids), bool)
            allowed[index[index >= 0]] = True
    if block is not None:
        if per_row(block):
            blocked = _of_rows(ids, "block", block, rows, None)
            excluded = blocked if excluded is None else excluded.union(blocked)
        else:
            index = look_up(ids, "item", as_list("block", block), remedy=None)
            allowed = np.ones(len(ids), bool) if allowed is None else allowed
            allowed[index[index >= 0]] = False
    return CandidateFilter(excluded, only, allowed)


def per_row(lists: Any) -> bool:
    """Tell a list of lists from a list of ids; a tuple is an id, as a tuple may be one."""
    return (
        isinstance(lists, list | tuple)
        and len(lists) > 0
        and all(isinstance(entry, list | set | frozenset | np.ndarray) for entry in lists)
    )


def _of_rows(ids: IdMap, name: str, lists: Any, rows: Rows, remedy: str | None) -> IndexLists:
    if len(lists) != rows.n_asked:
        raise ParameterError(f"{name} must have one list a row, {rows.n_asked}, got {len(lists)}")
    return look_up_lists(ids, "item", name, lists, remedy=remedy)[rows.places]
