"""Codes on disk: what the sections of a saved index hold of a CodeStore."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hashgnn import _native
from hashgnn._types import Array
from hashgnn.errors import ArtifactDamagedError
from hashgnn.index._code_store import CodeStore
from hashgnn.index._index_file import Contents
from hashgnn.index._segments import cut, n_blocks

_SECTIONS = ("words", "penalty", "alive")


def store_contents(store: CodeStore) -> Contents:
    """Return what a file holds of codes."""
    parts = {name: _parts(store, name) for name in _SECTIONS}
    return Contents(
        {"n_bits": store.n_bits, "n_codes": len(store), "top": store.top},
        {name: part for name, part in parts.items() if part is not None},
    )


def store_of(path: Path, header: Mapping[str, Any], sections: Mapping[str, Array]) -> CodeStore:
    """Return the codes of a file that was mapped; ``sections`` are those of the codes alone."""
    n_bits, n_codes, top = int(header["n_bits"]), int(header["n_codes"]), header["top"]
    if set(sections) - set(_SECTIONS) or len(sections["words"]) != _native.words_of(n_codes, n_bits):
        raise ArtifactDamagedError(f"{path}: its sections do not fit {n_codes} codes of {n_bits} bits")
    if (top is None) != ("penalty" not in sections):
        raise ArtifactDamagedError(f"{path}: it must have penalties exactly if it has a top bias")
    _check_length(path, sections.get("penalty"), n_blocks(n_codes) * _native.BLOCK)
    _check_length(path, sections.get("alive"), n_blocks(n_codes))
    parts = cut(sections["words"], sections.get("penalty"), sections.get("alive"), n_codes, n_bits)
    return CodeStore(n_bits, tuple(parts), None if top is None else float(top))


def _parts(store: CodeStore, name: str) -> Sequence[Array] | None:
    """Return the arrays that make up a section, one a segment, or None where there is none."""
    arrays = [getattr(segment, name) for segment in store.segments]
    if name == "alive" and any(array is not None for array in arrays):
        whole = [np.full(n_blocks(segment.n_codes), 0xFFFFFFFF, np.uint32) for segment in store.segments]
        arrays = [full if array is None else array for full, array in zip(whole, arrays, strict=True)]
    if name == "alive" and all(array is None for array in arrays):
        return None
    if name == "penalty" and store.top is None:
        return None
    return arrays


def _check_length(path: Path, array: Array | None, expected: int) -> None:
    if array is not None and len(array) != expected:
        raise ArtifactDamagedError(f"{path}: a section must have {expected} entries, got {len(array)}")
