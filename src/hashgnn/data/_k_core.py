"""The k-core of a bipartite graph, as a mask of its edges."""

from __future__ import annotations

import numpy as np

from hashgnn._types import Array


def k_core(user_index: Array, item_index: Array, user_k: int, item_k: int) -> Array:
    """Return a mask of the largest part with ``user_k`` edges per user and ``item_k`` per item.

    Users and items below their number are taken away until none is left; the result is the same whatever
    the order.

    Parameters
    ----------
    user_index, item_index : ndarray of shape (n,), integers
    user_k, item_k : int >= 1

    Returns
    -------
    ndarray of shape (n,), bool
    """
    left = np.arange(len(user_index))
    while len(left):
        users, items = user_index[left], item_index[left]
        stay = (np.bincount(users)[users] >= user_k) & (np.bincount(items)[items] >= item_k)
        if stay.all():
            break
        left = left[stay]
    kept = np.zeros(len(user_index), bool)
    kept[left] = True
    return kept
