"""What a cascade finds and takes: candidates by code ranked by floats, or rows of few bits in lists around embeddings.

    python benchmarks/cascade.py --model models/v1 --items 1000000

A catalogue grown from a saved model, its users as queries, the best hundred, one thread. Times are processor time,
medians over rounds in which every search takes its turn. Bytes of rows are those without floats, which may stay in a
mapped file and lie in memory here. Index recall is judged on 128 users; rows are made from what the others ask.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from hashgnn.benchmarking import grown_workload
from hashgnn.benchmarking.search.machine import machine
from hashgnn.index import EmbeddedCodes, HammingIndex, HierarchicalIndex, InvertedFile
from hashgnn.index.row_choice import best_quantiser
from hashgnn.recommender import HashGNN

Array = np.ndarray[Any, Any]
_K, _JUDGED, _BATCH, _SINGLE = 100, 128, 256, 64
_BLOCK = 1 << 16
# Lists that are read, and rows that floats rank for each result.
_DEPTHS = ((12, 0), (12, 2), (14, 2), (20, 2), (32, 3), (48, 3))


def main() -> None:
    """Print a line for each search."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, required=True, help="folder of a saved model")
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--rows", default="64,96,144", help="bytes of a row, a number or several")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    data = grown_workload(HashGNN.load(arguments.model), arguments.items)
    queries = EmbeddedCodes(data.query_codes, data.queries)
    worst = _kth(data.items, data.queries[:_JUDGED])
    started = time.process_time()
    lists = InvertedFile(data.item_codes, data.scored_bias)
    seconds, floats = time.process_time() - started, HierarchicalIndex(lists, data.items, dtype="float16")
    searches: dict[str, tuple[Callable[[slice], Any], float]] = {}
    lists.n_probe = floats.n_probe = 64
    searches["codes alone, 1,000"] = (lambda rows: lists.search(queries.codes[rows], 10 * _K), seconds)
    searches["codes, 1,000 in float16"] = (
        lambda rows: floats.search(queries[rows], _K, oversampling=10),
        seconds,
    )
    sizes = {"codes alone, 1,000": lists.nbytes, "codes, 1,000 in float16": floats.nbytes}
    for n_bytes in map(int, arguments.rows.split(",")):
        started = time.process_time()
        quantiser = best_quantiser(data.items, data.queries[_JUDGED:], n_bytes, _K)
        codes = HammingIndex(data.item_codes, data.scored_bias)
        index = HierarchicalIndex.in_lists(codes, data.items, quantiser)
        seconds = time.process_time() - started
        for depth in _DEPTHS:
            name = f"rows of {n_bytes} bytes ({quantiser.bits} bits), {depth[0]} lists, {depth[1] * _K}"
            searches[name] = (_search(index, queries, depth), seconds)
            sizes[name] = index.nbytes - data.items.nbytes
    times: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in searches}
    for _ in range(arguments.rounds):
        for name, (search, _) in searches.items():
            started = time.process_time()
            search(slice(_JUDGED, _JUDGED + _BATCH))
            middle = time.process_time()
            for row in range(_SINGLE):
                search(slice(row, row + 1))
            times[name][0].append((middle - started) / _BATCH * 1e3)
            times[name][1].append((time.process_time() - middle) / _SINGLE * 1e3)
    print(machine(1))
    for name, (search, seconds) in searches.items():
        positions = search(slice(0, _JUDGED)).positions[:, :_K]
        found = np.einsum("qkd,qd->qk", data.items[positions], data.queries[:_JUDGED])
        row = {
            "search": name,
            "index_recall": round(float((found >= worst[:, None] - 1e-5).mean()), 4),
            "batch_processor_ms": round(float(np.median(times[name][0])), 4),
            "single_processor_ms": round(float(np.median(times[name][1])), 4),
            "bytes_per_item": round(sizes[name] / len(data.items), 1),
            "build_processor_seconds": round(seconds, 1),
        }
        print(json.dumps(row) if arguments.json else "  ".join(map(str, row.values())), flush=True)


def _search(
    index: HierarchicalIndex, queries: EmbeddedCodes, depth: tuple[int, int]
) -> Callable[[slice], Any]:
    def search(rows: slice) -> Any:
        index.n_probe = depth[0]
        return index.search(queries[rows], _K, refined=depth[1])

    return search


def _kth(items: Array, queries: Array) -> Array:
    best = np.full((len(queries), _K), -np.inf, np.float32)
    for start in range(0, len(items), _BLOCK):
        both = np.hstack([best, queries @ items[start : start + _BLOCK].T])
        best = np.partition(both, -_K, axis=1)[:, -_K:]
    return best.min(axis=1)


if __name__ == "__main__":
    main()
