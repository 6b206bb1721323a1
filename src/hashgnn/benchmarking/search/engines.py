"""Our searches as engines of a measurement."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from hashgnn.benchmarking.search.catalogue import Catalogue
from hashgnn.benchmarking.search.engine import N_CANDIDATES, Built, Engine, Rows
from hashgnn.codes import BinaryCodes, ItemBias
from hashgnn.index import CandidateFilter, CandidateIndex, HammingIndex, HierarchicalIndex, InvertedFile

Array = np.ndarray[Any, Any]


def _scanned(
    index: HammingIndex | InvertedFile,
    queries: BinaryCodes | Array,
    n_threads: int,
    compares: str,
    **breadth: Any,
) -> Built:
    def search(rows: Rows, k: int, candidates: CandidateFilter | None = None) -> Array:
        found: CandidateIndex = index
        return found.search(queries[rows], k, candidates=candidates, n_threads=n_threads).positions

    return Built(search, index.nbytes, compares, search_filtered=search, **breadth)


def _by_codes(bias: ItemBias | None) -> str:
    return "codes" if bias is None else "biased codes"


def _hamming(data: Catalogue, k: int, n_threads: int) -> Built:
    return _scanned(HammingIndex(data.item_codes), data.query_codes, n_threads, "codes")


def _biased(data: Catalogue, k: int, n_threads: int) -> Built:
    index = HammingIndex(data.item_codes, data.item_bias)
    return _scanned(index, data.query_codes, n_threads, "biased codes")


def _asymmetric(data: Catalogue, k: int, n_threads: int) -> Built:
    index = HammingIndex(data.item_codes, data.scored_bias)
    return _scanned(index, data.float_queries, n_threads, "float queries")


def _lists(data: Catalogue, n_threads: int) -> InvertedFile:
    return InvertedFile(data.item_codes, data.scored_bias, n_threads=n_threads)


def _inverted(data: Catalogue, k: int, n_threads: int) -> Built:
    index = _lists(data, n_threads)
    compares = _by_codes(data.scored_bias)
    return _scanned(index, data.query_codes, n_threads, compares, **_breadth(index, index.n_lists))


def _breadth(index: InvertedFile | HierarchicalIndex, n_lists: int) -> dict[str, Any]:
    """Return what sets how many lists a search looks into."""
    return {"set_breadth": partial(setattr, index, "n_probe"), "breadths": (1, n_lists)}


def _reranked(index: HierarchicalIndex, data: Catalogue, n_threads: int, **breadth: Any) -> Built:
    codes, vectors = data.query_codes, data.queries

    def search(rows: Rows, size: int, candidates: CandidateFilter | None = None) -> Array:
        return index.search(
            codes[rows],
            vectors[rows],
            size,
            oversampling=max(1, N_CANDIDATES // size),
            candidates=candidates,
            n_threads=n_threads,
        ).positions

    return Built(search, index.nbytes, "floats", search_filtered=search, **breadth)


def _hierarchical(data: Catalogue, k: int, n_threads: int) -> Built:
    scan = HammingIndex(data.item_codes, data.scored_bias)
    return _reranked(HierarchicalIndex(scan, data.items, dtype="float16"), data, n_threads)


def _hierarchical_lists(data: Catalogue, k: int, n_threads: int) -> Built:
    lists = _lists(data, n_threads)
    index = HierarchicalIndex(lists, data.items, dtype="float16")
    return _reranked(index, data, n_threads, **_breadth(index, lists.n_lists))


OURS = (
    Engine("hamming", "hamming", _hamming),
    Engine("biased", "hamming", _biased, needs_bias=True),
    Engine("asymmetric", "hamming", _asymmetric),
    Engine("hierarchical", "hierarchical", _hierarchical),
    Engine("inverted-file", "inverted-file", _inverted),
    Engine("hierarchical-lists", "hierarchical", _hierarchical_lists),
)
