"""The rule of the ``gat`` encoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from hashgnn._types import Array
from hashgnn.fold_in.layered import LayeredFoldIn, leaky


@dataclass(frozen=True, eq=False)
class _Attention:
    """One layer's attention: of each edge, and of each node to itself, not yet divided by the total.

    ``rows`` (n, heads, width) are the nodes' own, ``others`` (n_distinct, heads, width) those of the neighbours,
    ``places`` (nnz,) the neighbour of each edge. ``mass`` is (nnz, heads), ``own_mass`` and ``total`` (n, heads).
    """

    rows: Array
    others: Array
    places: Array
    mass: Array
    own_mass: Array
    total: Array


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

    def _user_parts(self, history: Any) -> Array | None:
        if self._n_layers > 1:
            return None  # the activation between two layers
        start: Array = np.tile(self._means["user"], (history.shape[0], 1))
        found = self._attention(0, start, history, self._tables["user"][0])
        owner = np.repeat(np.arange(history.shape[0]), np.diff(history.indptr))
        shares = found.mass / found.total[owner]
        parts: Array = found.others[found.places].astype(np.float64) * shares[:, :, None]
        return parts.reshape(history.nnz, int(np.prod(parts.shape[1:])))

    def _next(self, k: int, x: Array, edges: Any, table: Array) -> Array:
        found = self._attention(k, x, edges, table)
        n = edges.shape[0]
        mixed = np.empty_like(found.rows)
        for head in range(mixed.shape[1]):
            shares = sp.csr_matrix(
                (found.mass[:, head], found.places, edges.indptr), shape=(n, len(found.others))
            )
            gathered = shares @ found.others[:, head] + found.own_mass[:, head, None] * found.rows[:, head]
            mixed[:, head] = gathered / found.total[:, head, None]
        result: Array = mixed.reshape(n, mixed.shape[1] * mixed.shape[2])
        return result if k == self._n_layers - 1 else np.where(result > 0, result, np.expm1(result))

    def _attention(self, k: int, x: Array, edges: Any, table: Array) -> _Attention:
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
        total = own_mass.copy()
        np.add.at(total, owner, mass)
        return _Attention(rows, others, places, mass, own_mass, total)
