"""The best of each row, and how to find them in dense scores in bounded memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hashgnn._types import Array
from hashgnn.evaluation.ranking import rank

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


def rank_in_blocks(score: Callable[[Array], Array], n: int, m: int, k: int) -> Ranked:
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
        best = rank(score(rows), k)
        positions[rows], scores[rows], counts[rows] = best.positions, best.scores, best.counts
    return Ranked(positions, scores, counts)
