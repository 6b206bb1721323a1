"""The rule of the ``gcn`` encoder."""

from __future__ import annotations

from typing import Any

import numpy as np

from hashgnn._types import Array
from hashgnn.fold_in.base import row_sums, scaled_parts
from hashgnn.fold_in.layered import LayeredFoldIn


class GCNFoldIn(LayeredFoldIn):
    """``x^(k+1) = act((s Σ_j w_j row_j^k + s² x^k) W^k)`` with ``s = (d + 1)^-1/2`` and stored ``row_j = s_j x_j``."""

    def _prepare_layers(self, width: int) -> int:
        self._weights = [self._array(f"weight_{k}", width, width) for k in range(self._n_layers)]
        return width

    def _user_parts(self, history: Any) -> Array | None:
        if self._n_layers > 1:
            return None  # the activation between two layers
        scale = (row_sums(history) + 1) ** np.float32(-0.5)
        return scaled_parts(history, self._tables["user"][0], scale) @ self._weights[0]

    def _next(self, k: int, x: Array, edges: Any, table: Array) -> Array:
        scale = ((row_sums(edges) + 1) ** np.float32(-0.5))[:, None]
        mixed: Array = (scale * (edges @ table) + scale**2 * x) @ self._weights[k]
        return mixed if k == self._n_layers - 1 else np.maximum(mixed, 0)
