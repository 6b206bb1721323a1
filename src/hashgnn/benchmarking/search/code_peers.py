"""What a user would take instead: each peer with the settings that its own documentation gives."""

from __future__ import annotations

from typing import Any

import numpy as np

from hashgnn._extras import require
from hashgnn.benchmarking.search.catalogue import Catalogue
from hashgnn.benchmarking.search.engines import Built, Engine

Array = np.ndarray[Any, Any]

_HNSW_LINKS = 32
_HNSW_CONSTRUCTION = 128
_HNSW_SEARCH = 256
_MATMUL_BLOCK = 65536


def _faiss(n_threads: int) -> Any:
    faiss = require("faiss", extra="benchmark", purpose="this peer")
    faiss.omp_set_num_threads(n_threads)
    return faiss


def _positions(index: Any, queries: Array, k: int, n_threads: int) -> Any:
    faiss = _faiss(n_threads)

    def search(rows: slice) -> Array:
        faiss.omp_set_num_threads(n_threads)
        found: Array = index.search(queries[rows], k)[1]
        return found

    return search


def _binary_flat(data: Catalogue, k: int, n_threads: int) -> Built:
    index = _faiss(n_threads).IndexBinaryFlat(data.n_bits)
    index.add(data.item_codes.packed)
    return Built(_positions(index, data.query_codes.packed, k, n_threads), data.item_codes.packed.nbytes)


def _binary_ivf(data: Catalogue, k: int, n_threads: int) -> Built:
    faiss = _faiss(n_threads)
    n, n_lists = len(data.item_codes), max(1, int(4 * np.sqrt(len(data.item_codes))))
    quantiser = faiss.IndexBinaryFlat(data.n_bits)
    index = faiss.IndexBinaryIVF(quantiser, data.n_bits, n_lists)
    index.train(data.item_codes.packed[np.random.default_rng(0).permutation(n)[: 48 * n_lists]])
    index.add(data.item_codes.packed)
    index.nprobe = min(16, n_lists)
    return Built(_positions(index, data.query_codes.packed, k, n_threads), n * (data.n_bits / 8 + 8))


def _binary_hnsw(data: Catalogue, k: int, n_threads: int) -> Built:
    index = _faiss(n_threads).IndexBinaryHNSW(data.n_bits, _HNSW_LINKS)
    index.hnsw.efConstruction, index.hnsw.efSearch = _HNSW_CONSTRUCTION, max(_HNSW_SEARCH, k)
    index.add(data.item_codes.packed)
    n_bytes = len(data.item_codes) * (data.n_bits / 8 + 8 * _HNSW_LINKS)
    return Built(_positions(index, data.query_codes.packed, k, n_threads), n_bytes)


def _flat_ip(data: Catalogue, k: int, n_threads: int) -> Built:
    index = _faiss(n_threads).IndexFlatIP(data.items.shape[1])
    index.add(data.items)
    return Built(_positions(index, data.queries, k, n_threads), data.items.nbytes)


def _hnsw(data: Catalogue, k: int, n_threads: int) -> Built:
    faiss = _faiss(n_threads)
    index = faiss.IndexHNSWFlat(data.items.shape[1], _HNSW_LINKS, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction, index.hnsw.efSearch = _HNSW_CONSTRUCTION, max(_HNSW_SEARCH, k)
    index.add(data.items)
    return Built(
        _positions(index, data.queries, k, n_threads),
        data.items.nbytes + len(data.items) * 8 * _HNSW_LINKS,
    )


def _ivfpq(data: Catalogue, k: int, n_threads: int) -> Built:
    faiss = _faiss(n_threads)
    n, n_lists = len(data.items), max(1, int(4 * np.sqrt(len(data.items))))
    half = data.items.shape[1] // 2
    index = faiss.index_factory(
        data.items.shape[1], f"IVF{n_lists},PQ{half}x4fs,RFlat", faiss.METRIC_INNER_PRODUCT
    )
    index.train(data.items[np.random.default_rng(0).permutation(n)[: 48 * n_lists]])
    index.add(data.items)
    index.k_factor = 5
    faiss.extract_index_ivf(index.base_index).nprobe = min(16, n_lists)
    return Built(_positions(index, data.queries, k, n_threads), n * half / 2 + data.items.nbytes)


def _matmul(data: Catalogue, k: int, n_threads: int) -> Built:
    del n_threads  # as NumPy was told by the environment

    def search(rows: slice) -> Array:
        queries, found, scores = data.queries[rows], [], []
        for start in range(0, len(data.items), _MATMUL_BLOCK):
            products = queries @ data.items[start : start + _MATMUL_BLOCK].T
            size = min(k, products.shape[1])
            best = np.argpartition(products, -size, axis=1)[:, -size:]
            found.append(best + start)
            scores.append(np.take_along_axis(products, best, 1))
        positions, values = np.hstack(found), np.hstack(scores)
        order = np.argsort(-values, axis=1, kind="stable")[:, :k]
        return np.take_along_axis(positions, order, 1)

    return Built(search, data.items.nbytes)


def _usearch(data: Catalogue, k: int, n_threads: int, *, exact: bool) -> Built:
    usearch = require("usearch.index", extra="benchmark", purpose="this peer")
    index = usearch.Index(ndim=data.n_bits, metric="hamming", dtype="b1", connectivity=_HNSW_LINKS // 2)
    packed, queries = data.item_codes.packed, data.query_codes.packed
    if exact:

        def scan(rows: slice) -> Array:
            found = usearch.search(
                packed, queries[rows], k, usearch.MetricKind.Hamming, exact=True, threads=n_threads
            )
            return np.asarray(found.keys, np.int64).reshape(-1, k)

        return Built(scan, packed.nbytes)
    index.add(np.arange(len(packed)), packed, threads=n_threads)

    def search(rows: slice) -> Array:
        return np.asarray(index.search(queries[rows], k, threads=n_threads).keys, np.int64).reshape(-1, k)

    return Built(search, float(index.memory_usage))


def _hnswlib(data: Catalogue, k: int, n_threads: int) -> Built:
    hnswlib = require("hnswlib", extra="benchmark", purpose="this peer")
    index = hnswlib.Index(space="ip", dim=data.items.shape[1])
    index.init_index(len(data.items), ef_construction=_HNSW_CONSTRUCTION, M=_HNSW_LINKS // 2)
    index.add_items(data.items, num_threads=n_threads)
    index.set_ef(max(_HNSW_SEARCH, k))
    return Built(
        lambda rows: index.knn_query(data.queries[rows], k, num_threads=n_threads)[0].astype(np.int64),
        data.items.nbytes + len(data.items) * 4 * _HNSW_LINKS,
    )


PEER_ENGINES = (
    Engine("faiss-binary-flat", "codes", "hamming", _binary_flat),
    Engine("faiss-binary-ivf", "codes", "inverted-file", _binary_ivf),
    Engine("faiss-binary-hnsw", "codes", "inverted-file", _binary_hnsw),
    Engine("usearch-exact", "codes", "hamming", lambda d, k, t: _usearch(d, k, t, exact=True)),
    Engine("usearch-hnsw", "codes", "inverted-file", lambda d, k, t: _usearch(d, k, t, exact=False)),
    Engine("faiss-flat-ip", "floats", "hierarchical", _flat_ip),
    Engine("faiss-hnsw", "floats", "hierarchical", _hnsw),
    Engine("faiss-ivfpq", "floats", "hierarchical", _ivfpq),
    Engine("hnswlib", "floats", "hierarchical", _hnswlib),
    Engine("numpy-matmul", "floats", "hierarchical", _matmul),
)
