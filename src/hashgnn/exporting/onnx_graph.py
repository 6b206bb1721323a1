"""``OnnxGraph``: nodes and constants of an ONNX graph, added by short calls."""

from __future__ import annotations

from typing import Any

import numpy as np

from hashgnn._extras import require
from hashgnn._types import Array

OPSET = 17  # of 2022; every runtime of today reads it
IR_VERSION = 8


class OnnxGraph:
    """Collects nodes and constants. Every method returns the name of the tensor that it makes.

    Raises
    ------
    MissingExtraError
        If the package onnx is not installed.
    """

    def __init__(self) -> None:
        self.onnx: Any = require("onnx", extra="onnx", purpose="an ONNX file")
        require("onnx.numpy_helper", extra="onnx", purpose="an ONNX file")
        self.nodes: list[Any] = []
        self.constants: dict[str, Array] = {}

    def constant(self, values: Any, dtype: Any = np.float32, name: str = "") -> str:
        """Add an array; those of one name are one."""
        name = name or f"constant_{len(self.constants)}"
        self.constants.setdefault(name, np.asarray(values, dtype))
        return name

    def op(self, kind: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        """Add a node of one output."""
        output = name or f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(self.onnx.helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def sum(self, x: str, axis: int, *, keep: bool = True) -> str:
        """Add the sum along an axis."""
        axes = self.constant([axis], np.int64, f"axis_{axis}")
        return self.op("ReduceSum", x, axes, keepdims=int(keep))

    def add_axis(self, x: str, axis: int) -> str:
        """Add an axis of length 1."""
        return self.op("Unsqueeze", x, self.constant([axis], np.int64, f"axis_{axis}"))

    def drop_axis(self, x: str, axis: int) -> str:
        """Remove an axis of length 1."""
        return self.op("Squeeze", x, self.constant([axis], np.int64, f"axis_{axis}"))

    def reshape(self, x: str, *shape: int) -> str:
        """Change the shape; -1 is what is left, 0 keeps an axis."""
        return self.op("Reshape", x, self.constant(shape, np.int64))

    def columns(self, x: str, start: int, end: int) -> str:
        """Take columns of the last axis."""
        bounds = [self.constant([value], np.int64) for value in (start, end, -1)]
        return self.op("Slice", x, *bounds)

    def number(self, value: float) -> str:
        """Add a float32 number."""
        return self.constant(np.float32(value))

    @property
    def n_bytes(self) -> int:
        """Bytes of all constants."""
        return sum(array.nbytes for array in self.constants.values())
