"""The large tables of an ONNX graph in a file next to it, as a protobuf holds 2 GiB at most."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from hashgnn._files import atomic_file
from hashgnn._types import Array

_PAGE = 1 << 16  # tables begin at pages of this size, so that every system can map them
_SMALL = 1024  # bytes: what shapes are computed from stays in the model
_DIGITS = 16
_BLOCK_ROWS = 1 << 16


@dataclass(frozen=True)
class DataFile:
    """Large tables one behind the other; the name of the file says its content.

    Attributes
    ----------
    model : Path
        The ONNX file next to it.
    places : dict of str to tuple of int
        Offset and bytes of each table.
    arrays : dict of str to ndarray
    """

    model: Path
    places: dict[str, tuple[int, int]]
    arrays: dict[str, Array]

    @classmethod
    def of(cls, model: Path, constants: Mapping[str, Array]) -> DataFile:
        """Return the file for the large ones of some tables."""
        places, offset = {}, 0
        arrays = {name: values for name, values in constants.items() if values.nbytes >= _SMALL}
        for name, values in arrays.items():
            places[name] = (offset, values.nbytes)
            offset += -(-values.nbytes // _PAGE) * _PAGE
        return cls(model, places, arrays)

    @contextmanager
    def written(self) -> Iterator[str]:
        """Write the file and yield its name; where the block fails, a file that is new is removed again.

        Where it ends well, data files that earlier exports to the same model have left are removed.
        """
        digest = hashlib.sha256()
        for part in self._parts():
            digest.update(part)
        path = self.model.with_name(f"{self.model.name}.{digest.hexdigest()[:_DIGITS]}.data")
        was_there = path.exists()
        with atomic_file(path) as temporary, temporary.open("wb") as file:
            self._write(file)
        try:
            yield path.name
        except BaseException:
            if not was_there:
                path.unlink(missing_ok=True)
            raise
        remove_data(self.model, but=path.name)

    def tensor(self, onnx: Any, name: str, location: str) -> Any:
        """Return the tensor that refers to a table in the file."""
        values, (offset, length) = self.arrays[name], self.places[name]
        kind = onnx.helper.np_dtype_to_tensor_dtype(values.dtype)
        tensor = onnx.TensorProto(name=name, data_type=kind, dims=values.shape)
        tensor.data_location = onnx.TensorProto.EXTERNAL
        for key, value in (("location", location), ("offset", offset), ("length", length)):
            tensor.external_data.add(key=key, value=str(value))
        return tensor

    def _write(self, file: BinaryIO) -> None:
        for part in self._parts():
            file.write(part)

    def _parts(self) -> Iterator[bytes]:
        """Yield the content in blocks."""
        for values in self.arrays.values():
            flat = np.ascontiguousarray(values).reshape(-1)
            for start in range(0, len(flat), _BLOCK_ROWS):
                block = flat[start : start + _BLOCK_ROWS]
                yield block.astype(block.dtype.newbyteorder("<"), copy=False).tobytes()
            yield bytes(-values.nbytes % _PAGE)


def data_files(model: Path) -> list[Path]:
    """Return the data files next to an ONNX file."""
    form = re.compile(re.escape(model.name) + rf"\.[0-9a-f]{{{_DIGITS}}}\.data")
    return sorted(entry for entry in model.parent.iterdir() if form.fullmatch(entry.name))


def remove_data(model: Path, *, but: str = "") -> None:
    """Remove the data files next to an ONNX file, one of them aside."""
    for left in data_files(model):
        if left.name != but:
            with suppress(OSError):
                left.unlink()
