"""turbovec: an exhaustive scan of TurboQuant's two or four bits a dimension, with and without re-ranking."""

from __future__ import annotations

import os
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

_FILE = "index.tv"
_CALIBRATED = 1024  # rows, as its pages advise
_POOL = "RAYON_NUM_THREADS"


def load_turbovec() -> Any:
    """Import turbovec."""
    return require("turbovec", extra="rivals", purpose="this peer")


def _in_pool(n_threads: int) -> Any:
    """Import turbovec with a number of threads. A process has one pool, made at the first call: the first number counts."""
    os.environ.setdefault(_POOL, str(n_threads))
    return load_turbovec()


def _make(data: Workload, threads: Threads, *, bits: int) -> Any:
    n, width = data.items.shape
    index = _in_pool(threads.search).TurboQuantIndex(dim=width, bit_width=bits)
    rows = np.random.default_rng(0).permutation(n)[:_CALIBRATED]
    index.calibrate(data.items[rows])
    index.add(data.items)
    return index


def _save(index: Any, folder: Path) -> None:
    index.write(str(folder / _FILE), durable=False)


def _load(folder: Path, threads: Threads) -> Any:
    return _in_pool(threads.search).TurboQuantIndex.load(str(folder / _FILE))


def _ready(index: Any, data: Workload, k: int, threads: Threads, n_bytes: float) -> Built:
    index.prepare()

    def search(rows: Rows, size: int) -> Array:
        found: Array = index.search(data.queries[rows], size)[1]
        return found

    return Built(search, n_bytes, "floats")


def _reranked(index: Any, data: Workload, k: int, threads: Threads, n_bytes: float) -> Built:
    """Re-rank by rows of float16, which the library does not keep itself."""
    index.prepare()
    items = data.items.astype(np.float16)
    candidates = Setting(k)

    def search(rows: Rows, size: int) -> Array:
        queries = data.queries[rows]
        found: Array = index.search(queries, min(len(items), max(size, candidates.value)))[1]
        positions = np.empty((len(queries), size), np.int64)
        for row, line in enumerate(found):
            scores = items[line].astype(np.float32) @ queries[row]
            best = np.argpartition(-scores, size - 1)[:size] if size < len(line) else np.arange(len(line))
            positions[row] = line[best[np.argsort(-scores[best], kind="stable")]]
        return positions

    return Built(search, n_bytes + items.nbytes, "floats", set_candidates=candidates.set)


TURBOVEC_PEERS = tuple(
    stored_engine(
        f"turbovec-{bits}{ending}",
        Stored(partial(_make, bits=bits), _save, _load, ready),
        load=load_turbovec,
    )
    for bits in (2, 4)
    for ending, ready in (("", _ready), ("-reranked", _reranked))
)
