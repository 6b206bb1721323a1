"""Measure what opening a saved model costs: time to the first answer, and memory of each further process.

    python benchmarks/generated_model.py models/million --items 1000000 --users 100000 --bits 128
    python benchmarks/model_loading.py models/million --index-recall 0.95

The model is saved again with the index that ``--index-recall`` asks for, once by scan and once with lists. For each,
new processes load it and answer one user, while a first one holds it open, as another worker of a service does. Printed
are the median and the range, in seconds, of ``HashGNN.load`` up to the first answer, and the private memory of such a
process (Linux, ``/proc/PID/smaps_rollup``) above one that has imported the same modules and opened nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from hashgnn import HashGNN

LOAD = """
import json, sys, time
import numpy, pyarrow, scipy.sparse
import hashgnn.recommender
from hashgnn import HashGNN

def private():
    lines = open("/proc/self/smaps_rollup").read().splitlines() if sys.platform == "linux" else []
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024

model, way, before = None, sys.argv[2], private()
started = time.perf_counter()
seconds = loaded = 0.0
if sys.argv[1]:
    model = HashGNN.load(sys.argv[1])
    loaded = time.perf_counter() - started
    user = model.state_.users.ids.at(numpy.array([0])).tolist()
    found = model.recommend(user, k=10, search=way)
    seconds = time.perf_counter() - started
    assert found.counts.tolist() == [10]
print(json.dumps({
    "seconds": seconds,
    "load": loaded,
    "private": private(),
    "index": repr(model.item_index) if model else None,
}), flush=True)
if sys.argv[3:]:
    sys.stdin.read()
"""


def measure(folder: Path | None, way: str, n_runs: int) -> list[dict[str, Any]]:
    """Open a model in new processes, one after the other; None measures a process that opens nothing."""
    arguments = [sys.executable, "-c", LOAD, "" if folder is None else str(folder), way]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    pipe = subprocess.PIPE
    with subprocess.Popen([*arguments, "hold"], stdin=pipe, stdout=pipe, env=environment) as first:
        assert first.stdout is not None
        first.stdout.readline()
        return [
            json.loads(subprocess.run(arguments, capture_output=True, check=True, env=environment).stdout)
            for _ in range(n_runs)
        ]


def main() -> None:
    """Print what was measured, with the machine and the versions."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--index-recall", type=float, default=0.95)
    parser.add_argument("--search", default="hierarchical")
    parser.add_argument("--runs", type=int, default=7)
    options = parser.parse_args()
    model = HashGNN.load(options.model)
    state = model.state_
    versions = {name: metadata.version(name) for name in ("hashgnn", "numpy", "pyarrow", "scipy")}
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} CPUs, Python "
        f"{platform.python_version()}, {versions}"
    )
    print(
        f"{state.n_items:,} items, {state.n_users:,} users, {state.n_bits} bits, {state.dim} floats, "
        f"{state.seen.nnz:,} interactions; search={options.search}, runs={options.runs}"
    )
    empty = statistics.median(run["private"] for run in measure(None, options.search, options.runs))
    print(f"a process that opens nothing: {empty:.1f} MiB private")
    with tempfile.TemporaryDirectory(dir=options.model.parent) as folder:
        for recall in dict.fromkeys((1.0, options.index_recall)):
            path = Path(folder) / f"recall-{recall:g}"
            started = time.perf_counter()
            HashGNN.from_state(state, index_recall=recall).save(path)
            saved = time.perf_counter() - started
            runs = measure(path, options.search, options.runs)
            seconds = [run["seconds"] for run in runs]
            private = statistics.median(run["private"] for run in runs) - empty
            print(
                f"index_recall={recall:g} ({runs[0]['index']}): saved in {saved:.1f} s; load to first answer "
                f"{statistics.median(seconds):.3f} s ({min(seconds):.3f} to {max(seconds):.3f}), of which load "
                f"{statistics.median(run['load'] for run in runs):.3f} s; {private:.1f} MiB private more"
            )


if __name__ == "__main__":
    main()
