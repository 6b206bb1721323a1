"""Steps a second, and seconds of preparation, of one process and of several that train together.

    HASHGNN_DATA=data python benchmarks/training_workers.py --workers 2 --steps 100

Every process has one thread. Preparation is what comes before the first step: spectrum, teacher and its lists. The
steps are those of the recipe on all of the training data; the run ends after as many as were asked for. Both numbers
are measured in turns, as often as ``--rounds`` says. ``--quality`` fits the whole recipe instead, with several seeds,
and compares Recall@20 on held-out interactions.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from hashgnn import HashGNN
from hashgnn.data import Interactions, split
from hashgnn.data.readers import read_interactions
from hashgnn.errors import CallbackError
from hashgnn.evaluation import evaluate
from hashgnn.runs import Callback, Run

_WARM_UP = 10  # steps that are not counted


class Enough(Exception):
    """The steps that were asked for are done."""


class Clock(Callback):
    """Note when steps end, and end the run after some."""

    def __init__(self, n_steps: int) -> None:
        self._n_steps, self.times = n_steps, [time.perf_counter()]
        self.preparation = 0.0

    def on_start(self, run: Run) -> None:
        self.preparation = run.seconds

    def on_step(self, run: Run) -> None:
        self.times.append(time.perf_counter())
        if len(self.times) > self._n_steps + _WARM_UP:
            raise Enough

    @property
    def steps_a_second(self) -> float:
        times = self.times[_WARM_UP:]
        return (len(times) - 1) / (times[-1] - times[0])


def measured(train: Interactions, workers: int, arguments: argparse.Namespace) -> dict[str, float]:
    """Return steps a second and seconds of preparation with so many processes."""
    clock = Clock(arguments.steps)
    try:
        HashGNN(recipe=arguments.recipe, **teacher(arguments)).fit(
            train,
            rng=0,
            device="cpu",
            n_threads=1,
            progress=False,
            callbacks=[clock],
            n_workers=workers,
            shard_from=arguments.shard_from,
        )
    except CallbackError as error:
        if not isinstance(error.__cause__, Enough):
            raise
    return {"steps_a_second": clock.steps_a_second, "preparation_seconds": clock.preparation}


def teacher(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the setting of the teacher, if it is not the recipe's."""
    return {} if arguments.teacher is None else {"teacher": {"name": arguments.teacher}}


def speed(train: Interactions, arguments: argparse.Namespace) -> None:
    """Print the figures of each number of processes, and their ratios."""
    found: dict[int, list[dict[str, float]]] = {1: [], arguments.workers: []}
    for number in range(arguments.rounds):
        for workers in sorted(found, reverse=number % 2 == 1):
            figures = measured(train, workers, arguments)
            found[workers].append(figures)
            print(json.dumps({"workers": workers, **figures}), flush=True)
    best = {
        workers: {name: statistics.median(row[name] for row in rows) for name in rows[0]}
        for workers, rows in found.items()
    }
    alone, several = best[1], best[arguments.workers]
    print(
        json.dumps(
            {
                "times_the_steps": several["steps_a_second"] / alone["steps_a_second"],
                "times_the_preparation": alone["preparation_seconds"] / several["preparation_seconds"],
            }
        )
    )


def quality(train: Interactions, test: Interactions, arguments: argparse.Namespace) -> None:
    """Print Recall@20 by code of several seeds, for one process and for several."""
    found: dict[int, list[float]] = {1: [], arguments.workers: []}
    for seed in range(arguments.rounds):
        for workers, values in found.items():
            model = HashGNN(recipe=arguments.recipe, **teacher(arguments)).fit(
                train,
                rng=seed,
                device="cpu",
                n_threads=1,
                progress=False,
                n_workers=workers,
                shard_from=arguments.shard_from,
            )
            result = evaluate(
                model,
                train,
                test,
                metrics=["recall@20"],
                search="hamming",
                n_bootstrap=0,
                n_timed=0,
                progress=False,
            )
            values.append(float(result.metrics["hamming"]["recall@20"]))
            print(json.dumps({"workers": workers, "seed": seed, "recall@20": values[-1]}), flush=True)
    for workers, values in found.items():
        spread = statistics.stdev(values) if len(values) > 1 else float("nan")
        print(json.dumps({"workers": workers, "mean": statistics.mean(values), "deviation": spread}))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    data = Path(os.environ.get("HASHGNN_DATA", "data"))
    parser.add_argument("--train", type=Path, default=data / "gowalla" / "train.parquet")
    parser.add_argument("--test", type=Path, default=None, help="for --quality; default: a fifth of --train")
    parser.add_argument("--recipe", default="default")
    parser.add_argument(
        "--teacher", default=None, help="a fixed one is sooner there; the steps cost the same"
    )
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=1, help="rounds, or seeds with --quality")
    parser.add_argument("--shard-from", type=int, default=10_000)
    parser.add_argument("--quality", action="store_true")
    arguments = parser.parse_args()
    machine: dict[str, Any] = {
        "processor": platform.processor() or platform.machine(),
        "processors": os.cpu_count(),
        "load_before": os.getloadavg()[0],
        "torch": metadata.version("torch"),
        "hashgnn": metadata.version("hashgnn"),
    }
    train = read_interactions(arguments.train)
    print(json.dumps({"machine": machine, "train": str(arguments.train)}), flush=True)
    if not arguments.quality:
        speed(train, arguments)
        return
    if arguments.test is None:
        train, test = split.random(train, 0.2, rng=0)
    else:
        test = read_interactions(arguments.test, user_ids=train.user_ids, item_ids=train.item_ids)
    quality(train, test, arguments)


if __name__ == "__main__":
    main()
