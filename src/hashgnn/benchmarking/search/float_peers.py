"""Other libraries that search float embeddings, the common way today."""

from __future__ import annotations

from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

from hashgnn._extras import require
from hashgnn._types import Array
from hashgnn.benchmarking.search.code_peers import (
    HNSW_BREADTHS,
    HNSW_CONSTRUCTION,
    HNSW_LINKS,
    faiss_breadth,
    faiss_module,
    faiss_search,
    list_count,
    load_faiss,
    training_rows,
)
from hashgnn.benchmarking.search.contract import Built, Engine, Rows, Threads, writable
from hashgnn.benchmarking.search.workload import Workload

_PRODUCTS = 1 << 22  # scores held at a time by exhaustive products: they stay in the cache


def _flat_ip(data: Workload, k: int, threads: Threads) -> Built:
    index = faiss_module(threads.build).IndexFlatIP(data.items.shape[1])
    index.add(data.items)
    return Built(faiss_search(index, data.queries, threads.search), data.items.nbytes, "floats")


def _hnsw(data: Workload, k: int, threads: Threads) -> Built:
    faiss = faiss_module(threads.build)
    index = faiss.IndexHNSWFlat(data.items.shape[1], HNSW_LINKS, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = HNSW_CONSTRUCTION
    index.add(data.items)
    return Built(
        faiss_search(index, data.queries, threads.search),
        data.items.nbytes + len(data.items) * 8 * HNSW_LINKS,
        "floats",
        set_breadth=faiss_breadth(index.hnsw, "efSearch"),
        breadths=HNSW_BREADTHS,
    )


def _ivfpq(data: Workload, k: int, threads: Threads) -> Built:
    faiss = faiss_module(threads.build)
    n, n_lists, half = len(data.items), list_count(len(data.items)), data.items.shape[1] // 2
    index = faiss.index_factory(
        data.items.shape[1], f"IVF{n_lists},PQ{half}x4fs,RFlat", faiss.METRIC_INNER_PRODUCT
    )
    index.train(training_rows(data.items, n_lists))
    index.add(data.items)

    def set_candidates(n_candidates: int) -> None:
        index.k_factor = max(1, n_candidates // k)

    return Built(
        faiss_search(index, data.queries, threads.search),
        n * (half / 2 + 8) + data.items.nbytes + n_lists * 4 * data.items.shape[1],
        "floats",
        set_breadth=faiss_breadth(faiss.extract_index_ivf(index.base_index), "nprobe"),
        breadths=(1, n_lists),
        set_candidates=set_candidates,
    )


def _load_hnswlib() -> Any:
    return require("hnswlib", extra="benchmark", purpose="this peer")


def _load_torch() -> Any:
    return require("torch", extra="train", purpose="this peer")


def _hnswlib(data: Workload, k: int, threads: Threads) -> Built:
    hnswlib = _load_hnswlib()
    index = hnswlib.Index(space="ip", dim=data.items.shape[1])
    index.init_index(len(data.items), ef_construction=HNSW_CONSTRUCTION, M=HNSW_LINKS // 2)
    index.add_items(data.items, num_threads=threads.build)

    breadth = HNSW_BREADTHS[0]

    def set_breadth(value: int) -> None:
        nonlocal breadth
        breadth = value

    def search(rows: Rows, size: int) -> Array:
        index.set_ef(max(breadth, size))  # it finds no more than it looks at
        found: Array = index.knn_query(data.queries[rows], size, num_threads=threads.search)[0]
        return found.astype(np.int64)

    return Built(
        search,
        data.items.nbytes + len(data.items) * (4 * HNSW_LINKS + 12),
        "floats",
        set_breadth=set_breadth,
        breadths=HNSW_BREADTHS,
    )


def _numpy_matmul(data: Workload, k: int, threads: Threads) -> Built:
    pools = ThreadpoolController()

    def search(rows: Rows, size: int) -> Array:
        with pools.limit(limits=threads.search, user_api="blas"):
            return search_limited(rows, size)

    def search_limited(rows: Rows, size: int) -> Array:
        queries, found, scores = data.queries[rows], [], []
        step = max(size, _PRODUCTS // len(queries))
        for start in range(0, len(data.items), step):
            products = queries @ data.items[start : start + step].T
            kept = min(size, products.shape[1])
            best = np.argpartition(products, -kept, axis=1)[:, -kept:]
            found.append(best + start)
            scores.append(np.take_along_axis(products, best, 1))
        positions, values = np.hstack(found), np.hstack(scores)
        order = np.argsort(-values, axis=1, kind="stable")[:, :size]
        return np.take_along_axis(positions, order, 1)

    return Built(search, data.items.nbytes, "floats")


def _torch_matmul(data: Workload, k: int, threads: Threads) -> Built:
    torch = _load_torch()
    items, queries = (torch.from_numpy(writable(array)) for array in (data.items, data.queries))

    def search(rows: Rows, size: int) -> Array:
        torch.set_num_threads(threads.search)
        chosen = queries[rows]
        found, scores = [], []
        step = max(size, _PRODUCTS // len(chosen))
        for start in range(0, len(items), step):
            products = chosen @ items[start : start + step].T
            best = torch.topk(products, min(size, products.shape[1]), dim=1)
            found.append(best.indices + start)
            scores.append(best.values)
        order = torch.topk(torch.cat(scores, 1), size, dim=1).indices
        positions: Array = torch.gather(torch.cat(found, 1), 1, order).numpy()
        return positions

    return Built(search, data.items.nbytes, "floats")


FLOAT_PEERS = (
    Engine("faiss-flat-ip", None, _flat_ip, load=load_faiss),
    Engine("faiss-hnsw", None, _hnsw, load=load_faiss),
    Engine("faiss-ivfpq", None, _ivfpq, load=load_faiss),
    Engine("hnswlib", None, _hnswlib, load=_load_hnswlib),
    Engine("numpy-matmul", None, _numpy_matmul),
    Engine("torch-matmul", None, _torch_matmul, load=_load_torch),
)
