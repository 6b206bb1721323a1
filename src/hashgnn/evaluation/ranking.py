"""The best of dense score rows, and how large the tie at the cut is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hashgnn._types import Array
from hashgnn.errors import DataError

_STRIP = 32  # scores that share a maximum


@dataclass(frozen=True, eq=False)
class Ranking:
    """The best of each row: by score, descending, ties to the smaller position.

    Attributes
    ----------
    positions : ndarray of shape (n, k), int64
        Padded with -1 where a row has fewer than ``k`` candidates.
    scores : ndarray of shape (n, k), of the dtype of the scores
        Padded with -inf.
    counts : ndarray of shape (n,), int64
        Results of each row.
    n_level : ndarray of shape (n,), int64
        Candidates, ranked or not, whose score equals that of the last one ranked.
    """

    positions: Array
    scores: Array
    counts: Array
    n_level: Array


def rank(scores: Array, k: int) -> Ranking:
    """Rank the ``k`` best of each row.

    Parameters
    ----------
    scores : ndarray of shape (n, m), float32 or float64
        -inf marks what is no candidate.
    k : int
        ``1 <= k <= m``.

    Raises
    ------
    DataError
        If a score is NaN.

    Notes
    -----
    The row is folded into strips of at most 32 scores. The ``k``-th best of the strips' maxima is a bound that
    ``k`` scores reach and fewer than ``32 k`` surpass, so what is sorted stays short however many scores
    are equal. Beyond the result a few copies of one row are held.

    Examples
    --------
    >>> found = rank(np.array([[1, 3, 3, 1, 1, -np.inf]]), 3)
    >>> found.positions, found.n_level
    (array([[1, 2, 0]]), array([3]))
    """
    n = len(scores)
    positions = np.full((n, k), -1, np.int64)
    best = np.full((n, k), -np.inf, scores.dtype)
    counts = np.zeros(n, np.int64)
    n_level = np.zeros(n, np.int64)
    for row in range(n):
        line = scores[row]
        bound = _bound(line, k)
        # Positions ascend here, so a stable sort leaves ties in their order.
        above = np.flatnonzero(line > bound)
        found = above[np.argsort(-line[above], kind="stable")][:k]
        if len(found) < k and bound > -np.inf:
            level = np.flatnonzero(line == bound)
            n_level[row] = len(level)
            found = np.concatenate((found, level[: k - len(found)]))
        elif len(found):
            n_level[row] = (line[above] == line[found[-1]]).sum()
        counts[row] = len(found)
        positions[row, : len(found)] = found
        best[row, : len(found)] = line[found]
    return Ranking(positions, best, counts, n_level)


def _bound(line: Array, k: int) -> Any:
    """Return a score that at least ``k`` of a row reach."""
    n_strips = max(k, -(-len(line) // _STRIP))
    n_whole = len(line) // n_strips
    maxima = line[: n_whole * n_strips].reshape(n_whole, n_strips).max(axis=0)
    rest = line[n_whole * n_strips :]
    np.maximum(maxima[: len(rest)], rest, out=maxima[: len(rest)])
    maxima.sort()
    if np.isnan(maxima[-1]):  # NaN passes through maxima and sorts last
        raise DataError(f"scores must be numbers or -inf, got {int(np.isnan(line).sum())} NaN for one user")
    return maxima[-k]
