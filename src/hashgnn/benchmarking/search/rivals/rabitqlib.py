"""RaBitQ's own library: inverted lists, HNSW and SymphonyQG over quantised vectors."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hashgnn._extras import require
from hashgnn._types import Array
from hashgnn.benchmarking.search.contract import Built, Rows, Threads
from hashgnn.benchmarking.search.settings import Setting
from hashgnn.benchmarking.search.stored import Stored, stored_engine
from hashgnn.benchmarking.search.workload import Workload

_FILE = "index"
_RAW = 32  # "bits" that keep the rows as they are and re-rank by them
_HNSW_CLUSTERS = 16
_LINKS = 16  # on one side; 32 in the base layer
_CONSTRUCTION = 200
_DEGREE = 32
_NODES = (64, 4096)


def load_rabitqlib() -> Any:
    """Import rabitqlib."""
    return require("rabitqlib", extra="rivals", purpose="this peer")


def n_clusters(n_items: int) -> int:
    """Return the power of two next to two square roots: 2,048 for a million, which was fastest there."""
    return 1 << max(0, round(math.log2(2 * math.sqrt(n_items))))


def _clustered(data: Workload, n_lists: int, threads: Threads) -> Any:
    library = load_rabitqlib()
    clusters = library.RaBitQKMeans(data.items.shape[1], n_lists, num_threads=threads.build)
    clusters.train(data.items)
    return clusters


def _ivf(data: Workload, threads: Threads, *, bits: int) -> Any:
    n, width = data.items.shape
    clusters = _clustered(data, n_clusters(n), threads)
    index = load_rabitqlib().IvfIndex(
        dim=width, max_elements=n, num_clusters=n_clusters(n), nbits=bits, metric="ip"
    )
    index.build(data.items, clusters.centroids, clusters.assignments, num_threads=threads.build)
    return index


def _hnsw(data: Workload, threads: Threads, *, bits: int) -> Any:
    n, width = data.items.shape
    clusters = _clustered(data, min(_HNSW_CLUSTERS, n), threads)
    index = load_rabitqlib().HnswIndex(
        dim=width, max_elements=n, M=_LINKS, ef_construction=_CONSTRUCTION, nbits=bits, metric="ip"
    )
    index.build(data.items, clusters.centroids, clusters.assignments, num_threads=threads.build)
    return index


def _symphony(data: Workload, threads: Threads, *, bits: int) -> Any:
    index = load_rabitqlib().SymqgIndex(
        dim=data.items.shape[1], max_degree=_DEGREE, metric="ip", quantization_bits=bits
    )
    index.build(data.items, ef_construction=_CONSTRUCTION, num_threads=threads.build)
    return index


def _ready(
    index: Any, data: Workload, k: int, threads: Threads, n_bytes: float, *, name: str, most: int | None
) -> Built:
    """Search with one setting, called ``name``: at least as large as the number of results where it counts nodes."""
    is_graph = most is not None
    breadth = Setting(1)

    def search(rows: Rows, size: int) -> Array:
        chosen = {name: max(breadth.value, size) if is_graph else breadth.value}
        found: Array = index.search(data.queries[rows], k=size, num_threads=threads.search, **chosen)[0]
        positions = found.astype(np.int64)
        positions[positions >= len(data.items)] = -1  # fewer were found
        return positions

    return Built(
        search,
        n_bytes,
        "floats",
        set_breadth=breadth.set,
        breadths=_NODES if is_graph else (1, index.num_clusters),
    )


def _load(folder: Path, threads: Threads, *, kind: str) -> Any:
    return getattr(load_rabitqlib(), kind).load(str(folder / _FILE))


def _save(index: Any, folder: Path) -> None:
    index.save(str(folder / _FILE))


def _stored(kind: str, make: Any, name: str, most: int | None) -> Stored:
    return Stored(make, _save, partial(_load, kind=kind), partial(_ready, name=name, most=most))


def _lists(bits: int) -> Stored:
    return _stored("IvfIndex", partial(_ivf, bits=bits), "nprobe", None)


RABITQLIB_PEERS = (
    *(stored_engine(f"rabitqlib-ivf-{bits}", _lists(bits), load=load_rabitqlib) for bits in (1, 4, 5)),
    stored_engine("rabitqlib-ivf-raw", _lists(_RAW), load=load_rabitqlib),
    stored_engine(
        "rabitqlib-hnsw",
        _stored("HnswIndex", partial(_hnsw, bits=5), "ef", _NODES[1]),
        load=load_rabitqlib,
    ),
    stored_engine(
        "rabitqlib-symphonyqg",
        _stored("SymqgIndex", partial(_symphony, bits=0), "ef", _NODES[1]),
        load=load_rabitqlib,
    ),
)
