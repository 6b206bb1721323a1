"""An inverted file on disk: its lists, those of what came since, and its centroids."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hashgnn import _native
from hashgnn._types import Array
from hashgnn.errors import ArtifactDamagedError
from hashgnn.index._code_store import CodeStore
from hashgnn.index._index_file import Contents
from hashgnn.index._list_state import Lists, ListState
from hashgnn.index._segments import cut, n_blocks


def list_contents(state: ListState) -> Contents:
    """Return what a file holds of an inverted file."""
    sections = {"alive": [_bits(state.alive)], "centroids.words": [s.words for s in state.centroids.segments]}
    for name, lists in (("lists", state.lists), ("extra", state.extra)):
        sections |= {
            f"{name}.first_blocks": [lists.first_blocks],
            f"{name}.words": [lists.words],
            f"{name}.alive": [_bits(lists.alive)],
            f"{name}.positions": [lists.positions],
        }
        if lists.penalty is not None:
            sections[f"{name}.penalty"] = [lists.penalty]
    values = {
        "n_bits": state.lists.n_bits,
        "n_codes": len(state.alive),
        "n_lists": len(state.centroids),
        "top": state.top,
    }
    return Contents(values, sections)


def lists_of(path: Path, header: Mapping[str, Any], sections: Mapping[str, Array]) -> ListState:
    """Return the inverted file of a file that was mapped."""
    n_bits, n_codes, n_lists = (int(header[key]) for key in ("n_bits", "n_codes", "n_lists"))
    top = None if header["top"] is None else float(header["top"])
    lists, extra = (_lists(name, n_bits, sections, biased=top is not None) for name in ("lists", "extra"))
    if len(sections["alive"]) != n_blocks(n_codes):
        raise ArtifactDamagedError(f"{path}: its sections do not fit {n_codes} codes")
    centroids = CodeStore(n_bits, tuple(cut(sections["centroids.words"], None, None, n_lists, n_bits)), None)
    return ListState(lists, extra, centroids, _mask(sections["alive"], n_codes), top)


def _lists(name: str, n_bits: int, sections: Mapping[str, Array], *, biased: bool) -> Lists:
    positions = sections[f"{name}.positions"]
    return Lists(
        n_bits,
        sections[f"{name}.first_blocks"],
        sections[f"{name}.words"],
        sections[f"{name}.penalty"] if biased else None,
        _mask(sections[f"{name}.alive"], len(positions)),
        positions,
    )


def _bits(mask: Array) -> Array:
    room = np.zeros(n_blocks(len(mask)) * _native.BLOCK, bool)
    room[: len(mask)] = mask
    return np.packbits(room, bitorder="little").view("<u4")


def _mask(bits: Array, n: int) -> Array:
    flags: Array = np.unpackbits(bits.view(np.uint8), count=n, bitorder="little")
    return flags.view(bool)
