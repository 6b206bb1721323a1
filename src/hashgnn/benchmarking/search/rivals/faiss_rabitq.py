"""RaBitQ in faiss: one bit a dimension after a random rotation, by a scan and over lists with refinement."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hashgnn.benchmarking.search.code_peers import (
    TRAINED_A_LIST,
    faiss_breadth,
    faiss_module,
    faiss_search,
    load_faiss,
    training_rows,
)
from hashgnn.benchmarking.search.contract import Built, Threads
from hashgnn.benchmarking.search.rivals.rabitqlib import n_clusters
from hashgnn.benchmarking.search.stored import Stored, stored_engine
from hashgnn.benchmarking.search.workload import Workload

_FILE = "index.faiss"


def _made(description: str, data: Workload, n_trained: int, threads: Threads) -> Any:
    faiss = faiss_module(threads.build)
    index = faiss.index_factory(data.items.shape[1], description, faiss.METRIC_INNER_PRODUCT)
    index.train(training_rows(data.items, max(1, n_trained // TRAINED_A_LIST)))
    index.add(data.items)
    return index


def _make_flat(data: Workload, threads: Threads) -> Any:
    return _made("RR,RaBitQ", data, len(data.items), threads)


def _make_lists(data: Workload, threads: Threads) -> Any:
    n_lists = n_clusters(len(data.items))
    description = f"RR,IVF{n_lists},RaBitQfs,Refine(SQfp16)"
    return _made(description, data, TRAINED_A_LIST * n_lists, threads)


def _save(index: Any, folder: Path) -> None:
    load_faiss().write_index(index, str(folder / _FILE))


def _load(folder: Path, threads: Threads) -> Any:
    return load_faiss().read_index(str(folder / _FILE))


def _ready_flat(index: Any, data: Workload, k: int, threads: Threads, n_bytes: float) -> Built:
    return Built(faiss_search(index, data.queries, threads.search), n_bytes, "floats")


def _ready_lists(index: Any, data: Workload, k: int, threads: Threads, n_bytes: float) -> Built:
    faiss = load_faiss()
    lists = faiss.extract_index_ivf(faiss.downcast_index(index.base_index))

    def set_candidates(n_candidates: int) -> None:
        index.k_factor = float(np.maximum(1, n_candidates / k))

    return Built(
        faiss_search(index, data.queries, threads.search),
        n_bytes,
        "floats",
        set_breadth=faiss_breadth(lists, "nprobe"),
        breadths=(1, lists.nlist),
        set_candidates=set_candidates,
    )


FAISS_RABITQ_PEERS = (
    stored_engine("faiss-rabitq", Stored(_make_flat, _save, _load, _ready_flat), load=load_faiss),
    stored_engine("faiss-ivf-rabitq", Stored(_make_lists, _save, _load, _ready_lists), load=load_faiss),
)
