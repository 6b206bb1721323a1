"""The fold-in rule of each encoder for new users, as nodes of an ONNX graph; the formulas are in ``hashgnn.fold_in``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from hashgnn._types import Array
from hashgnn.exporting.onnx_graph import OnnxGraph

_FLOOR = 1e-12
_LOWEST = -3e38  # no float32 of a score or a row is lower


@dataclass(frozen=True)
class History:
    """Names of the tensors that a rule reads.

    Attributes
    ----------
    items : str
        Positions, (batch, length) int64, 0 where there is none.
    weights : str
        (batch, length) float32, 0 where there is no item.
    degrees : str
        Sums of the weights, (batch, 1) float32.
    features : str or None
        ``f W`` of side features, (batch, width) float32.
    """

    items: str
    weights: str
    degrees: str
    features: str | None


@dataclass(frozen=True)
class Rule:
    """A rule in ONNX.

    Attributes
    ----------
    write : callable
        Adds the nodes; takes the graph, the history, and arrays and parameters of the fold-in rule. It returns the
        name of the embeddings, (batch, width) float32.
    reads_weights : bool
        Whether the weights of interactions count, beyond whether they are there.
    """

    write: Callable[[OnnxGraph, History, dict[str, Array], dict[str, Any]], str]
    reads_weights: bool = True


def _gathered(g: OnnxGraph, h: History, table: str) -> str:
    """Return the rows of the items, (batch, length, width)."""
    return g.op("Gather", table, h.items, axis=0)


def _total(g: OnnxGraph, h: History, table: str) -> str:
    """Return the weighted sum of the items' rows, (batch, width)."""
    return g.drop_axis(g.op("MatMul", g.add_axis(h.weights, 1), _gathered(g, h, table)), 1)


def _or_one(g: OnnxGraph, sums: str) -> str:
    return g.op("Where", g.op("Greater", sums, g.number(0)), sums, g.number(1))


def _normalised(g: OnnxGraph, h: History, table: str, exponent: float) -> str:
    scale = g.op("Pow", _or_one(g, h.degrees), g.number(-exponent))
    return g.op("Mul", _total(g, h, table), scale)


def _unit(g: OnnxGraph, x: str, length: float = 1.0) -> str:
    norm = g.op("Max", g.op("ReduceL2", x, axes=[1], keepdims=1), g.number(_FLOOR))
    return g.op("Mul", x, g.op("Div", g.number(length), norm))


def _with_features(g: OnnxGraph, h: History, x: str) -> str:
    return x if h.features is None else g.op("Add", x, h.features)


def _start(g: OnnxGraph, h: History, mean: Array) -> str:
    """Return the mean id embedding of users for each row, plus features."""
    nothing = g.op("Mul", h.degrees, g.number(0))
    return _with_features(g, h, g.op("Add", nothing, g.constant(mean)))


def _history(g: OnnxGraph, h: History, arrays: dict[str, Array], params: dict[str, Any]) -> str:
    table = g.constant(arrays["item_table"], name="item_table")
    if params["normalization"] == "unit":
        x = _unit(g, _total(g, h, table), float(np.float32(arrays["item_table"].shape[1]) ** 0.5))
    else:
        x = _normalised(g, h, table, params["degree_exponent"])
    if "linear" in arrays:
        x = g.op("MatMul", x, g.constant(arrays["linear"]))
    return _with_features(g, h, x)


def _mf(g: OnnxGraph, h: History, arrays: dict[str, Array], params: dict[str, Any]) -> str:
    x = _normalised(g, h, g.constant(arrays["item_table"], name="item_table"), params["map_exponent"])
    some = g.op("Greater", h.degrees, g.number(0))
    return _with_features(g, h, g.op("Where", some, x, g.constant(arrays["user_mean"])))


def _lightgcn(g: OnnxGraph, h: History, arrays: dict[str, Array], params: dict[str, Any]) -> str:
    x = _normalised(g, h, g.constant(arrays["item_table"], name="item_table"), 0.5)
    return g.op("Div", _with_features(g, h, x), g.number(params["n_layers"] + 1))


def _tables(g: OnnxGraph, arrays: dict[str, Array], params: dict[str, Any]) -> list[str]:
    n_layers = int(params["n_layers"])
    return [g.constant(arrays[f"item_layer_{k}"], name=f"item_layer_{k}") for k in range(n_layers)]


def _gcn(g: OnnxGraph, h: History, arrays: dict[str, Array], params: dict[str, Any]) -> str:
    x = _start(g, h, arrays["user_mean"])
    scale = g.op("Pow", g.op("Add", h.degrees, g.number(1)), g.number(-0.5))
    squared = g.op("Mul", scale, scale)
    tables = _tables(g, arrays, params)
    for k, table in enumerate(tables):
        mixed = g.op("Add", g.op("Mul", _total(g, h, table), scale), g.op("Mul", x, squared))
        x = g.op("MatMul", mixed, g.constant(arrays[f"weight_{k}"]))
        x = x if k == len(tables) - 1 else g.op("Relu", x)
    return x


def _ngcf(g: OnnxGraph, h: History, arrays: dict[str, Array], params: dict[str, Any]) -> str:
    layers = [_start(g, h, arrays["user_mean"])]
    for k, table in enumerate(_tables(g, arrays, params)):
        x, total = layers[-1], _normalised(g, h, table, 0.5)
        sums = g.op("MatMul", g.op("Add", total, x), g.constant(arrays[f"sum_weight_{k}"]))
        products = g.op("MatMul", g.op("Mul", total, x), g.constant(arrays[f"product_weight_{k}"]))
        layers.append(g.op("LeakyRelu", g.op("Add", sums, products), alpha=float(params["slope"])))
    return g.op("Concat", *layers, axis=1)


def _pinsage(g: OnnxGraph, h: History, arrays: dict[str, Array], params: dict[str, Any]) -> str:
    x, width = _start(g, h, arrays["user_mean"]), len(arrays["user_mean"])
    for k, table in enumerate(_tables(g, arrays, params)):
        sums = _total(g, h, table)
        weight = g.columns(sums, width, width + 1)
        gathered = g.op("Div", g.columns(sums, 0, width), _or_one(g, weight))
        both = g.op("Concat", x, gathered, axis=1)
        mixed = g.op("MatMul", both, g.constant(arrays[f"weight_{k}"]))
        x = _unit(g, g.op("Relu", g.op("Add", mixed, g.constant(arrays[f"bias_{k}"]))))
    hidden = g.op("MatMul", x, g.constant(arrays["hidden_weight"]))
    hidden = g.op("Relu", g.op("Add", hidden, g.constant(arrays["hidden_bias"])))
    return g.op("MatMul", hidden, g.constant(arrays["output_weight"]))


def _gat(g: OnnxGraph, h: History, arrays: dict[str, Array], params: dict[str, Any]) -> str:
    x = _start(g, h, arrays["user_mean"])
    slope, tables = float(params["slope"]), _tables(g, arrays, params)
    absent = g.add_axis(g.op("Equal", h.weights, g.number(0)), 2)  # (batch, length, 1)
    for k, table in enumerate(tables):
        heads, width = arrays[f"own_attention_{k}"].shape
        own_attention = g.constant(arrays[f"own_attention_{k}"])
        other_attention = g.constant(arrays[f"other_attention_{k}"])
        own_rows = g.reshape(g.op("MatMul", x, g.constant(arrays[f"weight_{k}"])), 0, heads, width)
        others = g.reshape(_gathered(g, h, table), 0, 0, heads, width)
        own = g.sum(g.op("Mul", own_rows, own_attention), 2, keep=False)  # (batch, heads)
        loop = g.op("Add", own, g.sum(g.op("Mul", own_rows, other_attention), 2, keep=False))
        scores = g.op("Add", g.add_axis(own, 1), g.sum(g.op("Mul", others, other_attention), 3, keep=False))
        scores = g.op("Where", absent, g.number(_LOWEST), g.op("LeakyRelu", scores, alpha=slope))
        loop = g.add_axis(g.op("LeakyRelu", loop, alpha=slope), 1)
        shares = g.op("Softmax", g.op("Concat", loop, scores, axis=1), axis=1)  # (batch, 1 + length, heads)
        rows = g.op("Concat", g.add_axis(own_rows, 1), others, axis=1)
        x = g.sum(g.op("Mul", rows, g.add_axis(shares, 3)), 1, keep=False)
        x = g.reshape(x, 0, heads * width)
        x = x if k == len(tables) - 1 else g.op("Elu", x, alpha=1.0)
    return x


def _graphsage(g: OnnxGraph, h: History, arrays: dict[str, Array], params: dict[str, Any]) -> str:
    slope, aggregator = float(params["slope"]), params["aggregator"]
    x = _start(g, h, arrays["user_mean"])
    if "user_dense_weight" in arrays:
        x = g.op("MatMul", x, g.constant(arrays["user_dense_weight"]))
        x = g.op("LeakyRelu", g.op("Add", x, g.constant(arrays["user_dense_bias"])), alpha=slope)
    absent = g.add_axis(g.op("Equal", h.weights, g.number(0)), 2)
    some = g.op("Greater", h.degrees, g.number(0))
    for k, table in enumerate(_tables(g, arrays, params)):
        if aggregator == "max":
            rows = g.op("Where", absent, g.number(_LOWEST), _gathered(g, h, table))
            largest = g.op("ReduceMax", rows, axes=[1], keepdims=0)
            mixed = g.op("Concat", x, g.op("Where", some, largest, g.number(0)), axis=1)
        elif aggregator == "concat":
            mean = g.op("Div", _total(g, h, table), g.op("Max", h.degrees, g.number(1)))
            mixed = g.op("Concat", x, mean, axis=1)
        else:
            mixed = g.op("Add", x, _total(g, h, table))
            mixed = g.op("Div", mixed, g.op("Add", h.degrees, g.number(1)))
        x = g.op("LeakyRelu", g.op("MatMul", mixed, g.constant(arrays[f"weight_{k}"])), alpha=slope)
    return x


RULES = {
    "history": Rule(_history),
    "mf": Rule(_mf),
    "lightgcn": Rule(_lightgcn),
    "gcn": Rule(_gcn),
    "ngcf": Rule(_ngcf),
    "pinsage": Rule(_pinsage),
    "gat": Rule(_gat, reads_weights=False),
    "graphsage": Rule(_graphsage, reads_weights=False),
}
"""The rules that have an ONNX form, by the name of the encoder."""
