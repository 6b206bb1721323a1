"""Fold-in against training: users or items held out of training entirely and folded in, on MovieLens-1M.

    HASHGNN_DATA=… python benchmarks/fold_in.py [--side items]

A tenth of the users (or items) is held out. One model is trained without them, and their training histories
(or audiences) are folded in; another is trained with everybody. Users: both recommend to the same users;
Recall@20 is over the same held-out interactions. Items: the folded-in ones are ranked together with the trained ones, with
the bias that fold-in gives and with the mean bias, and Recall@20 is over the held-out interactions with them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

import hashgnn as hg
from hashgnn.codes import BinaryCodes, ItemBias
from hashgnn.data import IdMap, read_interactions
from hashgnn.errors import DataWarning
from hashgnn.state import Side


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", choices=["users", "items"], default="users")
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
        on_unknown="skip",
    ).csr
    result = {
        "side": options.side,
        "recipe": options.recipe,
        "n_bits": options.bits,
        **(_users if options.side == "users" else _items)(train, test, options),
        "machine": f"{platform.machine()}, {options.threads} threads",
    }
    if options.json:
        print(json.dumps(result))
        return
    took = result["fold_in_milliseconds_median"]
    print(f"{result['n_held_out']} {options.side} held out; fold-in takes {took:.2f} ms for one")
    for way, row in result["recall@20"].items():
        print(f"{way:13}", "  ".join(f"{name} {value:.4f}" for name, value in row.items()))


def _users(train: hg.Interactions, test: Any, options: argparse.Namespace) -> dict[str, Any]:
    others, held_out = hg.split.users(train, 0.1, rng=options.seed)
    users = np.unique(held_out.user_index)
    users = users[np.diff(test.indptr)[users] > 0]
    histories = [train.item_ids.ids[train.csr[u].indices].tolist() for u in users]
    ids = train.user_ids.ids[users].tolist()
    models = [_fit(data, options) for data in (others, train)]
    rows: dict[str, dict[str, float]] = {}
    for way in models[0].search_ways:
        folded = models[0].recommend_for_history(histories, k=20, search=way)
        known = models[1].recommend(ids, k=20, search=way)
        one, other = (_recall(found, users, test, train) for found in (folded, known))
        rows[way] = {"folded in": one, "trained on": other, "share": one / other}
    took = _milliseconds(lambda history: models[0].fold_in_users([history]), histories[:200])
    return {"n_held_out": len(users), "recall@20": rows, "fold_in_milliseconds_median": took}


def _items(train: hg.Interactions, test: Any, options: argparse.Namespace) -> dict[str, Any]:
    n_new = train.n_items // 10
    new = np.random.default_rng(options.seed).permutation(train.n_items)[:n_new]
    is_new = np.isin(np.arange(train.n_items), new)
    others = train.subset(~is_new[train.item_index]).compact()
    order = np.concatenate([train.item_ids.index_of(others.item_ids.ids), np.flatnonzero(is_new)])
    seen, wanted = train.csr[:, order], test[:, order].copy()
    wanted.data *= wanted.indices >= others.n_items
    wanted.eliminate_zeros()
    audiences = [train.user_ids.ids[seen[:, j].indices].tolist() for j in range(others.n_items, len(order))]
    known = [[user for user in audience if user in others.user_ids] for audience in audiences]
    model, everything = _fit(others, options), _fit(train, options)
    folded = model.fold_in_items(known)
    users = train.user_ids.index_of(others.user_ids.ids)
    ids = IdMap(train.item_ids.ids[order])
    without = None if folded.bias is None else replace(folded, bias=model.fold_in_items([[]] * n_new).bias)
    found = {
        "folded in": _evaluated(_grown(model, folded, seen[users], ids), seen[users], wanted[users]),
        "with the mean bias": {}
        if without is None
        else _evaluated(_grown(model, without, seen[users], ids), seen[users], wanted[users]),
        "trained on": _evaluated(everything, train.csr, _rows(wanted, users)[:, np.argsort(order)]),
    }
    rows: dict[str, dict[str, float]] = {}
    for way in model.search_ways:
        rows[way] = {name: values[way] for name, values in found.items() if way in values}
        rows[way]["share"] = rows[way]["folded in"] / rows[way]["trained on"]
    took = _milliseconds(lambda audience: model.fold_in_items([audience]), known[:200])
    return {"n_held_out": n_new, "recall@20": rows, "fold_in_milliseconds_median": took}


def _grown(model: hg.HashGNN, new: Any, seen: Any, ids: IdMap) -> hg.HashGNN:
    """Return the model with folded-in items behind its own."""
    state = model.state_
    bias = state.items.bias
    if bias is not None:
        bias = ItemBias(np.concatenate([bias.penalty, new.bias.penalty]), bias.top)
    grown = replace(
        state,
        items=Side(
            ids=ids,
            codes=BinaryCodes(np.vstack([state.items.codes.packed, new.codes.packed])),
            embeddings=np.vstack([state.items.embeddings, new.embeddings]),
            bias=bias,
        ),
        seen=seen,
    )
    return hg.HashGNN.from_state(grown)


def _rows(matrix: Any, kept: np.ndarray[Any, Any]) -> Any:
    """Return a matrix whose other rows are empty."""
    is_kept = np.isin(np.arange(matrix.shape[0]), kept).astype(np.float32)
    result = sparse.csr_matrix(sparse.diags_array(is_kept) @ matrix)
    result.eliminate_zeros()
    return result


def _evaluated(model: hg.HashGNN, seen: Any, wanted: Any) -> dict[str, float]:
    report = hg.evaluate(model, seen, wanted, metrics=["recall@20"], n_bootstrap=0, n_timed=0)
    return {way: values["recall@20"] for way, values in report.metrics.items()}


def _fit(data: hg.Interactions, options: argparse.Namespace) -> hg.HashGNN:
    model = hg.HashGNN(recipe=options.recipe, n_bits=options.bits)
    return model.fit(data, rng=options.seed, n_threads=options.threads, progress=False)


def _milliseconds(fold_in: Callable[[Any], Any], lists: list[Any]) -> float:
    times = []
    for one in lists:
        started = time.perf_counter()
        fold_in(one)
        times.append(1000 * (time.perf_counter() - started))
    return float(np.median(times))


def _recall(found: Any, users: np.ndarray[Any, Any], test: Any, train: Any) -> float:
    recalls = []
    for user, items in zip(users, found.lists(), strict=True):
        wanted = set(test[user].indices.tolist())
        positions = train.item_ids.index_of(items)
        recalls.append(len(wanted & set(positions.tolist())) / len(wanted))
    return float(np.mean(recalls))


if __name__ == "__main__":
    main()
