"""Seconds of ``hashgnn fit`` with the default threads and with ``--threads 1``, on a free machine and a busy one.

    HASHGNN_DATA=data python benchmarks/training_threads.py --rounds 5

Both are run in turns, each in a process of its own, so that what else happens on the machine meets both. The busy
part runs next to as many processes in an endless loop as ``--busy`` says. The default must not lose against one
thread: at most 1.1 times its time on a busy machine, and not slower on a free one.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

WAYS: dict[str, tuple[str, ...]] = {"default": (), "one thread": ("--threads", "1")}
# What would change the default of a user who has set nothing.
CLEARED = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "OPENBLAS_NUM_THREADS")


@contextmanager
def busy(count: int) -> Iterator[None]:
    """Keep so many processes running inside the block."""
    running = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def fit(train: Path, options: list[str], folder: Path) -> tuple[float, int]:
    """Return the seconds of one command, and the threads that it trained with."""
    output = folder / "model"
    environment = {name: value for name, value in os.environ.items() if name not in CLEARED}
    command = [
        sys.executable,
        "-m",
        "hashgnn",
        "fit",
        str(train),
        "-o",
        str(output),
        "--overwrite",
        "--quiet",
    ]
    started = time.perf_counter()
    subprocess.run([*command, *options], check=True, env=environment)
    seconds = time.perf_counter() - started
    manifest = json.loads((output / "manifest.json").read_text(encoding="utf-8"))
    return seconds, int(manifest["training"]["n_threads"])


def measure(train: Path, options: list[str], n_busy: int, rounds: int) -> dict[str, Any]:
    """Return the median seconds of each way, the threads, and the ratio of the default to one thread."""
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    threads: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as folder, busy(n_busy):
        for number in range(rounds):
            # The one that begins changes from round to round.
            for way in list(WAYS) if number % 2 == 0 else list(reversed(WAYS)):
                taken, threads[way] = fit(train, [*options, *WAYS[way]], Path(folder))
                seconds[way].append(taken)
    medians = {way: statistics.median(values) for way, values in seconds.items()}
    return {
        "busy_processes": n_busy,
        "seconds": medians,
        "spread": {way: (min(values), max(values)) for way, values in seconds.items()},
        "threads": threads,
        "ratio": medians["default"] / medians["one thread"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    data = os.environ.get("HASHGNN_DATA", "data")
    parser.add_argument("--train", type=Path, default=Path(data) / "ml-100k" / "interactions.parquet")
    parser.add_argument("--epochs", type=int, default=None, help="default: the recipe's")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--busy", type=int, default=2, help="busy processes of the second part")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that no busy process is left behind
    load = os.getloadavg()[0]
    options = [] if arguments.epochs is None else ["--epochs", str(arguments.epochs)]
    found = [measure(arguments.train, options, n, arguments.rounds) for n in (0, arguments.busy)]
    machine = {
        "processor": platform.processor() or platform.machine(),
        "processors": os.cpu_count(),
        "load_before": load,
        "python": platform.python_version(),
        "torch": metadata.version("torch"),
        "hashgnn": metadata.version("hashgnn"),
    }
    print(json.dumps({"machine": machine, "train": str(arguments.train), "rounds": arguments.rounds}))
    for row in found:
        print(json.dumps(row))


if __name__ == "__main__":
    main()
