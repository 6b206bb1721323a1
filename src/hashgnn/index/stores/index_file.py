"""An index on disk: one file of named sections that are memory-mapped; see docs/reference/index-format.md."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from hashgnn._files import atomic_file
from hashgnn._tensors import map_file
from hashgnn._types import Array
from hashgnn.errors import ArtifactDamagedError, ArtifactError, ArtifactVersionError

MAGIC = b"hashgnnx"
FORMAT_VERSION = 2
_PAGE = 4096  # sections begin on a page: mapped rows are then aligned to cache lines
_PREFIX = len(MAGIC) + 8 + 32  # magic, header length, SHA-256 of the header
_MAX_HEADER = 1 << 20
_DTYPES: dict[str, np.dtype[Any]] = {  # by the last part of a name
    "words": np.dtype("<u2"),
    "penalty": np.dtype("u1"),
    "alive": np.dtype("<u4"),
    "positions": np.dtype("<i4"),
    "first_blocks": np.dtype("<i8"),
    "float32": np.dtype("<f4"),
    "float16": np.dtype("<f2"),
    "int8": np.dtype("i1"),
}


class Contents(NamedTuple):
    """The contents of an index file.

    Attributes
    ----------
    values : mapping
        What the header says besides kind, settings and sections; JSON.
    sections : mapping of str to sequence of ndarray
        Arrays that are written one after the other. Each section starts on a page of its own.
    """

    values: Mapping[str, Any]
    sections: Mapping[str, Sequence[Array]]


@dataclass(frozen=True, eq=False)
class SavedIndex:
    """A file that was opened.

    Attributes
    ----------
    path : Path
    kind : str
    values : mapping
        The whole header.
    settings : mapping of str to int
    sections : mapping of str to ndarray
        Read-only views of the mapped file.
    """

    path: Path
    kind: str
    values: Mapping[str, Any]
    settings: Mapping[str, int]
    sections: Mapping[str, Array]


def write_index(path: Path, kind: str, contents: Contents, settings: Mapping[str, int]) -> None:
    """Write an index of a kind to ``path``, whole or not at all."""
    values, sections = contents
    entries: dict[str, dict[str, Any]] = {}
    offset = _PAGE
    for name, parts in sections.items():
        digest, size = hashlib.sha256(), 0
        for part in parts:
            digest.update(_bytes(part))
            size += part.nbytes
        entries[name] = {"offset": offset, "bytes": size, "sha256": digest.hexdigest()}
        offset += -(-size // _PAGE) * _PAGE
    header = json.dumps(
        {
            "format_version": FORMAT_VERSION,
            "kind": kind,
            **values,
            "settings": dict(settings),
            "sections": entries,
        }
    ).encode()
    with atomic_file(path) as temporary, temporary.open("wb") as file:
        file.write(MAGIC + len(header).to_bytes(8, "little") + hashlib.sha256(header).digest() + header)
        for name, entry in entries.items():
            file.write(bytes(int(entry["offset"]) - file.tell()))
            for part in sections[name]:
                file.write(_bytes(part))


def read_kind(path: Path) -> str:
    """Return the kind of index that a file holds.

    Raises
    ------
    ArtifactError, ArtifactVersionError, ArtifactDamagedError
        If the file is missing, foreign, of another format version, truncated or edited.
    """
    with _opened(path) as file:
        return str(_read_header(path, file).get("kind"))


@contextmanager
def reading_index(path: Path, kind: str, *, verify: bool) -> Iterator[SavedIndex]:
    """Map a file written by :func:`write_index`.

    What the block finds missing or of a wrong type is reported as damage to the file.

    Raises
    ------
    ArtifactError, ArtifactVersionError, ArtifactDamagedError
        If the file is missing, foreign, of another kind or format version, truncated or edited.
    """
    with _opened(path) as file:
        header = _read_header(path, file)
        whole = map_file(file)
    if header.get("kind") != kind:
        raise ArtifactError(f"{path}: it holds an index of the kind {header.get('kind')!r}, not {kind!r}")
    try:
        sections = {
            name: _section(path, whole, name, entry, verify=verify)
            for name, entry in header["sections"].items()
        }
        settings = {str(key): int(value) for key, value in header["settings"].items()}
        yield SavedIndex(path, kind, header, settings, sections)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        if isinstance(error, ArtifactError):
            raise
        raise ArtifactDamagedError(
            f"{path}: its header and sections do not fit one another, {error}"
        ) from None


def _bytes(array: Array) -> memoryview:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        with path.open("rb") as file:
            yield file
    except FileNotFoundError:
        raise ArtifactError(f"{path}: there is no such file") from None
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read, {error.strerror}") from None


def _read_header(path: Path, file: BinaryIO) -> dict[str, Any]:
    prefix = file.read(_PREFIX)
    if len(prefix) < _PREFIX or not prefix.startswith(MAGIC):
        raise ArtifactError(f"{path}: not a hashgnn index, it does not begin with {MAGIC.decode()}")
    length = int.from_bytes(prefix[len(MAGIC) : len(MAGIC) + 8], "little")
    raw = file.read(min(length, _MAX_HEADER))
    if len(raw) != length or hashlib.sha256(raw).digest() != prefix[len(MAGIC) + 8 :]:
        raise ArtifactDamagedError(
            f"{path}: the checksum of its header does not match; it was truncated or edited"
        )
    try:
        header: Any = json.loads(raw)
        version = header["format_version"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ArtifactDamagedError(f"{path}: its header is not valid JSON") from None
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise ArtifactVersionError(
            f"{path}: written in index format {version}, this library reads up to {FORMAT_VERSION}; "
            "install a newer hashgnn"
        )
    if version < FORMAT_VERSION:
        raise ArtifactVersionError(
            f"{path}: written in index format {version}, this library reads {FORMAT_VERSION}; build it again"
        )
    return dict(header)


def _section(path: Path, whole: Array, name: str, entry: dict[str, Any], *, verify: bool) -> Array:
    dtype = _DTYPES[name.rpartition(".")[2]]
    offset, size = int(entry["offset"]), int(entry["bytes"])
    if offset < 0 or offset % _PAGE or size < 0 or size % dtype.itemsize or offset + size > len(whole):
        raise ArtifactDamagedError(f"{path}: the section {name} lies outside of the file; it was truncated")
    raw = whole[offset : offset + size]
    if verify and hashlib.sha256(raw.data).hexdigest() != entry["sha256"]:
        raise ArtifactDamagedError(
            f"{path}: the checksum of the section {name} does not match; it was edited"
        )
    return raw.view(dtype)
