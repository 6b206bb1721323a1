"""The rule of the ``graphsage`` encoder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy.sparse as sp

from hashgnn._checks import check_choice
from hashgnn._types import Array, SideName
from hashgnn.errors import ParameterError
from hashgnn.fold_in.base import FoldIn
from hashgnn.fold_in.layered import leaky

_AGGREGATORS = ("mean", "gcn", "concat", "max")
_BLOCK_ENTRIES = 4 << 20  # numbers gathered at a time


class GraphSAGEFoldIn(FoldIn):
    """The encoder's own layers, over the neighbours' stored layers and whole neighbourhoods.

    A new node enters with the mean id embedding of its side, plus its features. Its neighbours' layers
    do not depend on it. Except for these two differences the rule equals the encoder.
    """

    def _prepare(self) -> tuple[int, int, int]:
        self._aggregator = check_choice("aggregator", self._params.get("aggregator"), _AGGREGATORS)
        self._slope = self._number("slope")
        hops = {"user": int(self._number("n_layers")), "item": int(self._number("item_layers"))}
        if min(hops.values()) < 1:
            raise ParameterError(
                f"n_layers and item_layers must be >= 1, got {hops['user']} and {hops['item']}"
            )
        dim = self._array("weight_0").shape[1]
        fan_in = 2 * dim if self._aggregator in ("concat", "max") else dim
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

    def _use_item_tables(self, tables: Mapping[str, Array]) -> None:
        found = [tables[f"item_layer_{k}"] for k in range(len(self._tables["user"]))]
        self._tables = {**self._tables, "user": found}

    def _users(self, history: Any, projected: Array | None) -> Array:
        return self._layers("user", history, projected)

    def _items(self, audience: Any, projected: Array | None) -> Array:
        return self._layers("item", audience, projected)

    def _layers(self, side: SideName, edges: Any, projected: Array | None) -> Array:
        counts = np.diff(edges.indptr).astype(np.float32)[:, None]
        x: Array = np.tile(self._means[side], (edges.shape[0], 1))
        if projected is not None:
            x += projected
        if side in self._dense:
            weight, bias = self._dense[side]
            x = self._activate(x @ weight + bias)
        for weight, table in zip(self._weights, self._tables[side], strict=False):
            if self._aggregator == "max":
                mixed = np.concatenate([x, _largest(edges, table)], axis=1)
            elif self._aggregator == "concat":
                mixed = np.concatenate([x, _total(edges, table) / np.maximum(counts, 1)], axis=1)
            else:
                mixed = (x + _total(edges, table)) / (counts + 1)
            x = self._activate(mixed @ weight)
        return x

    def _activate(self, x: Array) -> Array:
        return leaky(x, self._slope)


def _total(edges: Any, table: Array) -> Array:
    """Return the sum of the neighbours' rows, without edge weights."""
    pattern = sp.csr_matrix((np.ones_like(edges.data), edges.indices, edges.indptr), shape=edges.shape)
    total: Array = pattern @ table
    return total


def _largest(edges: Any, table: Array) -> Array:
    """Return the column-wise maximum of the neighbours' rows; 0 for a node without neighbours."""
    result = np.zeros((edges.shape[0], table.shape[1]), np.float32)
    filled = np.flatnonzero(np.diff(edges.indptr))
    n_block = max(1, _BLOCK_ENTRIES // table.shape[1])
    bounds = np.searchsorted(edges.indptr[filled + 1], np.arange(n_block, edges.nnz, n_block))
    for rows in np.split(filled, np.unique(bounds)):
        if len(rows):
            start, end = edges.indptr[rows[0]], edges.indptr[rows[-1] + 1]
            gathered = table[edges.indices[start:end]]
            result[rows] = np.maximum.reduceat(gathered, edges.indptr[rows] - start, axis=0)
    return result
