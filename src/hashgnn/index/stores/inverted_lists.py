"""``InvertedLists``: codes, and rows of few bits where there are some, in lists that begin on blocks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hashgnn import _native
from hashgnn._types import Array
from hashgnn.codes import BinaryCodes
from hashgnn.index.stores.index_file import SavedIndex
from hashgnn.index.stores.row_quantiser import row_array
from hashgnn.index.stores.segments import aligned, on_cache_line, pack_mask, unpack_mask, unpack_rows


@dataclass(frozen=True, eq=False)
class InvertedLists:
    """Codes in lists that begin on blocks, with the position of each.

    Attributes
    ----------
    n_bits : int
    first_blocks : ndarray of shape (n_lists + 1,), int64
    words : ndarray, uint16
        Blocks, see docs/reference/index-format.md.
    penalty : ndarray of shape (32 * n_blocks,), uint8, or None
    alive : ndarray of shape (n_blocks,), uint32
        One bit a slot: 0 for slots without a code and for codes that were removed or replaced.
    positions : ndarray of shape (32 * n_blocks,), int32
    rows : ndarray of shape (32 * n_blocks, row_bytes), uint8, or None
        Embeddings less the centre of their list, in few bits.
    """

    n_bits: int
    first_blocks: Array
    words: Array
    penalty: Array | None
    alive: Array
    positions: Array
    rows: Array | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Send the lists by value; the words of the copy begin on a cache line again."""
        return _received, (
            self.n_bits,
            self.first_blocks,
            self.words,
            self.penalty,
            self.alive,
            self.positions,
            self.rows,
        )

    @classmethod
    def build(
        cls,
        codes: BinaryCodes,
        penalty: Array | None,
        positions: Array,
        nearest: Array,
        n_lists: int,
        rows: Array | None = None,
    ) -> InvertedLists:
        """Sort codes into lists; within each by their penalties, if any, then by the order in which they are passed.

        So the first blocks of a list hold the items with the largest bias.
        """
        counts = np.bincount(nearest, minlength=n_lists)
        first_blocks = np.zeros(n_lists + 1, np.int64)
        np.cumsum(-(-counts // _native.BLOCK), out=first_blocks[1:])
        order = np.argsort(nearest, kind="stable") if penalty is None else np.lexsort((penalty, nearest))
        within = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
        slots = first_blocks[nearest[order]] * _native.BLOCK + within
        n_slots = int(first_blocks[-1]) * _native.BLOCK
        packed = np.zeros((n_slots, codes.n_bits // 8), np.uint8)
        packed[slots] = codes.packed[order]
        words = aligned(_native.words_of(n_slots, codes.n_bits))
        _native.pack(packed, words, 0)
        placed, alive = np.zeros(n_slots, np.int32), np.zeros(n_slots, bool)
        placed[slots], alive[slots] = positions[order], True
        spread = None
        if penalty is not None:
            spread = np.zeros(n_slots, np.uint8)
            spread[slots] = penalty[order]
        in_slots = None
        if rows is not None:
            in_slots = row_array(n_slots, rows.shape[1])
            in_slots[:] = 0
            in_slots[slots] = rows[order]
        return cls(codes.n_bits, first_blocks, words, spread, pack_mask(alive), placed, in_slots)

    @classmethod
    def empty(cls, n_bits: int, *, biased: bool, row_bytes: int | None = None) -> InvertedLists:
        """Return one list without codes."""
        nothing = np.empty(0, np.uint8) if biased else None
        codes = BinaryCodes(np.empty((0, n_bits // 8), np.uint8), n_bits)
        rows = None if row_bytes is None else np.empty((0, row_bytes), np.uint8)
        return cls.build(codes, nothing, np.empty(0, np.int32), np.empty(0, np.int64), 1, rows)

    @classmethod
    def of_file(cls, name: str, saved: SavedIndex) -> InvertedLists:
        """Return the mapped lists of a file whose sections begin with ``name``."""
        part = {
            key.removeprefix(f"{name}."): array
            for key, array in saved.sections.items()
            if key.startswith(f"{name}.")
        }
        return cls(
            saved.header.n_bits,
            part["first_blocks"],
            part["words"],
            None if saved.header.top is None else part["penalty"],
            part["alive"],
            part["positions"],
            part["rows.bytes"].reshape(-1, saved.header.row_bytes or 0) if "rows.bytes" in part else None,
        )

    def sections(self, name: str) -> dict[str, list[Array]]:
        """Return the sections of a file, their names beginning with ``name``."""
        found = {key: getattr(self, key) for key in ("first_blocks", "words", "alive", "positions")}
        if self.penalty is not None:
            found["penalty"] = self.penalty
        if self.rows is not None:
            found["rows.bytes"] = self.rows
        return {f"{name}.{key}": [array] for key, array in found.items()}

    def without(self, gone: Array) -> InvertedLists:
        """Return the lists without the positions that ``gone``, a mask over all positions, marks."""
        return replace(self, alive=pack_mask(self.alive_mask() & ~gone[self.positions]))

    def alive_mask(self) -> Array:
        """Return which slots hold a code, shape (32 * n_blocks,), bool."""
        return unpack_mask(self.alive, len(self.positions))

    def codes_of(self, slots: Array) -> Array:
        """Return the packed codes at some slots, shape (len(slots), n_bits // 8), uint8."""
        return unpack_rows(self.words, self.n_bits, slots)

    def table(self, n_codes: int) -> _native.InvertedTable:
        """Return the same for the kernels."""
        return _native.InvertedTable(
            self.n_bits,
            n_codes,
            self.first_blocks,
            self.words,
            self.penalty,
            self.alive,
            self.positions,
            self.rows,
        )

    @property
    def row_bytes(self) -> int | None:
        """Bytes of a row; None: there are none."""
        return None if self.rows is None else int(self.rows.shape[1])

    def nbytes(self) -> int:
        """Return the bytes that the kernels read."""
        penalty = 0 if self.penalty is None else self.penalty.nbytes
        rows = 0 if self.rows is None else self.rows.nbytes
        lists = self.words.nbytes + self.positions.nbytes + self.alive.nbytes + self.first_blocks.nbytes
        return lists + penalty + rows


def _received(
    n_bits: int,
    first_blocks: Array,
    words: Array,
    penalty: Array | None,
    alive: Array,
    positions: Array,
    rows: Array | None,
) -> InvertedLists:
    copied = None
    if rows is not None:
        copied = row_array(*rows.shape)
        copied[:] = rows
    return InvertedLists(n_bits, first_blocks, on_cache_line(words), penalty, alive, positions, copied)
