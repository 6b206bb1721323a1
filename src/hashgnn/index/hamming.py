"""The exact scan: every code is compared with every query."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np

from hashgnn._checks import check_int
from hashgnn._types import Array
from hashgnn.codes import BinaryCodes, ItemBias
from hashgnn.errors import ParameterError
from hashgnn.index._arguments import as_matches, check_k, check_queries, search_arguments
from hashgnn.index._changes import check_positions
from hashgnn.index._code_store import CodeStore
from hashgnn.index._index_file import reading_index, write_index
from hashgnn.index._store_file import store_contents, store_of
from hashgnn.index.base import CandidateIndex
from hashgnn.ranking import CandidateFilter, Matches

_KIND = "hamming"  # in a saved file


class HammingIndex(CandidateIndex):
    """Exact search over packed codes, with or without an item bias.

    Positions are stable: codes that are added get the next positions, and a removed position is never
    used again. A change makes a new state and then puts it in place of the old one, so that a search at
    the same time sees one of the two; changes wait for one another.

    Parameters
    ----------
    codes : BinaryCodes of shape (n_codes, n_bits)
        ``n_bits`` is at most 1024. They are copied into the layout of the kernels.
    item_bias : ItemBias of length n_codes, or None, default=None
    query_bits : int, default=4
        Levels of a float query: each entry is rounded to one of ``2 ** query_bits``, evenly spaced from
        minus to plus the entry that is largest by absolute value. No entry moves by more than
        ``largest / (2 ** query_bits - 1)``. Where there is an item bias it is rounded to the same step,
        which is then at least 1/128. The search is exact for the rounded query.

    Examples
    --------
    >>> import numpy as np
    >>> codes = BinaryCodes(np.array([[0b00001111], [0b00000111], [0b11110000]], np.uint8))
    >>> found = HammingIndex(codes).search(codes[:1], 2)
    >>> found.positions.tolist(), found.distances.tolist()
    ([[0, 1]], [[0, 1]])
    """

    def __init__(self, codes: BinaryCodes, item_bias: ItemBias | None = None, *, query_bits: int = 4) -> None:
        self._start(CodeStore.build(codes, item_bias), query_bits)

    def _start(self, store: CodeStore, query_bits: int) -> None:
        bits = check_int("query_bits", query_bits, minimum=2, maximum=10)
        if (2**bits - 1) * store.n_bits >= 16384:
            raise ParameterError(
                f"query_bits must keep (2 ** query_bits - 1) * n_bits below 16384, got {bits} "
                f"with n_bits={store.n_bits}"
            )
        self._store, self._query_bits = store, bits
        self._changing = threading.Lock()

    @property
    def n_bits(self) -> int:
        """Width of the stored codes."""
        return self._store.n_bits

    @property
    def has_bias(self) -> bool:
        """Whether the codes have an item bias."""
        return self._store.top is not None

    @property
    def nbytes(self) -> int:
        """Bytes of the codes with their bias and marks of removal."""
        return self._store.nbytes()

    def __len__(self) -> int:
        return len(self._store)

    def __repr__(self) -> str:
        return f"HammingIndex(n={len(self)}, n_bits={self.n_bits}, item_bias={self.has_bias})"

    def codes(self) -> BinaryCodes:
        """Return the codes of all positions, removed ones included, as packed rows; a copy."""
        return self._store.codes()

    def item_bias(self) -> ItemBias | None:
        """Return the item bias of all positions; a copy."""
        return self._store.bias()

    def alive(self) -> Array:
        """Return which positions hold a code, shape (len(self),), bool."""
        return self._store.alive_mask()

    def search(
        self,
        queries: BinaryCodes | Array,
        k: int,
        *,
        candidates: CandidateFilter | None = None,
        biased: bool = True,
        n_threads: int = 1,
    ) -> Matches:
        """Find the ``k`` best codes for each query; see :meth:`CandidateIndex.search`.

        Notes
        -----
        A query costs one pass over the codes. An allow list shorter than a twenty-fourth of the codes is
        followed instead.
        """
        store = self._store
        checked = check_queries(queries, store.n_bits)
        arguments = search_arguments(
            check_k(k, len(store)), n_threads, candidates, biased=biased, top=store.top
        )
        if isinstance(checked, BinaryCodes):
            return as_matches(store.table.search_codes(checked.packed, arguments))
        return as_matches(store.table.search_floats(checked, self._query_bits, arguments))

    def add(self, codes: BinaryCodes, item_bias: ItemBias | None = None) -> Array:
        """Append codes and return their positions, shape (len(codes),), int64."""
        with self._changing:
            first = len(self._store)
            self._store = self._store.added(codes, item_bias)
        return np.arange(first, first + len(codes))

    def update(self, positions: Any, codes: BinaryCodes, item_bias: ItemBias | None = None) -> None:
        """Replace the codes at ``positions``, which must be distinct. A removed position stays removed."""
        with self._changing:
            rows = check_positions(positions, len(self), distinct_for=codes)
            self._store = self._store.updated(rows, codes, item_bias)

    def remove(self, positions: Any) -> None:
        """Never return these positions again. Removing one twice changes nothing."""
        with self._changing:
            self._store = self._store.removed(check_positions(positions, len(self)))

    def save(self, path: str | Path) -> None:
        """Write the index to one file, atomically; the format is described in docs/index-format.md."""
        write_index(Path(path), _KIND, store_contents(self._store), {"query_bits": self._query_bits})

    @classmethod
    def load(cls, path: str | Path, *, verify: bool = False) -> HammingIndex:
        """Open a saved index, memory-mapped.

        Parameters
        ----------
        path : str or Path
        verify : bool, default=False
            Compare the checksum of the codes too, which reads the whole file. The checksum of the header
            is always compared.

        Raises
        ------
        ArtifactError, ArtifactVersionError, ArtifactDamagedError
            If the file is foreign, too new, or truncated or edited.
        """
        index = cls.__new__(cls)
        with reading_index(Path(path), _KIND, verify=verify) as (header, sections, settings):
            index._start(store_of(Path(path), header, sections), settings["query_bits"])
        return index
