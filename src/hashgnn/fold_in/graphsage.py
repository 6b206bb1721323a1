"""The rule of the ``graphsage`` encoder."""

from __future__ import annotations

from typing import Any

import numpy as np

from hashgnn._checks import check_choice
from hashgnn.errors import ParameterError
from hashgnn.fold_in.base import Array, FoldIn


class GraphSAGEFoldIn(FoldIn):
    """The encoder's own layers, over the neighbours' stored layers and whole neighbourhoods.

    A new node enters with the mean id embedding of its side, plus its features; and its neighbours' layers
    do not know of it. Apart from these two the rule is the encoder's, weight for weight.
    """

    def _prepare(self) -> tuple[int, int, int]:
        self._concat = (
            check_choice("aggregator", self._params.get("aggregator"), ("mean", "concat")) == "concat"
        )
        self._slope = np.float32(self._number("slope"))
        hops = {"user": int(self._number("n_layers")), "item": int(self._number("item_layers"))}
        if min(hops.values()) < 1:
            raise ParameterError(
                f"n_layers and item_layers must be >= 1, got {hops['user']} and {hops['item']}"
            )
        dim = self._array("weight_0").shape[1]
        fan_in = 2 * dim if self._concat else dim
        self._weights = [self._array(f"weight_{k}", fan_in, dim) for k in range(max(hops.values()))]
        sizes = {side: len(self._array(f"{side}_layer_0", n_columns=dim)) for side in hops}
        opposite = {"user": "item", "item": "user"}
        self._tables = {
            side: [self._array(f"{other}_layer_{k}", sizes[other], dim) for k in range(hops[side])]
            for side, other in opposite.items()
        }
        self._means, self._dense = {}, {}
        for side in hops:
            if f"{side}_dense_weight" in self._arrays:
                weight = self._array(f"{side}_dense_weight", n_columns=dim)
                self._dense[side] = (weight, self._vector(f"{side}_dense_bias", dim))
            width = len(self._dense[side][0]) if side in self._dense else dim
            self._means[side] = self._vector(f"{side}_mean", width)
        return sizes["user"], sizes["item"], dim

    def _users(self, history: Any, projected: Array | None) -> Array:
        return self._layers("user", history, projected)

    def _items(self, audience: Any, projected: Array | None) -> Array:
        return self._layers("item", audience, projected)

    def _layers(self, side: str, edges: Any, projected: Array | None) -> Array:
        pattern = edges.copy()
        pattern.data = np.ones_like(pattern.data)
        counts = np.diff(edges.indptr).astype(np.float32)[:, None]
        x: Array = np.tile(self._means[side], (edges.shape[0], 1))
        if projected is not None:
            x += projected
        if side in self._dense:
            weight, bias = self._dense[side]
            x = self._activate(x @ weight + bias)
        for weight, table in zip(self._weights, self._tables[side], strict=False):
            total = pattern @ table
            if self._concat:
                mixed = np.concatenate([x, total / np.maximum(counts, 1)], axis=1)
            else:
                mixed = (x + total) / (counts + 1)
            x = self._activate(mixed @ weight)
        return x

    def _activate(self, x: Array) -> Array:
        result: Array = np.where(x >= 0, x, self._slope * x)
        return result
