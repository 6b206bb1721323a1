"""EASE: the linear model of items that reconstructs the interactions best, in closed form."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from hashgnn._checks import check_float, check_int
from hashgnn._rng import RngLike
from hashgnn._types import Array
from hashgnn.baselines.base import ItemBaseline
from hashgnn.data import Interactions
from hashgnn.errors import ParameterError
from hashgnn.graph import BipartiteGraph

_BLOCK = 1024  # items at a time


def ease(
    interactions: Interactions,
    *,
    dim: int,
    rng: RngLike,
    regularisation: float = 500.0,
    max_items: int = 20_000,
) -> ItemBaseline:
    """Ridge regression of each item on all others; the weight of an item on itself is 0.

    ``dim`` and ``rng`` are not looked at. Memory: one matrix of items by items in float32. Time grows with
    the third power of the items.

    Parameters
    ----------
    interactions : Interactions
    regularisation : float, default=500.0
        Added to the diagonal of the items' co-occurrences, in users.
    max_items : int, default=20000
        Larger catalogues are refused: 20,000 items take 1.6 GB.

    Raises
    ------
    ParameterError
        If there are more items than ``max_items``, or the regularisation is too small for float32.

    References
    ----------
    Steck, *Embarrassingly Shallow Autoencoders for Sparse Data*, WWW 2019, arXiv 1905.03375.
    """
    from scipy.linalg import lapack  # slow to import, and few programs come here

    check_float("regularisation", regularisation, minimum=0, open_minimum=True)
    check_int("max_items", max_items, minimum=1)
    users = BipartiteGraph.from_interactions(interactions).user_item.astype(np.float32)
    n_items = users.shape[1]
    if n_items > max_items:
        raise ParameterError(
            f"ease needs a dense matrix of items by items and takes {max_items:,} items at most, got "
            f"{n_items:,}; use ridge, or raise max_items (4 bytes of memory for each pair of items)"
        )
    gram = _co_occurrences(users)
    gram[np.diag_indices(n_items)] += np.float32(regularisation)
    # In place: the factor, and then the inverse, take the place of the upper triangle.
    factor, failed = lapack.spotrf(gram, overwrite_a=True, clean=False)
    if not failed:
        inverse, failed = lapack.spotri(factor, overwrite_c=True)
    if failed:
        raise ParameterError(
            f"regularisation must be larger for these interactions in float32, got {regularisation:g}"
        )
    weights = inverse.T  # rows one after the other in memory; its lower triangle is the inverse's
    _mirror_lower(weights)
    weights /= -np.diag(weights).copy()
    weights[np.diag_indices(n_items)] = 0
    return ItemBaseline(interactions, weights)


def _co_occurrences(users: sp.csr_matrix) -> Array:
    """Return how many users each pair of items shares, dense and by columns, block by block."""
    n_items = users.shape[1]
    columns, items = users.tocsc(), users.T.tocsr()
    gram = np.empty((n_items, n_items), np.float32, order="F")
    for start in range(0, n_items, _BLOCK):
        gram[:, start : start + _BLOCK] = (items @ columns[:, start : start + _BLOCK]).toarray()
    return gram


def _mirror_lower(matrix: Array) -> None:
    """Copy the lower triangle to the upper one, in place."""
    for start in range(0, len(matrix), _BLOCK):
        stop = start + _BLOCK
        own = matrix[start:stop, start:stop]
        own[:] = np.tril(own) + np.tril(own, -1).T
        matrix[start:stop, stop:] = matrix[stop:, start:stop].T
