"""What filters over lists cost and find, and what growth by additions does to lists.

    python benchmarks/lists.py --items 1000000 --shares 0.5,0.1,0.01,0.001
    python benchmarks/lists.py --items 1000000 --grown-from 100000

Generated clustered items with an item bias; an inverted file is tuned to the index recall, and stands alone and under
a re-ranking. A filter lets a random share of the items through, as a mask that all queries share or as ids of each
query. For each share: index recall, compared with an exact search with the same filter, time divided by that of the
search without a filter, and the least number of results. With ``--grown-from`` the index is built of so many items and the others are added in parts,
in an order in which clusters come up one after the other; a fresh index of all items has as many lists. ``--rows BITS``
grows lists around embeddings with rows of so many bits an entry instead; floats rank the best.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from hashgnn.benchmarking import generated_workload
from hashgnn.benchmarking.search.machine import machine
from hashgnn.benchmarking.search.timing import timed
from hashgnn.benchmarking.search.workload import Workload
from hashgnn.codes import BinaryCodes
from hashgnn.index import (
    CandidateFilter,
    EmbeddedCodes,
    HammingIndex,
    HierarchicalIndex,
    InvertedFile,
    RowQuantiser,
)
from hashgnn.ranking import Matches

_SINGLE = 64  # queries of a round, one at a time
_PARTS = 200  # in which items are added

Search = Callable[[slice, CandidateFilter | None], Matches]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--bits", type=int, default=128)
    parser.add_argument("--k", type=int, default=100)
    parser.add_argument("--queries", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--index-recall", type=float, default=0.95)
    parser.add_argument("--shares", default="0.5,0.1,0.01,0.001")
    parser.add_argument("--grown-from", type=int, help="items before the others are added")
    parser.add_argument("--rows", type=int, metavar="BITS", help="grow lists around embeddings")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    data = generated_workload(options.items, options.queries, options.bits, rng=options.seed)
    result: dict[str, Any] = {"machine": machine(1), "items": options.items, "bits": options.bits}
    if options.grown_from is None:
        result["filters"] = measured_filters(data, options)
    else:
        result["growth"] = measured_growth(data, options)
    if options.json:
        print(json.dumps(result, indent=2))
        return
    for row in result.get("filters", []) + result.get("growth", []):
        print("  ".join(f"{name} {value}" for name, value in row.items()))


def measured_filters(data: Workload, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Return a row for each index, share and form of a filter."""
    assert data.item_bias is not None
    lists = InvertedFile(data.item_codes, data.item_bias)
    scan = HammingIndex(data.item_codes, data.item_bias)
    queries, k = data.query_codes, options.k
    lists.tune(queries[:64], k, index_recall=options.index_recall)
    hierarchical = HierarchicalIndex(lists, data.items, dtype="float16", oversampling=5)
    embedded = EmbeddedCodes(queries, data.queries)

    def by_code(rows: slice, some: CandidateFilter | None) -> Matches:
        return lists.search(queries[rows], k, candidates=some)

    def by_float(rows: slice, some: CandidateFilter | None) -> Matches:
        return hierarchical.search(embedded[rows], k, candidates=some)

    rng = np.random.default_rng(options.seed + 1)
    shares = [float(text) for text in options.shares.split(",")]
    masks = {share: CandidateFilter(allow_all=rng.random(options.items) < share) for share in shares}
    ids = {share: _ids(rng, options.items, options.queries, share) for share in shares if share <= 0.01}
    rows = []
    for name, search in (("inverted-file", by_code), ("hierarchical", by_float)):
        ways: dict[str, CandidateFilter | None] = {"none": None}
        ways |= {f"mask of {share}": some for share, some in masks.items()}
        ways |= {f"ids of {share}": some for share, some in ids.items()}
        found = {way: search(slice(0, options.queries), some) for way, some in ways.items()}
        taken = _times(search, ways, options)
        for way, some in ways.items():
            exact = _exact(data, scan, k, some, by_code=name == "inverted-file")
            row: dict[str, Any] = {"index": name, "filter": way}
            row["index_recall"] = round(_recall(found[way], exact), 4)
            row["least_results"] = int(found[way].counts.min())
            for form in ("batch", "single"):
                row[f"{form}_ms"] = round(taken[way][form], 4)
                row[f"{form}_ratio"] = round(taken[way][form] / taken["none"][form], 2)
            rows.append(row)
    return rows


def _ids(rng: np.random.Generator, n: int, n_queries: int, share: float) -> CandidateFilter:
    size = int(share * n)
    return CandidateFilter.from_lists(allow_per_query=[rng.integers(0, n, size) for _ in range(n_queries)])


def _exact(
    data: Workload, scan: HammingIndex, k: int, some: CandidateFilter | None, *, by_code: bool
) -> np.ndarray[Any, Any]:
    """Return the score of the last exact result of each query."""
    if by_code:
        found = scan.search(data.query_codes, k, candidates=some)
        last: np.ndarray[Any, Any] = found.scores[np.arange(len(found)), found.counts - 1]
        return last
    kth = []
    for row in range(len(data.queries)):
        scores = data.queries[row : row + 1] @ data.items.astype(np.float16).astype(np.float32).T
        if some is not None:
            some[np.array([row])].mask(scores)
        there = min(k, int(np.isfinite(scores).sum()))
        kth.append(np.partition(scores[0], -there)[-there])
    return np.array(kth) - 1e-4


def _recall(found: Matches, last: np.ndarray[Any, Any]) -> float:
    return float(((found.scores >= last[:, None]) & (found.positions >= 0)).sum() / found.counts.sum())


def _times(
    search: Search, ways: dict[str, CandidateFilter | None], options: argparse.Namespace
) -> dict[str, dict[str, float]]:
    """Return medians of processor time in milliseconds a query; every way takes its turn in each round."""
    taken: dict[str, dict[str, list[float]]] = {way: {"batch": [], "single": []} for way in ways}
    for number in range(options.rounds):
        for way, some in ways.items():
            whole = slice(0, options.queries)
            taken[way]["batch"].append(timed(lambda s=some, w=whole: search(w, s))[1] / options.queries)  # type: ignore[misc]
            for query in range(_SINGLE):
                at = (number * _SINGLE + query) % options.queries
                one = None if some is None else some[np.array([at])]
                rows = slice(at, at + 1)
                taken[way]["single"].append(timed(lambda s=one, r=rows: search(r, s))[1])  # type: ignore[misc]
    return {
        way: {form: float(np.median(values)) * 1e3 for form, values in forms.items()}
        for way, forms in taken.items()
    }


def measured_growth(data: Workload, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Return a row for the index that grew, and one for a fresh index of as many lists."""
    assert data.item_bias is not None
    # Clusters come up one after the other: items in the order of the first axis of their embeddings, with noise.
    noise = np.random.default_rng(options.seed + 2).standard_normal(options.items) * data.items[:, 0].std()
    order = np.argsort(data.items[:, 0] + noise)
    first, everything = options.grown_from, np.arange(options.items)
    kind = _Rows if options.rows else _Codes
    index = kind(data, order, np.arange(first), options)
    index.found.tune(index.queries[:64], options.k, index_recall=options.index_recall)
    n_before, slowest, began = index.n_lists, 0.0, time.process_time()
    for part in np.array_split(everything[first:], _PARTS):
        slowest = max(slowest, timed(lambda p=part: index.add(p))[1])  # type: ignore[misc]
    grown = time.process_time() - began
    began = time.process_time()
    fresh = kind(data, order, everything, options, n_lists=index.n_lists)
    built = time.process_time() - began
    fresh.found.n_probe = index.found.n_probe
    if options.rows:
        fresh.found.refined = index.found.refined
    ways = {"grown": index, "fresh": fresh}
    return [
        {
            "index": name,
            "n_lists": one.n_lists,
            "n_lists_before": n_before if one is index else None,
            "n_probe": one.found.n_probe,
            "index_recall": round(one.recall(options.k), 4),
            "batch_ms": round(_batch(one, options), 4),
            "seconds": round(grown if one is index else built, 2),
            "slowest_addition": round(slowest, 2) if one is index else None,
        }
        for name, one in ways.items()
    ]


class _Codes:
    """Lists of the codes of some items, in an order."""

    def __init__(
        self, data: Workload, order: Any, items: Any, options: argparse.Namespace, n_lists: int | None = None
    ) -> None:
        assert data.item_bias is not None
        self._data, self._order, self._options = data, order, options
        self.codes, self.bias = BinaryCodes(data.item_codes.packed[order]), data.item_bias[order]
        self.queries: Any = data.query_codes
        self.found: Any = self._made(items, n_lists)

    def _made(self, items: Any, n_lists: int | None) -> Any:
        return InvertedFile(self.codes[items], self.bias[items], n_lists=n_lists)

    @property
    def n_lists(self) -> int:
        """Number of lists now."""
        return int(self.found.n_lists)

    def add(self, items: Any) -> None:
        """Add some items."""
        self.found.add(self.codes[items], self.bias[items])

    def recall(self, k: int) -> float:
        """Return the share of the best by an exact search that is found."""
        exact = HammingIndex(self.codes, self.bias).search(self.queries, k)
        return _recall(self.found.search(self.queries, k), exact.scores[:, -1])


class _Rows(_Codes):
    """Lists around the embeddings of some items, and rows of few bits; floats rank the best."""

    def _made(self, items: Any, n_lists: int | None) -> Any:
        self.vectors = np.ascontiguousarray(self._data.items[self._order], np.float32)
        self.queries = EmbeddedCodes(self._data.query_codes, self._data.queries)
        some, codes = self.vectors[items], HammingIndex(self.codes[items], self.bias[items])
        rows = RowQuantiser.fit(some, bits=self._options.rows)
        return HierarchicalIndex(codes, some, rows=rows, n_lists=n_lists or int(2 * np.sqrt(len(some))))

    @property
    def n_lists(self) -> int:
        """Number of lists now."""
        return int(self.found.snapshot().store.n_lists)

    def add(self, items: Any) -> None:
        """Add some items."""
        self.found.add(EmbeddedCodes(self.codes[items], self.vectors[items]), self.bias[items])

    def recall(self, k: int) -> float:
        """Return the share of the best by embedding that is found."""
        scores = self._data.queries @ self.vectors.T
        last = np.partition(scores, -k, axis=1)[:, -k]
        positions = self.found.search(self.queries, k).positions
        found = np.einsum("qkd,qd->qk", self.vectors[positions], self._data.queries)
        return float((found >= last[:, None] - 1e-4).mean())


def _batch(index: _Codes, options: argparse.Namespace) -> float:
    seconds = [timed(lambda: index.found.search(index.queries, options.k))[1] for _ in range(options.rounds)]
    return float(np.median(seconds)) * 1e3 / options.queries


if __name__ == "__main__":
    main()
