"""``ListStore``: the codes of an index in lists around centroids, and their form in a file."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from hashgnn import _native
from hashgnn._types import Array
from hashgnn.codes import BinaryCodes, ItemBias
from hashgnn.errors import ArtifactDamagedError
from hashgnn.index._vector_clustering import EmbeddingsOf, clustered, radii_of
from hashgnn.index.stores import vector_growth
from hashgnn.index.stores.allowed_lists import AllowedLists, ListedBits, Narrowed, Tables
from hashgnn.index.stores.embedded_codes import EmbeddedCodes
from hashgnn.index.stores.index_file import Contents, SavedIndex
from hashgnn.index.stores.inverted_lists import InvertedLists
from hashgnn.index.stores.list_centres import ListCentres
from hashgnn.index.stores.list_growth import ListedCodes, grown, is_due, is_due_anew
from hashgnn.index.stores.penalties import new_penalties
from hashgnn.index.stores.row_quantiser import RowQuantiser
from hashgnn.index.stores.segments import (
    Segment,
    code_table,
    cut,
    n_blocks,
    pack_mask,
    pack_segments,
    unpack_mask,
    unpack_rows,
)
from hashgnn.ranking import CandidateFilter

_MOST_MEANS = 1024  # lists; the means of more take longer to compare than the blocks that are spared


@dataclass(frozen=True, eq=False)
class ListStore:
    """One state of codes in lists by centroid. It is immutable: a change returns another state.

    Codes that came after the lists were made are in one more list, ``extra``. Lists are made around codes, or
    around embeddings; these lists also hold embeddings in rows of few bits, by which they are searched.

    Attributes
    ----------
    lists, extra : InvertedLists
    centroids : tuple of Segment, or ListCentres
        One code a list, or one embedding.
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
    by_means : bool
        Whether codes are clustered for float queries, by means instead of majorities of bits.
    tables : tuple of InvertedTable, InvertedTable or None, and CodeTable or CentreTable
        Lists, the list of later codes where it has some, and centroids, for the kernels.
    """

    lists: InvertedLists
    extra: InvertedLists
    centroids: tuple[Segment, ...] | ListCentres
    alive: Array
    n_codes: int
    top: float | None
    n_made: int | None = None
    n_clustered: int | None = None
    n_joined: int = 0
    by_means: bool = False
    tables: Tables = field(init=False)
    _allowed: AllowedLists = field(init=False, repr=False)

    def __post_init__(self) -> None:
        extra = self.extra.table(self.n_codes)  # also where it is empty, which checks it
        centroids = self.centroids
        around = centroids.table if isinstance(centroids, ListCentres) else code_table(self.n_bits, centroids)
        tables = (self.lists.table(self.n_codes), extra if self.extra.alive.any() else None, around)
        object.__setattr__(self, "tables", tables)
        where = ListedBits(self.alive, self.extra)
        sizes = (self.n_bits, self.n_codes, self.n_lists, self.lists.nbytes())
        object.__setattr__(self, "_allowed", AllowedLists(tables, extra, where, *sizes))

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
            self.by_means,
        )

    @classmethod
    def build(
        cls,
        codes: BinaryCodes,
        bias: ItemBias | None,
        centroids: BinaryCodes,
        nearest: Array,
        *,
        by_means: bool = False,
    ) -> ListStore:
        """Sort codes into the lists of their nearest centroids.

        Parameters
        ----------
        codes : BinaryCodes of shape (n_codes, n_bits)
        bias : ItemBias of length n_codes, or None
        centroids : BinaryCodes of shape (n_lists, n_bits)
        nearest : ndarray of shape (n_codes,), int64
            List of each code.
        by_means : bool, default=False
            Whether later clusterings go by means.
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
            by_means=by_means,
        )

    @classmethod
    def build_around(
        cls,
        codes: BinaryCodes,
        bias: ItemBias | None,
        embeddings: Array,
        quantiser: RowQuantiser,
        n_lists: int,
        *,
        rng: np.random.Generator,
        n_threads: int = 1,
    ) -> ListStore:
        """Sort codes, and embeddings in rows of few bits, into the lists of the nearest centres of embeddings.

        Parameters
        ----------
        codes : BinaryCodes of shape (n_codes, n_bits)
        bias : ItemBias of length n_codes, or None
        embeddings : ndarray of shape (n_codes, width), float32 or float16
        quantiser : RowQuantiser
            Writes the rows.
        n_lists : int
        rng : numpy Generator
        n_threads : int, default=1
        """

        def some(entries: Array) -> Array:
            return np.ascontiguousarray(embeddings[entries], np.float32)

        n = len(codes)
        floats, nearest = clustered(some, n, n_lists, rng=rng, n_threads=n_threads)
        centres = ListCentres.build(floats, quantiser)
        rows, squares = centres.rows_of(embeddings, nearest, n_threads)
        centres = centres.with_radii(radii_of(nearest, squares, n_lists))
        penalty = None if bias is None else bias.penalty
        return cls(
            InvertedLists.build(codes, penalty, np.arange(n, dtype=np.int32), nearest, n_lists, rows),
            InvertedLists.empty(codes.n_bits, biased=bias is not None, row_bytes=quantiser.n_bytes),
            centres,
            pack_mask(np.ones(n, bool)),
            n,
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
        centroids: Any = ListCentres.of_file(saved, n_lists)
        if centroids is None:
            fits = fits and len(sections["centroids.words"]) == _native.words_of(n_lists, n_bits)
            centroids = tuple(cut(sections["centroids.words"], None, None, n_lists, n_bits))
        lists, extra = (InvertedLists.of_file(name, saved) for name in ("lists", "extra"))
        row_bytes = centroids.quantiser.n_bytes if isinstance(centroids, ListCentres) else None
        if not fits or not row_bytes == lists.row_bytes == extra.row_bytes:
            raise ArtifactDamagedError(f"{saved.path}: its sections do not fit {n_lists} lists")
        return cls(
            lists,
            extra,
            centroids,
            sections["alive"],
            n_codes,
            header.top,
            header.n_made,
            by_means=bool(saved.settings.get("float_queries", 0)),
        )

    def contents(self) -> Contents:
        """Return the sections of a file for the lists."""
        made = {} if self.n_made is None else {"n_made": self.n_made}
        if isinstance(self.centroids, ListCentres):
            values, around = self.centroids.contents()
        else:
            values, around = {}, {"centroids.words": [segment.words for segment in self.centroids]}
        return Contents(
            {
                "n_bits": self.n_bits,
                "n_codes": self.n_codes,
                "n_lists": self.n_lists,
                "top": self.top,
                **made,
                **values,
            },
            {
                "alive": [self.alive],
                **around,
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
        read: tuple[Any, Any, Any] = self.tables if tables is None else tables
        n_read = self._read(n_probe)
        if isinstance(queries, BinaryCodes):
            return _native.search_inverted_codes(*read, n_read, queries.packed, arguments)
        lists, extra, centroids = read
        means = self.means if n_read < len(centroids) <= _MOST_MEANS else None
        return _native.search_inverted_floats(
            lists, extra, centroids, means, n_read, queries, query_bits, arguments
        )

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
        read: tuple[Any, Any, Any] = self.tables if tables is None else tables
        return _native.search_inverted_hierarchical(
            *read,
            self._read(n_probe),
            queries.codes.packed,
            queries.embeddings,
            stages,
            arguments,
        )

    def ranked(
        self,
        queries: Array,
        n_refined: int,
        floats: Array | None,
        scale: Array | None,
        arguments: _native.SearchArguments,
        *,
        n_probe: int,
        tables: Tables,
    ) -> tuple[Any, ...]:
        """Search lists around embeddings by their rows; floats, if any, rank the best ``n_refined``."""
        assert isinstance(self.centroids, ListCentres)
        lists, extra, centres = tables
        assert isinstance(centres, _native.CentreTable)
        return _native.search_listed(
            lists,
            extra,
            centres,
            self._read(n_probe),
            self.centroids.for_queries,
            queries,
            n_refined,
            floats,
            scale,
            arguments,
        )

    def added(
        self, codes: BinaryCodes, bias: ItemBias | None, embeddings_of: EmbeddingsOf | None = None
    ) -> ListStore:
        """Return the state with more codes at the end; for ``embeddings_of`` see :meth:`updated`."""
        positions = np.arange(len(self), len(self) + len(codes))
        return self._changed(codes, bias, positions, len(self) + len(codes), embeddings_of)

    def updated(
        self,
        positions: Array,
        codes: BinaryCodes,
        bias: ItemBias | None,
        embeddings_of: EmbeddingsOf | None = None,
    ) -> ListStore:
        """Return the state with other codes at ``positions``, which are distinct and in range.

        ``embeddings_of`` returns the embeddings of some positions, new ones for those that change, where the lists
        are made around embeddings.
        """
        return self._changed(codes, bias, positions, len(self), embeddings_of)

    def removed(self, positions: Array) -> ListStore:
        """Return the state without the codes at ``positions``, which are in range."""
        gone = np.zeros(len(self), bool)
        gone[positions] = True
        alive = pack_mask(self.alive_mask() & ~gone)
        changed = replace(self, lists=self.lists.without(gone), extra=self.extra.without(gone), alive=alive)
        return changed._after(self, np.empty(0, np.int64))

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

    @cached_property
    def means(self) -> _native.ListMeans:
        """The means of the codes of each list, by which lists are chosen for float queries; made for the first of these."""
        return _native.ListMeans(self.tables[0])

    def nbytes(self) -> int:
        """Return the bytes of the lists and centroids, and of the means if there are any yet."""
        if isinstance(self.centroids, ListCentres):
            around = self.centroids.nbytes()
        else:
            around = sum(segment.words.nbytes for segment in self.centroids)
        means = self.__dict__.get("means")
        for_floats = 0 if means is None else means.n_bytes + len(self.lists.alive)
        return self.lists.nbytes() + self.extra.nbytes() + around + for_floats

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

    def rows(self, positions: Array) -> tuple[Array, Array]:
        """Return rows, and their lists, of some positions that were not removed; ``extra`` is list ``n_lists``."""
        slots = self._slots[positions]
        assert self.lists.rows is not None
        assert self.extra.rows is not None
        rows = np.empty((len(slots), self.lists.rows.shape[1]), np.uint8)
        lists = np.full(len(slots), self.n_lists, np.int64)
        (_, old, places), (_, new, later) = self._by_lists(slots)
        rows[old], rows[new] = self.lists.rows[places], self.extra.rows[later]
        lists[old] = self._list_of_block[places // _native.BLOCK]
        return rows, lists

    @cached_property
    def _list_of_block(self) -> Array:
        return np.repeat(np.arange(self.n_lists), np.diff(self.lists.first_blocks))

    def _changed(
        self,
        codes: BinaryCodes,
        bias: ItemBias | None,
        positions: Array,
        n_codes: int,
        embeddings_of: EmbeddingsOf | None,
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
        rows = None
        if isinstance(self.centroids, ListCentres) and self.extra.rows is not None:
            assert embeddings_of is not None
            later = np.full(int(new.sum()), self.n_lists)
            written, _ = self.centroids.rows_of(embeddings_of(positions[new]), later)
            rows = np.concatenate([self.extra.rows[kept], written])
        extra = InvertedLists.build(
            BinaryCodes(packed, codes.n_bits), both, places, np.zeros(len(places), np.int64), 1, rows
        )
        changed = replace(
            self, lists=self.lists.without(replaced), extra=extra, alive=pack_mask(alive), n_codes=n_codes
        )
        changed._after(self, positions[positions < len(self)])
        waiting = int(np.bitwise_count(extra.alive).sum())
        listed = int(np.bitwise_count(changed.lists.alive).sum())
        return changed._merged(embeddings_of) if is_due(waiting, listed) else changed

    def _after(self, before: ListStore, moved: Array) -> ListStore:
        """Take over what the state before had packed for filters; codes at ``moved`` are others now."""
        same_lists = before.lists.words is self.lists.words
        if same_lists and "means" in before.__dict__:
            self.__dict__["means"] = before.means  # nearly those of the codes that are left
        self._allowed.follow(before._allowed, moved, same_lists=same_lists)
        return self

    def _merged(self, embeddings_of: EmbeddingsOf | None) -> ListStore:
        """Return the state with later codes in the lists of their nearest centroids; long lists are split."""
        old, new = (np.flatnonzero(lists.alive_mask()) for lists in (self.lists, self.extra))
        positions = np.concatenate([self.lists.positions[old], self.extra.positions[new]])
        codes = BinaryCodes(np.concatenate([self.lists.codes_of(old), self.extra.codes_of(new)]), self.n_bits)
        n_clustered = len(old) if self.n_clustered is None else self.n_clustered
        anew = is_due_anew(self.n_joined + len(new), n_clustered)
        penalty = rows = None
        if self.lists.penalty is not None and self.extra.penalty is not None:
            penalty = np.concatenate([self.lists.penalty[old], self.extra.penalty[new]])
        order = np.argsort(positions)  # the lists do not depend on the order of earlier changes
        if isinstance(self.centroids, ListCentres):
            assert embeddings_of is not None
            sources, places = embeddings_of, positions[order]
            listed = vector_growth.ListedRows(self.centroids, *self.rows(places)[::-1])
            result = vector_growth.grown(listed, lambda entries: sources(places[entries]), anew=anew)
            nearest, rows, around = result.lists, result.rows, result.centres
            n_lists = around.n_lists
            centroids: tuple[Segment, ...] | ListCentres = around
        else:
            before = ListedCodes(
                codes[: len(old)], self._list_of_block[old // _native.BLOCK], self._centroid_codes()
            )
            found = grown(before, codes[len(old) :], anew=anew, by_means=self.by_means)
            nearest, n_lists = found.lists[order], len(found.centroids)
            centroids = pack_segments(found.centroids, None)
        lists = InvertedLists.build(
            codes[order],
            None if penalty is None else penalty[order],
            positions[order],
            nearest,
            n_lists,
            rows,
        )
        merged = replace(
            self,
            lists=lists,
            extra=InvertedLists.empty(self.n_bits, biased=penalty is not None, row_bytes=lists.row_bytes),
            centroids=centroids,
            n_made=self.n_lists if self.n_made is None else self.n_made,
            n_clustered=len(order) if anew else n_clustered,
            n_joined=0 if anew else self.n_joined + len(new),
        )
        return merged._after(self, np.empty(0, np.int64))

    def _centroid_codes(self) -> BinaryCodes:
        assert not isinstance(self.centroids, ListCentres)
        packed = [
            unpack_rows(segment.words, self.n_bits, np.arange(segment.n_codes)) for segment in self.centroids
        ]
        return BinaryCodes(np.concatenate(packed), self.n_bits)
