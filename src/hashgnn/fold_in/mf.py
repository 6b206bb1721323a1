"""The rule of the ``mf`` encoder."""

from __future__ import annotations

from typing import Any

import numpy as np

from hashgnn.fold_in.base import Array, FoldIn, from_audience, row_sums

_BLOCK = 512  # users solved together, which bounds memory to _BLOCK · dim² numbers


class MFFoldIn(FoldIn):
    """Users: ridge regression against the fixed item table. Items: the fitted map of the audience.

    The direction of a new user solves ``min_u Σ_{j in history} w_j (1 - u·v_j)² + α Σ_all (u·v_j)² + λ|u|²``
    (implicit-feedback least squares); its length is the mean length of the trained id embeddings, whose
    scale the loss of training chose and a regression cannot know. The encoder is not inductive, so a
    trained user's own embedding is approached, not met.

    References
    ----------
    Hu, Koren, Volinsky, ICDM 2008, for the least squares.
    """

    def _prepare(self) -> tuple[int, int, int]:
        self._item_table = self._array("item_table")
        n_items, dim = self._item_table.shape
        self._user_table = self._array("user_table", n_columns=dim)
        self._item_mean, self._user_mean = self._vector("item_mean", dim), self._vector("user_mean", dim)
        self._norm = self._number("user_norm")
        self._audience_exponent = self._number("audience_exponent")
        # float64: the Gram matrix of a large catalogue is badly conditioned in float32.
        table = self._item_table.astype(np.float64)
        background = self._number("background") * (table.T @ table)
        ridge = self._number("ridge") * np.trace(background) / dim + np.finfo(np.float32).tiny
        self._background = background + ridge * np.eye(dim)
        return len(self._user_table), n_items, dim

    def _users(self, history: Any, projected: Array | None) -> Array:
        blocks = [
            self._solve(history[start : start + _BLOCK]) for start in range(0, history.shape[0], _BLOCK)
        ]
        rows = np.concatenate(blocks) if blocks else np.empty((0, self.dim))
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        rows *= self._norm / np.where(norms > 0, norms, 1.0)
        rows[row_sums(history) == 0] = self._user_mean
        return rows if projected is None else rows + projected

    def _items(self, audience: Any, projected: Array | None) -> Array:
        return from_audience(audience, projected, self._user_table, self._audience_exponent, self._item_mean)

    def _solve(self, history: Any) -> Array:
        systems = np.repeat(self._background[None], history.shape[0], axis=0)
        sums = np.empty((history.shape[0], self.dim))
        for row, (start, end) in enumerate(zip(history.indptr[:-1], history.indptr[1:], strict=True)):
            vectors = self._item_table[history.indices[start:end]].astype(np.float64)
            weighted = vectors * history.data[start:end, None]
            systems[row] += weighted.T @ vectors
            sums[row] = weighted.sum(axis=0)
        solved: Array = np.linalg.solve(systems, sums[:, :, None])[:, :, 0]
        return solved
