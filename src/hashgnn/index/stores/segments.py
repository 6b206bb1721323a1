"""Codes in the layout of the kernels: immutable segments of a fixed size, shared by the states of an index."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hashgnn import _native
from hashgnn._types import Array
from hashgnn.codes import BinaryCodes

# A change copies the segments that it touches. They are small enough for that, and few.
SEGMENT_SIZE = 1 << 16
_ROWS = 1 << 16  # unpacked at once
_LINE = 64  # bytes of a cache line, and of one slice of a block


@dataclass(frozen=True, eq=False)
class Segment:
    """Up to ``SEGMENT_SIZE`` codes in blocks of 32, see docs/reference/index-format.md.

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

    def __reduce__(self) -> tuple[Any, ...]:
        """Send the codes by value; the copy begins on a cache line again."""
        return _received, (self.words, self.penalty, self.alive, self.n_codes)

    def arguments(self) -> tuple[Array, Array | None, Array | None, int]:
        """Return the arguments of the kernels."""
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
            alive = pack_mask(bits)
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
        return replace(self, alive=pack_mask(bits))

    def alive_mask(self) -> Array:
        """Return which codes are there, shape (n_codes,), bool."""
        if self.alive is None:
            return np.ones(self.n_codes, bool)
        return unpack_mask(self.alive, self.n_codes)


def _received(words: Array, penalty: Array | None, alive: Array | None, n_codes: int) -> Segment:
    return Segment(on_cache_line(words), penalty, alive, n_codes)


def n_blocks(n_codes: int) -> int:
    """Return how many blocks of 32 hold so many codes."""
    return -(-n_codes // _native.BLOCK)


def aligned(n_words: int) -> Array:
    """Return zeros, uint16, that begin on a cache line, so that no load of the scan crosses two."""
    raw = np.zeros(n_words + _LINE // 2, np.uint16)
    start = (-raw.ctypes.data % _LINE) // 2
    return raw[start : start + n_words]


def on_cache_line(words: Array) -> Array:
    """Return words that begin on a cache line: the same array, or a copy of one that does not."""
    if words.ctypes.data % _LINE == 0:
        return words
    moved = aligned(len(words))
    moved[:] = words
    return moved


def padded(penalty: Array, total: int, *, start: int = 0, before: Array | None = None) -> Array:
    """Return penalties in room for whole blocks, with those of the codes before them."""
    result = np.zeros(n_blocks(total) * _native.BLOCK, np.uint8)
    if before is not None:
        result[:start] = before[:start]
    result[start:total] = penalty
    return result


def cut(
    words: Array,
    penalty: Array | None,
    alive: Array | None,
    n_codes: int,
    n_bits: int,
    *,
    size: int = SEGMENT_SIZE,
) -> Iterator[Segment]:
    """Cut arrays of whole blocks into segments of ``size`` codes, without a copy."""
    for first in range(0, n_codes, size):
        count = min(size, n_codes - first)
        start, stop = _native.words_of(first, n_bits), _native.words_of(first + count, n_bits)
        blocks = slice(n_blocks(first), n_blocks(first + count))
        rows = slice(blocks.start * _native.BLOCK, blocks.stop * _native.BLOCK)
        yield Segment(
            words[start:stop],
            None if penalty is None else penalty[rows],
            None if alive is None else alive[blocks],
            count,
        )


def pack_segments(
    codes: BinaryCodes, penalty: Array | None, *, size: int = SEGMENT_SIZE
) -> tuple[Segment, ...]:
    """Return codes in segments of ``size`` codes."""
    n = len(codes)
    words = aligned(_native.words_of(n, codes.n_bits))
    room = None if penalty is None else padded(penalty, n)
    segments = tuple(cut(words, room, None, n, codes.n_bits, size=size))
    for number, segment in enumerate(segments):
        rows = slice(number * size, number * size + segment.n_codes)
        _native.pack(codes.packed[rows], segment.words, 0)
    return segments


def code_table(n_bits: int, segments: tuple[Segment, ...]) -> _native.CodeTable:
    """Return segments for the kernels."""
    return _native.CodeTable(n_bits, [segment.arguments() for segment in segments])


def unpack_rows(words: Array, n_bits: int, places: Array) -> Array:
    """Return the packed codes at some places of one run, shape (len(places), n_bits // 8), uint8.

    Only the words of these codes are read.

    Parameters
    ----------
    words : ndarray, uint16
        One run, of a segment or of all lists.
    n_bits : int
    places : ndarray of shape (n,), int64
        Places within the run, from 0.
    """
    n_slices = -(-n_bits // 16)
    n_near = -(-n_slices // 2)
    n_far, n_all = n_slices - n_near, len(words) // (n_slices * _native.BLOCK)
    packed = np.empty((len(places), n_bits // 8), np.uint8)
    for start in range(0, len(places), _ROWS):
        blocks, lanes = np.divmod(places[start : start + _ROWS, None], _native.BLOCK)
        near = blocks * n_near + np.arange(n_near)
        far = n_all * n_near + blocks * n_far + np.arange(n_far)
        chosen = words[np.concatenate([near, far], axis=1) * _native.BLOCK + lanes]
        rows = chosen.astype("<u2", copy=False).view(np.uint8)
        packed[start : start + _ROWS] = rows[:, : n_bits // 8]
    return packed


def pack_mask(mask: Array) -> Array:
    """Return a mask as bits, least significant first, shape (n_blocks(len(mask)),), uint32."""
    room = np.zeros(n_blocks(len(mask)) * _native.BLOCK, bool)
    room[: len(mask)] = mask
    return np.packbits(room, bitorder="little").view("<u4").astype(np.uint32)


def unpack_mask(bits: Array, n: int) -> Array:
    """Return the first ``n`` bits as a mask, shape (n,), bool."""
    flags: Array = np.unpackbits(bits.astype("<u4", copy=False).view(np.uint8), count=n, bitorder="little")
    return flags.view(bool)
