"""Counts of indices, in memory that does not grow with their number."""

from __future__ import annotations

import numpy as np

from hashgnn._types import Array

_BLOCK = 1 << 22  # indices at a time: np.bincount makes 64-bit ones of them


def counts(index: Array, n: int) -> Array:
    """Return how often each index from 0 to ``n - 1`` comes, shape (n,), int64.

    Examples
    --------
    >>> counts(np.array([2, 0, 2], np.int32), 4)
    array([1, 0, 2, 0])
    """
    found = np.zeros(n, np.int64)
    for start in range(0, len(index), _BLOCK):
        found += np.bincount(index[start : start + _BLOCK], minlength=n)
    return found
