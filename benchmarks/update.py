"""Training on against a full fit and against fold-in alone, on MovieLens-1M.

    HASHGNN_DATA=… python benchmarks/update.py

A tenth of the users and a twentieth of the items are new: a first model is trained without them. Then they
arrive, with all their training interactions, and three ways are compared: fold-in of everybody's history
without training (the first model knows no new item), ``HashGNN.update``, and a full fit. Recall@20 is over the
same held-out items; times are of one process after a warm-up.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import hashgnn as hg
from hashgnn.data import generate_interactions, read_interactions
from hashgnn.errors import DataWarning

Array = np.ndarray[Any, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", default="default")
    parser.add_argument("--bits", type=int, default=128)
    parser.add_argument("--search", default="hierarchical")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    warnings.simplefilter("ignore", DataWarning)
    folder = Path(os.environ["HASHGNN_DATA"]) / "ml-1m"
    everything = read_interactions(folder / "split_bgch_train.parquet")
    test = read_interactions(
        folder / "split_bgch_test.parquet",
        user_ids=everything.user_ids,
        item_ids=everything.item_ids,
        on_unknown="skip",
    )
    rng = np.random.default_rng(options.seed)
    users = rng.permutation(everything.n_users)[: everything.n_users // 10]
    items = rng.permutation(everything.n_items)[: everything.n_items // 20]
    arrives = np.isin(everything.user_index, users) | np.isin(everything.item_index, items)
    first, new = everything.subset(~arrives).compact(), everything.subset(arrives).compact()
    run = {"rng": options.seed, "n_threads": options.threads, "progress": False}

    def fit(data: Any) -> hg.HashGNN:
        return hg.HashGNN(recipe=options.recipe, n_bits=options.bits).fit(data, **run)

    hg.HashGNN(n_bits=8, embedding_dim=8, optimizer={"epochs": 1}).fit(
        generate_interactions(60, 40, 600, rng=0), **run
    )
    old = fit(first)
    updated, of_update = _timed(lambda: old.update(new, **run))
    anew, of_fit = _timed(lambda: fit(everything))
    histories = [everything.item_ids.ids[row.indices].tolist() for row in everything.csr]
    known = set(old.state_.items.ids.ids.tolist())
    histories = [[item for item in history if item in known] for history in histories]
    _, of_fold_in = _timed(lambda: old.fold_in_users(histories))
    ids = everything.user_ids.ids.tolist()
    ways = {
        "fold-in alone": (_lists(old.recommend_for_history, histories, options.search), of_fold_in),
        "update": (_lists(updated.recommend, ids, options.search), of_update),
        "full fit": (_lists(anew.recommend, ids, options.search), of_fit),
    }
    rows = {
        name: {**_recalls(lists, test, users, items), "seconds": seconds}
        for name, (lists, seconds) in ways.items()
    }
    result = {
        "recipe": options.recipe,
        "n_bits": options.bits,
        "search": options.search,
        "epochs": {"update": updated.state_.training["epochs"], "full fit": anew.state_.training["epochs"]},
        "n_new_users": len(users),
        "n_new_items": len(items),
        "recall@20": rows,
        "machine": f"{platform.machine()}, {options.threads} threads",
    }
    if options.json:
        print(json.dumps(result))
        return
    print(f"{len(users)} new users, {len(items)} new items; {options.search} search at {options.bits} bits")
    for name, row in rows.items():
        print(f"{name:14}", "  ".join(f"{key} {value:.4f}" for key, value in row.items()))


def _timed(run: Callable[[], Any]) -> tuple[Any, float]:
    started = time.perf_counter()
    return run(), time.perf_counter() - started


def _lists(recommend: Callable[..., Any], requested: list[Any], search: str) -> list[list[Any]]:
    return list(recommend(requested, k=20, search=search).lists())


def _recalls(lists: list[list[Any]], test: Any, users: Array, items: Array) -> dict[str, float]:
    """Return Recall@20 over all users, over new users, and of the new items among the held-out ones."""
    ids, matrix = test.item_ids.ids, test.csr
    new_items, new_users = set(ids[items].tolist()), set(users.tolist())
    found: dict[str, list[float]] = {"all users": [], "new users": [], "new items": []}
    for user, listed in enumerate(lists):
        wanted = set(ids[matrix[user].indices].tolist())
        if not wanted:
            continue
        recall = len(wanted & set(listed)) / len(wanted)
        found["all users"].append(recall)
        if user in new_users:
            found["new users"].append(recall)
        if wanted & new_items:
            found["new items"].append(len(wanted & new_items & set(listed)) / len(wanted & new_items))
    return {name: float(np.mean(values)) for name, values in found.items()}


if __name__ == "__main__":
    main()
