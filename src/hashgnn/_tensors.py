"""Arrays on disk: safetensors files, written whole and read memory-mapped.

The format is an 8-byte little-endian header length, a JSON header and the raw bytes
(https://github.com/huggingface/safetensors). Writing uses the safetensors package. Its reader copies
every tensor, so the header is read here and each array becomes a view of one memory map.
"""

from __future__ import annotations

import json
import math
import mmap as mmaps
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import numpy as np
import safetensors.numpy
from pydantic import Field

from hashgnn._declared import Declared, Size, check_fields, read_json
from hashgnn._files import atomic_file, open_regular
from hashgnn._types import Array
from hashgnn.errors import ArtifactDamagedError

_MAX_HEADER = 1024 * 1024
_MAX_LENGTH = 65536  # of an axis of an array without entries; others are bounded by the bytes of the file
_DTYPES = {
    "BOOL": np.bool_,
    "U8": np.uint8,
    "I8": np.int8,
    "I16": np.int16,
    "U16": np.uint16,
    "I32": np.int32,
    "U32": np.uint32,
    "I64": np.int64,
    "U64": np.uint64,
    "F16": np.float16,
    "F32": np.float32,
    "F64": np.float64,
}


class _Entry(Declared):
    """One tensor in the header."""

    dtype: str
    shape: Annotated[list[Size], Field(max_length=8)]
    data_offsets: Annotated[list[Size], Field(min_length=2, max_length=2)]


def write_tensors(
    path: Path, tensors: Mapping[str, Array], metadata: Mapping[str, str] | None = None
) -> None:
    """Write arrays and string metadata to one safetensors file, atomically."""
    contiguous = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    with atomic_file(path) as temporary:
        try:
            safetensors.numpy.save_file(contiguous, temporary, metadata=dict(metadata or {}))
            if metadata and len(metadata) > 1:
                _sort_metadata(temporary)
        except safetensors.SafetensorError as error:
            # Its writer gives the system's error, such as a full disk, as text only.
            number = re.search(r"os error (\d+)", str(error))
            if number is None:
                raise
            raise OSError(int(number[1]), os.strerror(int(number[1]))) from error


def _sort_metadata(path: Path) -> None:
    """Put the metadata of a file in order: the safetensors package writes it in another one each time."""
    with path.open("r+b") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode().ljust(length)
        assert len(text) == length
        file.seek(8)
        file.write(text)


def map_file(file: BinaryIO) -> Array:
    """Return the bytes of a file that is open, mapped, read-only, uint8.

    It is no ``np.memmap``: joblib sends those by path and offset, so that a worker would read whatever the
    file holds by then.
    """
    return np.frombuffer(memoryview(mmaps.mmap(file.fileno(), 0, access=mmaps.ACCESS_READ)), np.uint8)


def read_tensors(path: Path, *, mmap: bool = True) -> tuple[dict[str, Array], dict[str, str]]:
    """Return the arrays (read-only views of the file where ``mmap``) and metadata of a safetensors file.

    Raises
    ------
    ArtifactDamagedError
        If the file is missing, truncated, or its header does not describe its bytes.
    """
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or not 2 <= length <= min(size - 8, _MAX_HEADER):
                raise ArtifactDamagedError(f"{path}: not a safetensors file, its header length is {length}")
            header = read_json(file.read(length))
            body: Array = np.empty(0, np.uint8)
            if size > 8 + length:
                body = map_file(file)[8 + length :]
    except FileNotFoundError:
        raise ArtifactDamagedError(f"{path}: the file is missing") from None
    except OSError as error:
        raise ArtifactDamagedError(f"{path}: cannot be read, {error.strerror}") from None
    except ArtifactDamagedError:
        raise
    except ValueError as error:
        raise ArtifactDamagedError(f"{path}: the safetensors header cannot be read, {error}") from None
    if not isinstance(header, dict):
        raise ArtifactDamagedError(f"{path}: the safetensors header is not an object")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict):
        raise ArtifactDamagedError(f"{path}: the metadata of the safetensors header is not an object")
    if not mmap:
        body = np.array(body)
    arrays = {name: _view(path, name, entry, body) for name, entry in header.items()}
    if sum(array.nbytes for array in arrays.values()) > body.size:
        raise ArtifactDamagedError(f"{path}: its tensors overlap")
    return arrays, {str(key): str(value) for key, value in metadata.items()}


def _view(path: Path, name: str, entry: Any, body: Array) -> Array:
    try:
        declared = check_fields(_Entry, entry)
        dtype = np.dtype(_DTYPES[declared.dtype])
        shape, (start, stop) = tuple(declared.shape), declared.data_offsets
        if not 0 <= start <= stop <= body.size or max(shape, default=0) > max(body.size, _MAX_LENGTH):
            raise ValueError
        if stop - start != math.prod(shape) * dtype.itemsize:
            raise ValueError
    except (KeyError, ValueError):
        raise ArtifactDamagedError(
            f"{path}: the entry of tensor {name!r:.80} does not fit the file"
        ) from None
    raw = body[start:stop]
    if raw.ctypes.data % dtype.itemsize:  # a foreign writer need not align; a copy always is
        raw = np.array(raw)
    if not raw.size:
        return np.empty(shape, dtype)
    # The base of the array is no larger than itself: SciPy copies what is a small part of its base.
    return np.frombuffer(raw.data, dtype).reshape(shape)
