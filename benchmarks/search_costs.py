"""What filters, an item bias and a second thread change of a scan, and how long saved codes take to open.

    python benchmarks/search_costs.py --items 1000000 --opened 10000000 --model models/v1

Generated clustered codes of one width; every way takes its turn in each round, and the medians are over rounds.
A ratio is the time of a way divided by that of the plain scan of as many queries on one thread: filters should
stay below 1.3, two threads above 1.8 times as fast, which takes two processors that nothing else uses. With ``--model`` the biases that
a saved model has learned are drawn for the items, as many of each as it has.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from hashgnn.benchmarking import generated_workload
from hashgnn.benchmarking.search.machine import machine
from hashgnn.benchmarking.search.timing import timed
from hashgnn.codes import BinaryCodes, ItemBias
from hashgnn.index import (
    CandidateFilter,
    EmbeddedCodes,
    HammingIndex,
    HierarchicalIndex,
    InvertedFile,
    MutableIndex,
    load_index,
)
from hashgnn.ranking import IndexLists
from hashgnn.recommender import HashGNN

Array = np.ndarray[Any, Any]
_SINGLE = 32  # queries of a round, one at a time
_WIDTH, _LISTS = 32, 1000  # of the embeddings and of the inverted file that are opened


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--bits", type=int, default=128)
    parser.add_argument("--k", type=int, default=100)
    parser.add_argument("--queries", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--opened", type=int, default=10_000_000, help="codes of the index that is opened")
    parser.add_argument("--model", help="saved model with an item bias")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    data = generated_workload(options.items, options.queries, options.bits, rng=rng)
    index, queries, n = HammingIndex(data.item_codes), data.query_codes, options.items

    def lists(length: int) -> Callable[[slice], IndexLists]:
        entries = np.sort(rng.integers(0, n, (options.queries, length)), axis=1).astype(np.int32)
        return lambda rows: IndexLists(np.arange(rows.stop - rows.start + 1) * length, entries[rows].ravel())

    def scan(
        n_threads: int = 1,
        mask: CandidateFilter | None = None,
        searched: HammingIndex = index,
        **lists: Any,
    ) -> Callable[[slice], Any]:
        def search(rows: slice) -> Any:
            made = CandidateFilter(**{name: of(rows) for name, of in lists.items()}) if lists else mask
            return searched.search(queries[rows], options.k, candidates=made, n_threads=n_threads)

        return search

    tenth = np.zeros(n, bool)
    tenth[rng.choice(n, n // 10, replace=False)] = True
    ways = {
        "plain": scan(),
        "two threads": scan(2),
        "50 seen items a query": scan(block_per_query=lists(50)),
        "1,000 seen items a query": scan(block_per_query=lists(min(1000, n // 2))),
        "a tenth of the items allowed": scan(mask=CandidateFilter(allow_all=tenth)),
        "nine tenths allowed": scan(mask=CandidateFilter(allow_all=~tenth)),
        "1,000 items allowed a query": scan(allow_per_query=lists(min(1000, n // 2))),
    }
    if options.model:
        learned = HashGNN.load(options.model).state_.items.bias
        if learned is None:
            parser.error(
                f"--model must have an item bias, {options.model} has none; fit it with item_bias=true"
            )
        drawn = ItemBias.from_values(rng.choice(learned.values(), n))
        ways["item bias, as learned"] = scan(searched=HammingIndex(data.item_codes, drawn))
    batches: dict[str, list[float]] = {name: [] for name in ways}
    singles: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(options.rounds):
        for name, search in ways.items():
            batches[name].append(timed(lambda s=search: s(slice(0, options.queries)))[0])  # type: ignore[misc]
            for query in range(min(_SINGLE, options.queries)):
                singles[name].append(timed(lambda s=search, q=query: s(slice(q, q + 1)))[0])  # type: ignore[misc]
    rows = [
        {
            "way": name,
            "batch_ms": 1e3 * float(np.median(batches[name])) / options.queries,
            "batch_ratio": float(np.median(batches[name]) / np.median(batches["plain"])),
            "single_query_ms": 1e3 * float(np.median(singles[name])),
            "single_ratio": float(np.median(singles[name]) / np.median(singles["plain"])),
        }
        for name in ways
    ]
    opening = _opening(options.opened, options.bits, rng)
    facts = {
        "items": n,
        "bits": options.bits,
        "k": options.k,
        "queries": options.queries,
        "rounds": options.rounds,
    }
    if options.json:
        print(json.dumps({"machine": machine(1), **facts, "rows": rows, "opening": opening}))
        return
    print(f"{machine(1)}; {', '.join(f'{name} {value:,}' for name, value in facts.items())}")
    for row in rows:
        print(
            f"{row['way']:30s} batch {row['batch_ms']:.3f} ms a query, {row['batch_ratio']:.2f} of plain;"
            f" single {row['single_query_ms']:.3f} ms, {row['single_ratio']:.2f}"
        )
    for row in opening:
        print(
            f"{row['index']:30s} {row['codes']:,} codes open in {row['open_ms']:.1f} ms,"
            f" first query {row['first_query_ms']:.1f} ms"
        )


def _opening(n_codes: int, n_bits: int, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Save codes of a width; time opening them, and the first query after that."""
    codes = BinaryCodes(rng.integers(0, 256, (n_codes, n_bits // 8), np.uint8))
    vectors = rng.standard_normal((n_codes, _WIDTH), np.float32).astype(np.float16)
    lists = InvertedFile(codes, n_lists=_LISTS, rng=rng)
    requests: dict[MutableIndex[Any], BinaryCodes | EmbeddedCodes] = {
        HammingIndex(codes): codes[:1],
        lists: codes[:1],
        HierarchicalIndex(lists, vectors, dtype="float16"): EmbeddedCodes(codes, vectors)[:1],
    }
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for number, (index, queries) in enumerate(requests.items()):
            path = Path(folder) / str(number)
            index.save(path)
            seconds = [timed(lambda p=path: load_index(p))[0] for _ in range(9)]  # type: ignore[misc]
            opened = load_index(path)
            first, _ = timed(lambda o=opened, q=queries: o.search(q, 10, n_threads=1))  # type: ignore[misc]
            rows.append(
                {
                    "index": type(index).__name__,
                    "codes": n_codes,
                    "open_ms": 1e3 * float(np.median(seconds)),
                    "first_query_ms": 1e3 * first,
                }
            )
    return rows


if __name__ == "__main__":
    main()
