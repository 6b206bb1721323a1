"""Lists of the codes that a filter lets through: packed once, where many queries share the filter."""

from __future__ import annotations

import math
import threading
import weakref
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from hashgnn import _native
from hashgnn._types import Array
from hashgnn.ranking import CandidateFilter

Tables = tuple[_native.InvertedTable, _native.InvertedTable | None, _native.CodeTable | _native.CentreTable]

_MOST_SHARE = 0.75  # of the codes; where more pass, to leave out the others saves nothing
_MANY_QUERIES = 32  # by then packed lists have paid for themselves
# Of packed lists n_probe / share ** this are read: as much is found as without a filter, and all of 1 / share is more.
_LISTS_POWER = 0.85
_KEPT = 8  # filters whose codes are kept packed


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


@dataclass(eq=False)
class _Known:
    """A filter that was used before."""

    bits: weakref.ref[Array]
    n_queries: int = 0
    lists: Tables | None = None
    flat: Tables | None = None


@dataclass(eq=False)
class AllowedLists:
    """The tables of one state of lists, narrowed to filters.

    A filter that lets through no more codes than a search without one reads has them packed in one list, which a
    search reads whole: its results are exact. One that lets more through has its lists packed once it has been
    used by 32 queries; until then codes are tested where they lie. Packed codes are kept as long as the bits of
    the filter live, and for the last 8 filters at most.
    """

    tables: Tables
    n_bits: int
    n_codes: int
    n_lists: int
    _known: OrderedDict[int, _Known] = field(default_factory=OrderedDict)
    _lock: Any = field(default_factory=threading.Lock)

    def of(self, candidates: CandidateFilter, n_queries: int, n_probe: int) -> Narrowed:
        """Return what so many queries read that read ``n_probe`` lists each without a filter."""
        packed = candidates.packed
        if packed is None or packed[0] != self.n_codes:  # one of another length is refused by the kernels
            return Narrowed(self.tables, candidates, 1.0)
        share = candidates.share
        rest = candidates.without_mask()
        n_allowed, n_lists = candidates.n_allowed or 0, max(1, self.n_lists)
        known = self._use(packed[1], n_queries)
        usual = self.n_codes * min(1.0, n_probe / n_lists)
        by_rows = isinstance(self.tables[2], _native.CentreTable)  # which are written by list
        if n_allowed <= usual:
            if by_rows:
                return Narrowed(self.tables, candidates, share)
            return Narrowed(self._flat(known, packed), rest, share)
        if share > _MOST_SHARE or known.n_queries < _MANY_QUERIES:
            return Narrowed(self.tables, candidates, share)
        n_read = min(n_lists, math.ceil(n_probe / share))
        blocks_of_list = math.ceil(n_allowed / n_lists / _native.BLOCK)
        if not by_rows and n_allowed <= n_read * blocks_of_list * _native.BLOCK:
            return Narrowed(self._flat(known, packed), rest, share)
        return Narrowed(self._in_lists(known, packed), rest, share**_LISTS_POWER)

    def _use(self, bits: Array, n_queries: int) -> _Known:
        with self._lock:
            known = self._known.pop(id(bits), None)
            if known is None or known.bits() is not bits:  # an array at the place of one that is gone
                known = _Known(weakref.ref(bits))
            known.n_queries += n_queries
            self._known[id(bits)] = known
            for key in [key for key, other in self._known.items() if other.bits() is None]:
                del self._known[key]
            while len(self._known) > _KEPT:
                self._known.popitem(last=False)
        return known

    def _flat(self, known: _Known, packed: tuple[int, Array]) -> Tables:
        if known.flat is None:
            lists, extra, centroids = self.tables
            none = np.empty(0, np.uint8) if lists.has_penalty else None
            firsts = np.zeros(self.n_lists + 1, np.int64)
            words, alive, positions = np.empty(0, np.uint16), np.empty(0, np.uint32), np.empty(0, np.int32)
            empty = _native.InvertedTable(self.n_bits, self.n_codes, firsts, words, none, alive, positions)
            known.flat = (empty, _native.allowed_list(lists, extra, packed), centroids)
        return known.flat

    def _in_lists(self, known: _Known, packed: tuple[int, Array]) -> Tables:
        if known.lists is None:
            lists, extra, centroids = self.tables
            known.lists = (lists.allowed(packed), None if extra is None else extra.allowed(packed), centroids)
        return known.lists
