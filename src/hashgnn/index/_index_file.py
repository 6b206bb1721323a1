"""An index on disk: one file that is memory-mapped; see docs/index-format.md."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from hashgnn import _native
from hashgnn._files import atomic_file
from hashgnn.errors import ArtifactDamagedError, ArtifactError, ArtifactVersionError, ParameterError
from hashgnn.index._code_store import CodeStore
from hashgnn.index._segments import cut, n_blocks

Array = np.ndarray[Any, Any]

MAGIC = b"hashgnnx"
FORMAT_VERSION = 1
_PAGE = 4096  # sections begin on a page: mapped rows are then aligned to cache lines
_PREFIX = len(MAGIC) + 8 + 32  # magic, header length, SHA-256 of the header
_MAX_HEADER = 1 << 20
_SECTIONS = ("words", "penalty", "alive")
_DTYPES: dict[str, np.dtype[Any]] = {
    "words": np.dtype("<u2"),
    "penalty": np.dtype("u1"),
    "alive": np.dtype("<u4"),
}


def write_store(path: Path, store: CodeStore, settings: dict[str, int]) -> None:
    """Write a state of an index to ``path``, whole or not at all."""
    sections = {name: _parts(store, name) for name in _SECTIONS}
    entries: dict[str, dict[str, Any]] = {}
    offset = _PAGE
    for name, parts in sections.items():
        if parts is None:
            continue
        digest, size = hashlib.sha256(), 0
        for part in parts:
            digest.update(part.tobytes())
            size += part.nbytes
        entries[name] = {"offset": offset, "bytes": size, "sha256": digest.hexdigest()}
        offset += -(-size // _PAGE) * _PAGE
    header = json.dumps(
        {
            "format_version": FORMAT_VERSION,
            "n_bits": store.n_bits,
            "n_codes": len(store),
            "top": store.top,
            "settings": settings,
            "sections": entries,
        }
    ).encode()
    with atomic_file(path) as temporary, temporary.open("wb") as file:
        file.write(MAGIC + len(header).to_bytes(8, "little") + hashlib.sha256(header).digest() + header)
        for name, entry in entries.items():
            file.write(bytes(int(entry["offset"]) - file.tell()))
            for part in sections[name] or ():
                file.write(part.tobytes())


def read_store(path: Path, *, verify: bool) -> tuple[CodeStore, dict[str, int]]:
    """Map a file written by :func:`write_store`."""
    header = _read_header(path)
    try:
        n_bits, n_codes, top = int(header["n_bits"]), int(header["n_codes"]), header["top"]
        sections = {
            name: _section(path, name, entry, verify=verify) for name, entry in header["sections"].items()
        }
        if set(sections) - set(_SECTIONS) or len(sections["words"]) != _native.words_of(n_codes, n_bits):
            raise ArtifactDamagedError(f"{path}: its sections do not fit {n_codes} codes of {n_bits} bits")
        if (top is None) != ("penalty" not in sections):
            raise ArtifactDamagedError(f"{path}: it must have penalties exactly if it has a top bias")
        _check_length(path, sections.get("penalty"), n_blocks(n_codes) * _native.BLOCK)
        _check_length(path, sections.get("alive"), n_blocks(n_codes))
        parts = cut(sections["words"], sections.get("penalty"), sections.get("alive"), n_codes, n_bits)
        settings = {str(key): int(value) for key, value in header["settings"].items()}
        return CodeStore(n_bits, tuple(parts), None if top is None else float(top)), settings
    except (KeyError, TypeError, ValueError, ParameterError, AttributeError) as error:
        if isinstance(error, ArtifactError):
            raise
        raise ArtifactDamagedError(f"{path}: its header is incomplete, {error}") from None


def _parts(store: CodeStore, name: str) -> list[Array] | None:
    """Return the arrays that make up a section, one a segment, or None where there is none."""
    arrays = [getattr(segment, name) for segment in store.segments]
    if name == "alive" and any(array is not None for array in arrays):
        whole = [np.full(n_blocks(segment.n_codes), 0xFFFFFFFF, np.uint32) for segment in store.segments]
        arrays = [full if array is None else array for full, array in zip(whole, arrays, strict=True)]
    if name == "alive" and all(array is None for array in arrays):
        return None
    if name == "penalty" and store.top is None:
        return None
    return [np.asarray(array, _DTYPES[name]) for array in arrays]


def _read_header(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            prefix = file.read(_PREFIX)
            if len(prefix) < _PREFIX or not prefix.startswith(MAGIC):
                raise ArtifactError(f"{path}: not a hashgnn index, it does not begin with {MAGIC.decode()}")
            length = int.from_bytes(prefix[len(MAGIC) : len(MAGIC) + 8], "little")
            raw = file.read(min(length, _MAX_HEADER))
    except FileNotFoundError:
        raise ArtifactError(f"{path}: there is no such file") from None
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read, {error.strerror}") from None
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
    return dict(header)


def _section(path: Path, name: str, entry: dict[str, Any], *, verify: bool) -> Array:
    offset, size = int(entry["offset"]), int(entry["bytes"])
    if offset % _PAGE or size < 0 or offset + size > path.stat().st_size:
        raise ArtifactDamagedError(f"{path}: the section {name} lies outside of the file; it was truncated")
    if size == 0:
        return np.empty(0, _DTYPES[name])
    raw = np.memmap(path, np.uint8, "r", offset, (size,))
    if verify and hashlib.sha256(np.asarray(raw).data).hexdigest() != entry["sha256"]:
        raise ArtifactDamagedError(
            f"{path}: the checksum of the section {name} does not match; it was edited"
        )
    return np.asarray(raw).view(_DTYPES[name])


def _check_length(path: Path, array: Array | None, expected: int) -> None:
    if array is not None and len(array) != expected:
        raise ArtifactDamagedError(f"{path}: a section must have {expected} entries, got {len(array)}")
