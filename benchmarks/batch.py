"""Measure recommendations for all users: one process of this machine, and several workers of each engine.

    python benchmarks/generated_model.py models/million --items 1000000 --users 200000 --bits 128
    python benchmarks/batch.py models/million --engines local:1,local:2,ray:2,spark:2 --kill 2

Every run writes the same files, which is compared. Printed are the users a second with the start and without it, and the
ratio to the first run. The start ends when as many parts are finished as there are workers; the files' own times say
when. ``--kill 2`` repeats each run of several workers and kills a worker twice meanwhile.

Ray is started with one processor more than workers, Spark as ``local-cluster[N,1,4096]``: executors of one processor.
Every worker searches with one thread.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

from hashgnn import HashGNN
from hashgnn.batch import read_manifest

LIGHT_JAVA = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
WORKERS = {
    "local": b"hashgnn.batch.worker",
    "ray": b"ray::MapWorker",
    "spark": b"CoarseGrainedExecutorBackend",
}


@contextmanager
def session(engine: str, n_workers: int) -> Iterator[None]:
    """Open a session of an engine, so that its start is no part of the run."""
    if engine == "ray":
        import ray

        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        os.environ |= {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_BACKEND_LOG_LEVEL": "fatal"}
        ray.init(num_cpus=n_workers + 1, include_dashboard=False, log_to_driver=False)
        yield
        ray.shutdown()
    elif engine == "spark":
        from pyspark.sql import SparkSession

        os.environ |= {"PYSPARK_PYTHON": sys.executable, "PYSPARK_DRIVER_PYTHON": sys.executable}
        opened = (
            SparkSession.builder.master(f"local-cluster[{n_workers},1,4096]")
            .config("spark.driver.host", "127.0.0.1")
            .config("spark.driver.bindAddress", "127.0.0.1")
            .config("spark.ui.enabled", "false")
            .config("spark.ui.showConsoleProgress", "false")
            .config("spark.executor.memory", "2g")
            .config("spark.driver.defaultJavaOptions", LIGHT_JAVA)
            .config("spark.executor.defaultJavaOptions", LIGHT_JAVA)
            .config("spark.log.level", "OFF")
            .getOrCreate()
        )
        yield
        opened.stop()
    else:
        yield


def killed(engine: str, out: Path, n_parts: int, n_kills: int) -> threading.Thread:
    """Start a thread that kills a worker when a third, and when two thirds of the parts are there."""

    def watch() -> None:
        for kill in range(n_kills):
            goal = (kill + 1) * n_parts // (n_kills + 1)
            while len(list(out.glob("part-*.parquet"))) < goal:
                time.sleep(0.05)
            victims = [pid for pid in descendants() if WORKERS[engine] in command(pid)]
            if victims:
                os.kill(victims[0], signal.SIGKILL)
                print(f"  killed {victims[0]} after {goal} of {n_parts} parts", flush=True)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


def command(pid: int) -> bytes:
    """Return the command line of a process."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def descendants() -> list[int]:
    """Return the processes that this one has started, at any distance (Linux)."""
    parents = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found, level = [], [os.getpid()]
    while level:
        level = [pid for pid, parent in parents.items() if parent in level]
        found += level
    return sorted(found)


def measure(
    model: HashGNN, engine: str, n_workers: int, out: Path, options: argparse.Namespace, n_kills: int
) -> tuple[float, float, dict[str, Any]]:
    """Return users a second with the start, without it, and the manifest's files."""
    n_parts = -(-len(model.user_ids) // options.part_rows)
    watcher = killed(engine, out, n_parts, n_kills) if n_kills else None
    result = model.recommend_all(
        out,
        k=options.k,
        search=options.search,
        part_rows=options.part_rows,
        engine=engine,
        n_workers=n_workers,
        progress=False,
    )
    if watcher is not None:
        watcher.join(5)
    manifest = read_manifest(out)
    ends = sorted((out / name).stat().st_mtime for name in manifest["files"])
    rows = result.n_rows * (len(ends) - n_workers) / len(ends)
    return result.n_rows / result.seconds, rows / (ends[-1] - ends[n_workers - 1]), manifest["files"]


def main() -> None:
    """Print what was measured, with the machine, the versions and the parameters."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--engines", default="local:1,local:2")
    parser.add_argument("--k", type=int, default=100)
    parser.add_argument("--search", default="hierarchical")
    parser.add_argument("--part-rows", type=int, default=4096)
    parser.add_argument("--kill", type=int, default=0)
    parser.add_argument("--output", type=Path, default=None, help="folder for the files, removed afterwards")
    options = parser.parse_args()
    model = HashGNN.load(options.model)
    names = ("hashgnn", "numpy", "pyarrow", "ray", "pyspark")
    versions = {name: metadata.version(name) for name in names if _is_installed(name)}
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} CPUs, Python "
        f"{platform.python_version()}, {versions}"
    )
    state = model.state_
    print(
        f"{state.n_users:,} users, {state.n_items:,} items, {state.n_bits} bits, {state.dim} floats, "
        f"{state.seen.nnz:,} interactions, {model.item_index}; k={options.k}, search={options.search}, "
        f"seen items left out, part_rows={options.part_rows}, one thread a worker"
    )
    first: tuple[float, dict[str, Any]] | None = None
    with tempfile.TemporaryDirectory(dir=options.output) as folder:
        for name in options.engines.split(","):
            engine, _, count = name.partition(":")
            n_workers = int(count or 1)
            with session(engine, n_workers):
                for n_kills in dict.fromkeys((0, options.kill if n_workers > 1 else 0)):
                    out = Path(folder) / f"{engine}-{n_workers}-{n_kills}"
                    whole, steady, files = measure(model, engine, n_workers, out, options, n_kills)
                    first = first or (steady, files)
                    print(
                        f"{engine}, {n_workers} workers, {n_kills} killed: {steady:,.0f} users a second, "
                        f"{whole:,.0f} with the start; {steady / first[0]:.2f} of the first run; "
                        f"files {'identical' if files == first[1] else 'DIFFER'}",
                        flush=True,
                    )
                    shutil.rmtree(out)


def _is_installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


if __name__ == "__main__":
    main()
