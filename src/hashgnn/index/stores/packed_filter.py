"""``PackedFilter``: the codes that a filter lets through, packed closely, and what a later filter changes of them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from hashgnn import _native
from hashgnn._types import Array

_NONE = np.empty(0, np.int32)


@dataclass(frozen=True, eq=False)
class PackedFilter:
    """Codes of a filter in a table of their own.

    Attributes
    ----------
    table : InvertedTable
    held : ndarray of shape (n_words,), uint32
        A bit for each position whose code it holds.
    n_packed, n_dead : int
        Codes when it was packed, and slots that lost theirs since.
    moved : ndarray of shape (n,), int64
        Positions whose codes have changed since.
    left : ndarray of shape (n_left,), int32
        Positions that should be held and found no room, ascending.
    """

    table: _native.InvertedTable
    held: Array
    n_packed: int
    n_dead: int = 0
    moved: Array = field(default_factory=lambda: np.empty(0, np.int64))
    left: Array = field(default_factory=lambda: _NONE)

    def after(self, moved: Array) -> PackedFilter | None:
        """Return the same after a change of codes; None where so many have changed that it is of no use."""
        if len(self.moved) + len(moved) > max(_native.BLOCK, self.n_packed):
            return None
        return replace(self, moved=np.concatenate([self.moved, moved])) if len(moved) else self

    def changes(self, wanted: Array) -> tuple[Array, Array]:
        """Return the positions that go and those that come, both ascending, int32, so that it holds ``wanted``."""
        held = of_length(self.held, len(wanted))
        kept = held & wanted
        if len(self.moved):
            kept = changed_bits(kept, self.moved)
        return positions_of(held & ~kept), positions_of(wanted & ~kept)


def positions_of(bits: Array) -> Array:
    """Return which bits are set, ascending, int32; few are."""
    words = np.flatnonzero(bits != 0)
    lanes = np.unpackbits(bits[words].view(np.uint8), bitorder="little").reshape(len(words), 32)
    rows, lane = np.nonzero(lanes)
    found: Array = (words[rows] * 32 + lane).astype(np.int32)
    return found


def changed_bits(bits: Array, cleared: Array) -> Array:
    """Return bits without some positions."""
    if not len(cleared):
        return bits
    found: Array = bits.copy()
    np.bitwise_and.at(found, cleared >> 5, ~(np.uint32(1) << (cleared & 31).astype(np.uint32)))
    return found


def of_length(bits: Array, n_words: int) -> Array:
    """Return bits with zeros behind them, or cut."""
    if len(bits) >= n_words:
        return bits[:n_words]
    return np.concatenate([bits, np.zeros(n_words - len(bits), np.uint32)])
