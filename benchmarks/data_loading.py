"""Loading interactions from files, compared with the same by hand in pandas and SciPy.

    python benchmarks/data_loading.py [--interactions 10000000] [--json]

Each measurement runs in a process of its own: seconds to read the file, number the ids, merge duplicates
and make the CSR matrix (wall clock and processor time), and the peak resident memory of the process, imports
included. The peer reads the two columns with pandas, numbers them with ``pandas.factorize`` and builds the matrix with SciPy; it does
not check values or keep ids in order. Files are read once beforehand, so both find them in the page cache.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.csv
import pyarrow.parquet

SEED = 0
# name of the file: does it hold text ids?
FILES = {
    "integers.parquet": False,
    "text.parquet": True,
    "integers.csv": False,
    "text.csv": True,
    "adjacency.txt": False,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--interactions", type=int, default=10_000_000)
    parser.add_argument("--users", type=int, default=200_000)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--measure", nargs=2, metavar=("SIDE", "FILE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        side, file = options.measure
        print(json.dumps(_measure(side, Path(file))))
        return
    report: dict[str, Any] = {
        "machine": f"{platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}",
        "parameters": {
            "interactions": options.interactions,
            "users": options.users,
            "items": options.items,
            "seed": SEED,
        },
        "results": {},
    }
    with tempfile.TemporaryDirectory() as folder:
        for name, is_text in FILES.items():
            path = Path(folder) / name
            _write(path, _table(options.interactions, options.users, options.items, is_text=is_text))
            path.read_bytes()
            ours = _in_a_process("hashgnn", path)
            # pandas has no reader for lines of different lengths.
            peer = None if path.suffix == ".txt" else _in_a_process("pandas+scipy", path)
            path.unlink()
            if peer is not None and peer["cells"] != ours["cells"]:
                raise SystemExit(
                    f"{name}: the two matrices differ, {ours['cells']} and {peer['cells']} cells"
                )
            report["results"][name] = {
                "hashgnn": ours,
                "pandas+scipy": peer,
                "ratio": None if peer is None else round(ours["seconds"] / peer["seconds"], 2),
            }
            if not options.json:
                _show(name, report["results"][name])
    if options.json:
        print(json.dumps(report, indent=1))
    else:
        print(f"{report['machine']}; {report['parameters']}")


def _table(n: int, n_users: int, n_items: int, *, is_text: bool) -> pa.Table:
    """Return rows in random order; users uniform, items with a long tail."""
    rng = np.random.default_rng(SEED)
    users = pa.array(rng.integers(0, n_users, n))
    items = pa.array((n_items * rng.random(n) ** 3).astype(np.int64))
    if is_text:
        users, items = (
            pa.compute.binary_join_element_wise(prefix, column.cast(pa.string()), "-")
            for prefix, column in (("user", users), ("item", items))
        )
    return pa.table({"user_id": users, "item_id": items})


def _write(path: Path, table: pa.Table) -> None:
    if path.suffix == ".parquet":
        pa.parquet.write_table(table, path)
    elif path.suffix == ".csv":
        pa.csv.write_csv(table, path)
    else:
        table = table.sort_by("user_id")
        users, items = (table[name].to_numpy() for name in ("user_id", "item_id"))
        starts = np.flatnonzero(np.diff(users, prepend=-1))
        with path.open("w") as file:
            for user, part in zip(users[starts], np.split(items, starts[1:]), strict=True):
                file.write(f"{user} {' '.join(map(str, part.tolist()))}\n")


def _in_a_process(side: str, path: Path) -> dict[str, Any]:
    command = [sys.executable, __file__, "--measure", side, str(path)]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    result: dict[str, Any] = json.loads(found.stdout)
    return result


def _measure(side: str, path: Path) -> dict[str, Any]:
    load = _ours if side == "hashgnn" else _peer
    started, used = time.perf_counter(), time.process_time()
    cells = load(path)
    seconds, processor_seconds = time.perf_counter() - started, time.process_time() - used
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    unit = 1 if sys.platform == "darwin" else 1024
    return {
        "seconds": round(seconds, 2),
        "processor_seconds": round(processor_seconds, 2),
        "peak_gb": round(peak * unit / 1e9, 2),
        "cells": cells,
    }


def _ours(path: Path) -> int:
    from hashgnn.data import read_interactions

    return int(read_interactions(path).csr.nnz)


def _peer(path: Path) -> int:
    import pandas as pd
    import scipy.sparse as sp

    frame = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    users, user_ids = pd.factorize(frame["user_id"])
    items, item_ids = pd.factorize(frame["item_id"])
    ones = np.ones(len(frame), np.float32)
    matrix = sp.csr_matrix((ones, (users, items)), shape=(len(user_ids), len(item_ids)))
    matrix.sum_duplicates()
    return int(matrix.nnz)


def _show(name: str, result: dict[str, Any]) -> None:
    ours, peer = result["hashgnn"], result["pandas+scipy"]
    line = f"{name:18} hashgnn {_figures(ours)}"
    if peer is not None:
        line += f"   pandas+scipy {_figures(peer)}   ratio of seconds {result['ratio']:.2f}"
    print(line, flush=True)


def _figures(one: dict[str, Any]) -> str:
    return f"{one['seconds']:6.2f} s ({one['processor_seconds']:5.2f} s busy) {one['peak_gb']:5.2f} GB"


if __name__ == "__main__":
    main()
