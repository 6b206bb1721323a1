"""Items from their audience, for encoders that have no rule of their own for a new item.

The id embedding of an item is regressed on the normalised sum of its users' embeddings over the training
graph: ``T_i ≈ d_i^-1/2 (Σ_u w_iu U_u) B``. The sum is linear, so ``U B`` is stored, one row a user.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch

from hashgnn.nn.encoders._inputs import Array

AUDIENCE_EXPONENT = 0.5
_RIDGE = 1e-3  # of the mean diagonal: enough for directions that no audience spans
_FLOOR = 1e-30


def fitted_table(item_user: torch.Tensor, user_embeddings: Array, item_table: Array) -> Array:
    """Return ``U B`` (n_users, dim) float32, B fitted by ridge regression over the items with an audience."""
    audience = sp.csr_matrix(
        (
            item_user.values().cpu().double().numpy(),
            item_user.col_indices().cpu().numpy(),
            item_user.crow_indices().cpu().numpy(),
        ),
        shape=(item_user.shape[0], item_user.shape[1]),
    )
    degrees = np.asarray(audience.sum(axis=1)).ravel()
    known = degrees > 0
    sums = (audience @ user_embeddings.astype(np.float64))[known] * degrees[known, None] ** -AUDIENCE_EXPONENT
    gram = sums.T @ sums
    # The floor keeps the system solvable when every sum is 0.
    gram[np.diag_indices_from(gram)] += _RIDGE * float(np.trace(gram)) / len(gram) + _FLOOR
    fitted = np.linalg.solve(gram, sums.T @ item_table[known].astype(np.float64))
    table: Array = (user_embeddings.astype(np.float64) @ fitted).astype(np.float32)
    return table
