"""The best of dense scores, in bounded memory, and how large the tie at the cut is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from hashgnn._types import Array
from hashgnn.errors import DataError
from hashgnn.ranking.matches import Matches

BLOCK_BYTES = 64 << 20  # dense float32 scores held at a time
_STRIP = 32  # scores that share a maximum


def rows_per_block(n_columns: int, n_bytes: int = BLOCK_BYTES) -> int:
    """Return how many rows of float32 scores fit in a block of ``n_bytes``, at least 1."""
    return max(1, n_bytes // (4 * max(1, n_columns)))


def top_k(scores: Array, k: int) -> Matches:
    """Rank the ``k`` best of each row: by score, descending, ties to the smaller position.

    Parameters
    ----------
    scores : ndarray of shape (n, m), float32 or float64
        -inf marks entries that are no candidates.
    k : int
        ``1 <= k <= m``.

    Returns
    -------
    Matches
        Scores have the dtype of ``scores``.

    Raises
    ------
    DataError
        If a score is NaN.

    Notes
    -----
    The row is folded into strips of at most 32 scores. The ``k``-th best of the strips' maxima is a bound that
    ``k`` scores reach and fewer than ``32 k`` exceed. If more than ``2 k`` exceed it, a partition of those
    raises the bound to the ``k``-th best score. So what is sorted stays short, however many scores are equal
    or -inf. Beyond the result a few copies of one row are held.

    A partition of whole blocks was measured too. It is faster only where rows are short: 13 against 22 ms for
    2,000 rows of 3,000 float scores with ``k = 20``. It is slower by 2 to 19 times for rows of 40,000 scores,
    and by 3 times for short rows of which most scores are -inf.

    Examples
    --------
    >>> top_k(np.array([[1, 3, 3, 1, 1, -np.inf]]), 3)
    Matches(n_queries=1, k=3), position (score):
      0: 1 (3), 2 (3), 0 (1)
    """
    n = len(scores)
    positions = np.full((n, k), -1, np.int64)
    best = np.full((n, k), -np.inf, scores.dtype)
    counts = np.zeros(n, np.int64)
    for row in range(n):
        line = scores[row]
        bound = _bound(line, k)
        # Positions ascend here, so a stable sort leaves ties in their order.
        above = np.flatnonzero(line > bound)
        values = line[above]
        if len(above) > 2 * k:
            bound = np.partition(values, len(values) - k)[len(values) - k]
            above = above[values > bound]
            values = line[above]
        found = above[np.argsort(-values, kind="stable")][:k]
        if len(found) < k and bound > -np.inf:
            found = np.concatenate((found, np.flatnonzero(line == bound)[: k - len(found)]))
        counts[row] = len(found)
        positions[row, : len(found)] = found
        best[row, : len(found)] = line[found]
    return Matches(positions, best, counts)


def top_k_in_blocks(score: Callable[[Array], Array], n: int, m: int, k: int) -> Matches:
    """Rank the ``k`` best of ``n`` rows of ``m`` scores, scoring some rows at a time.

    Parameters
    ----------
    score : callable
        Takes row numbers and returns their scores, (n_rows, m) float32.
    n, m, k : int
    """
    step = rows_per_block(m)
    blocks = [np.arange(start, min(start + step, n)) for start in range(0, n, step)]
    return Matches.concatenate([top_k(score(rows), k) for rows in blocks] or [Matches.empty(0, k)])


def count_ties(scores: Array, found: Matches) -> Array:
    """Return how many candidates have the score of the last result of their row, shape (n,), int64.

    Candidates that were not ranked count too: a value of 2 or more, where some of them were cut off, says
    that the order of positions decided. 0 where a row has no result.

    Parameters
    ----------
    scores : ndarray of shape (n, m)
        The ranked scores.
    found : Matches
        The result of :func:`top_k` for them.

    Examples
    --------
    >>> scores = np.array([[1, 3, 3, 1, 1, -np.inf]])
    >>> count_ties(scores, top_k(scores, 3))
    array([3])
    """
    n_ties = np.zeros(len(found), np.int64)
    for row in np.flatnonzero(found.counts).tolist():
        n_ties[row] = np.count_nonzero(scores[row] == found.scores[row, found.counts[row] - 1])
    return n_ties


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
