"""An index on disk: one file of named sections that are memory-mapped; see docs/reference/index-format.md."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal, NamedTuple

import numpy as np
from pydantic import Field

from hashgnn._checks import MAX_BITS
from hashgnn._declared import Count, Declared, Sha256, Size, check_fields, read_json
from hashgnn._files import atomic_file, open_regular
from hashgnn._tensors import map_file
from hashgnn._types import Array
from hashgnn.codes.item_bias import MAX_TOP
from hashgnn.errors import ArtifactDamagedError, ArtifactError, ArtifactVersionError, ParameterError

MAGIC = b"hashgnnx"
FORMAT_VERSION = 2
_PAGE = 4096  # sections begin on a page: mapped rows are then aligned to cache lines
_PREFIX = len(MAGIC) + 8 + 32  # magic, header length, SHA-256 of the header
_MAX_HEADER = 1 << 20
_MAX_SECTIONS = 32
_MAX_WIDTH = 1 << 16
_DTYPES: dict[str, np.dtype[Any]] = {  # by the last part of a name
    "words": np.dtype("<u2"),
    "penalty": np.dtype("u1"),
    "alive": np.dtype("<u4"),
    "positions": np.dtype("<i4"),
    "first_blocks": np.dtype("<i8"),
    "float32": np.dtype("<f4"),
    "float16": np.dtype("<f2"),
    "int8": np.dtype("i1"),
    "bytes": np.dtype("u1"),
}


class _Section(Declared):
    """Where a section lies."""

    offset: Annotated[int, Field(ge=0, lt=2**53, multiple_of=_PAGE)]
    bytes: Size
    sha256: Sha256


class Header(Declared):
    """Fields that the header of a file may hold; other keys are ignored.

    Attributes
    ----------
    n_bits, n_codes : int
    top : float or None
        Bias of an item without penalty; None: the codes have no bias.
    n_lists, n_made : int or None
        Of codes in lists, and how many there were before any was split.
    width, dtype : int, str or None
        Of embeddings; no dtype where the file holds rows of few bits and no embeddings.
    row_bits, row_bytes, row_entries : int or None
        Of rows of few bits.
    settings : dict of str to int
        Of the kind of index, which checks their bounds.
    sections : dict of str to section
    """

    n_bits: Annotated[int, Field(ge=8, le=MAX_BITS, multiple_of=8)]
    n_codes: Count
    top: Annotated[float, Field(ge=-MAX_TOP, le=MAX_TOP)] | None
    n_lists: Annotated[Count, Field(ge=1)] | None = None
    n_made: Annotated[Count, Field(ge=1)] | None = None
    width: Annotated[int, Field(ge=0, le=_MAX_WIDTH)] | None = None
    dtype: Literal["float32", "float16", "int8"] | None = None
    row_bits: Literal[2, 3, 4, 8] | None = None
    row_bytes: Annotated[int, Field(ge=16, le=_MAX_WIDTH, multiple_of=16)] | None = None
    row_entries: Annotated[int, Field(ge=1, le=_MAX_WIDTH)] | None = None
    settings: Annotated[dict[str, Count], Field(max_length=_MAX_SECTIONS)]
    sections: Annotated[dict[str, _Section], Field(max_length=_MAX_SECTIONS)]


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
    header : Header
    sections : mapping of str to ndarray
        Read-only views of the mapped file.
    """

    path: Path
    kind: str
    header: Header
    sections: Mapping[str, Array]

    @property
    def settings(self) -> Mapping[str, int]:
        """The settings in the header."""
        return self.header.settings


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
        values = _read_header(path, file)
        whole = map_file(file)
    if values.get("kind") != kind:
        raise ArtifactError(f"{path}: it holds an index of the kind {values.get('kind')!r:.80}, not {kind!r}")
    try:
        header = check_fields(Header, values)
    except ParameterError as error:
        raise ArtifactDamagedError(f"{path}: in its header {error}; it was edited") from None
    if sum(section.bytes for section in header.sections.values()) > len(whole):
        raise ArtifactDamagedError(
            f"{path}: its sections do not lie side by side in the file; it was truncated"
        )
    try:
        sections = {
            name: _section(path, whole, name, entry, verify=verify) for name, entry in header.sections.items()
        }
        yield SavedIndex(path, kind, header, sections)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        if isinstance(error, ArtifactError):
            raise
        raise ArtifactDamagedError(
            f"{path}: its header and sections do not fit one another, {' '.join(str(error).split()):.400}"
        ) from None


def _bytes(array: Array) -> memoryview:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        with open_regular(path) as file:
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
        header = read_json(raw)
    except ValueError as error:
        raise ArtifactDamagedError(f"{path}: its header cannot be read, {error}") from None
    version = header.get("format_version") if isinstance(header, dict) else None
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise ArtifactDamagedError(f"{path}: its header has the format version {version!r:.80}")
    if version > FORMAT_VERSION:
        raise ArtifactVersionError(
            f"{path}: written in index format {version}, this library reads up to {FORMAT_VERSION}; "
            "install a newer hashgnn"
        )
    if version < FORMAT_VERSION:
        raise ArtifactVersionError(
            f"{path}: written in index format {version}, this library reads {FORMAT_VERSION}; build it again"
        )
    return dict(header)


def _section(path: Path, whole: Array, name: str, entry: _Section, *, verify: bool) -> Array:
    dtype = _DTYPES.get(name.rpartition(".")[2])
    if dtype is None:
        raise ArtifactDamagedError(f"{path}: it has an unknown section, {name!r:.80}")
    if entry.bytes % dtype.itemsize or entry.offset + entry.bytes > len(whole):
        raise ArtifactDamagedError(f"{path}: the section {name} lies outside of the file; it was truncated")
    raw = whole[entry.offset : entry.offset + entry.bytes]
    if verify and hashlib.sha256(raw.data).hexdigest() != entry.sha256:
        raise ArtifactDamagedError(
            f"{path}: the checksum of the section {name} does not match; it was edited"
        )
    return raw.view(dtype)
