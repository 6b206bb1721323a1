r"""Measure engines that hold the items of a model: export, sync of one percent, and searches against the own index.

    python benchmarks/generated_model.py models/million --items 1000000 --users 20000 --bits 128
    python benchmarks/engines.py models/million --to "postgresql://localhost/bench?table=exact" \
        "postgresql://localhost/bench?table=graph&index=hnsw" "lancedb://bench.lance?index=ivf" "milvus://bench.db"

A row for each engine has the seconds of the export, of these the engine's own index, and the seconds of a sync in
which one item of a hundred has another code, bias and embedding. Searches are of single queries by code and bias: without
a filter, and with filters that leave a tenth and a hundredth of the items. Recall is the share of the exact best ``k``
that was found; an item as near as the last of them counts as found. What was exported stays there.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from hashgnn import HashGNN
from hashgnn.codes import BinaryCodes, ItemBias
from hashgnn.engines import EngineAddress, export_model, sync_model
from hashgnn.ranking import CandidateFilter
from hashgnn.state import ModelState, load_state, save_state

SHARES = (1.0, 0.1, 0.01)


def next_version(state: ModelState, share: float) -> ModelState:
    """Return a model a share of whose items have other codes, biases and embeddings."""
    rng = np.random.default_rng(1)
    rows = rng.permutation(state.n_items)[: max(1, int(share * state.n_items))]
    packed, table = np.array(state.items.codes.packed), np.array(state.items.embeddings)
    packed[rows] ^= np.uint8(1)
    table[rows] = table[np.roll(rows, 1)]
    bias = state.items.bias
    if bias is not None:
        penalty = np.array(bias.penalty)
        penalty[rows] = penalty[np.roll(rows, 1)]
        bias = ItemBias(penalty, bias.top)
    items = dataclasses.replace(state.items, codes=BinaryCodes(packed), embeddings=table, bias=bias)
    return dataclasses.replace(state, items=items, checksum=None)


def measure_searches(model: HashGNN, own: HashGNN, n_queries: int, k: int) -> dict[str, Any]:
    """Return recall, results and milliseconds of single queries for each filter."""
    assert model.engine_index is not None
    rng = np.random.default_rng(2)
    users = rng.permutation(len(own.user_ids))[:n_queries]
    codes = own.state_.users.codes[users]
    found: dict[str, Any] = {}
    for share in SHARES:
        mask = None if share == 1 else rng.random(own.state_.n_items) < share
        candidates = CandidateFilter(allow_all=mask)
        exact = own.item_index.search(codes, k, candidates=candidates)
        last = exact.scores[np.arange(len(exact)), exact.counts - 1]
        times, hits, fewest = [], 0, k
        for row in range(len(codes)):
            began = time.perf_counter()
            one = model.engine_index.search(codes[row : row + 1], k, candidates=candidates)
            times.append(time.perf_counter() - began)
            hits += int((one.scores[0, : one.counts[0]] >= last[row]).sum())
            fewest = min(fewest, int(one.counts[0]))
        found[f"{share:.0%}"] = {
            "recall": hits / int(exact.counts.sum()),
            "fewest": fewest,
            "ms": float(np.median(times)) * 1000,
        }
    return found


def main() -> None:
    """Measure, and print a row for each engine."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("--to", nargs="+", required=True, metavar="URL")
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--k", type=int, default=100)
    parser.add_argument("--floats", choices=("none", "half"), help="default: as the engine can")
    parser.add_argument("--json", type=Path, help="write the rows here too")
    options = parser.parse_args()
    own = HashGNN.load(options.model)
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} processors; {own.state_.n_items:,} items"
    )
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        later = Path(folder, "later")
        save_state(next_version(load_state(options.model), 0.01), later)
        for url in options.to:
            made = export_model(options.model, url, floats=options.floats, replace=True)
            searches = measure_searches(
                HashGNN.load(options.model, engine=url), own, options.queries, options.k
            )
            synced = sync_model(options.model, later, url)
            row = {
                "engine": str(EngineAddress.of(url)),
                "export_s": made.seconds,
                "index_s": made.index_seconds,
                "sync_s": synced.seconds,
                "sync_rows": synced.n_written,
                "searches": searches,
            }
            rows.append(row)
            print(json.dumps(row, indent=2), flush=True)
    if options.json is not None:
        options.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
