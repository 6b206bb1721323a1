"""Fold-in against training: users held out of training entirely, their histories folded in, on MovieLens-1M.

    HASHGNN_DATA=… python benchmarks/fold_in.py

A tenth of the users is held out. One model is trained without them, and their training histories are
folded in; another is trained with everybody. Both recommend to the same users; Recall@20 is over the same
held-out items.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

import hashgnn as hg
from hashgnn.data import read_interactions
from hashgnn.errors import DataWarning


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", default="default")
    parser.add_argument("--bits", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    warnings.simplefilter("ignore", DataWarning)
    folder = Path(os.environ["HASHGNN_DATA"]) / "ml-1m"
    train = read_interactions(folder / "split_bgch_train.parquet")
    test = read_interactions(
        folder / "split_bgch_test.parquet",
        user_ids=train.user_ids,
        item_ids=train.item_ids,
        on_unknown="drop",
    ).csr
    others, held_out = hg.split.users(train, 0.1, rng=options.seed)
    users = np.unique(held_out.user_index)
    users = users[np.diff(test.indptr)[users] > 0]
    histories = [train.item_ids.ids[train.csr[u].indices].tolist() for u in users]
    ids = train.user_ids.ids[users].tolist()
    models = [
        hg.HashGNN(recipe=options.recipe, n_bits=options.bits).fit(
            data, rng=options.seed, n_threads=options.threads, progress=False
        )
        for data in (others, train)
    ]
    rows: dict[str, dict[str, float]] = {}
    for way in models[0].search_ways:
        folded = models[0].recommend_for_history(histories, k=20, search=way)
        known = models[1].recommend(ids, k=20, search=way)
        one, other = (_recall(found, users, test, train) for found in (folded, known))
        rows[way] = {"folded in": one, "trained on": other, "share": one / other}
    times = []
    for history in histories[:200]:
        started = time.perf_counter()
        models[0].fold_in_users([history])
        times.append(1000 * (time.perf_counter() - started))
    result = {
        "recipe": options.recipe,
        "n_bits": options.bits,
        "n_users": len(users),
        "recall@20": rows,
        "fold_in_milliseconds_median": float(np.median(times)),
        "machine": f"{platform.machine()}, {options.threads} threads",
    }
    if options.json:
        print(json.dumps(result))
        return
    print(f"{len(users)} users held out; fold-in takes {result['fold_in_milliseconds_median']:.2f} ms a user")
    for way, row in rows.items():
        print(f"{way:13}", "  ".join(f"{name} {value:.4f}" for name, value in row.items()))


def _recall(found: Any, users: np.ndarray[Any, Any], test: Any, train: Any) -> float:
    recalls = []
    for user, items in zip(users, found.lists(), strict=True):
        wanted = set(test[user].indices.tolist())
        positions = train.item_ids.index_of(items)
        recalls.append(len(wanted & set(positions.tolist())) / len(wanted))
    return float(np.mean(recalls))


if __name__ == "__main__":
    main()
