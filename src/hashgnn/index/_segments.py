"""Codes in memory: runs of a fixed size that are shared by every state of an index and never written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from hashgnn import _native
from hashgnn._types import Array

# A change copies the segments that it touches: small enough for that, large enough to have few.
SEGMENT = 1 << 16
_LINE = 64  # bytes of a cache line, and of one slice of a block


@dataclass(frozen=True, eq=False)
class Segment:
    """Up to ``SEGMENT`` codes in blocks of 32, see docs/index-format.md.

    Attributes
    ----------
    words : ndarray of shape (words of the blocks,), uint16
        One run.
    penalty : ndarray of shape (32 * n_blocks,), uint8, or None
    alive : ndarray of shape (n_blocks,), uint32, or None
        One bit a code, 0 where it was removed; None where none was.
    n_codes : int
    """

    words: Array
    penalty: Array | None
    alive: Array | None
    n_codes: int

    def arguments(self) -> tuple[Array, Array | None, Array | None, int]:
        """Return what the kernels take."""
        return self.words, self.penalty, self.alive, self.n_codes

    def grown(self, packed: Array, penalty: Array | None, n_bits: int) -> Segment:
        """Return a copy with more codes at the end."""
        total = self.n_codes + len(packed)
        words = aligned(_native.words_of(total, n_bits))
        # Both halves of the run move to where they lie in a longer one.
        before, after = (_native.near_words_of(n, n_bits) for n in (self.n_codes, total))
        words[:before] = self.words[:before]
        words[after : after + len(self.words) - before] = self.words[before:]
        _native.pack(packed, words, self.n_codes)
        longer = None
        if self.penalty is not None and penalty is not None:
            longer = padded(penalty, total, start=self.n_codes, before=self.penalty)
        alive = None
        if self.alive is not None:
            bits = np.ones(total, bool)
            bits[: self.n_codes] = self.alive_mask()
            alive = _pack_bits(bits, n_blocks(total))
        return Segment(words, longer, alive, total)

    def replaced(self, rows: Array, packed: Array, penalty: Array | None, n_bits: int) -> Segment:
        """Return a copy with other codes at ``rows``."""
        words = aligned(len(self.words))
        words[:] = self.words
        for row, code in zip(rows.tolist(), packed, strict=True):
            _native.pack(code[None, :], words, row)
        changed = self.penalty
        if changed is not None and penalty is not None:
            changed = changed.copy()
            changed[rows] = penalty
        return replace(self, words=words, penalty=changed)

    def without(self, rows: Array) -> Segment:
        """Return a copy in which the codes at ``rows`` are removed."""
        bits = self.alive_mask()
        bits[rows] = False
        return replace(self, alive=_pack_bits(bits, n_blocks(self.n_codes)))

    def alive_mask(self) -> Array:
        """Return which codes are there, shape (n_codes,), bool."""
        if self.alive is None:
            return np.ones(self.n_codes, bool)
        bits: Array = np.unpackbits(self.alive.astype("<u4").view(np.uint8), bitorder="little")
        return bits[: self.n_codes].astype(bool)


def n_blocks(n_codes: int) -> int:
    """Return how many blocks of 32 hold so many codes."""
    return -(-n_codes // _native.BLOCK)


def aligned(n_words: int) -> Array:
    """Return zeros, uint16, that begin on a cache line, so that no load of the scan crosses two."""
    raw = np.zeros(n_words + _LINE // 2, np.uint16)
    start = (-raw.ctypes.data % _LINE) // 2
    return raw[start : start + n_words]


def padded(penalty: Array, total: int, *, start: int = 0, before: Array | None = None) -> Array:
    """Return penalties in room for whole blocks, with those of the codes before them."""
    result = np.zeros(n_blocks(total) * _native.BLOCK, np.uint8)
    if before is not None:
        result[:start] = before[:start]
    result[start:total] = penalty
    return result


def cut(
    words: Array, penalty: Array | None, alive: Array | None, n_codes: int, n_bits: int
) -> Iterator[Segment]:
    """Cut arrays of whole blocks into segments, without a copy."""
    for first in range(0, n_codes, SEGMENT):
        count = min(SEGMENT, n_codes - first)
        start, stop = _native.words_of(first, n_bits), _native.words_of(first + count, n_bits)
        blocks = slice(n_blocks(first), n_blocks(first + count))
        rows = slice(blocks.start * _native.BLOCK, blocks.stop * _native.BLOCK)
        yield Segment(
            words[start:stop],
            None if penalty is None else penalty[rows],
            None if alive is None else alive[blocks],
            count,
        )


def _pack_bits(bits: Array, n_words: int) -> Array:
    room = np.zeros(n_words * 32, bool)
    room[: len(bits)] = bits
    return np.packbits(room, bitorder="little").view("<u4").astype(np.uint32)
