"""Our searches as engines of a measurement."""

from __future__ import annotations

from functools import partial
from tempfile import TemporaryFile
from typing import Any

import numpy as np

from hashgnn._types import Array
from hashgnn.benchmarking.search.contract import N_CANDIDATES, Built, Engine, Rows, Threads
from hashgnn.benchmarking.search.workload import Workload
from hashgnn.codes import BinaryCodes, ItemBias
from hashgnn.index import (
    CandidateFilter,
    EmbeddedCodes,
    HammingIndex,
    HierarchicalIndex,
    InvertedFile,
)
from hashgnn.index._vector_clustering import default_n_vector_lists
from hashgnn.index.row_choice import best_quantiser
from hashgnn.index.stores.embedded_store import is_mapped

_JUDGED = 128  # queries that outcomes are judged by: directions are learned from the others
_ROW_BYTES = 64  # one cache line


def _scanned(
    index: HammingIndex | InvertedFile,
    queries: BinaryCodes | Array,
    n_threads: int,
    compares: str,
    **breadth: Any,
) -> Built:
    def search(rows: Rows, k: int, candidates: CandidateFilter | None = None) -> Array:
        return index.search(queries[rows], k, candidates=candidates, n_threads=n_threads).positions

    return Built(search, index.nbytes, compares, search_filtered=search, **breadth)


def _by_codes(bias: ItemBias | None) -> str:
    return "codes" if bias is None else "biased codes"


def _hamming(data: Workload, k: int, threads: Threads) -> Built:
    return _scanned(HammingIndex(data.item_codes), data.query_codes, threads.search, "codes")


def _biased(data: Workload, k: int, threads: Threads) -> Built:
    index = HammingIndex(data.item_codes, data.item_bias)
    return _scanned(index, data.query_codes, threads.search, "biased codes")


def _asymmetric(data: Workload, k: int, threads: Threads) -> Built:
    index = HammingIndex(data.item_codes, data.scored_bias)
    return _scanned(index, data.float_queries, threads.search, "float queries")


def _lists(data: Workload, n_threads: int, *, float_queries: bool = False) -> InvertedFile:
    return InvertedFile(data.item_codes, data.scored_bias, float_queries=float_queries, n_threads=n_threads)


def _inverted(data: Workload, k: int, threads: Threads) -> Built:
    index = _lists(data, threads.build)
    compares = _by_codes(data.scored_bias)
    return _scanned(index, data.query_codes, threads.search, compares, **_breadth(index, index.n_lists))


def _breadth(index: InvertedFile | HierarchicalIndex, n_lists: int) -> dict[str, Any]:
    """Return a function that sets the number of lists that a search scans."""
    return {"set_breadth": partial(setattr, index, "n_probe"), "breadths": (1, n_lists)}


def _asymmetric_lists(data: Workload, k: int, threads: Threads) -> Built:
    index = _lists(data, threads.build, float_queries=True)
    index.search(data.float_queries[:1], 1)  # makes what lists are chosen by, which counts as its bytes
    breadth = _breadth(index, index.n_lists)
    return _scanned(index, data.float_queries, threads.search, "float queries", **breadth)


def _hierarchical(data: Workload, k: int, threads: Threads) -> Built:
    scan = HierarchicalIndex(HammingIndex(data.item_codes, data.scored_bias), data.items, dtype="float16")
    search = _Reranked(scan, data, threads.search)
    return Built(
        search,
        scan.nbytes,
        "floats",
        set_candidates=partial(setattr, search, "n_candidates"),
        candidates=N_CANDIDATES,
        search_filtered=search,
    )


def _hierarchical_lists(data: Workload, k: int, threads: Threads) -> Built:
    """Build lists around embeddings, with rows of few bits and floats in float16."""
    index = HierarchicalIndex(
        HammingIndex(data.item_codes, data.scored_bias),
        data.items,
        dtype="float16",
        rows=best_quantiser(data.items, _other_queries(data), _ROW_BYTES, k),
        n_lists=default_n_vector_lists(len(data.items)),
        n_threads=threads.build,
    )
    return _ranked(index, data, threads)


def _rows(data: Workload, k: int, threads: Threads, *, n_bytes: int, floats: bool) -> Built:
    """Build lists around embeddings and rows of few bits; floats, if any, lie in a mapped file, as those of a model do."""
    index = HierarchicalIndex.in_lists(
        HammingIndex(data.item_codes, data.scored_bias),
        _mapped(data.items) if floats else data.items,
        best_quantiser(data.items, _other_queries(data), n_bytes, k),
        keeps_floats=floats,
        n_threads=threads.build,
    )
    return _ranked(index, data, threads)


def _ranked(index: HierarchicalIndex, data: Workload, threads: Threads) -> Built:
    search = _Reranked(index, data, threads.search)
    return Built(
        search,
        index.nbytes,
        "floats",
        **_breadth(index, default_n_vector_lists(len(index))),
        set_candidates=partial(setattr, search, "n_candidates") if index.refined else None,
        search_filtered=search,
    )


def _other_queries(data: Workload) -> Array:
    """Return queries that outcomes are not judged by, where there are enough."""
    return data.queries[_JUDGED:] if len(data.queries) > 2 * _JUDGED else data.queries


def _mapped(floats: Array) -> Array:
    """Return the same mapped from a file, which goes when it is not used any more."""
    if is_mapped(floats):
        return floats
    with TemporaryFile() as file:
        floats.tofile(file)
        file.flush()
        return np.memmap(file, floats.dtype, "r", shape=floats.shape)


class _Reranked:
    """A hierarchical search that re-ranks a number of candidates, whatever ``k`` is: by floats, or by rows and floats."""

    def __init__(self, index: HierarchicalIndex, data: Workload, n_threads: int) -> None:
        self.n_candidates = N_CANDIDATES
        self._index, self._n_threads = index, n_threads
        self._queries = EmbeddedCodes(data.query_codes, data.queries)

    def __call__(self, rows: Rows, k: int, candidates: CandidateFilter | None = None) -> Array:
        return self._index.search(
            self._queries[rows],
            k,
            oversampling=max(1, self.n_candidates // k),
            refined=max(1, self.n_candidates // k) if self._index.refined else None,
            candidates=candidates,
            n_threads=self._n_threads,
        ).positions


OURS = (
    Engine("hamming", "hamming", _hamming, is_ours=True),
    Engine("biased", "hamming", _biased, needs_bias=True, is_ours=True),
    Engine("asymmetric", "hamming", _asymmetric, is_ours=True),
    Engine("hierarchical", None, _hierarchical, is_ours=True),
    Engine("inverted-file", "inverted-file", _inverted, is_ours=True),
    Engine("asymmetric-lists", "inverted-file", _asymmetric_lists, is_ours=True),
    Engine("hierarchical-lists", None, _hierarchical_lists, is_ours=True),
    Engine("hierarchical-lists-rows64", None, partial(_rows, n_bytes=64, floats=True), is_ours=True),
    Engine("hierarchical-lists-rows96", None, partial(_rows, n_bytes=96, floats=True), is_ours=True),
    Engine("hierarchical-lists-rows144", None, partial(_rows, n_bytes=144, floats=False), is_ours=True),
)
