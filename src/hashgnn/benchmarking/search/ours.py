"""Our searches as engines of a measurement."""

from __future__ import annotations

from functools import partial
from typing import Any

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
from hashgnn.index.row_choice import best_quantiser
from hashgnn.index.stores.quantised_rows import QuantisedRows

_JUDGED = 128  # queries that outcomes are judged by: directions are learned from the others


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


def _lists(data: Workload, n_threads: int) -> InvertedFile:
    return InvertedFile(data.item_codes, data.scored_bias, n_threads=n_threads)


def _inverted(data: Workload, k: int, threads: Threads) -> Built:
    index = _lists(data, threads.build)
    compares = _by_codes(data.scored_bias)
    return _scanned(index, data.query_codes, threads.search, compares, **_breadth(index, index.n_lists))


def _breadth(index: InvertedFile | HierarchicalIndex, n_lists: int) -> dict[str, Any]:
    """Return a function that sets the number of lists that a search scans."""
    return {"set_breadth": partial(setattr, index, "n_probe"), "breadths": (1, n_lists)}


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
    lists = _lists(data, threads.build)
    return _ranked(HierarchicalIndex(lists, data.items, dtype="float16"), lists, data, threads)


def _rows(data: Workload, k: int, threads: Threads, *, n_bytes: int, floats: bool) -> Built:
    """Build lists and rows of few bits; floats, if any, stay on disk but for those that rank the best."""
    lists = _lists(data, threads.build)
    others = data.queries[_JUDGED:] if len(data.queries) > 2 * _JUDGED else data.queries
    quantiser = best_quantiser(data.items, others, n_bytes, k)
    rows = QuantisedRows.build(quantiser, data.items, threads.build)
    index = HierarchicalIndex.of_checked(lists, data.items if floats else None, rows)
    return _ranked(index, lists, data, threads)


def _ranked(index: HierarchicalIndex, lists: InvertedFile, data: Workload, threads: Threads) -> Built:
    search = _Reranked(index, data, threads.search)
    return Built(
        search,
        index.nbytes,
        "floats",
        **_breadth(index, lists.n_lists),
        set_candidates=partial(setattr, search, "n_candidates"),
        search_filtered=search,
    )


class _Reranked:
    """A hierarchical search that re-ranks a number of candidates, whatever ``k`` is."""

    def __init__(self, index: HierarchicalIndex, data: Workload, n_threads: int) -> None:
        self.n_candidates = N_CANDIDATES
        self._index, self._n_threads = index, n_threads
        self._queries = EmbeddedCodes(data.query_codes, data.queries)

    def __call__(self, rows: Rows, k: int, candidates: CandidateFilter | None = None) -> Array:
        return self._index.search(
            self._queries[rows],
            k,
            oversampling=max(1, self.n_candidates // k),
            candidates=candidates,
            n_threads=self._n_threads,
        ).positions


OURS = (
    Engine("hamming", "hamming", _hamming, is_ours=True),
    Engine("biased", "hamming", _biased, needs_bias=True, is_ours=True),
    Engine("asymmetric", "hamming", _asymmetric, is_ours=True),
    Engine("hierarchical", None, _hierarchical, is_ours=True),
    Engine("inverted-file", "inverted-file", _inverted, is_ours=True),
    Engine("hierarchical-lists", None, _hierarchical_lists, is_ours=True),
    Engine("hierarchical-lists-rows64", None, partial(_rows, n_bytes=64, floats=True), is_ours=True),
    Engine("hierarchical-lists-rows96", None, partial(_rows, n_bytes=96, floats=True), is_ours=True),
    Engine("hierarchical-lists-rows144", None, partial(_rows, n_bytes=144, floats=False), is_ours=True),
)
