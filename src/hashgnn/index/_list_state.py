"""One state of an inverted file: immutable; a change makes another state."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from hashgnn import _native
from hashgnn._types import Array
from hashgnn.codes import BinaryCodes, ItemBias
from hashgnn.index._changes import bias_penalty
from hashgnn.index._code_store import CodeStore
from hashgnn.index._segments import aligned, n_blocks


@dataclass(frozen=True, eq=False)
class Lists:
    """Codes in lists that begin on blocks, with the position of each.

    Attributes
    ----------
    n_bits : int
    first_blocks : ndarray of shape (n_lists + 1,), int64
    words : ndarray, uint16
        Blocks, see docs/index-format.md.
    penalty : ndarray of shape (32 * n_blocks,), uint8, or None
    alive : ndarray of shape (32 * n_blocks,), bool
        False for lanes without a code and for codes that were removed or replaced.
    positions : ndarray of shape (32 * n_blocks,), int32
    """

    n_bits: int
    first_blocks: Array
    words: Array
    penalty: Array | None
    alive: Array
    positions: Array

    @classmethod
    def build(
        cls, codes: BinaryCodes, penalty: Array | None, positions: Array, nearest: Array, n_lists: int
    ) -> Lists:
        """Sort codes into lists, in the order of their positions within each."""
        counts = np.bincount(nearest, minlength=n_lists)
        first_blocks = np.zeros(n_lists + 1, np.int64)
        np.cumsum(-(-counts // _native.BLOCK), out=first_blocks[1:])
        order = np.argsort(nearest, kind="stable")
        within = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
        slots = first_blocks[nearest[order]] * _native.BLOCK + within
        n_slots = int(first_blocks[-1]) * _native.BLOCK
        rows = np.zeros((n_slots, codes.n_bits // 8), np.uint8)
        rows[slots] = codes.packed[order]
        words = aligned(_native.words_of(n_slots, codes.n_bits))
        _native.pack(rows, words, 0)
        placed, alive = np.zeros(n_slots, np.int32), np.zeros(n_slots, bool)
        placed[slots], alive[slots] = positions[order], True
        spread = None
        if penalty is not None:
            spread = np.zeros(n_slots, np.uint8)
            spread[slots] = penalty[order]
        return cls(codes.n_bits, first_blocks, words, spread, alive, placed)

    def without(self, gone: Array) -> Lists:
        """Return the lists without the positions that ``gone``, a mask over all positions, marks."""
        return replace(self, alive=self.alive & ~gone[self.positions])

    def codes_of(self, slots: Array) -> BinaryCodes:
        """Return the codes at some slots."""
        packed = np.empty((len(self.positions), self.n_bits // 8), np.uint8)
        _native.unpack(self.words, 0, packed)
        return BinaryCodes(packed[slots], self.n_bits)

    def table(self, n_codes: int) -> _native.InvertedTable:
        """Return the same for the kernels."""
        bits = np.packbits(self.alive, bitorder="little").view("<u4").astype(np.uint32)
        return _native.InvertedTable(
            self.n_bits, n_codes, self.first_blocks, self.words, self.penalty, bits, self.positions
        )

    def nbytes(self) -> int:
        """Return the bytes that the kernels read."""
        penalty = 0 if self.penalty is None else self.penalty.nbytes
        return self.words.nbytes + self.positions.nbytes + penalty + len(self.alive) // 8


@dataclass(frozen=True, eq=False)
class ListState:
    """Lists by centroid, and one more list of what came since they were made.

    Attributes
    ----------
    lists, extra : Lists
    centroids : CodeStore
    alive : ndarray of shape (n_codes,), bool
        Positions that were not removed.
    top : float or None
        Bias of an item without penalty; None: no bias.
    """

    lists: Lists
    extra: Lists
    centroids: CodeStore
    alive: Array
    top: float | None
    table: _native.InvertedTable = field(init=False)
    extra_table: _native.InvertedTable | None = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "table", self.lists.table(len(self.alive)))
        has_extra = bool(self.extra.alive.any())
        object.__setattr__(self, "extra_table", self.extra.table(len(self.alive)) if has_extra else None)

    @property
    def n_bits(self) -> int:
        """Width of the codes."""
        return self.lists.n_bits

    def __len__(self) -> int:
        return len(self.alive)

    def tables(self) -> tuple[_native.InvertedTable, _native.InvertedTable | None, _native.CodeTable]:
        """Return lists, the list of what came later and centroids, for the kernels."""
        return self.table, self.extra_table, self.centroids.table

    def alive_mask(self) -> Array:
        """Return which positions hold a code, shape (len(self),), bool; a copy."""
        return self.alive.copy()

    def nbytes(self) -> int:
        """Return the bytes of the lists and centroids."""
        return self.lists.nbytes() + self.extra.nbytes() + self.centroids.nbytes()

    def added(self, codes: BinaryCodes, bias: ItemBias | None) -> ListState:
        """Return the state with more codes at the end."""
        positions = np.arange(len(self), len(self) + len(codes))
        return self._changed(codes, bias, positions, len(self) + len(codes))

    def updated(self, positions: Array, codes: BinaryCodes, bias: ItemBias | None) -> ListState:
        """Return the state with other codes at ``positions``, which are distinct and in range."""
        return self._changed(codes, bias, positions, len(self))

    def _changed(
        self, codes: BinaryCodes, bias: ItemBias | None, positions: Array, n_codes: int
    ) -> ListState:
        """Return the state with these codes at ``positions``, old or new ones below ``n_codes``."""
        penalty = bias_penalty(codes, bias, n_bits=self.n_bits, top=self.top)
        alive = np.ones(n_codes, bool)
        alive[: len(self.alive)] = self.alive
        replaced = np.zeros(n_codes, bool)
        replaced[positions] = True
        kept = np.flatnonzero(self.extra.alive & ~replaced[self.extra.positions])
        new = alive[positions]  # a removed position stays removed
        packed = np.concatenate([self.extra.codes_of(kept).packed, codes.packed[new]])
        both = None
        if penalty is not None and self.extra.penalty is not None:
            both = np.concatenate([self.extra.penalty[kept], penalty[new]])
        places = np.concatenate([self.extra.positions[kept], positions[new]]).astype(np.int32)
        extra = Lists.build(
            BinaryCodes(packed, codes.n_bits), both, places, np.zeros(len(places), np.int64), 1
        )
        return replace(self, lists=self.lists.without(replaced), extra=extra, alive=alive)

    def removed(self, positions: Array) -> ListState:
        """Return the state without the codes at ``positions``."""
        gone = np.zeros(len(self.alive), bool)
        gone[positions] = True
        return replace(
            self, lists=self.lists.without(gone), extra=self.extra.without(gone), alive=self.alive & ~gone
        )


def empty_list(n_bits: int, *, biased: bool) -> Lists:
    """Return one list without codes."""
    nothing = np.empty(0, np.uint8) if biased else None
    codes = BinaryCodes(np.empty((0, n_bits // 8), np.uint8), n_bits)
    assert n_blocks(0) == 0
    return Lists.build(codes, nothing, np.empty(0, np.int32), np.empty(0, np.int64), 1)
