"""Recipes and ablations side by side on MovieLens-1M, by the standard protocol.

    HASHGNN_DATA=… python benchmarks/recipes.py --output runs/recipes.jsonl
    HASHGNN_DATA=… python benchmarks/recipes.py --output runs/recipes.jsonl --table

Every finished run is one line of the output file; runs that are in it are not made again. ``--table``
prints mean ± standard deviation over the seeds. Ablations are of the ``paper`` recipe at 32 bits, and one
more run for each relaxation, with its scores as they are and divided by four.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

import hashgnn as hg
from hashgnn.data import read_interactions
from hashgnn.nn import RELAXATIONS

METRICS = ("recall@50", "recall@100", "ndcg@50", "ndcg@100")
WAYS = ("hamming", "biased", "hierarchical", "float")

# The authors' recipe takes 20 epochs of 3,117 small steps; on two cores it is cut to 4.
CUT = {"default": {}, "paper": {}, "authors": {"epochs": 4}}
RUNS: dict[str, dict[str, Any]] = {
    f"{recipe} {bits}": {"recipe": recipe, "n_bits": bits, **CUT[recipe]}
    for bits in (32, 64)
    for recipe in ("default", "paper", "authors")
}
ABLATIONS: dict[str, dict[str, Any]] = {
    "paper 32, plain STE": {"recipe": "paper", "n_bits": 32, "guidance": "none"},
    "paper 32, no ranking loss": {"recipe": "paper", "n_bits": 32, "ranking_weight": 0.0},
    "paper 32, scores / 4": {"recipe": "paper", "n_bits": 32, "score_scale": 0.25},
    "paper 32, scores / 4, plain STE": {
        "recipe": "paper",
        "n_bits": 32,
        "score_scale": 0.25,
        "guidance": "none",
    },
}
RELAXED: dict[str, dict[str, Any]] = {
    f"paper 32, {name}{note}": {
        "recipe": "paper",
        "n_bits": 32,
        "score_scale": scale,
        "relaxation": name,
    }
    for note, scale in (("", 1.0), (", scores / 4", 0.25))
    for name in RELAXATIONS
}
ALL = {**RUNS, **ABLATIONS, **RELAXED}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True, help="JSONL file of finished runs")
    parser.add_argument("--only", nargs="*", help="names of runs; all if left out")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--table", action="store_true", help="print the table of finished runs and stop")
    options = parser.parse_args()
    done = _finished(options.output)
    if options.table:
        print(_table(done))
        return
    folder = Path(os.environ["HASHGNN_DATA"]) / "ml-1m"
    train = read_interactions(folder / "split_bgch_train.parquet")
    test = read_interactions(
        folder / "split_bgch_test.parquet",
        user_ids=train.user_ids,
        item_ids=train.item_ids,
        on_unknown="drop",
    )
    options.output.parent.mkdir(parents=True, exist_ok=True)
    known = {(row["run"], row["seed"]) for row in done}
    for seed in range(options.seeds):
        for name, settings in ALL.items():
            if (name, seed) in known or (options.only and name not in options.only):
                continue
            row = {"run": name, "seed": seed, **_run(settings, train, test, seed, options.threads)}
            with options.output.open("a") as file:
                file.write(json.dumps(row) + "\n")
            print(name, seed, f"{row['seconds']:.0f} s", row["metrics"]["hierarchical"], flush=True)


def _run(settings: dict[str, Any], train: Any, test: Any, seed: int, n_threads: int) -> dict[str, Any]:
    started = time.perf_counter()
    model = hg.HashGNN(**settings).fit(train, rng=seed, n_threads=n_threads, progress=False)
    seconds = time.perf_counter() - started
    ways = [way for way in WAYS if way in model.search_ways]
    report = hg.evaluate(
        model, train, test, metrics=METRICS, search=ways, n_bootstrap=0, n_timed=0, rng=0, progress=False
    )
    return {
        "seconds": seconds,
        "epochs": model.state_.training["epochs"],
        "best_epoch": model.state_.training["best_epoch"],
        "metrics": report.metrics,
        "machine": f"{platform.machine()}, {n_threads} threads",
    }


def _finished(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _table(rows: list[dict[str, Any]]) -> str:
    by_run: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        by_run[row["run"]].append(row)
    lines = [
        "| run | search | " + " | ".join(METRICS) + " | seeds | seconds |",
        "|---|---|" + "---|" * (len(METRICS) + 2),
    ]
    for name in ALL:
        found = by_run.get(name, [])
        for way in WAYS if found else ():
            if way not in found[0]["metrics"]:
                continue
            cells = []
            for metric in METRICS:
                values = [row["metrics"][way][metric] for row in found]
                spread = f" ± {np.std(values, ddof=1):.4f}" if len(values) > 1 else ""
                cells.append(f"{np.mean(values):.4f}{spread}")
            seconds = float(np.mean([row["seconds"] for row in found]))
            lines.append(f"| {name} | {way} | {' | '.join(cells)} | {len(found)} | {seconds:.0f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
