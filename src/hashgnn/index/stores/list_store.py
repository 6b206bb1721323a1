"""``ListStore``: the codes of an inverted file in lists by centroid, and their form in a file."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from hashgnn import _native
from hashgnn._types import Array
from hashgnn.codes import BinaryCodes, ItemBias
from hashgnn.errors import ArtifactDamagedError
from hashgnn.index.stores.allowed_lists import AllowedLists, Narrowed, Tables
from hashgnn.index.stores.embedded_codes import EmbeddedCodes
from hashgnn.index.stores.index_file import Contents, SavedIndex
from hashgnn.index.stores.list_growth import ListedCodes, grown, is_due, is_due_anew
from hashgnn.index.stores.penalties import new_penalties
from hashgnn.index.stores.segments import (
    Segment,
    aligned,
    code_table,
    cut,
    n_blocks,
    on_cache_line,
    pack_mask,
    pack_segments,
    unpack_mask,
    unpack_rows,
)
from hashgnn.ranking import CandidateFilter


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
    """

    n_bits: int
    first_blocks: Array
    words: Array
    penalty: Array | None
    alive: Array
    positions: Array

    def __reduce__(self) -> tuple[Any, ...]:
        """Send the lists by value; the words of the copy begin on a cache line again."""
        return _received, (
            self.n_bits,
            self.first_blocks,
            self.words,
            self.penalty,
            self.alive,
            self.positions,
        )

    @classmethod
    def build(
        cls, codes: BinaryCodes, penalty: Array | None, positions: Array, nearest: Array, n_lists: int
    ) -> InvertedLists:
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
        return cls(codes.n_bits, first_blocks, words, spread, pack_mask(alive), placed)

    @classmethod
    def empty(cls, n_bits: int, *, biased: bool) -> InvertedLists:
        """Return one list without codes."""
        nothing = np.empty(0, np.uint8) if biased else None
        codes = BinaryCodes(np.empty((0, n_bits // 8), np.uint8), n_bits)
        return cls.build(codes, nothing, np.empty(0, np.int32), np.empty(0, np.int64), 1)

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
        )

    def sections(self, name: str) -> dict[str, list[Array]]:
        """Return the sections of a file, their names beginning with ``name``."""
        found = {key: getattr(self, key) for key in ("first_blocks", "words", "alive", "positions")}
        if self.penalty is not None:
            found["penalty"] = self.penalty
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
            self.n_bits, n_codes, self.first_blocks, self.words, self.penalty, self.alive, self.positions
        )

    def nbytes(self) -> int:
        """Return the bytes that the kernels read."""
        penalty = 0 if self.penalty is None else self.penalty.nbytes
        return self.words.nbytes + self.positions.nbytes + penalty + self.alive.nbytes


def _received(
    n_bits: int, first_blocks: Array, words: Array, penalty: Array | None, alive: Array, positions: Array
) -> InvertedLists:
    return InvertedLists(n_bits, first_blocks, on_cache_line(words), penalty, alive, positions)


@dataclass(frozen=True, eq=False)
class ListStore:
    """One state of codes in lists by centroid. It is immutable: a change returns another state.

    Codes that came after the lists were made are in one more list, ``extra``.

    Attributes
    ----------
    lists, extra : InvertedLists
    centroids : tuple of Segment
        One code a list.
    alive : ndarray of shape (n_blocks(n_codes),), uint32
        One bit a position: 0 where its code was removed.
    n_codes : int
        Positions, removed ones included.
    top : float or None
        Bias of an item without penalty; None: the codes have no bias.
    n_made : int or None
        Number of lists before any was split; None: as many as there are. To read so many is to read all.
    n_clustered, n_joined : int or None, int
        Codes when all were clustered, None: as many as the lists hold; and codes that joined lists since.
    tables : tuple of InvertedTable, InvertedTable or None, and CodeTable
        Lists, the list of later codes where it has some, and centroids, for the kernels.
    """

    lists: InvertedLists
    extra: InvertedLists
    centroids: tuple[Segment, ...]
    alive: Array
    n_codes: int
    top: float | None
    n_made: int | None = None
    n_clustered: int | None = None
    n_joined: int = 0
    tables: Tables = field(init=False)
    _allowed: AllowedLists = field(init=False, repr=False)

    def __post_init__(self) -> None:
        extra = self.extra.table(self.n_codes)  # also where it is empty, which checks it
        tables = (
            self.lists.table(self.n_codes),
            extra if self.extra.alive.any() else None,
            code_table(self.n_bits, self.centroids),
        )
        object.__setattr__(self, "tables", tables)
        object.__setattr__(self, "_allowed", AllowedLists(tables, self.n_bits, self.n_codes, self.n_lists))

    def __reduce__(self) -> tuple[Any, ...]:
        """Send lists and centroids by value; the tables of the kernels are made anew from them."""
        return ListStore, (
            self.lists,
            self.extra,
            self.centroids,
            self.alive,
            self.n_codes,
            self.top,
            self.n_made,
            self.n_clustered,
            self.n_joined,
        )

    @classmethod
    def build(
        cls, codes: BinaryCodes, bias: ItemBias | None, centroids: BinaryCodes, nearest: Array
    ) -> ListStore:
        """Sort codes into the lists of their nearest centroids.

        Parameters
        ----------
        codes : BinaryCodes of shape (n_codes, n_bits)
        bias : ItemBias of length n_codes, or None
        centroids : BinaryCodes of shape (n_lists, n_bits)
        nearest : ndarray of shape (n_codes,), int64
            List of each code.
        """
        penalty = None if bias is None else bias.penalty
        positions = np.arange(len(codes), dtype=np.int32)
        return cls(
            InvertedLists.build(codes, penalty, positions, nearest, len(centroids)),
            InvertedLists.empty(codes.n_bits, biased=bias is not None),
            pack_segments(centroids, None),
            pack_mask(np.ones(len(codes), bool)),
            len(codes),
            None if bias is None else bias.top,
        )

    @classmethod
    def of_file(cls, saved: SavedIndex) -> ListStore:
        """Return the mapped lists of a file."""
        header, sections = saved.header, saved.sections
        n_bits, n_codes, n_lists = header.n_bits, header.n_codes, header.n_lists
        if n_lists is None:
            raise ArtifactDamagedError(f"{saved.path}: in its header n_lists is missing; it was edited")
        if len(sections["alive"]) != n_blocks(n_codes):
            raise ArtifactDamagedError(f"{saved.path}: its sections do not fit {n_codes} codes")
        ends = {"lists.first_blocks": n_lists + 1, "extra.first_blocks": 2}
        fits = all(len(sections[name]) == length for name, length in ends.items())
        if not fits or len(sections["centroids.words"]) != _native.words_of(n_lists, n_bits):
            raise ArtifactDamagedError(f"{saved.path}: its sections do not fit {n_lists} lists")
        return cls(
            InvertedLists.of_file("lists", saved),
            InvertedLists.of_file("extra", saved),
            tuple(cut(sections["centroids.words"], None, None, n_lists, n_bits)),
            sections["alive"],
            n_codes,
            header.top,
            header.n_made,
        )

    def contents(self) -> Contents:
        """Return the sections of a file for the lists."""
        made = {} if self.n_made is None else {"n_made": self.n_made}
        return Contents(
            {
                "n_bits": self.n_bits,
                "n_codes": self.n_codes,
                "n_lists": self.n_lists,
                "top": self.top,
                **made,
            },
            {
                "alive": [self.alive],
                "centroids.words": [segment.words for segment in self.centroids],
                **self.lists.sections("lists"),
                **self.extra.sections("extra"),
            },
        )

    @property
    def n_bits(self) -> int:
        """Width of the codes."""
        return self.lists.n_bits

    @property
    def n_lists(self) -> int:
        """Number of lists, without the one of later codes."""
        return len(self.lists.first_blocks) - 1

    def __len__(self) -> int:
        return self.n_codes

    def narrowed(self, candidates: CandidateFilter, n_queries: int, n_probe: int) -> Narrowed:
        """Return the tables that a search with a filter reads, and what is left to be tested."""
        return self._allowed.of(candidates, n_queries, self._read(n_probe))

    def search(
        self,
        queries: BinaryCodes | Array,
        query_bits: int,
        arguments: _native.SearchArguments,
        *,
        n_probe: int,
        tables: Tables | None = None,
    ) -> tuple[Any, ...]:
        """Compare queries, codes or floats, with the codes of the nearest lists, or of narrowed ones."""
        read, n_read = self.tables if tables is None else tables, self._read(n_probe)
        if isinstance(queries, BinaryCodes):
            return _native.search_inverted_codes(*read, n_read, queries.packed, arguments)
        return _native.search_inverted_floats(*read, n_read, queries, query_bits, arguments)

    def rerank(
        self,
        queries: EmbeddedCodes,
        stages: _native.Stages,
        arguments: _native.SearchArguments,
        *,
        n_probe: int | None,
        tables: Tables | None = None,
    ) -> tuple[Any, ...]:
        """Rank the best codes of the nearest lists again by ``stages``."""
        assert n_probe is not None
        return _native.search_inverted_hierarchical(
            *(self.tables if tables is None else tables),
            self._read(n_probe),
            queries.codes.packed,
            queries.embeddings,
            stages,
            arguments,
        )

    def added(self, codes: BinaryCodes, bias: ItemBias | None) -> ListStore:
        """Return the state with more codes at the end."""
        positions = np.arange(len(self), len(self) + len(codes))
        return self._changed(codes, bias, positions, len(self) + len(codes))

    def updated(self, positions: Array, codes: BinaryCodes, bias: ItemBias | None) -> ListStore:
        """Return the state with other codes at ``positions``, which are distinct and in range."""
        return self._changed(codes, bias, positions, len(self))

    def removed(self, positions: Array) -> ListStore:
        """Return the state without the codes at ``positions``, which are in range."""
        gone = np.zeros(len(self), bool)
        gone[positions] = True
        return replace(
            self,
            lists=self.lists.without(gone),
            extra=self.extra.without(gone),
            alive=pack_mask(self.alive_mask() & ~gone),
        )

    def alive_mask(self) -> Array:
        """Return which positions hold a code, shape (len(self),), bool; a copy."""
        return unpack_mask(self.alive, self.n_codes)

    def codes(self, positions: Array | None = None) -> BinaryCodes:
        """Return the codes of some positions, or of all, as packed rows; a copy. Removed ones are zeros."""
        slots = self._slots if positions is None else self._slots[positions]
        packed = np.zeros((len(slots), self.n_bits // 8), np.uint8)
        for lists, chosen, places in self._by_lists(slots):
            packed[chosen] = lists.codes_of(places)
        return BinaryCodes(packed, self.n_bits)

    def bias(self, positions: Array | None = None) -> ItemBias | None:
        """Return the item bias of some positions, or of all; a copy. Removed ones have no penalty."""
        if self.top is None:
            return None
        slots = self._slots if positions is None else self._slots[positions]
        penalty = np.zeros(len(slots), np.uint8)
        for lists, chosen, places in self._by_lists(slots):
            assert lists.penalty is not None
            penalty[chosen] = lists.penalty[places]
        return ItemBias(penalty, self.top)

    def nbytes(self) -> int:
        """Return the bytes of the lists and centroids."""
        return self.lists.nbytes() + self.extra.nbytes() + sum(s.words.nbytes for s in self.centroids)

    def _read(self, n_probe: int) -> int:
        """Return how many lists are read: all, where ``n_probe`` was all before lists were split."""
        return self.n_lists if self.n_made is not None and n_probe >= self.n_made else n_probe

    @cached_property
    def _slots(self) -> Array:
        """Slot of each position, int32: those of ``extra`` after those of ``lists``; -1 where it was removed."""
        slots = np.full(len(self), -1, np.int32)
        first = 0
        for lists in (self.lists, self.extra):
            filled = np.flatnonzero(lists.alive_mask())
            slots[lists.positions[filled]] = first + filled
            first += len(lists.positions)
        return slots

    def _by_lists(self, slots: Array) -> list[tuple[InvertedLists, Array, Array]]:
        """Return lists, places in ``slots`` and slots of these lists, for both parts."""
        first = len(self.lists.positions)
        old, new = np.flatnonzero((slots >= 0) & (slots < first)), np.flatnonzero(slots >= first)
        return [
            (self.lists, old, slots[old].astype(np.int64)),
            (self.extra, new, slots[new].astype(np.int64) - first),
        ]

    def _changed(
        self, codes: BinaryCodes, bias: ItemBias | None, positions: Array, n_codes: int
    ) -> ListStore:
        """Return the state with these codes at ``positions``, old or new ones below ``n_codes``."""
        penalty = new_penalties(codes, bias, n_bits=self.n_bits, top=self.top)
        alive = np.ones(n_codes, bool)
        alive[: len(self)] = self.alive_mask()
        replaced = np.zeros(n_codes, bool)
        replaced[positions] = True
        kept = np.flatnonzero(self.extra.alive_mask() & ~replaced[self.extra.positions])
        new = alive[positions]  # a removed position stays removed
        packed = np.concatenate([self.extra.codes_of(kept), codes.packed[new]])
        both = None
        if penalty is not None and self.extra.penalty is not None:
            both = np.concatenate([self.extra.penalty[kept], penalty[new]])
        places = np.concatenate([self.extra.positions[kept], positions[new]]).astype(np.int32)
        extra = InvertedLists.build(
            BinaryCodes(packed, codes.n_bits), both, places, np.zeros(len(places), np.int64), 1
        )
        changed = replace(
            self, lists=self.lists.without(replaced), extra=extra, alive=pack_mask(alive), n_codes=n_codes
        )
        waiting = int(np.bitwise_count(extra.alive).sum())
        listed = int(np.bitwise_count(changed.lists.alive).sum())
        return changed._merged() if is_due(waiting, listed) else changed

    def _merged(self) -> ListStore:
        """Return the state with later codes in the lists of their nearest centroids; long lists are split."""
        old, new = (np.flatnonzero(lists.alive_mask()) for lists in (self.lists, self.extra))
        block_lists = np.repeat(np.arange(self.n_lists), np.diff(self.lists.first_blocks))
        listed = ListedCodes(
            BinaryCodes(self.lists.codes_of(old), self.n_bits),
            block_lists[old // _native.BLOCK],
            self._centroid_codes(),
        )
        n_clustered = len(old) if self.n_clustered is None else self.n_clustered
        anew = is_due_anew(self.n_joined + len(new), n_clustered)
        result = grown(listed, BinaryCodes(self.extra.codes_of(new), self.n_bits), anew=anew)
        positions = np.concatenate([self.lists.positions[old], self.extra.positions[new]])
        penalty = None
        if self.lists.penalty is not None and self.extra.penalty is not None:
            penalty = np.concatenate([self.lists.penalty[old], self.extra.penalty[new]])
        order = np.argsort(positions)  # the lists do not depend on the order of earlier changes
        lists = InvertedLists.build(
            result.codes[order],
            None if penalty is None else penalty[order],
            positions[order],
            result.lists[order],
            len(result.centroids),
        )
        return replace(
            self,
            lists=lists,
            extra=InvertedLists.empty(self.n_bits, biased=penalty is not None),
            centroids=pack_segments(result.centroids, None),
            n_made=self.n_lists if self.n_made is None else self.n_made,
            n_clustered=len(order) if anew else n_clustered,
            n_joined=0 if anew else self.n_joined + len(new),
        )

    def _centroid_codes(self) -> BinaryCodes:
        packed = [
            unpack_rows(segment.words, self.n_bits, np.arange(segment.n_codes)) for segment in self.centroids
        ]
        return BinaryCodes(np.concatenate(packed), self.n_bits)
