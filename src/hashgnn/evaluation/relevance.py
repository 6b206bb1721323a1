"""Relevance of ranked items, and the effect of ties."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from hashgnn._types import Array
from hashgnn.ranking import Matches, count_ties


@dataclass(frozen=True, eq=False)
class Ties:
    """The ties of ranked lists: items of one list with equal scores are a *tie*.

    A tie may reach beyond rank ``k``: its size and its relevant items are counted in full.

    Attributes
    ----------
    place : ndarray of shape (n, k), int64
        For each rank, how many ranks of its tie come before it.
    size, n_relevant : ndarray of shape (n, k), int64
        For each rank, how many items its tie has, and how many of them are relevant.
    """

    place: Array
    size: Array
    n_relevant: Array


@dataclass(frozen=True, eq=False)
class Popularity:
    """How the training interactions spread over the items.

    Attributes
    ----------
    counts : ndarray of shape (n_items,), int64
        Training users of each item.
    n_users : int
        Users with training interactions.
    """

    counts: Array
    n_users: int


@dataclass(frozen=True, eq=False)
class Judged:
    """Ranked lists with their relevance.

    Attributes
    ----------
    positions : ndarray of shape (n, k), int64
        Items, best first; -1 beyond the end of a list.
    hits : ndarray of shape (n, k), bool
        Whether the item at each rank is relevant; False beyond the end of a list.
    n_relevant : ndarray of shape (n,), int64
        Relevant items of each row, ranked or not; at least 1.
    ties : Ties or None
        None where only the lists are known and not the scores of all items.
    seen : csr_matrix of shape (n, n_items) or None
        Training items of each row.
    popularity : Popularity or None
        Of the items in training.
    """

    positions: Array
    hits: Array
    n_relevant: Array
    ties: Ties | None = None
    seen: sparse.csr_matrix | None = None
    popularity: Popularity | None = None


def judge(
    ranking: Matches,
    relevant: sparse.csr_matrix,
    scores: Array | None = None,
    *,
    seen: sparse.csr_matrix | None = None,
    popularity: Popularity | None = None,
) -> Judged:
    """Compare ranked lists with the relevant items of each row.

    Parameters
    ----------
    ranking : Matches of shape (n, k)
    relevant : scipy.sparse.csr_matrix of shape (n, m)
        Stored entries are relevant items; indices sorted.
    scores : ndarray of shape (n, m) or None, default=None
        What was ranked, exactly; with it the ties are counted.
    seen, popularity
        As in :class:`Judged`.
    """
    n_relevant = np.diff(relevant.indptr).astype(np.int64)
    rows = np.repeat(np.arange(len(ranking)), n_relevant)
    hits = _hits(ranking.positions, rows, relevant.indices, relevant.shape[1])
    ties = None if scores is None else _ties(ranking, scores, hits, rows, relevant.indices)
    return Judged(ranking.positions, hits, n_relevant, ties, seen, popularity)


def _hits(positions: Array, rows: Array, columns: Array, m: int) -> Array:
    """Return which positions (n, k) are among the (row, column) pairs, which are sorted."""
    keys = rows * m + columns.astype(np.int64)
    wanted = positions + m * np.arange(len(positions))[:, None]
    if not len(keys):
        return np.zeros(positions.shape, bool)
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    found: Array = (keys[at] == wanted) & (positions >= 0)
    return found


def _ties(ranking: Matches, scores: Array, hits: Array, rows: Array, columns: Array) -> Ties:
    n, k = hits.shape
    ranks = np.broadcast_to(np.arange(k), (n, k))
    begins = np.ones((n, k), bool)
    begins[:, 1:] = ranking.scores[:, 1:] != ranking.scores[:, :-1]
    start = np.maximum.accumulate(np.where(begins, ranks, 0), axis=1)
    cell = start + k * np.arange(n)[:, None]  # the first rank of a tie stands for it
    size = np.bincount(cell.ravel(), minlength=n * k)
    n_relevant = np.bincount(cell[hits], minlength=n * k)

    # Only the last tie of a full list may go on beyond it. Where the list is short nothing does, and
    # what is counted here again is what was counted above.
    listed = np.flatnonzero(ranking.counts)
    last = ranking.counts[listed] - 1
    cut = cell[listed, last]
    size[cut] = count_ties(scores, ranking)[listed]
    last_score = np.full(n, np.nan)
    last_score[listed] = ranking.scores[listed, last]
    level = scores[rows, columns] == last_score[rows]
    n_relevant[cut] = np.bincount(rows[level], minlength=n)[listed]
    return Ties(ranks - start, size[cell], n_relevant[cell])
