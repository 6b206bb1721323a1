"""The best of dense score rows, ties to the smaller position; and the exhaustive float search on top."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def top_k(scores: Array, k: int) -> tuple[Array, Array, Array]:
    """Return positions, scores and counts of the ``k`` best of each row.

    Parameters
    ----------
    scores : ndarray of shape (n, m), float32
        -inf marks what is no candidate.
    k : int
        ``1 <= k <= m``.

    Returns
    -------
    positions : ndarray of shape (n, k), int64
        Best first, ties to the smaller position, padded with -1.
    scores : ndarray of shape (n, k), float32
        Padded with -inf.
    counts : ndarray of shape (n,), int64

    Examples
    --------
    >>> top_k(np.array([[1, 3, 3, -np.inf]], np.float32), 4)[0]
    array([[ 1,  2,  0, -1]])
    """
    n, m = scores.shape
    positions = np.full((n, k), -1, np.int64)
    best = np.full((n, k), -np.inf, np.float32)
    counts = np.zeros(n, np.int64)
    last = np.partition(scores, m - k, axis=1)[:, m - k]
    for row in range(n):
        line = scores[row]
        # Ties with the k-th best come in ascending order, so that the smaller positions are taken.
        above = np.flatnonzero(line > last[row])
        level = np.flatnonzero(line == last[row])[: k - len(above)] if last[row] > -np.inf else above[:0]
        chosen = np.concatenate((above, level))
        chosen = chosen[np.lexsort((chosen, -line[chosen]))]
        counts[row] = len(chosen)
        positions[row, : len(chosen)] = chosen
        best[row, : len(chosen)] = line[chosen]
    return positions, best, counts
