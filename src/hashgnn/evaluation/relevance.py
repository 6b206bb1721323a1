"""Which ranked items are relevant, and what ties leave to chance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from hashgnn._types import Array
from hashgnn.ranking import Matches, count_ties


@dataclass(frozen=True, eq=False)
class Judged:
    """Ranked lists with their relevance. Items of one list with equal scores are a *tie*.

    A tie may reach beyond rank ``k``: its size and its relevant items are counted in full.

    Attributes
    ----------
    hits : ndarray of shape (n, k), bool
        Whether the item at each rank is relevant; False beyond the end of a list.
    n_relevant : ndarray of shape (n,), int64
        Relevant items of each row, ranked or not.
    place : ndarray of shape (n, k), int64
        Of each rank, how many ranks of its tie come before it.
    tie_size, tie_relevant : ndarray of shape (n, k), int64
        Of each rank, how many items its tie has, and how many of them are relevant.
    """

    hits: Array
    n_relevant: Array
    place: Array
    tie_size: Array
    tie_relevant: Array


def judge(ranking: Matches, scores: Array, relevant: sparse.csr_matrix) -> Judged:
    """Hold ranked lists against the relevant items of each row.

    Parameters
    ----------
    ranking : Matches of shape (n, k)
        Of ``scores``.
    scores : ndarray of shape (n, m)
    relevant : scipy.sparse.csr_matrix of shape (n, m)
        Stored entries are relevant items; indices sorted.
    """
    n, k = ranking.positions.shape
    n_relevant = np.diff(relevant.indptr).astype(np.int64)
    rows = np.repeat(np.arange(n), n_relevant)
    hits = _hits(ranking.positions, rows, relevant.indices, relevant.shape[1])

    ranks = np.broadcast_to(np.arange(k), (n, k))
    begins = np.ones((n, k), bool)
    begins[:, 1:] = ranking.scores[:, 1:] != ranking.scores[:, :-1]
    start = np.maximum.accumulate(np.where(begins, ranks, 0), axis=1)
    cell = start + k * np.arange(n)[:, None]  # the first rank of a tie stands for it
    tie_size = np.bincount(cell.ravel(), minlength=n * k)
    tie_relevant = np.bincount(cell[hits], minlength=n * k)

    # Only the last tie of a full list may go on beyond it. Where the list is short nothing does, and
    # what is counted here again is what was counted above.
    listed = np.flatnonzero(ranking.counts)
    last = ranking.counts[listed] - 1
    cut = cell[listed, last]
    tie_size[cut] = count_ties(scores, ranking)[listed]
    last_score = np.full(n, np.nan)
    last_score[listed] = ranking.scores[listed, last]
    level = scores[rows, relevant.indices] == last_score[rows]
    tie_relevant[cut] = np.bincount(rows[level], minlength=n)[listed]
    return Judged(hits, n_relevant, ranks - start, tie_size[cell], tie_relevant[cell])


def _hits(positions: Array, rows: Array, columns: Array, m: int) -> Array:
    """Return which positions (n, k) are among the (row, column) pairs, which are sorted."""
    keys = rows * m + columns.astype(np.int64)
    wanted = positions + m * np.arange(len(positions))[:, None]
    if not len(keys):
        return np.zeros(positions.shape, bool)
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    found: Array = (keys[at] == wanted) & (positions >= 0)
    return found
