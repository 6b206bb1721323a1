"""zvec, an in-process vector database: HNSW over int8 with refinement, and lists with RaBitQ."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hashgnn._extras import require
from hashgnn._types import Array
from hashgnn.benchmarking.search.contract import Built, Rows, Threads
from hashgnn.benchmarking.search.rivals.rabitqlib import n_clusters
from hashgnn.benchmarking.search.settings import Setting
from hashgnn.benchmarking.search.stored import Stored, stored_engine
from hashgnn.benchmarking.search.workload import Workload

_FIELD = "embedding"
_AT_ONCE = 1000  # documents; it takes no more
_LINKS, _CONSTRUCTION = 16, 200
_BITS = 7
_NODES = (64, 2048)
_COLLECTION = "collection"


def load_zvec() -> Any:
    """Import zvec."""
    return require("zvec", extra="rivals", purpose="this peer")


def _library(threads: Threads) -> Any:
    """Import zvec with numbers of threads. A process sets them once: the first numbers count."""
    zvec = load_zvec()
    with suppress(RuntimeError):
        zvec.init(log_level=zvec.LogLevel.ERROR, query_threads=threads.search, optimize_threads=threads.build)
    return zvec


class _Collection:
    """A collection on disk; a passing one is removed with the object."""

    def __init__(self, folder: Path | None = None) -> None:
        if folder is None:
            folder = Path(tempfile.mkdtemp(prefix="hashgnn-benchmark-"))
            weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self.path = folder / _COLLECTION


def _make(data: Workload, threads: Threads, *, parameters: Callable[[Any, int], Any]) -> Any:
    zvec = _library(threads)
    made, (n, width) = _Collection(), data.items.shape
    schema = zvec.CollectionSchema(
        name="items",
        vectors=zvec.VectorSchema(_FIELD, zvec.DataType.VECTOR_FP32, width, parameters(zvec, n)),
    )
    collection = zvec.create_and_open(str(made.path), schema)
    for start in range(0, n, _AT_ONCE):
        rows = range(start, min(n, start + _AT_ONCE))
        collection.insert([zvec.Doc(id=str(row), vectors={_FIELD: data.items[row]}) for row in rows])
    collection.optimize(zvec.OptimizeOption(concurrency=threads.build))
    collection.flush()
    collection.close()
    return made


def _load(folder: Path, threads: Threads) -> Any:
    return _Collection(folder)


def _save(made: _Collection, folder: Path) -> None:
    shutil.copytree(made.path, folder / _COLLECTION)


def _ready(
    made: _Collection,
    data: Workload,
    k: int,
    threads: Threads,
    n_bytes: float,
    *,
    requested: Callable[[Any, int], Any],
    breadths: Callable[[int], tuple[int, int]],
    is_graph: bool,
) -> Built:
    zvec = _library(threads)
    collection = zvec.open(str(made.path), zvec.CollectionOption(read_only=True))
    names = collection.resolve_internal_ids(np.arange(len(data.items)))
    position = np.array([-1 if name is None else int(name) for name in names])
    breadth = Setting(1)

    def search(rows: Rows, size: int) -> Array:
        value = max(breadth.value, size) if is_graph else breadth.value
        parameters, found = requested(zvec, value), []
        for query in data.queries[rows]:
            one = zvec.Query(_FIELD, vector=query, param=parameters)
            found.append(collection.query_internal_ids(one, topk=size))
        ids = np.stack(found)
        return np.where(ids < 0, -1, position[np.maximum(ids, 0)])

    return Built(
        search,
        n_bytes,
        "floats",
        set_breadth=breadth.set,
        breadths=breadths(len(data.items)),
    )


def _hnsw(zvec: Any, n: int) -> Any:
    return zvec.HnswIndexParam(
        metric_type=zvec.MetricType.IP,
        m=_LINKS,
        ef_construction=_CONSTRUCTION,
        quantize_type=zvec.QuantizeType.INT8,
    )


def _lists(zvec: Any, n: int) -> Any:
    return zvec.IvfRabitqIndexParam(metric_type=zvec.MetricType.IP, nlist=n_clusters(n), total_bits=_BITS)


ZVEC_PEERS = (
    stored_engine(
        "zvec-hnsw",
        Stored(
            partial(_make, parameters=_hnsw),
            _save,
            _load,
            partial(
                _ready,
                requested=lambda zvec, value: zvec.HnswQueryParam(ef=value, is_using_refiner=True),
                breadths=lambda n: _NODES,
                is_graph=True,
            ),
        ),
        load=load_zvec,
    ),
    stored_engine(
        "zvec-ivf-rabitq",
        Stored(
            partial(_make, parameters=_lists),
            _save,
            _load,
            partial(
                _ready,
                requested=lambda zvec, value: zvec.IvfRabitqQueryParam(nprobe=value),
                breadths=lambda n: (1, n_clusters(n)),
                is_graph=False,
            ),
        ),
        load=load_zvec,
    ),
)
