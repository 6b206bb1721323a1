"""Exact search without looking at every code: hash tables over parts of the bits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hashgnn import _native
from hashgnn._checks import check_int
from hashgnn._types import Array
from hashgnn.codes import BinaryCodes, ItemBias
from hashgnn.errors import ArtifactDamagedError
from hashgnn.index._arguments import check_k, check_queries, check_query_bits, search_arguments
from hashgnn.index.base import MutableIndex
from hashgnn.index.stores.code_store import CodeStore
from hashgnn.index.stores.embedded_codes import EmbeddedCodes
from hashgnn.index.stores.index_file import Contents, SavedIndex
from hashgnn.index.stores.over_codes import OverCodes
from hashgnn.ranking import CandidateFilter, Matches

_MAX_PART = 24  # bits of a part; a table has an entry for each of its values
# Bytes that the tables of a saved file may take: as many in any case, and for each byte of its codes.
_FREE_TABLES = 64 << 20
_GROWTH = 64


@dataclass(frozen=True, eq=False)
class HashedStore(OverCodes[CodeStore]):
    """Codes, the hash tables over them, and the positions that were added or updated after these were made."""

    tables: _native.HashTables
    extra: Array
    n_tables: int

    @classmethod
    def build(cls, store: CodeStore, codes: BinaryCodes, n_tables: int) -> HashedStore:
        """Make the hash tables of codes, which are those of ``store``."""
        return cls(store, _native.HashTables(codes.packed, n_tables), np.empty(0, np.int32), n_tables)

    def __reduce__(self) -> tuple[Any, ...]:
        """Send the codes by value; the tables are made anew from them."""
        return _received, (self.store, self.n_tables)

    def added(self, codes: BinaryCodes, bias: ItemBias | None) -> HashedStore:
        """Return the state with more codes at the end."""
        store = self.store.added(codes, bias)
        return replace(self, store=store, extra=self._extra_with(np.arange(len(self), len(store))))

    def updated(self, positions: Array, codes: BinaryCodes, bias: ItemBias | None) -> HashedStore:
        """Return the state with other codes at ``positions``, which are distinct and in range."""
        store = self.store.updated(positions, codes, bias)
        return replace(self, store=store, extra=self._extra_with(positions))

    def nbytes(self) -> int:
        """Return the bytes of the codes and tables."""
        return self.store.nbytes() + int(self.tables.n_bytes)

    def contents(self) -> Contents:
        """Return the sections of a file: the codes. Tables are rebuilt from them."""
        return self.store.contents()

    def _extra_with(self, positions: Array) -> Array:
        return np.union1d(self.extra, positions).astype(np.int32)


def _received(store: CodeStore, n_tables: int) -> HashedStore:
    return HashedStore.build(store, store.codes(), n_tables)


class MultiIndexHashing(MutableIndex[HashedStore]):
    """Exact search by multi-index hashing.

    The bits are cut into parts with a hash table each. A code within distance ``d`` of a query is within
    ``d // n_tables`` of it in some part. That pays where the ``k``-th neighbour is near: many codes, few
    bits, small ``k``. A query for which it does not pay is scanned. The answer is always exact and never
    takes much longer than that of :class:`HammingIndex`. Float queries are scanned.

    Codes that are added or updated are compared with every query, until an index is built anew. A saved
    file holds the codes; :meth:`load` makes the tables again, which takes as long as to build them.

    Parameters
    ----------
    codes : BinaryCodes of shape (n_codes, n_bits)
    item_bias : ItemBias of length n_codes, or None, default=None
    n_tables : int or None, default=None
        Parts of at most 24 bits. ``None`` makes parts of about ``log2(n_codes)`` bits. A table takes four
        bytes a code and four for each value of its part.
    query_bits : int, default=4
        As for :class:`HammingIndex`.

    See Also
    --------
    HammingIndex : The same answers by a scan.

    References
    ----------
    Norouzi, Punjani and Fleet, *Fast Search in Hamming Space with Multi-Index Hashing*, CVPR 2012.
    """

    kind = "multi-index"

    def __init__(
        self,
        codes: BinaryCodes,
        item_bias: ItemBias | None = None,
        *,
        n_tables: int | None = None,
        query_bits: int = 4,
    ) -> None:
        part = int(np.clip(np.log2(max(len(codes), 2)), 1, _MAX_PART))
        size = -(-codes.n_bits // part) if n_tables is None else n_tables
        self._n_tables = _check_n_tables(size, codes.n_bits)
        self._query_bits = check_query_bits(query_bits, codes.n_bits)
        self._begin(HashedStore.build(CodeStore.build(codes, item_bias), codes, self._n_tables))

    def __repr__(self) -> str:
        return f"MultiIndexHashing(n={len(self)}, n_bits={self.n_bits}, item_bias={self.has_bias})"

    def search(
        self,
        queries: BinaryCodes | EmbeddedCodes | Array,
        k: int,
        *,
        candidates: CandidateFilter | None = None,
        biased: bool = True,
        n_threads: int = 1,
    ) -> Matches:
        """Find the ``k`` best codes for each query; see :meth:`CandidateIndex.search`."""
        state = self._state
        checked = check_queries(queries, state.n_bits)
        arguments = search_arguments(
            check_k(k, len(state)), n_threads, candidates, biased=biased, top=state.top
        )
        if not isinstance(checked, BinaryCodes):
            return Matches(*state.store.search(checked, self._query_bits, arguments))
        return Matches(
            *_native.search_hashed(state.tables, state.store.table, state.extra, checked.packed, arguments)
        )

    def _settings(self) -> Mapping[str, int]:
        return {"query_bits": self._query_bits, "n_tables": self._n_tables}

    def _restore(self, saved: SavedIndex) -> None:
        store = CodeStore.of_file(saved)
        self._n_tables = _check_n_tables(saved.settings["n_tables"], store.n_bits)
        self._query_bits = check_query_bits(saved.settings["query_bits"], store.n_bits)
        part = -(-store.n_bits // self._n_tables)
        table_bytes = 4 * self._n_tables * ((1 << part) + len(store))
        if table_bytes > max(_FREE_TABLES, _GROWTH * (store.nbytes() + len(store))):
            raise ArtifactDamagedError(
                f"{saved.path}: its n_tables must keep hash tables within {_GROWTH} times the codes, "
                f"got {self._n_tables} tables of {table_bytes} bytes together"
            )
        self._begin(HashedStore.build(store, store.codes(), self._n_tables))


def _check_n_tables(value: int, n_bits: int) -> int:
    return check_int("n_tables", value, minimum=-(-n_bits // _MAX_PART), maximum=n_bits)
