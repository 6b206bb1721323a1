"""ScaNN: partitions with SOAR's second assignment, anisotropic quantisation, re-ranking by floats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hashgnn._extras import require
from hashgnn._types import Array
from hashgnn.benchmarking.search.contract import Built, Rows, Threads
from hashgnn.benchmarking.search.settings import Setting
from hashgnn.benchmarking.search.stored import Stored, stored_engine
from hashgnn.benchmarking.search.workload import Workload

_THRESHOLD = 0.2
_SOAR = 1.5
_DIMENSIONS_A_BLOCK = 2
_TRAINED = 250_000
_REORDERED = 200


def load_scann() -> Any:
    """Import the bindings of ScaNN that need no TensorFlow."""
    return require("scann", extra="rivals", purpose="this peer").scann_ops_pybind


def n_leaves(n_items: int) -> int:
    """Return two square roots of the number of items."""
    return max(1, int(2 * np.sqrt(n_items)))


def _make(data: Workload, threads: Threads) -> Any:
    n = len(data.items)
    builder = load_scann().builder(data.items, 1, "dot_product").set_n_training_threads(threads.build)
    return (
        builder.tree(n_leaves(n), 1, training_sample_size=min(n, _TRAINED), soar_lambda=_SOAR)
        .score_ah(_DIMENSIONS_A_BLOCK, anisotropic_quantization_threshold=_THRESHOLD)
        .reorder(_REORDERED)
        .build()
    )


def _save(index: Any, folder: Path) -> None:
    index.serialize(str(folder), relative_path=True)


def _load(folder: Path, threads: Threads) -> Any:
    return load_scann().load_searcher(str(folder))


def _ready(index: Any, data: Workload, k: int, threads: Threads, n_bytes: float) -> Built:
    leaves, reordered = Setting(1), Setting(_REORDERED)

    def search(rows: Rows, size: int) -> Array:
        queries = data.queries[rows]
        chosen = {
            "final_num_neighbors": size,
            "pre_reorder_num_neighbors": max(size, reordered.value),
            "leaves_to_search": leaves.value,
        }
        if threads.search == 1:
            found, distances = index.search_batched(queries, **chosen)
        else:
            found, distances = index.search_batched_parallel(queries, **chosen)
        return np.where(np.isnan(distances), -1, found.astype(np.int64))  # fewer were found

    return Built(
        search,
        n_bytes,
        "floats",
        set_breadth=leaves.set,
        breadths=(1, n_leaves(len(data.items))),
        set_candidates=reordered.set,
    )


SCANN_PEERS = (stored_engine("scann", Stored(_make, _save, _load, _ready), load=load_scann),)
