"""The rule of the ``gat`` encoder."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from hashgnn._types import Array
from hashgnn.fold_in.layered import LayeredFoldIn, leaky


class GATFoldIn(LayeredFoldIn):
    """The attention of a new node over its neighbours' stored ``W x`` and over itself."""

    def _prepare_layers(self, width: int) -> int:
        self._slope = self._number("slope")
        self._weights, self._own, self._other = [], [], []
        for k in range(self._n_layers):
            self._weights.append(self._array(f"weight_{k}", width, width))
            self._own.append(self._array(f"own_attention_{k}"))
            self._other.append(self._array(f"other_attention_{k}", *self._own[-1].shape))
        return width

    def _next(self, k: int, x: Array, edges: Any, table: Array) -> Array:
        heads, width = self._own[k].shape
        rows = (x @ self._weights[k]).reshape(-1, heads, width)
        own = (rows * self._own[k]).sum(axis=2)
        loop = leaky(own + (rows * self._other[k]).sum(axis=2), self._slope)
        counts = np.diff(edges.indptr)
        owner = np.repeat(np.arange(len(counts)), counts)
        neighbours, places = np.unique(edges.indices, return_inverse=True)
        others = table[neighbours].reshape(-1, heads, width)
        scores = leaky(own[owner] + (others * self._other[k]).sum(axis=2)[places], self._slope)
        bound = loop.copy()
        np.maximum.at(bound, owner, scores)
        mass, own_mass = np.exp(scores - bound[owner]), np.exp(loop - bound)
        mixed = np.empty_like(rows)
        for head in range(heads):
            shares = sp.csr_matrix(
                (mass[:, head], places, edges.indptr), shape=(len(counts), len(neighbours))
            )
            total = own_mass[:, head] + np.asarray(shares.sum(axis=1)).ravel()
            gathered = shares @ others[:, head] + own_mass[:, head, None] * rows[:, head]
            mixed[:, head] = gathered / total[:, None]
        result: Array = mixed.reshape(len(counts), heads * width)
        return result if k == self._n_layers - 1 else np.where(result > 0, result, np.expm1(result))
