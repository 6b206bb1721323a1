"""Intel's Scalable Vector Search: Vamana graphs over compressed rows."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hashgnn._extras import require
from hashgnn._types import Array
from hashgnn.benchmarking.search.contract import Built, Rows, Threads
from hashgnn.benchmarking.search.machine import vendor
from hashgnn.benchmarking.search.stored import Stored, stored_engine
from hashgnn.benchmarking.search.workload import Workload
from hashgnn.errors import EngineError

_ALPHA = 0.95  # as its pages say for inner products
_DEGREE, _WINDOW = 64, 200
_WINDOWS = (32, 4096)
_LEANVEC_SHARE = 2  # of the width
_PARTS = ("config", "graph", "data")
_INTEL = "GenuineIntel"


def load_svs() -> Any:
    """Import SVS."""
    return require("svs", extra="rivals", purpose="this peer")


def load_compressed() -> Any:
    """Import SVS, or raise :class:`EngineError` where its compression would end the process."""
    found = vendor()
    if found != _INTEL:
        raise EngineError(
            f"LVQ and LeanVec of SVS need a processor of Intel, got {found or 'an unknown one'}; "
            "elsewhere they end the process"
        )
    return load_svs()


def _parameters(svs: Any) -> Any:
    return svs.VamanaBuildParameters(alpha=_ALPHA, graph_max_degree=_DEGREE, window_size=_WINDOW)


def _plain(data: Workload, threads: Threads) -> Any:
    svs = load_svs()
    rows = data.items.astype(np.float16)
    return svs.Vamana.build(_parameters(svs), rows, svs.DistanceType.MIP, num_threads=threads.build)


def _compressed(data: Workload, threads: Threads, *, lean: bool) -> Any:
    svs = load_compressed()
    with tempfile.TemporaryDirectory(prefix="hashgnn-benchmark-") as folder:
        file = str(Path(folder) / "rows.fvecs")
        svs.write_vecs(data.items, file)
        rows = svs.VectorDataLoader(file, svs.DataType.float32)
        loader = _lean_vectors(svs, rows, data) if lean else svs.LVQLoader(rows, primary=4, residual=8)
        return svs.Vamana.build(_parameters(svs), loader, svs.DistanceType.MIP, num_threads=threads.build)


def _lean_vectors(svs: Any, rows: Any, data: Workload) -> Any:
    kind = svs.LeanVecKind
    return svs.LeanVecLoader(
        rows, data.items.shape[1] // _LEANVEC_SHARE, primary_kind=kind.lvq4, secondary_kind=kind.lvq8
    )


def _save(index: Any, folder: Path) -> None:
    places = [folder / part for part in _PARTS]
    for place in places:
        place.mkdir()
    index.save(*map(str, places))


def _load(folder: Path, threads: Threads, *, kind: str) -> Any:
    svs = load_svs()
    config, graph, rows = (str(folder / part) for part in _PARTS)
    loader = {
        "float16": lambda: svs.VectorDataLoader(rows, svs.DataType.float16),
        "lvq": lambda: svs.LVQLoader(rows),
        "leanvec": lambda: svs.LeanVecLoader(rows),
    }[kind]()
    return svs.Vamana(config, svs.GraphLoader(graph), loader, svs.DistanceType.MIP)


def _ready(index: Any, data: Workload, k: int, threads: Threads, n_bytes: float) -> Built:
    index.num_threads = threads.search

    def search(rows: Rows, size: int) -> Array:
        window = index.search_window_size
        if window < size:  # it finds no more than it looks at
            index.search_window_size = size
        found: Array = index.search(data.queries[rows], size)[0]
        index.search_window_size = window
        return found.astype(np.int64)

    def set_breadth(value: int) -> None:
        index.search_window_size = value

    return Built(search, n_bytes, "floats", set_breadth=set_breadth, breadths=_WINDOWS)


SVS_PEERS = (
    stored_engine(
        "svs-float16", Stored(_plain, _save, partial(_load, kind="float16"), _ready), load=load_svs
    ),
    stored_engine(
        "svs-lvq",
        Stored(partial(_compressed, lean=False), _save, partial(_load, kind="lvq"), _ready),
        load=load_compressed,
    ),
    stored_engine(
        "svs-leanvec",
        Stored(partial(_compressed, lean=True), _save, partial(_load, kind="leanvec"), _ready),
        load=load_compressed,
    ),
)
