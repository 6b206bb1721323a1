"""The best of dense score rows, ties to the smaller position, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

_BLOCK_BYTES = 64 * 1024 * 1024  # dense scores held at a time


@dataclass(frozen=True, eq=False)
class Ranked:
    """The best of each row.

    Attributes
    ----------
    positions : ndarray of shape (n, k), int64
        Best first, ties to the smaller position, padded with -1.
    scores : ndarray of shape (n, k), float32
        Padded with -inf.
    counts : ndarray of shape (n,), int64
        Results of each row.
    """

    positions: Array
    scores: Array
    counts: Array


def top_k_in_blocks(score: Callable[[Array], Array], n: int, m: int, k: int) -> Ranked:
    """Return the ``k`` best of ``n`` rows of ``m`` scores, scoring some rows at a time.

    Parameters
    ----------
    score : callable
        Takes row numbers and returns their scores, (n_rows, m) float32.
    n, m, k : int
    """
    positions = np.full((n, k), -1, np.int64)
    scores = np.full((n, k), -np.inf, np.float32)
    counts = np.zeros(n, np.int64)
    step = max(1, _BLOCK_BYTES // (4 * m))
    for start in range(0, n, step):
        rows = np.arange(start, min(start + step, n))
        best = top_k(score(rows), k)
        positions[rows], scores[rows], counts[rows] = best.positions, best.scores, best.counts
    return Ranked(positions, scores, counts)


def top_k(scores: Array, k: int) -> Ranked:
    """Return the ``k`` best of each row.

    Parameters
    ----------
    scores : ndarray of shape (n, m), float32
        -inf marks what is no candidate.
    k : int
        ``1 <= k <= m``.

    Examples
    --------
    >>> top_k(np.array([[1, 3, 3, -np.inf]], np.float32), 4).positions
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
    return Ranked(positions, best, counts)
