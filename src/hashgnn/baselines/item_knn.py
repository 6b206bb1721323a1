"""Item-based nearest neighbours: an item is recommended for its similarity to what the user has."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from hashgnn._checks import check_float, check_int
from hashgnn._rng import RngLike
from hashgnn._types import Array
from hashgnn.baselines.base import ItemBaseline
from hashgnn.data import Interactions
from hashgnn.graph import BipartiteGraph

_BLOCK_CELLS = 16 << 20  # similarityes held at a time, at most


def itemknn(
    interactions: Interactions,
    *,
    dim: int,
    rng: RngLike,
    n_neighbours: int = 100,
    shrinkage: float = 10.0,
) -> ItemBaseline:
    """Cosine of the users of two items, shrunk where they share few; each item keeps its nearest neighbours.

    The score of an item is the sum of its similarity to those of its neighbours that the user has. ``dim`` and
    ``rng`` are not looked at.

    Parameters
    ----------
    interactions : Interactions
    n_neighbours : int, default=100
        Most similar items that each item keeps; equal ones go to the smaller position.
    shrinkage : float, default=10.0
        Added to the denominator of the cosine.

    References
    ----------
    Sarwar et al., WWW 2001; shrinkage as in Ferrari Dacrema et al., RecSys 2019, arXiv 1907.06902.
    """
    check_int("n_neighbours", n_neighbours, minimum=1)
    check_float("shrinkage", shrinkage, minimum=0)
    users = BipartiteGraph.from_interactions(interactions).user_item.astype(np.float32)
    items = users.T.tocsr()
    n_items = items.shape[0]
    norms = np.sqrt(np.diff(items.indptr)).astype(np.float32)
    step = max(1, _BLOCK_CELLS // n_items)
    blocks = []
    for start in range(0, n_items, step):
        shared = (items[start : start + step] @ users).tocsr()
        rows = np.repeat(np.arange(start, start + shared.shape[0]), np.diff(shared.indptr))
        shared.data /= norms[rows] * norms[shared.indices] + np.float32(shrinkage)
        shared.data[shared.indices == rows] = 0
        blocks.append(_nearest(shared, n_neighbours))
    neighbours = sp.vstack(blocks, format="csr", dtype=np.float32)
    return ItemBaseline(interactions, neighbours.T.tocsr())


def _nearest(similarity: sp.csr_matrix, k: int) -> sp.csr_matrix:
    """Return the ``k`` largest entries above 0 of each row."""
    kept: list[Array] = []
    for start, stop in zip(similarity.indptr[:-1], similarity.indptr[1:], strict=True):
        row = np.arange(start, stop)
        row = row[similarity.data[row] > 0]
        if len(row) > k:
            row = row[np.lexsort((similarity.indices[row], -similarity.data[row]))[:k]]
        kept.append(np.sort(row))
    chosen = np.concatenate(kept)
    indptr = np.concatenate(([0], np.cumsum([len(row) for row in kept])))
    return sp.csr_matrix(
        (similarity.data[chosen], similarity.indices[chosen], indptr), shape=similarity.shape
    )
