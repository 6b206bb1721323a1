"""A model's users as one ONNX file: history in, float query and packed code out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from hashgnn import __version__
from hashgnn._checks import quote_some
from hashgnn._files import atomic_file
from hashgnn.errors import ParameterError
from hashgnn.exporting.item_table import new_file
from hashgnn.exporting.onnx_data import DataFile, remove_data
from hashgnn.exporting.onnx_graph import IR_VERSION, OPSET, OnnxGraph
from hashgnn.exporting.onnx_rules import RULES, History
from hashgnn.fold_in import HashProjection, kind_of
from hashgnn.state import ModelState
from hashgnn.state.card import ids_digest

_MAX_BYTES = (
    2**31 - 2**20
)  # of the tables in the file: a protobuf holds 2 GiB, and its other fields need little
_FORMAT = "hashgnn-history-1"


def export_onnx(state: ModelState, path: str | Path, *, overwrite: bool = False) -> None:
    """Write the ONNX file of a model; see :meth:`HashGNN.export_onnx` for inputs and outputs.

    The same model gives the same bytes. Tables of more than 2 GB lie in a file next to it, which is there before the
    model is.

    Parameters
    ----------
    state : ModelState
    path : str or Path
    overwrite : bool, default=False

    Raises
    ------
    ParameterError
        If there is a file at ``path``, or the encoder's rule has no ONNX form.
    MissingExtraError
        If the package onnx is not installed.
    StorageError
        If the file cannot be written.
    """
    target = new_file(path, overwrite=overwrite)
    kind = kind_of(state.fold_in)
    if kind not in RULES:
        raise ParameterError(f"encoder must be one of {quote_some(RULES)} for an ONNX file, got {kind!r}")
    graph = OnnxGraph()
    weighted = RULES[kind].reads_weights and not bool((state.seen.data == 1).all())
    inputs = _write_nodes(graph, state, kind, weighted=weighted)
    metadata = _metadata(state, kind, weighted=weighted)
    if graph.n_bytes <= _MAX_BYTES:
        _write(target, _model(graph, state, inputs, metadata, _tensors(graph)))
        remove_data(target)
        return
    data = DataFile.of(target, graph.constants)
    with data.written() as name:
        _write(target, _model(graph, state, inputs, metadata, _tensors(graph, data, name)))


def _write(target: Path, model: Any) -> None:
    content = model.SerializeToString()
    with atomic_file(target) as temporary:
        temporary.write_bytes(content)


def _tensors(g: OnnxGraph, data: DataFile | None = None, location: str = "") -> list[Any]:
    """Return the constants as tensors; those in a file of their own refer to it."""
    return [
        g.onnx.numpy_helper.from_array(np.ascontiguousarray(values), name)
        if data is None or name not in data.places
        else data.tensor(g.onnx, name, location)
        for name, values in g.constants.items()
    ]


def _write_nodes(g: OnnxGraph, state: ModelState, kind: str, *, weighted: bool) -> list[Any]:
    """Add everything between inputs and outputs; return the inputs."""
    value, types = g.onnx.helper.make_tensor_value_info, g.onnx.TensorProto
    inputs = [value("items", types.INT64, ["batch", "length"])]
    pads = g.constant([0, 0, 0, 1], np.int64)  # so that rows without any item have one place
    items = g.op("Pad", "items", pads, g.constant(-1, np.int64))
    present = g.op("Not", g.op("Less", items, g.constant(0, np.int64)))
    if weighted:
        inputs.append(value("weights", types.FLOAT, ["batch", "length"]))
        weights = g.op("Where", present, g.op("Pad", "weights", pads), g.number(0))
    else:
        weights = g.op("Cast", g.op("And", present, _is_first(g, items)), to=types.FLOAT)
    arrays, features = state.fold_in.arrays, None
    if "user_projection" in arrays:
        projection = arrays["user_projection"]
        inputs.append(value("features", types.FLOAT, ["batch", len(projection)]))
        features = g.op("MatMul", "features", g.constant(projection))
    positions = g.op("Max", items, g.constant(0, np.int64))
    history = History(positions, weights, g.sum(weights, 1), features)
    output = RULES[kind].write(g, history, arrays, state.fold_in.params)
    relaxed = _relaxed(g, output, state.projection)
    g.op("Identity", relaxed if state.config.float_embedding == "relaxed" else output, name="query")
    _pack(g, relaxed, state.n_bits)
    return inputs


def _is_first(g: OnnxGraph, items: str) -> str:
    """Return for each item of a row whether it is the first of its kind there, (batch, length) bool."""
    length = g.op("Gather", g.op("Shape", items), g.constant(1, np.int64), axis=0)
    places = g.op("Range", g.constant(0, np.int64), length, g.constant(1, np.int64))
    earlier = g.op("Less", g.add_axis(places, 0), g.add_axis(places, 1))  # [i, j]: j before i
    equal = g.op("Equal", g.add_axis(items, 2), g.add_axis(items, 1))
    repeats = g.op("Cast", g.op("And", equal, earlier), to=g.onnx.TensorProto.UINT8)
    found = g.op("ReduceMax", repeats, axes=[2], keepdims=0)
    return g.op("Not", g.op("Cast", found, to=g.onnx.TensorProto.BOOL))


def _relaxed(g: OnnxGraph, output: str, projection: HashProjection) -> str:
    arrays = projection.arrays
    side = "shared" if "shared_weight" in arrays else "user"
    linear = g.op("MatMul", output, g.constant(arrays[f"{side}_weight"]))
    relaxed = g.op("Tanh", g.op("Add", linear, g.constant(arrays[f"{side}_bias"])))
    if f"{side}_threshold" in arrays:
        relaxed = g.op("Sub", relaxed, g.constant(arrays[f"{side}_threshold"]))
    return relaxed


def _pack(g: OnnxGraph, relaxed: str, n_bits: int) -> None:
    """Add the output ``code``: eight signs to a byte, the first the most significant, and +1 where it is 0."""
    types = g.onnx.TensorProto
    bits = g.op("Cast", g.op("GreaterOrEqual", relaxed, g.number(0)), to=types.FLOAT)
    parts = g.op("Mul", g.reshape(bits, 0, n_bits // 8, 8), g.constant(2.0 ** np.arange(7, -1, -1)))
    g.op("Cast", g.sum(parts, 2, keep=False), to=types.UINT8, name="code")


def _model(
    g: OnnxGraph, state: ModelState, inputs: list[Any], metadata: dict[str, str], tensors: list[Any]
) -> Any:
    onnx, types = g.onnx, g.onnx.TensorProto
    width = state.users.dim
    outputs = [
        onnx.helper.make_tensor_value_info("query", types.FLOAT, ["batch", width]),
        onnx.helper.make_tensor_value_info("code", types.UINT8, ["batch", state.n_bits // 8]),
    ]
    graph = onnx.helper.make_graph(g.nodes, "hashgnn", inputs, outputs, initializer=tensors)
    model = onnx.helper.make_model(
        graph,
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="hashgnn",
        producer_version=__version__,
    )
    onnx.helper.set_model_props(model, metadata)
    return model


def _metadata(state: ModelState, kind: str, *, weighted: bool) -> dict[str, str]:
    found = {
        "format": _FORMAT,
        "encoder": kind,
        "n_bits": str(state.n_bits),
        "bit_order": "big",
        "sign_convention": "bit 1 is +1, bit 0 is -1",
        "n_items": str(state.n_items),
        "item_ids": "items.arrow of the saved model, or the file that hashgnn export --items writes",
        "item_ids_sha256": ids_digest(state.items.ids),
        "item_bias": "true" if state.items.bias is not None else "false",
        "query": "relaxed" if state.config.float_embedding == "relaxed" else "encoder",
        "created": state.created,
        "checksum": state.checksum or "",
    }
    if weighted:
        found["mean_weight"] = repr(float(state.seen.data.mean(dtype=np.float64)))
        if state.weighting is not None:
            found["weighting"] = json.dumps(state.weighting.to_dict())
    if state.users.features is not None:
        found["user_features"] = json.dumps(state.users.features.to_dict(), ensure_ascii=False)
    return found
