"""Every float baseline by the standard protocol: time to fit, Recall and NDCG.

    HASHGNN_DATA=… python benchmarks/baselines.py --output runs/baselines.jsonl
    HASHGNN_DATA=… python benchmarks/baselines.py --output runs/baselines.jsonl --data gowalla --only gf-cf chebycf
    python benchmarks/baselines.py --output runs/baselines.jsonl --table

Every finished fit is one line of the output file; what is in it is not fitted again. Seconds are of the
processor, all threads together, so that other work on the machine does not count.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import hashgnn as hg
from hashgnn.baselines import BASELINES, fit_baseline
from hashgnn.data import Interactions, read_interactions

DATA = {
    "ml-1m": ("ml-1m/split_bgch_train.parquet", "ml-1m/split_bgch_test.parquet"),
    "gowalla": ("gowalla/train.parquet", "gowalla/test.parquet"),
}
METRICS = ("recall@20", "recall@50", "recall@100", "ndcg@20", "ndcg@50", "ndcg@100")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True, help="JSONL file of finished fits")
    parser.add_argument("--data", choices=DATA, default="ml-1m")
    parser.add_argument("--only", nargs="*", choices=BASELINES, help="names of baselines; all if left out")
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--table", action="store_true", help="print the table of finished fits and stop")
    options = parser.parse_args()
    rows = [json.loads(line) for line in options.output.open()] if options.output.exists() else []
    if options.table:
        print(table(rows, options.data))
        return
    train, test = load(options.data)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    known = {(row["data"], row["baseline"], row["dim"], row["seed"]) for row in rows}
    for seed in range(options.seeds):
        for name in options.only or BASELINES:
            identity = (options.data, name, options.dim, seed)
            if identity in known:
                continue
            row = dict(zip(("data", "baseline", "dim", "seed"), identity, strict=True))
            row |= measure(name, train, test, options.dim, seed, options.threads)
            with options.output.open("a") as file:
                file.write(json.dumps(row) + "\n")
            print(name, seed, f"{row['fit']:.0f} + {row['score']:.0f} s", row["metrics"], flush=True)


def load(name: str) -> tuple[Interactions, Interactions]:
    """Read the two parts of a data set; test rows of items that training lacks are dropped."""
    folder = Path(os.environ["HASHGNN_DATA"])
    first, second = (folder / file for file in DATA[name])
    train = read_interactions(first)
    known = {"user_ids": train.user_ids, "item_ids": train.item_ids}
    return train, read_interactions(second, **known, on_unknown="drop")


def measure(name: str, train: Any, test: Any, dim: int, seed: int, n_threads: int) -> dict[str, Any]:
    """Fit and evaluate one baseline."""
    started = time.process_time()
    model = fit_baseline(name, train, dim=dim, rng=seed, n_threads=n_threads, progress=False)
    fitted = time.process_time()
    report = hg.evaluate(model, train, test, metrics=METRICS, n_bootstrap=0, n_timed=0, progress=False)
    return {
        "fit": fitted - started,
        "score": time.process_time() - fitted,
        "metrics": report.metrics["float"],
    }


def table(rows: list[dict[str, Any]], data: str) -> str:
    """Return a Markdown table: means over the seeds, baselines in the order of the registry."""
    lines = [
        "| baseline | " + " | ".join(METRICS) + " | fit, s | score, s | seeds |",
        "|---|" + "---|" * (len(METRICS) + 3),
    ]
    for name in BASELINES:
        found = [row for row in rows if (row["data"], row["baseline"]) == (data, name)]
        if not found:
            continue
        means = [sum(row["metrics"][metric] for row in found) / len(found) for metric in METRICS]
        times = [sum(row[key] for row in found) / len(found) for key in ("fit", "score")]
        cells = [f"{mean:.4f}" for mean in means] + [f"{seconds:.0f}" for seconds in times]
        lines.append(f"| `{name}` | {' | '.join(cells)} | {len(found)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
