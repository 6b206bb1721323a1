"""The k-core of rows that are read in blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from hashgnn._types import Array

Blocks = Callable[[], Iterator[tuple[Array, Array]]]


def core_members(blocks: Blocks, n_users: int, n_items: int, user_k: int, item_k: int) -> tuple[Array, Array]:
    """Return which users and items are in the largest part with ``user_k`` items a user and ``item_k`` users an item.

    Each round is one pass over the rows.

    Parameters
    ----------
    blocks : callable
        Returns the users and items of all rows, block by block; each pair comes once.
    n_users, n_items : int
    user_k, item_k : int >= 1

    Returns
    -------
    users, items : ndarray of shape (n_users,) and (n_items,), bool
    """
    users, items = np.ones(n_users, bool), np.ones(n_items, bool)
    while True:
        of_users, of_items = np.zeros(n_users, np.int64), np.zeros(n_items, np.int64)
        for user_index, item_index in blocks():
            kept = users[user_index] & items[item_index]
            of_users += np.bincount(user_index[kept], minlength=n_users)
            of_items += np.bincount(item_index[kept], minlength=n_items)
        stay_users, stay_items = of_users >= user_k, of_items >= item_k
        if np.array_equal(stay_users, users) and np.array_equal(stay_items, items):
            return users, items
        users, items = stay_users, stay_items
