"""Approximate search by a graph over codes: the one of faiss, behind our contract."""

from __future__ import annotations

import threading

import numpy as np

from hashgnn._checks import check_int, check_threads
from hashgnn._extras import require
from hashgnn._types import Array
from hashgnn.codes import BinaryCodes
from hashgnn.errors import ParameterError
from hashgnn.index._arguments import check_k, check_queries
from hashgnn.index.base import CandidateIndex
from hashgnn.index.stores.embedded_codes import EmbeddedCodes
from hashgnn.ranking import CandidateFilter, Matches


class FaissBinaryHNSW(CandidateIndex):
    """faiss's ``IndexBinaryHNSW``: codes only, without item bias, filters or float queries.

    Ties at the ``k``-th distance are broken as the graph was walked; within the results they go to the
    smaller position. Searches take turns, as faiss keeps the thread count for the whole process.

    Parameters
    ----------
    codes : BinaryCodes of shape (n_codes, n_bits)
    n_links : int, default=32
        Links of a code; more find more and take more memory.
    construction, breadth : int, default=128, 256
        Codes kept in view while the graph is built (``efConstruction``) and searched (``efSearch``).
    n_threads : int, default=1
        Threads that build the graph.

    Raises
    ------
    MissingExtraError
        If faiss is not installed.
    """

    unsupported = frozenset({"item bias", "float queries", "filters", "changes", "saving", "sending"})

    def __init__(
        self,
        codes: BinaryCodes,
        *,
        n_links: int = 32,
        construction: int = 128,
        breadth: int = 256,
        n_threads: int = 1,
    ) -> None:
        self._faiss = require("faiss", extra="benchmark", purpose="FaissBinaryHNSW")
        links = check_int("n_links", n_links, minimum=2)
        self._index = self._faiss.IndexBinaryHNSW(codes.n_bits, links)
        self._index.hnsw.efConstruction = check_int("construction", construction, minimum=1)
        self._breadth = check_int("breadth", breadth, minimum=1)
        self._turn = threading.Lock()
        with self._turn:
            self._faiss.omp_set_num_threads(check_threads(n_threads))
            self._index.add(codes.packed)

    @property
    def n_bits(self) -> int:
        """Width of the stored codes."""
        return int(self._index.d)

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def __repr__(self) -> str:
        return f"FaissBinaryHNSW(n={len(self)}, n_bits={self.n_bits}, breadth={self._breadth})"

    def search(
        self,
        queries: BinaryCodes | EmbeddedCodes | Array,
        k: int,
        *,
        candidates: CandidateFilter | None = None,
        biased: bool = True,
        n_threads: int = 1,
    ) -> Matches:
        """Find ``k`` near codes for each query; see :meth:`CandidateIndex.search`."""
        del biased  # there is no bias to add
        codes = check_queries(queries, self.n_bits)
        if not isinstance(codes, BinaryCodes):
            raise ParameterError("queries must be BinaryCodes for a FaissBinaryHNSW, got an array of floats")
        if candidates is not None:
            raise ParameterError(
                "candidates must be None for a FaissBinaryHNSW; use an InvertedFile to filter"
            )
        size = check_k(k, len(self))
        with self._turn:
            self._faiss.omp_set_num_threads(check_threads(n_threads))
            self._index.hnsw.efSearch = max(self._breadth, size)
            distances, positions = self._index.search(codes.packed, size)
        found = positions >= 0
        keys = np.where(found, distances.astype(np.int64) * len(self) + positions, np.iinfo(np.int64).max)
        order = np.argsort(keys, axis=1, kind="stable")
        positions, distances, found = (
            np.take_along_axis(part, order, 1) for part in (positions, distances, found)
        )
        return Matches(
            positions.astype(np.int64),
            np.where(found, self.n_bits - 2.0 * distances, -np.inf).astype(np.float32),
            found.sum(axis=1),
            np.where(found, distances, -1).astype(np.int32),
        )
