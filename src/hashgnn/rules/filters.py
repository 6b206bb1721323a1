"""Filters as bitmaps: evaluated once, then kept up to date row by row while the table changes."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from hashgnn._types import Array
from hashgnn.rules.evaluation import Test

Key: TypeAlias = tuple[object, ...]

_KEPT = 64  # filters
_ALL = slice(None)


@dataclass(frozen=True, eq=False)
class ItemFilter:
    """The items that a filter lets through.

    Attributes
    ----------
    n_items : int
    bits : ndarray of shape (ceil(n_items / 32),), uint32
        A bit for each item; it is never changed.
    count : int
        How many items pass.
    condition : str or None
        The same items as a condition of the engine that holds them.
    """

    n_items: int
    bits: Array
    count: int
    condition: str | None = None

    @classmethod
    def of_mask(cls, mask: Array) -> ItemFilter:
        """Return a boolean mask, shape (n_items,), as a filter.

        Examples
        --------
        >>> ItemFilter.of_mask(np.array([True, False, True])).count
        2
        """
        return cls.of_bits(len(mask), _packed(mask))

    @classmethod
    def of_bits(cls, n_items: int, bits: Array) -> ItemFilter:
        """Return bits as a filter, and count them."""
        return cls(n_items, bits, int(np.bitwise_count(bits).sum(dtype=np.int64)))

    @classmethod
    def all_of(cls, n_items: int) -> ItemFilter:
        """Return a filter that every item passes."""
        return cls.of_mask(np.ones(n_items, bool))

    def of_size(self, n_items: int) -> ItemFilter:
        """Return the filter for so many items: of more, the new ones do not pass; of fewer, the last ones are left out.

        Examples
        --------
        >>> both = ItemFilter.of_mask(np.array([True, True]))
        >>> both.of_size(3).mask().tolist(), both.of_size(1).mask().tolist()
        ([True, True, False], [True])
        """
        if n_items == self.n_items:
            return self
        n_words = -(-n_items // 32)
        bits = np.zeros(n_words, np.uint32)
        bits[: len(self.bits)] = self.bits[:n_words]
        if n_items > self.n_items:
            return ItemFilter(n_items, bits, self.count)
        if n_items % 32:
            bits[-1] &= np.uint32((1 << n_items % 32) - 1)
        return self.of_bits(n_items, bits)

    def mask(self) -> Array:
        """Return which items pass, shape (n_items,), bool."""
        bits = np.unpackbits(self.bits.view(np.uint8), count=self.n_items, bitorder="little")
        return bits.view(bool)

    def both(self, other: ItemFilter) -> ItemFilter:
        """Return the filter of what passes this one and another."""
        return self.of_bits(self.n_items, self.bits & other.bits)

    def without(self, other: ItemFilter) -> ItemFilter:
        """Return the filter of what passes this one and not another."""
        return self.of_bits(self.n_items, self.bits & ~other.bits)

    def either(self, other: ItemFilter) -> ItemFilter:
        """Return the filter of what passes one of both."""
        return self.of_bits(self.n_items, self.bits | other.bits)


@dataclass
class _Kept:
    version: int
    test: Test
    found: ItemFilter


class FilterCache:
    """The filters that were used lately, and the rows that changed since; not safe for threads by itself.

    Parameters
    ----------
    n_items : int
    """

    def __init__(self, n_items: int) -> None:
        self._n_items = n_items
        self._kept: OrderedDict[Key, _Kept] = OrderedDict()
        self._changes: deque[tuple[int, Array]] = deque()
        self._n_changes = 0
        self._oldest = 0  # a filter of this version or later can be brought up to date
        self.version = 0

    def note(self, positions: Array) -> None:
        """Note that some rows have changed."""
        self.version += 1
        self._changes.append((self.version, positions))
        self._n_changes += len(positions)
        while self._n_changes > max(1024, self._n_items // 8):
            self._oldest, gone = self._changes.popleft()
            self._n_changes -= len(gone)

    def grow(self, n_items: int) -> None:
        """Note that there are more items, which have come at the end."""
        self.note(np.arange(self._n_items, n_items))
        self._n_items = n_items

    def get(self, key: Key, make_test: Callable[[], Test]) -> ItemFilter:
        """Return a filter as of now; ``make_test`` is called where it is a new one."""
        kept = self._kept.get(key)
        if kept is None:
            test = make_test()
            kept = self._kept[key] = _Kept(self.version, test, ItemFilter.of_mask(test(_ALL)))
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        elif kept.version < self._oldest:
            kept.found = ItemFilter.of_mask(kept.test(_ALL))
        elif kept.version < self.version:
            kept.found = _changed(kept, self._rows_since(kept.version), self._n_items)
        kept.version = self.version
        self._kept.move_to_end(key)
        return kept.found

    def _rows_since(self, version: int) -> Array:
        rows = []
        for changed, positions in reversed(self._changes):
            if changed <= version:
                break
            rows.append(positions)
        return np.unique(np.concatenate(rows))


def _changed(kept: _Kept, rows: Array, n_items: int) -> ItemFilter:
    """Return a filter with some rows evaluated anew, the rows of new items among them."""
    passes = kept.test(rows)
    words, marks = rows >> 5, np.uint32(1) << (rows & 31).astype(np.uint32)
    found = kept.found.of_size(n_items)
    bits = found.bits.copy()
    before = bits[words] & marks != 0
    np.bitwise_and.at(bits, words[before & ~passes], ~marks[before & ~passes])
    np.bitwise_or.at(bits, words[passes & ~before], marks[passes & ~before])
    count = found.count + int(passes.sum()) - int(before.sum())
    return ItemFilter(n_items, bits, count)


def _packed(mask: Array) -> Array:
    bits = np.zeros(-(-len(mask) // 32), "<u4")
    packed = np.packbits(mask, bitorder="little")
    bits.view(np.uint8)[: len(packed)] = packed
    return bits
