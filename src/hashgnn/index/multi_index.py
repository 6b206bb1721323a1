"""Exact search without looking at every code: hash tables over parts of the bits."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hashgnn import _native
from hashgnn._checks import check_int
from hashgnn._types import Array
from hashgnn.codes import BinaryCodes, ItemBias
from hashgnn.index._arguments import as_matches, check_k, check_queries, search_arguments
from hashgnn.index._changes import check_positions
from hashgnn.index._code_store import CodeStore
from hashgnn.index._index_file import reading_index, write_index
from hashgnn.index._store_file import store_contents, store_of
from hashgnn.index.base import CandidateIndex
from hashgnn.ranking import CandidateFilter, Matches

_KIND = "multi-index"  # in a saved file
_MAX_PART = 24  # bits of a part; a table has an entry for each of its values


@dataclass(frozen=True, eq=False)
class _State:
    """Codes, the tables over them, and the positions that joined or changed since the tables were made."""

    store: CodeStore
    tables: _native.HashTables
    extra: Array


class MultiIndexHashing(CandidateIndex):
    """Exact search by multi-index hashing.

    The bits are cut into parts with a hash table each; a code within distance ``d`` of a query is within
    ``d // n_tables`` of it in some part. That pays where the ``k``-th neighbour is near: many codes, few
    bits, small ``k``. A query for which it does not pay is scanned, so that the answer is always exact
    and never takes much longer than that of :class:`HammingIndex`. Float queries are scanned.

    Parameters
    ----------
    codes : BinaryCodes of shape (n_codes, n_bits)
    item_bias : ItemBias of length n_codes, or None, default=None
    n_tables : int or None, default=None
        Parts of at most 24 bits. ``None`` makes parts of about ``log2(n_codes)`` bits. A table takes four
        bytes a code and four for each value of its part.
    query_bits : int, default=4
        As for :class:`HammingIndex`.

    References
    ----------
    Norouzi, Punjani and Fleet, *Fast Search in Hamming Space with Multi-Index Hashing*, CVPR 2012.
    """

    def __init__(
        self,
        codes: BinaryCodes,
        item_bias: ItemBias | None = None,
        *,
        n_tables: int | None = None,
        query_bits: int = 4,
    ) -> None:
        part = int(np.clip(np.log2(max(len(codes), 2)), 1, _MAX_PART))
        wanted = -(-codes.n_bits // part) if n_tables is None else n_tables
        size = check_int("n_tables", wanted, minimum=-(-codes.n_bits // _MAX_PART), maximum=codes.n_bits)
        self._start(CodeStore.build(codes, item_bias), codes, size, query_bits)

    def _start(self, store: CodeStore, codes: BinaryCodes, n_tables: int, query_bits: int) -> None:
        self._query_bits = check_int("query_bits", query_bits, minimum=2, maximum=10)
        self._n_tables = n_tables
        self._state = _State(store, _native.HashTables(codes.packed, n_tables), np.empty(0, np.int32))
        self._changing = threading.Lock()

    @property
    def n_bits(self) -> int:
        """Width of the stored codes."""
        return self._state.store.n_bits

    @property
    def nbytes(self) -> int:
        """Bytes of the codes and tables."""
        return self._state.store.nbytes() + self._state.tables.n_bytes

    def __len__(self) -> int:
        return len(self._state.store)

    def __repr__(self) -> str:
        return f"MultiIndexHashing(n={len(self)}, n_bits={self.n_bits}, item_bias={self._state.store.top is not None})"

    def alive(self) -> Array:
        """Return which positions hold a code, shape (len(self),), bool."""
        return self._state.store.alive_mask()

    def search(
        self,
        queries: BinaryCodes | Array,
        k: int,
        *,
        candidates: CandidateFilter | None = None,
        biased: bool = True,
        n_threads: int = 1,
    ) -> Matches:
        """Find the ``k`` best codes for each query; see :meth:`CandidateIndex.search`."""
        state = self._state
        store = state.store
        checked = check_queries(queries, store.n_bits)
        arguments = search_arguments(
            check_k(k, len(store)), n_threads, candidates, biased=biased, top=store.top
        )
        if isinstance(checked, BinaryCodes):
            found = _native.search_hashed(state.tables, store.table, state.extra, checked.packed, arguments)
            return as_matches(found)
        return as_matches(store.table.search_floats(checked, self._query_bits, arguments))

    def add(self, codes: BinaryCodes, item_bias: ItemBias | None = None) -> Array:
        """Append codes and return their positions, shape (len(codes),), int64.

        Codes that are added or updated are compared with every query, until an index is built anew.
        """
        with self._changing:
            first = len(self)
            positions = np.arange(first, first + len(codes))
            self._change(self._state.store.added(codes, item_bias), positions)
        return positions

    def update(self, positions: Any, codes: BinaryCodes, item_bias: ItemBias | None = None) -> None:
        """Replace the codes at ``positions``, which must be distinct. A removed position stays removed."""
        with self._changing:
            rows = check_positions(positions, len(self), distinct_for=codes)
            self._change(self._state.store.updated(rows, codes, item_bias), rows)

    def remove(self, positions: Any) -> None:
        """Never return these positions again. Removing one twice changes nothing."""
        with self._changing:
            store = self._state.store.removed(check_positions(positions, len(self)))
            self._change(store, np.empty(0, np.int64))

    def save(self, path: str | Path) -> None:
        """Write the codes to one file, atomically; the format is described in docs/index-format.md."""
        settings = {"query_bits": self._query_bits, "n_tables": self._n_tables}
        write_index(Path(path), _KIND, store_contents(self._state.store), settings)

    @classmethod
    def load(cls, path: str | Path, *, verify: bool = False) -> MultiIndexHashing:
        """Open a saved index; see :meth:`HammingIndex.load`.

        The codes are memory-mapped. The tables are made anew, over all codes, which takes as long as to build.
        """
        index = cls.__new__(cls)
        with reading_index(Path(path), _KIND, verify=verify) as (header, sections, settings):
            store = store_of(Path(path), header, sections)
            index._start(store, store.codes(), settings["n_tables"], settings["query_bits"])
        return index

    def _change(self, store: CodeStore, positions: Array) -> None:
        extra = np.union1d(self._state.extra, positions).astype(np.int32)
        self._state = _State(store, self._state.tables, extra)
