"""Nodes from their neighbours, where an encoder has no rule of its own for a new node.

Over the training graph, the id embedding of a node is regressed on the normalised sum of its neighbours'
embeddings: ``T_i ≈ d_i^-1/2 (Σ_j w_ij y_j) B``. The sum is linear, so ``y B`` is stored, one row per neighbour.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch

from hashgnn._types import Array

MAP_EXPONENT = 0.5
_RIDGE = 1e-3  # of the mean diagonal: enough for directions that no neighbourhood spans
_COLUMNS, _ROWS = 16, 1 << 18  # of the embeddings, worked on at a time
_FLOOR = 1e-30  # keeps the system solvable when every sum is 0


def fitted_table(edges: torch.Tensor, neighbours: Array, table: Array) -> Array:
    """Return ``y B`` (n_columns, dim) float32, B fitted by ridge regression over the nodes that have edges.

    Parameters
    ----------
    edges : Tensor of shape (n_rows, n_columns), CSR
        Weights of the nodes' edges: ``view.user_item`` for users, ``view.item_user`` for items.
    neighbours : ndarray of shape (n_columns, dim)
        The embeddings y.
    table : ndarray of shape (n_rows, dim)
        The id embeddings T.
    """
    matrix = sp.csr_matrix(
        (
            edges.values().cpu().double().numpy(),
            edges.col_indices().cpu().numpy(),
            edges.crow_indices().cpu().numpy(),
        ),
        shape=(edges.shape[0], edges.shape[1]),
    )
    degrees = np.asarray(matrix.sum(axis=1)).ravel()
    known = degrees > 0
    sums = np.empty((int(known.sum()), neighbours.shape[1]))
    for first in range(0, neighbours.shape[1], _COLUMNS):  # in 64 bits, which would be large for all at once
        columns = slice(first, first + _COLUMNS)
        sums[:, columns] = (matrix @ neighbours[:, columns].astype(np.float64))[known]
    sums *= degrees[known, None] ** -MAP_EXPONENT
    gram = sums.T @ sums
    gram[np.diag_indices_from(gram)] += _RIDGE * float(np.trace(gram)) / len(gram) + _FLOOR
    fitted = np.linalg.solve(gram, sums.T @ table[known].astype(np.float64))
    rows: Array = np.empty((len(neighbours), fitted.shape[1]), np.float32)
    for first in range(0, len(neighbours), _ROWS):
        rows[first : first + _ROWS] = neighbours[first : first + _ROWS].astype(np.float64) @ fitted
    return rows
