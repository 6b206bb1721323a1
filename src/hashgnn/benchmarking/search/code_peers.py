"""Other libraries that search codes, each set up as its own documentation recommends."""

from __future__ import annotations

import os
from functools import partial
from typing import Any

import numpy as np

from hashgnn._extras import require
from hashgnn._types import Array
from hashgnn.benchmarking.search.contract import Built, Engine, Rows, Threads
from hashgnn.benchmarking.search.machine import has_instructions
from hashgnn.benchmarking.search.workload import Workload
from hashgnn.codes import BinaryCodes
from hashgnn.codes.item_bias import widen_items, widen_queries

HNSW_LINKS = 32
HNSW_CONSTRUCTION = 128
HNSW_BREADTHS = (64, 4096)
TRAINED_A_LIST = 48

_CORE = "OPENBLAS_CORETYPE"


def load_faiss() -> Any:
    """Import faiss, with the products that suit this processor.

    The OpenBLAS that its wheels bring does not know newer processors and multiplies with SSE3 there, so that
    clustering takes twice as long. It reads what to take once, when it is loaded; NumPy's own is loaded by then.
    """
    cores = {"avx512f": "SkylakeX", "avx2": "Haswell"}
    core = next((core for name, core in cores.items() if has_instructions(name)), None)
    is_set = core is None or _CORE in os.environ
    if not is_set:
        os.environ[_CORE] = str(core)
    try:
        return require("faiss", extra="benchmark", purpose="this peer")
    finally:
        if not is_set:
            del os.environ[_CORE]


def faiss_module(n_threads: int) -> Any:
    """Return faiss, set to a number of threads."""
    faiss = load_faiss()
    faiss.omp_set_num_threads(n_threads)
    return faiss


def faiss_search(index: Any, queries: Array, n_threads: int) -> Any:
    """Return the search of a faiss index; the number of threads is set again each time, as it is global."""
    faiss = faiss_module(n_threads)

    def search(rows: Rows, k: int) -> Array:
        faiss.omp_set_num_threads(n_threads)
        found: Array = index.search(queries[rows], k)[1]
        return found

    return search


def faiss_breadth(part: Any, name: str) -> Any:
    """Return a function that sets the breadth of an approximate faiss index."""
    return lambda value: setattr(part, name, value)


def training_rows(rows: Array, n_lists: int) -> Array:
    """Return the sample that the lists are trained on."""
    chosen: Array = rows[np.random.default_rng(0).permutation(len(rows))[: TRAINED_A_LIST * n_lists]]
    return chosen


def list_count(n: int) -> int:
    """Return four square roots of the number of items, as faiss advises."""
    return max(1, int(4 * np.sqrt(n)))


def _flat(items: BinaryCodes, queries: BinaryCodes, threads: Threads, compares: str) -> Built:
    index = faiss_module(threads.build).IndexBinaryFlat(items.n_bits)
    index.add(items.packed)
    return Built(faiss_search(index, queries.packed, threads.search), items.packed.nbytes, compares)


def _binary_flat(data: Workload, k: int, threads: Threads) -> Built:
    return _flat(data.item_codes, data.query_codes, threads, "codes")


def _binary_flat_widened(data: Workload, k: int, threads: Threads) -> Built:
    assert data.item_bias is not None
    items = widen_items(data.item_codes, data.item_bias)
    queries = widen_queries(data.query_codes, items.n_bits - data.n_bits)
    return _flat(items, queries, threads, "biased codes")


def _binary_ivf(data: Workload, k: int, threads: Threads) -> Built:
    faiss = faiss_module(threads.build)
    n, n_lists = len(data.item_codes), list_count(len(data.item_codes))
    quantiser = faiss.IndexBinaryFlat(data.n_bits)
    index = faiss.IndexBinaryIVF(quantiser, data.n_bits, n_lists)
    index.train(training_rows(data.item_codes.packed, n_lists))
    index.add(data.item_codes.packed)
    return Built(
        faiss_search(index, data.query_codes.packed, threads.search),
        (n + n_lists) * data.n_bits / 8 + 8 * n,
        "codes",
        set_breadth=faiss_breadth(index, "nprobe"),
        breadths=(1, n_lists),
    )


def _binary_hnsw(data: Workload, k: int, threads: Threads) -> Built:
    index = faiss_module(threads.build).IndexBinaryHNSW(data.n_bits, HNSW_LINKS)
    index.hnsw.efConstruction = HNSW_CONSTRUCTION
    index.add(data.item_codes.packed)
    return Built(
        faiss_search(index, data.query_codes.packed, threads.search),
        len(data.item_codes) * (data.n_bits / 8 + 8 * HNSW_LINKS),
        "codes",
        set_breadth=faiss_breadth(index.hnsw, "efSearch"),
        breadths=HNSW_BREADTHS,
    )


def _load_usearch() -> Any:
    return require("usearch.index", extra="benchmark", purpose="this peer")


def _usearch(data: Workload, k: int, threads: Threads, *, exact: bool) -> Built:
    usearch = _load_usearch()
    packed, queries = data.item_codes.packed, data.query_codes.packed
    if exact:

        def scan(rows: Rows, size: int) -> Array:
            found = usearch.search(
                packed, queries[rows], size, usearch.MetricKind.Hamming, exact=True, threads=threads.search
            )
            return np.asarray(found.keys).astype(np.int64).reshape(-1, size)

        return Built(scan, packed.nbytes, "codes")
    index = usearch.Index(
        ndim=data.n_bits,
        metric="hamming",
        dtype="b1",
        connectivity=HNSW_LINKS // 2,
        expansion_add=HNSW_CONSTRUCTION,
    )
    index.add(np.arange(len(packed)), packed, threads=threads.build)

    def search(rows: Rows, size: int) -> Array:
        chosen = queries[rows]
        found = index.search(chosen, size, threads=threads.search)
        keys = np.asarray(found.keys).astype(np.int64).reshape(len(chosen), size)
        counts = np.reshape(getattr(found, "counts", size), (-1, 1))
        return np.where(np.arange(size) < counts, keys, -1)

    return Built(
        search,
        float(index.memory_usage),
        "codes",
        set_breadth=faiss_breadth(index, "expansion_search"),
        breadths=HNSW_BREADTHS,
    )


CODE_PEERS = (
    Engine("faiss-binary-flat", "hamming", _binary_flat, load=load_faiss),
    Engine("faiss-binary-flat-widened", "biased", _binary_flat_widened, needs_bias=True, load=load_faiss),
    Engine("faiss-binary-ivf", "inverted-file", _binary_ivf, load=load_faiss),
    Engine("faiss-binary-hnsw", "inverted-file", _binary_hnsw, load=load_faiss),
    Engine("usearch-exact", "hamming", partial(_usearch, exact=True), load=_load_usearch),
    Engine("usearch-hnsw", "inverted-file", partial(_usearch, exact=False), load=_load_usearch),
)
