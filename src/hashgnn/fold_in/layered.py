"""``LayeredFoldIn``: an encoder's own layers for one new node, over the neighbours' stored layers."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np

from hashgnn._types import Array, SideName
from hashgnn.errors import ParameterError
from hashgnn.fold_in.base import FoldIn


class LayeredFoldIn(FoldIn):
    """A new node enters with the mean id embedding of its side, plus its features, and passes the layers.

    Its neighbours' layers do not depend on it. Except for these two differences a rule equals the encoder.
    """

    def _prepare(self) -> tuple[int, int, int]:
        self._n_layers = int(self._number("n_layers"))
        if self._n_layers < 1:
            raise ParameterError(f"n_layers must be >= 1, got {self._n_layers}")
        self._means = {side: self._vector_of_any_length(f"{side}_mean") for side in ("user", "item")}
        n_users, n_items = (len(self._array(f"{side}_layer_0")) for side in ("user", "item"))
        dim = self._prepare_layers(len(self._means["user"]))
        self._tables = {
            "user": [self._array(f"item_layer_{k}", n_items) for k in range(self._n_layers)],
            "item": [self._array(f"user_layer_{k}", n_users) for k in range(self._n_layers)],
        }
        return n_users, n_items, dim

    @abstractmethod
    def _prepare_layers(self, width: int) -> int:
        """Check and keep the weights, for id embeddings of a width; return the width of the embeddings."""

    @abstractmethod
    def _next(self, k: int, x: Array, edges: Any, table: Array) -> Array:
        """Return x^(k+1) (n, width) from x^k, edges (n, n_neighbours) and the neighbours' stored rows."""

    def _output(self, layers: list[Array]) -> Array:
        """Return the embeddings from x^0, x^1, …; the last of them as a rule."""
        return layers[-1]

    def _use_item_tables(self, tables: Mapping[str, Array]) -> None:
        found = [tables[f"item_layer_{k}"] for k in range(len(self._tables["user"]))]
        self._tables = {**self._tables, "user": found}

    def _users(self, history: Any, projected: Array | None) -> Array:
        return self._layers("user", history, projected)

    def _items(self, audience: Any, projected: Array | None) -> Array:
        return self._layers("item", audience, projected)

    def _layers(self, side: SideName, edges: Any, projected: Array | None) -> Array:
        x: Array = np.tile(self._means[side], (edges.shape[0], 1))
        if projected is not None:
            x += projected
        layers = [x]
        for k, table in enumerate(self._tables[side]):
            layers.append(self._next(k, layers[-1], edges, table))
        return self._output(layers)

    def _vector_of_any_length(self, name: str) -> Array:
        array = self._arrays.get(name)
        if array is None or array.ndim != 1:
            shape = "none" if array is None else array.shape
            raise ParameterError(f"the array {name} must have shape (n,), got {shape}")
        return self._finite(name, array)


def leaky(x: Array, slope: float) -> Array:
    """Return x where it is >= 0, else ``slope * x``."""
    result: Array = np.where(x >= 0, x, np.float32(slope) * x)
    return result
