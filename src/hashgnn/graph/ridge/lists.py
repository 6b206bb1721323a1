"""The best of sparse or dense scores, among those above 0."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import scipy.sparse as sp

from hashgnn._types import Array
from hashgnn.graph.ridge.co_occurrence import largest
from hashgnn.ranking import Matches, top_k


def best_of_dense(scores: Any, k: int) -> Matches:
    """Return the ``k`` best entries above 0 of each row; ``scores`` may be overwritten."""
    is_sparse: bool = sp.issparse(scores)
    dense: Array = scores.toarray() if is_sparse else np.asarray(scores)
    dense[~(dense > 0)] = -np.inf
    return top_k(dense, k)


def best_of_sparse(scores: sp.csr_matrix, k: int) -> Matches:
    """Return the ``k`` best entries above 0 of each row, ties to the smaller column."""
    n = scores.shape[0]
    positions = np.full((n, k), -1, np.int64)
    best = np.full((n, k), -np.inf, np.float32)
    above = np.flatnonzero(scores.data > 0)
    values, columns = scores.data[above], scores.indices[above]
    owner = np.repeat(np.arange(n), np.diff(scores.indptr))[above]
    counts = np.bincount(owner, minlength=n)
    width = int(counts.max(initial=0))
    if width > k:
        # The k-th best of each row is a bound; more than k reach it where it is shared.
        table = np.full((n, width), -np.inf, np.float32)
        table[owner, _places(owner, counts)] = values
        reach = values >= np.partition(table, width - k, axis=1)[owner, width - k]
        values, columns, owner = values[reach], columns[reach], owner[reach]
    order = np.lexsort((columns, -values, owner))
    values, columns, owner = values[order], columns[order], owner[order]
    places = _places(owner, np.bincount(owner, minlength=n))
    kept = places < k
    positions[owner[kept], places[kept]] = columns[kept]
    best[owner[kept], places[kept]] = values[kept]
    return Matches(positions, best, np.minimum(counts, k))


def strongest(weights: sp.csr_matrix, kept: int) -> sp.csr_matrix:
    """Return the ``kept`` entries of each row that are furthest from 0, ties to the smaller column."""
    parts = []
    for start, stop in pairwise(weights.indptr.tolist()):
        chosen = largest(np.abs(weights.data[start:stop]), weights.indices[start:stop], kept)
        parts.append(start + np.sort(chosen))
    chosen = np.concatenate(parts)
    indptr = np.concatenate(([0], np.cumsum([len(part) for part in parts])))
    return sp.csr_matrix((weights.data[chosen], weights.indices[chosen], indptr), shape=weights.shape)


def _places(owner: Array, counts: Array) -> Array:
    """Return the place of each entry in its row; ``owner`` ascends."""
    starts = np.cumsum(counts) - counts
    places: Array = np.arange(len(owner)) - starts[owner]
    return places
