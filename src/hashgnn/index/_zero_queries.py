"""Float queries of zeros, which no rounding to odd steps can express: every code has the score of its bias."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hashgnn._types import Array
from hashgnn.codes import BinaryCodes, ItemBias
from hashgnn.ranking import CandidateFilter, Matches, top_k


def answer_zero_queries(
    found: Matches,
    queries: BinaryCodes | Array,
    alive: Callable[[], Array],
    bias: Callable[[], ItemBias | None],
    candidates: CandidateFilter | None,
) -> Matches:
    """Return the matches of a search with the rows of zeros in place: 0 plus the bias, ties to the smaller position.

    Parameters
    ----------
    found : Matches of n rows
        Of the kernels; changed in place.
    queries : BinaryCodes, or ndarray of shape (n, n_bits), float32
    alive, bias : callable
        Return which positions hold a code, and the bias that is added, where there is one. They are called only
        where a row is of zeros.
    candidates : CandidateFilter or None
    """
    if isinstance(queries, BinaryCodes) or np.count_nonzero(queries[:, 0]) == len(queries):
        return found
    zeros = np.flatnonzero(~queries.any(axis=1))
    if not len(zeros):
        return found
    added = bias()
    held = alive()
    plain = np.zeros(len(held), np.float32) if added is None else added.values().astype(np.float32)
    plain[~held] = -np.inf
    for row in zeros.tolist():
        scores = plain[None].copy()
        if candidates is not None:
            candidates[np.array([row])].mask(scores)
        best = top_k(scores, found.k)
        found.positions[row], found.scores[row] = best.positions[0], best.scores[0]
        found.counts[row] = best.counts[0]
    return found
