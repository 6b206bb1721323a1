"""Steps a second, and seconds of preparation, of one process and of several that train together.

    HASHGNN_DATA=data python benchmarks/training_workers.py --workers 2 --steps 100

Every process has one thread. Preparation is what comes before the first step: spectrum, teacher and its lists. The
steps are those of the recipe on all of the training data; the run ends after as many as were asked for. Both numbers
are measured in turns, as often as ``--rounds`` says. ``--split`` says on what the first process spends a step.
``--ceiling`` lets as many processes train models of their own at the same time: more than they make together, no
division of the work can make on this machine.

``--quality`` fits the whole recipe instead, with several seeds, and compares Recall@20 on held-out interactions. With
``--results FILE`` each fit is kept, and ``--minutes`` ends the command in time; the same command goes on.
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
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from hashgnn import HashGNN
from hashgnn.data import Interactions, split
from hashgnn.data.readers import read_interactions
from hashgnn.errors import CallbackError
from hashgnn.evaluation import evaluate
from hashgnn.nn.encoders.history import HistoryEncoder
from hashgnn.runs import Callback, Run
from hashgnn.training.hash_model import HashModel
from hashgnn.training.objectives import UserObjective
from hashgnn.training.objectives.parted_users import PartedUserObjective
from hashgnn.training.workers.group import JoinedGroup

_WARM_UP = 10  # steps that are not counted


class Enough(Exception):
    """The steps that were asked for are done."""


class Clock(Callback):
    """Note when steps end, and end the run after some."""

    def __init__(self, n_steps: int) -> None:
        self._n_steps = n_steps
        self.times: list[float] = []  # of the steps that count
        self.preparation = 0.0

    def on_start(self, run: Run) -> None:
        self.preparation = run.seconds

    def on_step(self, run: Run) -> None:
        if run.global_step < _WARM_UP:
            return
        self.times.append(time.perf_counter())
        if len(self.times) > self._n_steps:
            raise Enough

    @property
    def steps_a_second(self) -> float:
        return (len(self.times) - 1) / (self.times[-1] - self.times[0])


class Split:
    """Where the time of a step goes: milliseconds of each part, without those of the parts inside it."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = defaultdict(float)
        self._inside: list[float] = []

    def of_step(self, clock: Clock) -> dict[str, float]:
        """Return the milliseconds of a mean step; what no part has is the rest."""
        n_steps = len(clock.times) - 1
        parts = {name: 1e3 * seconds / n_steps for name, seconds in self._seconds.items()}
        whole = 1e3 * (clock.times[-1] - clock.times[0]) / n_steps
        parts["rest"] = whole - sum(parts.values())
        return {name: round(value, 2) for name, value in sorted(parts.items(), key=lambda row: -row[1])}

    @contextmanager
    def of_steps(self) -> Iterator[None]:
        """Measure inside the block."""
        places: list[tuple[Any, str, str]] = [
            (UserObjective, "_batch_targets", "targets"),
            (UserObjective, "_sample", "sample of items"),
            (PartedUserObjective, "_part", "sample of items"),
            (HistoryEncoder, "forward", "encoder"),
            (PartedUserObjective, "_embeddings", "encoder"),
            (HashModel, "before_codes", "codes"),
            (HashModel, "codes", "codes"),
            (UserObjective, "_softmax", "softmax"),
            (PartedUserObjective, "_parts_of_softmax", "softmax"),
            (torch.Tensor, "backward", "backward"),
            (JoinedGroup, "sum_", "exchange"),
            (JoinedGroup, "max_", "exchange"),
            (JoinedGroup, "gather", "exchange"),
            (torch.optim.Adam, "step", "optimiser"),
        ]
        patches = [
            mock.patch.object(owner, name, self._timed(part, getattr(owner, name)))
            for owner, name, part in places
        ]
        for patch in patches:
            patch.start()
        try:
            yield
        finally:
            for patch in patches:
                patch.stop()

    def clear(self) -> None:
        self._seconds.clear()

    def _timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*values: Any, **options: Any) -> Any:
            started = time.perf_counter()
            self._inside.append(0.0)
            try:
                return function(*values, **options)
            finally:
                seconds = time.perf_counter() - started
                self._seconds[part] += seconds - self._inside.pop()
                if self._inside:
                    self._inside[-1] += seconds

        return timed


class Start(Callback):
    """Forget what was measured before the first step that counts."""

    def __init__(self, split: Split) -> None:
        self._split = split

    def on_step(self, run: Run) -> None:
        if run.global_step == _WARM_UP:
            self._split.clear()


def measured(
    train: Interactions, workers: int, arguments: argparse.Namespace, clock: Clock, *others: Callback
) -> dict[str, float]:
    """Return steps a second and seconds of preparation with so many processes."""
    try:
        HashGNN(recipe=arguments.recipe, **teacher(arguments)).fit(
            train,
            rng=0,
            device="cpu",
            n_threads=1,
            progress=False,
            callbacks=[*others, clock],
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
            figures = measured(train, workers, arguments, Clock(arguments.steps))
            found[workers].append(figures)
            print(json.dumps({"workers": workers, **figures}), flush=True)
    best = {
        workers: {name: statistics.median(row[name] for row in rows) for name in rows[0]}
        for workers, rows in found.items()
    }
    alone, several = best[1], best[arguments.workers]
    ratios = {
        "times_the_steps": several["steps_a_second"] / alone["steps_a_second"],
        "times_the_preparation": alone["preparation_seconds"] / several["preparation_seconds"],
    }
    print(json.dumps(ratios), flush=True)
    if arguments.ceiling:
        ceiling(alone["steps_a_second"], arguments)
    for workers in sorted(found) if arguments.split else ():
        split, clock = Split(), Clock(arguments.steps)
        with split.of_steps():
            measured(train, workers, arguments, clock, Start(split))
        print(json.dumps({"workers": workers, "milliseconds_of_a_step": split.of_step(clock)}), flush=True)


def ceiling(alone: float, arguments: argparse.Namespace) -> None:
    """Print the steps that processes make which train models of their own at the same time."""
    command = [sys.executable, __file__, "--train", str(arguments.train), "--recipe", arguments.recipe]
    command += [] if arguments.teacher is None else ["--teacher", arguments.teacher]
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, f"{number}.json") for number in range(arguments.workers)]
        # Twice the steps, so that those in the middle are made at the same time.
        processes = [
            subprocess.Popen([*command, "--steps", str(2 * arguments.steps), "--times", str(file)])
            for file in files
        ]
        if any(process.wait() for process in processes):
            raise SystemExit("a process of its own did not end well")
        times = [json.loads(file.read_text()) for file in files]
    start, end = max(row[0] for row in times), min(row[-1] for row in times)
    if end <= start:
        raise SystemExit("the processes never trained at the same time; raise --steps")
    together = sum(sum(start < moment <= end for moment in row) for row in times) / (end - start)
    print(
        json.dumps({"independent": arguments.workers, "steps_a_second": together, "times": together / alone}),
        flush=True,
    )


def quality(train: Interactions, test: Interactions, arguments: argparse.Namespace) -> None:
    """Print Recall@20 by code of several seeds, for one process and for several."""
    deadline = Deadline(arguments.minutes)
    kept: list[dict[str, Any]] = []
    if arguments.results is not None and arguments.results.exists():
        kept = [json.loads(line) for line in arguments.results.read_text().splitlines()]
    found: dict[int, list[float]] = {1: [], arguments.workers: []}
    for seed in range(arguments.rounds):
        for workers, values in found.items():
            key = {"train": str(arguments.train), "workers": workers, "seed": seed}
            row = next((row for row in kept if key.items() <= row.items()), None)
            if row is None:
                row = {**key, **one_fit(train, test, workers, seed, arguments, deadline)}
                print(json.dumps(row), flush=True)
                if arguments.results is not None:
                    with arguments.results.open("a") as file:
                        file.write(json.dumps(row) + "\n")
            values.append(row["recall@20"])
    for workers, values in found.items():
        spread = statistics.stdev(values) if len(values) > 1 else float("nan")
        print(json.dumps({"workers": workers, "mean": statistics.mean(values), "deviation": spread}))


class Deadline(Callback):
    """End the run after an epoch, when time is over."""

    def __init__(self, minutes: float) -> None:
        self._end = time.monotonic() + 60 * minutes

    def on_epoch_end(self, run: Run) -> None:
        if time.monotonic() > self._end and run.epoch < run.n_epochs:
            raise Enough


def one_fit(
    train: Interactions,
    test: Interactions,
    workers: int,
    seed: int,
    arguments: argparse.Namespace,
    deadline: Deadline,
) -> dict[str, float]:
    """Return the quality of one model, and the seconds of its last start."""
    options: dict[str, Any] = {}
    if arguments.results is not None:
        folder = arguments.results.with_suffix(f".{workers}.{seed}")
        options = {"checkpoint_dir": folder, "resume": folder.exists()}
    try:
        model = HashGNN(recipe=arguments.recipe, **teacher(arguments)).fit(
            train,
            rng=seed,
            device="cpu",
            n_threads=1,
            progress=False,
            n_workers=workers,
            shard_from=arguments.shard_from,
            callbacks=[deadline],
            **options,
        )
    except CallbackError as error:
        if not isinstance(error.__cause__, Enough):
            raise
        raise SystemExit("time is over; the same command goes on") from None
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
    return {
        "recall@20": float(result.metrics["hamming"]["recall@20"]),
        "seconds": round(model.state_.training["seconds"], 1),
    }


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
    parser.add_argument("--split", action="store_true", help="print the parts of a step")
    parser.add_argument("--ceiling", action="store_true", help="measure processes with models of their own")
    parser.add_argument("--quality", action="store_true")
    parser.add_argument(
        "--results", type=Path, default=None, help="with --quality: a file that keeps each fit"
    )
    parser.add_argument(
        "--minutes",
        type=float,
        default=1e9,
        help="with --results: end after the epoch in which they are over",
    )
    parser.add_argument("--times", type=Path, default=None, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    machine: dict[str, Any] = {
        "processor": platform.processor() or platform.machine(),
        "processors": os.cpu_count(),
        "load_before": os.getloadavg()[0],
        "python": platform.python_version(),
        "torch": metadata.version("torch"),
        "hashgnn": metadata.version("hashgnn"),
    }
    train = read_interactions(arguments.train)
    if arguments.times is not None:
        clock = Clock(arguments.steps)
        measured(train, 1, arguments, clock)
        arguments.times.write_text(json.dumps(clock.times))
        return
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
