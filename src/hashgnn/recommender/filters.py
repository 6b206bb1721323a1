"""Which items each row may get: seen items, allow and block lists, as one filter."""

from __future__ import annotations

import numpy as np

from hashgnn._types import Array
from hashgnn.ranking import CandidateFilter, IndexLists
from hashgnn.recommender.queries import Queries


def candidate_filter(
    n_items: int,
    queries: Queries,
    *,
    filter_seen: bool = True,
    allow: Array | IndexLists | None = None,
    block: Array | IndexLists | None = None,
) -> CandidateFilter:
    """Return the filter of some queries.

    Parameters
    ----------
    n_items : int
    queries : Queries
    filter_seen : bool, default=True
        Leave out what each row has seen.
    allow, block : ndarray of item indices, or IndexLists of length ``queries.n_requested``, optional
        Only these items, or none of these: one array for all rows, or one list for each row of the request.
    """
    excluded = queries.seen if filter_seen else None
    allow_all = allow_per_query = None
    if isinstance(allow, IndexLists):
        allow_per_query = allow[queries.places]
    elif allow is not None:
        allow_all = np.zeros(n_items, bool)
        allow_all[allow] = True
    if isinstance(block, IndexLists):
        blocked = block[queries.places]
        excluded = blocked if excluded is None else excluded.union(blocked)
    elif block is not None and len(block):
        allow_all = np.ones(n_items, bool) if allow_all is None else allow_all
        allow_all[block] = False
    return CandidateFilter(excluded, allow_per_query, allow_all)
