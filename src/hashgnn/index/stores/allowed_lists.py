"""Lists of the codes that a filter lets through: packed once, then kept up to date while filter and lists change."""

from __future__ import annotations

import math
import threading
import weakref
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from hashgnn import _native
from hashgnn._types import Array
from hashgnn.codes import BinaryCodes
from hashgnn.index.stores.inverted_lists import InvertedLists
from hashgnn.index.stores.packed_filter import PackedFilter, changed_bits, of_length
from hashgnn.index.stores.segments import code_table, pack_segments
from hashgnn.ranking import CandidateFilter

Tables = tuple[_native.InvertedTable, _native.InvertedTable | None, _native.CodeTable | _native.CentreTable]

_MOST_SHARE = 0.75  # of the codes; where more pass, to leave out the others saves nothing
_MANY_QUERIES = 32  # by then packed lists have paid for themselves
# Of packed lists n_probe / share ** this are read: as much is found as without a filter, and all of 1 / share is more.
_LISTS_POWER = 0.85
_KEPT = 8  # filters whose codes are kept packed
_ROOM_OF_ROWS = 2  # entries that each list of rows may gain before all are packed again
_ROOM_PART = 64  # of one list of codes, by which it may grow
_MOST_UNUSED = 0.5  # of the lists' bytes: packed codes of filters that are gone, for filters like them


class Narrowed(NamedTuple):
    """The tables and the filter that a search reads.

    Attributes
    ----------
    tables : tuple of InvertedTable, InvertedTable or None, and CodeTable
        Lists, later codes and centroids, without codes that every query leaves out where they are packed.
    candidates : CandidateFilter
        What is left to be tested.
    share : float
        Of the codes, those that are allowed to any query: lists are read in proportion.
    """

    tables: Tables
    candidates: CandidateFilter
    share: float


@dataclass(frozen=True, eq=False)
class ListedBits:
    """Where the codes of one state are.

    Attributes
    ----------
    alive : ndarray of shape (n_blocks(n_codes),), uint32
        A bit for each position that holds a code.
    extra : InvertedLists
        The list of later codes.
    """

    alive: Array
    extra: InvertedLists

    @cached_property
    def in_later(self) -> Array:
        """A bit for each position in the list of later codes."""
        positions = self.extra.positions[self.extra.alive_mask()]
        bits = np.zeros_like(self.alive)
        np.bitwise_or.at(bits, positions >> 5, np.uint32(1) << (positions & 31).astype(np.uint32))
        return bits

    @cached_property
    def in_lists(self) -> Array:
        """A bit for each position in one of the lists."""
        found: Array = self.alive & ~self.in_later
        return found


@dataclass(eq=False)
class _Known:
    """A filter that was used before, a copy of its bits, its codes as far as they are packed, and tables of searches."""

    bits: weakref.ref[Array]
    words: Array
    n_allowed: int
    n_queries: int = 0
    one_list: PackedFilter | None = None
    in_lists: PackedFilter | None = None
    flat: Tables | None = None
    lists: Tables | None = None

    def n_bytes(self) -> int:
        """Bytes of what is packed."""
        return sum(part.table.n_own_bytes for part in (self.one_list, self.in_lists) if part is not None)


@dataclass(eq=False)
class AllowedLists:
    """The tables of one state of lists, narrowed to filters.

    A filter that lets through no more codes than a search without one reads has them packed in one list, which a
    search reads whole: its results are exact. One that lets more through has its lists packed once it has been
    used by 32 queries; until then codes are tested where they lie. Packed codes are kept for the last 8 filters at
    most. A filter that differs little from one of them, and a later state of the lists, take over what was packed: only
    what changed is removed or added.

    Parameters
    ----------
    tables : tuple of InvertedTable, InvertedTable or None, and CodeTable or CentreTable
    later : InvertedTable
        The list of later codes, also where it has none.
    where : ListedBits
    n_bits, n_codes, n_lists, n_bytes : int
        Of the lists; ``n_bytes`` is what they take.
    """

    tables: Tables
    later: _native.InvertedTable
    where: ListedBits
    n_bits: int
    n_codes: int
    n_lists: int
    n_bytes: int
    _first: _native.InvertedTable = field(init=False)
    _known: OrderedDict[int, _Known] = field(default_factory=OrderedDict)
    _lock: Any = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._first = self.tables[0]

    def follow(self, before: AllowedLists, moved: Array, *, same_lists: bool) -> None:
        """Take over what the state before had packed.

        Parameters
        ----------
        before : AllowedLists
        moved : ndarray of shape (n,), integers
            Positions that it knew, whose codes have changed.
        same_lists : bool
            Whether codes in lists lie where they did.
        """
        if same_lists:
            self._first = before._first
        with before._lock:
            entries = [(key, replace(known, flat=None, lists=None)) for key, known in before._known.items()]
        for key, known in entries:
            known.one_list = None if known.one_list is None else known.one_list.after(moved)
            in_lists = known.in_lists if same_lists else None
            known.in_lists = None if in_lists is None else in_lists.after(moved)
            self._known[key] = known

    def of(self, candidates: CandidateFilter, n_queries: int, n_probe: int) -> Narrowed:
        """Return what so many queries read that read ``n_probe`` lists each without a filter."""
        packed = candidates.packed
        if packed is None or packed[0] != self.n_codes:  # one of another length is refused by the kernels
            return Narrowed(self.tables, candidates, 1.0)
        share = candidates.share
        n_allowed, n_lists = candidates.n_allowed or 0, max(1, self.n_lists)
        known = self._use(packed[1], n_allowed, n_queries)
        usual = self.n_codes * min(1.0, n_probe / n_lists)
        by_rows = isinstance(self.tables[2], _native.CentreTable)  # which are written by list
        if n_allowed <= usual:
            if by_rows:
                return Narrowed(self.tables, candidates, share)
            return Narrowed(self._flat(known), candidates.without_mask(), share)
        if share > _MOST_SHARE or known.n_queries < _MANY_QUERIES:
            return Narrowed(self.tables, candidates, share)
        n_read = min(n_lists, math.ceil(n_probe / share))
        blocks_of_list = math.ceil(n_allowed / n_lists / _native.BLOCK)
        if not by_rows and n_allowed <= n_read * blocks_of_list * _native.BLOCK:
            return Narrowed(self._flat(known), candidates.without_mask(), share)
        return Narrowed(self._in_lists(known, by_rows), candidates.without_mask(), share**_LISTS_POWER)

    def _use(self, bits: Array, n_allowed: int, n_queries: int) -> _Known:
        with self._lock:
            known = self._known.pop(id(bits), None)
            if known is None or known.bits() is not bits:  # an array at the place of one that is gone
                known = self._begun(bits, n_allowed)
            known.n_queries += n_queries
            self._known[id(bits)] = known
            if len(self._known) > 1:
                self._drop_some()
        return known

    def _begun(self, bits: Array, n_allowed: int) -> _Known:
        """Return a filter that is new here, with what a filter like it has packed."""
        most = _most_changed(n_allowed)
        for key, other in reversed(self._known.items()):
            if abs(other.n_allowed - n_allowed) <= most and _are_like(other.words, bits, most):
                if other.bits() is None:
                    del self._known[key]
                packed = (other.n_queries, other.one_list, other.in_lists)
                return _Known(weakref.ref(bits), bits.copy(), n_allowed, *packed)
        return _Known(weakref.ref(bits), bits.copy(), n_allowed)

    def _drop_some(self) -> None:
        """Forget filters that were used longest ago, and of those that are gone more."""
        while len(self._known) > _KEPT:
            self._known.popitem(last=False)
        gone = [key for key, known in self._known.items() if known.bits() is None]
        left = _MOST_UNUSED * self.n_bytes
        for key in reversed(gone):
            left -= self._known[key].n_bytes()
            if left < 0:
                del self._known[key]

    def _flat(self, known: _Known) -> Tables:
        if known.flat is None:
            room = known.n_allowed // _ROOM_PART + 1
            wanted = known.words & self.where.alive
            part = self._kept_up(known.one_list, known.n_allowed, wanted)
            if part is None:
                mask = (self.n_codes, known.words)
                part = PackedFilter(
                    _native.allowed_list(self.tables[0], self.tables[1], mask, room), wanted, known.n_allowed
                )
            known.one_list = part
            known.flat = (part.table, None, self._one_centroid)
        return known.flat

    def _in_lists(self, known: _Known, by_rows: bool) -> Tables:
        if known.lists is None:
            mask = (self.n_codes, known.words)
            wanted = known.words & self.where.in_lists
            part = self._kept_up(known.in_lists, known.n_allowed, wanted, in_lists=True, by_rows=by_rows)
            if part is None:
                table = self.tables[0].allowed(mask, _ROOM_OF_ROWS if by_rows else 0)
                part = PackedFilter(table, wanted, known.n_allowed)
            known.in_lists = part
            later = self._later(mask, part.left)
            known.lists = (part.table, later, self.tables[2])
        return known.lists

    def _later(self, mask: tuple[int, Array], more: Array) -> _native.InvertedTable | None:
        """Return the list of later codes that are allowed, and of some in lists."""
        if self.tables[1] is None and not len(more):
            return None
        later = self.later.allowed(mask, len(more))
        if len(more):
            none = np.empty(0, np.int32)
            later, _ = later.grown(self._first, None, none, more, none, self.n_codes)
        return later

    def _kept_up(
        self,
        last: PackedFilter | None,
        n_allowed: int,
        wanted: Array,
        *,
        in_lists: bool = False,
        by_rows: bool = False,
    ) -> PackedFilter | None:
        """Return what was packed with the changes since, or None where it is better packed anew."""
        if last is None:
            return None
        gone, added = last.changes(wanted)
        n_dead = last.n_dead + len(gone)
        if len(added) > _most_changed(n_allowed) or n_dead > max(_native.BLOCK, n_allowed // 8):
            return None
        is_later = np.zeros(len(added), bool)
        if not in_lists:
            is_later = (self.where.in_later[added >> 5] >> (added & 31).astype(np.uint32)) & 1 != 0
        table, left = last.table.grown(
            self._first, self.tables[1], gone, added[~is_later], added[is_later], self.n_codes
        )
        if len(left) and (not in_lists or by_rows):
            return None
        left = np.sort(left)
        held = changed_bits(wanted, left)
        return PackedFilter(table, held, last.n_packed, n_dead, left=left)

    @cached_property
    def _one_centroid(self) -> _native.CodeTable:
        codes = BinaryCodes(np.zeros((1, self.n_bits // 8), np.uint8), self.n_bits)
        return code_table(self.n_bits, pack_segments(codes, None))


def _most_changed(n_allowed: int) -> int:
    """Return by how many codes a filter may differ from one whose codes are packed."""
    return max(256, n_allowed // 32)


def _are_like(some: Array, others: Array, most: int) -> bool:
    """Whether two filters, of one length or of different ones, differ by so many codes at most."""
    step, longer = 16, max(len(some), len(others))
    n = min(len(some), len(others))
    seen = int(np.bitwise_count(some[:n:step] ^ others[:n:step]).sum(dtype=np.int64))
    if step * seen > 2 * most + 8 * step:
        return False
    first, second = of_length(some, longer), of_length(others, longer)
    return int(np.bitwise_count(first ^ second).sum(dtype=np.int64)) <= most
