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
    dense: Array = scores.toarray() if sp.issparse(scores) else np.asarray(scores)
    dense[~(dense > 0)] = -np.inf
    return top_k(dense, k)


def best_of_sparse(scores: sp.csr_matrix, k: int) -> Matches:
    """Return the ``k`` best entries above 0 of each row, ties to the smaller column."""
    n = scores.shape[0]
    positions = np.full((n, k), -1, np.int64)
    best = np.full((n, k), -np.inf, np.float32)
    counts = np.zeros(n, np.int64)
    bounds = scores.indptr.tolist()
    for row, (start, stop) in enumerate(pairwise(bounds)):
        values, columns = scores.data[start:stop], scores.indices[start:stop]
        above = values > 0
        values, columns = values[above], columns[above]
        chosen = largest(values, columns, k)
        chosen = chosen[np.lexsort((columns[chosen], -values[chosen]))]
        counts[row] = len(chosen)
        positions[row, : len(chosen)] = columns[chosen]
        best[row, : len(chosen)] = values[chosen]
    return Matches(positions, best, counts)
