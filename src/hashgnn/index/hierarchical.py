"""Coarse to fine: candidates by code, re-ranked by floats."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hashgnn import _native
from hashgnn._checks import check_choice, check_int, check_matrix
from hashgnn._types import Array
from hashgnn.codes import BinaryCodes, ItemBias
from hashgnn.errors import ParameterError
from hashgnn.index._arguments import as_matches, check_k, check_queries, search_arguments
from hashgnn.index._changes import check_positions
from hashgnn.index._code_store import CodeStore
from hashgnn.index._hierarchical_file import hierarchical_contents, hierarchical_of
from hashgnn.index._index_file import reading_index, write_index
from hashgnn.index._list_state import ListState
from hashgnn.index._tuning import check_sample, last_products, least, least_integer
from hashgnn.index.hamming import HammingIndex
from hashgnn.index.inverted_file import InvertedFile
from hashgnn.ranking import CandidateFilter, Matches

_KIND = "hierarchical"  # in a saved file
_DTYPES = ("float32", "float16", "int8")
_SLACK = 1e-5  # sums of floats differ by their order, relative to the last


@dataclass(frozen=True, eq=False)
class _State:
    """Codes, in a row or in lists, and the embedding of each position; int8 rows have a scale each."""

    codes: CodeStore | ListState
    rows: Array
    scale: Array | None


class HierarchicalIndex:
    """Search by code, then re-rank the best by inner product of embeddings.

    It takes the codes as they are when it is made; later changes go through its own :meth:`add`,
    :meth:`update` and :meth:`remove`, and a search at the same time sees all of a change or nothing.

    Parameters
    ----------
    index : HammingIndex or InvertedFile
        Finds the candidates, with the item bias where it has one: the scan the best there are, an inverted
        file those of its nearest lists, which takes a small part of the time on millions of codes.
    embeddings : ndarray of shape (len(index), width), float32 or float16
        Used in place where it has the dtype already, so it may be memory-mapped.
    dtype : {"float32", "float16", "int8"}, default="float32"
        How the embeddings are kept. float16 halves the memory; int8 keeps one scale a row beside, and an
        entry is off by at most half a step of ``largest / 127`` of its row.

    Examples
    --------
    >>> import numpy as np
    >>> vectors = np.array([[1.0, 1.0], [1.0, 3.0], [-1.0, -1.0]], np.float32)
    >>> codes = BinaryCodes(np.packbits(np.repeat(vectors > 0, 4, axis=1), axis=1))
    >>> index = HierarchicalIndex(HammingIndex(codes), vectors)
    >>> index.search(codes[:1], vectors[:1], 1, oversampling=2).positions.tolist()
    [[1]]
    """

    def __init__(
        self, index: HammingIndex | InvertedFile, embeddings: Array, *, dtype: str = "float32"
    ) -> None:
        if not isinstance(index, HammingIndex | InvertedFile):
            raise ParameterError(
                f"index must be a HammingIndex or an InvertedFile, got {type(index).__name__}"
            )
        check_choice("dtype", dtype, _DTYPES)
        codes = index._state if isinstance(index, InvertedFile) else index._store
        self._n_probe = index.n_probe if isinstance(index, InvertedFile) else None
        self._dtype = dtype
        self._state = _State(codes, *_kept(embeddings, dtype, len(codes)))
        self._changing = threading.Lock()

    @property
    def n_bits(self) -> int:
        """Width of the stored codes."""
        return self._state.codes.n_bits

    @property
    def n_probe(self) -> int | None:
        """Lists that a query looks into, at first those of the inverted file; None: all codes are scanned."""
        return self._n_probe

    @n_probe.setter
    def n_probe(self, value: int) -> None:
        if self._n_probe is None:
            raise ParameterError(f"n_probe is for candidates from an InvertedFile, got {value!r} for a scan")
        self._n_probe = check_int("n_probe", value, minimum=1)

    @property
    def nbytes(self) -> int:
        """Bytes of the codes, their bias and the embeddings."""
        state = self._state
        return state.codes.nbytes() + state.rows.nbytes + (0 if state.scale is None else state.scale.nbytes)

    def __len__(self) -> int:
        return len(self._state.codes)

    def alive(self) -> Array:
        """Return which positions hold a code, shape (len(self),), bool."""
        return self._state.codes.alive_mask()

    def search(
        self,
        queries: BinaryCodes,
        query_embeddings: Array,
        k: int,
        *,
        oversampling: int = 5,
        candidates: CandidateFilter | None = None,
        biased: bool = True,
        n_threads: int = 1,
    ) -> Matches:
        """Find the ``k`` best by inner product among the ``k * oversampling`` best by code.

        Parameters
        ----------
        queries : BinaryCodes of shape (n_queries, n_bits)
        query_embeddings : ndarray of shape (n_queries, width), float32
        k : int
            Results a query, ``1 <= k <= len(self)``.
        oversampling : int, default=5
            Candidates by code for each result. More finds more of what exhaustive floats would.
        candidates, biased, n_threads
            As for :meth:`HammingIndex.search`.

        Returns
        -------
        Matches
            Scores are inner products; the same on every processor, as products are added in one order.
        """
        return self._search(
            queries, query_embeddings, k, oversampling, self._n_probe, candidates, biased, n_threads
        )

    def tune(
        self,
        queries: BinaryCodes,
        query_embeddings: Array,
        k: int,
        *,
        index_recall: float = 0.95,
        n_threads: int = 1,
    ) -> int:
        """Return the least ``oversampling`` that finds the asked share of the best by floats.

        Over an inverted file ``n_probe`` is set as well, to the least power of two that finds as much. Every
        embedding is read once for each block of queries, as an exhaustive search does.

        Parameters
        ----------
        queries, query_embeddings
            A sample of the queries to come, as for :meth:`search`; some tens are enough.
        k : int
        index_recall : float, default=0.95
            Share of the exact best ``k`` by inner product to be found, on average, in ``(0, 1]``.

        Examples
        --------
        >>> import numpy as np
        >>> vectors = np.random.default_rng(0).standard_normal((200, 16)).astype(np.float32)
        >>> codes = BinaryCodes.from_signs(vectors)
        >>> index = HierarchicalIndex(HammingIndex(codes), vectors)
        >>> index.tune(codes[:20], vectors[:20], 10, index_recall=0.8)
        7
        """
        wanted, state = check_sample(queries, index_recall), self._state
        n_lists = len(state.codes.centroids) if isinstance(state.codes, ListState) else None
        first = self._search(queries, query_embeddings, k, 1, n_lists, None, True, n_threads)
        vectors = np.asarray(query_embeddings, np.float32)
        size = first.positions.shape[1]
        last = last_products(vectors, state.rows, state.scale, state.codes.alive_mask(), size)
        last -= _SLACK * np.abs(last)

        def reached(oversampling: int, n_probe: int | None) -> float:
            found = self._search(queries, query_embeddings, k, oversampling, n_probe, None, True, n_threads)
            is_found = (found.scores >= last[:, None]) & (found.positions >= 0)
            return float(is_found.sum() / max(1, int(first.counts.sum())))

        largest = -(-len(state.codes) // size)
        oversampling = least_integer(lambda value: reached(value, n_lists), wanted, largest)
        if n_lists is not None:
            self.n_probe, _ = least(lambda value: reached(oversampling, value), wanted, n_lists)
        return oversampling

    def add(self, codes: BinaryCodes, embeddings: Array, item_bias: ItemBias | None = None) -> Array:
        """Append codes with their embeddings; return their positions, shape (len(codes),), int64.

        The embeddings are copied whole for a change: bring many changes together.
        """
        with self._changing:
            state = self._state
            rows, scale = self._new_rows(embeddings, len(codes))
            first = len(state.codes)
            scales = None if state.scale is None or scale is None else np.concatenate([state.scale, scale])
            self._state = _State(
                state.codes.added(codes, item_bias), np.concatenate([state.rows, rows]), scales
            )
        return np.arange(first, first + len(codes))

    def update(
        self, positions: Any, codes: BinaryCodes, embeddings: Array, item_bias: ItemBias | None = None
    ) -> None:
        """Replace codes and embeddings at distinct ``positions``. A removed position stays removed."""
        with self._changing:
            state = self._state
            at = check_positions(positions, len(state.codes), distinct_for=codes)
            rows, scale = self._new_rows(embeddings, len(codes))
            changed = np.array(state.rows)
            changed[at] = rows
            scales = None
            if state.scale is not None and scale is not None:
                scales = state.scale.copy()
                scales[at] = scale
            self._state = _State(state.codes.updated(at, codes, item_bias), changed, scales)

    def remove(self, positions: Any) -> None:
        """Never return these positions again. Removing one twice changes nothing."""
        with self._changing:
            state = self._state
            codes = state.codes.removed(check_positions(positions, len(state.codes)))
            self._state = _State(codes, state.rows, state.scale)

    def save(self, path: str | Path) -> None:
        """Write codes and embeddings to one file, atomically; the format is described in docs/index-format.md."""
        state, settings = self._state, {} if self._n_probe is None else {"n_probe": self._n_probe}
        write_index(Path(path), _KIND, hierarchical_contents(state.codes, state.rows, state.scale), settings)

    @classmethod
    def load(cls, path: str | Path, *, verify: bool = False) -> HierarchicalIndex:
        """Open a saved index, memory-mapped; see :meth:`HammingIndex.load`."""
        index = cls.__new__(cls)
        with reading_index(Path(path), _KIND, verify=verify) as (header, sections, settings):
            index._state = _State(*hierarchical_of(Path(path), header, sections))
            index._dtype, index._n_probe = index._state.rows.dtype.name, None
            if isinstance(index._state.codes, ListState):
                index._n_probe = check_int("n_probe", settings["n_probe"], minimum=1)
        index._changing = threading.Lock()
        return index

    def _search(
        self,
        queries: Any,
        query_embeddings: Any,
        k: Any,
        oversampling: Any,
        n_probe: int | None,
        candidates: Any,
        biased: bool,
        n_threads: Any,
    ) -> Matches:
        state = self._state
        codes = check_queries(queries, self.n_bits)
        if not isinstance(codes, BinaryCodes):
            raise ParameterError(
                "queries must be BinaryCodes for a HierarchicalIndex, got an array of floats"
            )
        vectors = check_matrix(
            "query_embeddings",
            query_embeddings,
            dtype=np.float32,
            n_rows=len(codes),
            n_columns=state.rows.shape[1],
        )
        size = check_k(k, len(state.codes))
        wanted = min(size * check_int("oversampling", oversampling, minimum=1), len(state.codes))
        arguments = search_arguments(size, n_threads, candidates, biased=biased, top=state.codes.top)
        search: Callable[..., Any]
        if isinstance(state.codes, CodeStore):
            search = state.codes.table.search_hierarchical
        else:
            assert n_probe is not None
            search = partial(_native.search_inverted_hierarchical, *state.codes.tables(), n_probe)
        return as_matches(search(codes.packed, vectors, state.rows, state.scale, wanted, arguments))

    def _new_rows(self, embeddings: Array, n_codes: int) -> tuple[Array, Array | None]:
        rows, scale = _kept(embeddings, self._dtype, n_codes)
        if rows.shape[1] != self._state.rows.shape[1]:
            raise ParameterError(
                f"embeddings must have {self._state.rows.shape[1]} columns like the index, got {rows.shape[1]}"
            )
        return rows, scale


def _kept(embeddings: Any, dtype: str, n_codes: int) -> tuple[Array, Array | None]:
    array = np.asarray(embeddings)
    if array.dtype == np.float16 and dtype == "float16":
        rows = check_matrix("embeddings", array, dtype=np.float16, n_rows=n_codes)
        return rows, None
    floats = check_matrix("embeddings", array, dtype=np.float32, n_rows=n_codes)
    if dtype == "float32":
        return floats, None
    if dtype == "float16":
        largest = float(np.abs(floats).max(initial=0.0))
        if largest > float(np.finfo(np.float16).max):
            raise ParameterError(f"embeddings must be at most 65504 for dtype='float16', got {largest:g}")
        return floats.astype(np.float16), None
    scale = np.abs(floats).max(axis=1, initial=0.0) / np.float32(127)
    steps = np.divide(floats, scale[:, None], out=np.zeros_like(floats), where=scale[:, None] > 0)
    return np.rint(steps).astype(np.int8), scale.astype(np.float32)
