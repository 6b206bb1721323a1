"""The rule of the ``ngcf`` encoder."""

from __future__ import annotations

from typing import Any

import numpy as np

from hashgnn._types import Array
from hashgnn.fold_in.base import normalised_sum
from hashgnn.fold_in.layered import LayeredFoldIn, leaky


class NGCFFoldIn(LayeredFoldIn):
    """``a = d^-1/2 Σ_j w_j row_j^k``, then ``e^(k+1) = act((a + e^k) W_1 + (a ∘ e^k) W_2)``; all layers side by side."""

    def _prepare_layers(self, width: int) -> int:
        self._slope = self._number("slope")
        self._sums, self._products = [], []
        total = width
        for k in range(self._n_layers):
            self._sums.append(self._array(f"sum_weight_{k}", width))
            narrow = self._sums[-1].shape[1]
            self._products.append(self._array(f"product_weight_{k}", width, narrow))
            width = narrow
            total += narrow
        return total

    def _next(self, k: int, x: Array, edges: Any, table: Array) -> Array:
        total = normalised_sum(edges, table, 0.5)
        return leaky((total + x) @ self._sums[k] + (total * x) @ self._products[k], self._slope)

    def _output(self, layers: list[Array]) -> Array:
        return np.concatenate(layers, axis=1)
