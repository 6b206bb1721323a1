"""The rule of the ``pinsage`` encoder."""

from __future__ import annotations

from typing import Any

import numpy as np

from hashgnn._types import Array
from hashgnn.fold_in.base import _FLOOR
from hashgnn.fold_in.layered import LayeredFoldIn


class PinSageFoldIn(LayeredFoldIn):
    """The encoder's layers, over the contribution of each item to a user, or of each user to an item.

    A new user's walks are those of the encoder. A new item aggregates all items that two-step walks from it
    visit, where the encoder keeps the most visited ones.
    """

    def _prepare_layers(self, width: int) -> int:
        self._weights = [self._array(f"weight_{k}", 2 * width, width) for k in range(self._n_layers)]
        self._biases = [self._vector(f"bias_{k}", width) for k in range(self._n_layers)]
        self._hidden = (self._array("hidden_weight", width, width), self._vector("hidden_bias", width))
        self._last = self._array("output_weight", width)
        return int(self._last.shape[1])

    def _next(self, k: int, x: Array, edges: Any, table: Array) -> Array:
        sums = edges @ table
        weight = sums[:, -1:]
        gathered = sums[:, :-1] / np.where(weight > 0, weight, 1)
        mixed = np.maximum(np.concatenate([x, gathered], axis=1) @ self._weights[k] + self._biases[k], 0)
        lengths = np.linalg.norm(mixed, axis=1, keepdims=True)
        result: Array = mixed / np.maximum(lengths, _FLOOR)
        return result

    def _output(self, layers: list[Array]) -> Array:
        weight, bias = self._hidden
        result: Array = np.maximum(layers[-1] @ weight + bias, 0) @ self._last
        return result
