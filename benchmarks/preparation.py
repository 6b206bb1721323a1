"""Seconds and memory of all that happens before the first epoch of ``default``, on generated interactions.

    python benchmarks/preparation.py 1e6 5e6 14e6

Each size runs in a process of its own, with one user for every 14 interactions and one item for every 70. Making the
interactions is not counted. The run ends where the first epoch would begin.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from typing import Any

from hashgnn.config import parse_setting


def measure(size: int, threads: int | None, settings: dict[str, Any]) -> dict[str, Any]:
    """Prepare one run; return what it took."""
    from hashgnn.config import ModelConfig
    from hashgnn.data import generate_interactions
    from hashgnn.runs import Callback, Run, RunOptions
    from hashgnn.training import train

    class Reached(KeyboardInterrupt):
        """The first epoch would begin."""

    class Stop(Callback):
        def on_start(self, run: Run) -> None:
            raise Reached(run.seconds, dict(run.facts))

    interactions = generate_interactions(size // 14, size // 70, size, rng=0)
    interactions.csr.sort_indices()
    before = resource.getrusage(resource.RUSAGE_SELF)
    started = time.perf_counter()
    try:
        train(
            interactions,
            ModelConfig(**settings),
            options=RunOptions(seed=0, n_threads=threads, progress=False, callbacks=[Stop()]),
        )
    except Reached as reached:
        facts = reached.args[1]
    after = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "interactions": len(interactions),
        "users": interactions.n_users,
        "items": interactions.n_items,
        "seconds": round(time.perf_counter() - started, 1),
        "processor_seconds": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1),
        "peak_gb": round(after.ru_maxrss / 2**20, 2),
        "teacher": facts.get("teacher"),
    }


def main() -> None:
    """Measure each size in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sizes", nargs="+", type=float, help="interactions, about")
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the model"
    )
    parser.add_argument("--here", action="store_true", help="in this process")
    arguments = parser.parse_args()
    if arguments.here:
        settings = dict(parse_setting(text) for text in arguments.set)
        print(json.dumps(measure(int(arguments.sizes[0]), arguments.threads, settings)))
        return
    for size in arguments.sizes:
        command = [sys.executable, __file__, f"{size:.0f}", "--here"]
        command += [] if arguments.threads is None else ["--threads", str(arguments.threads)]
        for text in arguments.set:
            command += ["--set", text]
        print(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip(), flush=True)


if __name__ == "__main__":
    main()
