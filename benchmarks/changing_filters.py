"""What a filter over lists costs while items come, move and go and the filter itself changes.

    python benchmarks/changing_filters.py --items 1000000 --shares 0.5,0.1,0.01,0.001

Generated clustered items with an item bias, in lists of codes, the same under a re-ranking, and lists around
embeddings with rows of few bits. Three kinds of filter let a share of the items through: a mask that all queries share, an
expression over attributes, and ids of each query. Searches are asked while nothing changes, and while every round changes
items and filter: ``--changed`` items are added, as many move, half as many go, and the filter turns as many
over. The first search after a change pays for it: the time of a batch is that of this first search, and that of
single queries the mean of 32 that follow the next change. Times are processor time of the searching thread, divided
by those of the search without a filter in the same state, medians over the rounds.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from hashgnn.benchmarking import generated_workload
from hashgnn.benchmarking.search.machine import machine
from hashgnn.benchmarking.search.workload import Workload
from hashgnn.data import IdMap
from hashgnn.index import (
    CandidateFilter,
    EmbeddedCodes,
    HammingIndex,
    HierarchicalIndex,
    InvertedFile,
    RowQuantiser,
)
from hashgnn.ranking import IndexLists
from hashgnn.rules import ItemAttributes, parse

Array = np.ndarray[Any, Any]
_SINGLE = 32
_ROW_BYTES = 48
KINDS = ("inverted-file", "hierarchical", "rows")
FORMS = ("mask", "attribute", "ids")


def main() -> None:
    """Print a line for each index, filter and share."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--bits", type=int, default=128)
    parser.add_argument("--k", type=int, default=100)
    parser.add_argument("--queries", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--index-recall", type=float, default=0.95)
    parser.add_argument("--shares", default="0.5,0.1,0.01,0.001")
    parser.add_argument("--changed", type=int, default=100, help="items that change in a round")
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--forms", default=",".join(FORMS))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    data = generated_workload(options.items, options.queries, options.bits, rng=0)
    if not options.json:
        print(machine(1))
    for kind in options.kinds.split(","):
        case = Case(data, kind, options)
        for share in map(float, options.shares.split(",")):
            for form in options.forms.split(","):
                for changed in (0, options.changed):
                    row = measured(case, form, share, changed, options)
                    print(json.dumps(row) if options.json else "  ".join(map(str, row.values())), flush=True)


class Case:
    """An index, and the tables that it was made of as they are now."""

    def __init__(self, data: Workload, kind: str, options: argparse.Namespace) -> None:
        assert data.item_bias is not None
        self.kind, self.rng = kind, np.random.default_rng(1)
        self.vectors = data.items.astype(np.float16)
        self.queries = EmbeddedCodes(data.query_codes, data.queries)
        self.source = (data.item_codes, data.items, data.item_bias)
        self.alive = np.ones(len(data.items), bool)
        self.index: Any
        if kind == "rows":
            rows = RowQuantiser.fit(data.items[::7], bits=2, n_bytes=_ROW_BYTES, queries=data.queries)
            codes = HammingIndex(data.item_codes, data.item_bias)
            self.index = HierarchicalIndex(
                codes, self.vectors, dtype="float16", rows=rows, n_lists=options.items // 512
            )
            self.index.tune(self.queries[:64], options.k, index_recall=options.index_recall)
            return
        lists = InvertedFile(data.item_codes, data.item_bias)
        if kind == "inverted-file":
            lists.tune(data.query_codes[:64], options.k, index_recall=options.index_recall)
            self.index = lists
            return
        self.index = HierarchicalIndex(lists, self.vectors, dtype="float16")
        self.index.tune(self.queries[:64], options.k, index_recall=options.index_recall)

    def search(self, rows: slice, k: int, some: CandidateFilter | None) -> Any:
        """Search for some of the queries."""
        asked = self.queries[rows]
        return self.index.search(asked.codes if self.kind == "inverted-file" else asked, k, candidates=some)

    def change(self, n: int, *, adds: bool) -> int:
        """Add items that are like others, move some and remove some; return how many positions there are then."""
        codes, vectors, bias = self.source
        n_first = len(codes)
        for is_new in (True, False) if adds else (False,):
            like = self.rng.choice(n_first, n, replace=False)
            some: Any = codes[like]
            if self.kind != "inverted-file":
                noise = 0.1 * self.rng.standard_normal((n, vectors.shape[1]))
                moved = (vectors[like] + noise).astype(np.float32)
                some = EmbeddedCodes(codes[like], moved)
            if is_new:
                self.index.add(some, bias[like])
            else:
                self.index.update(self.rng.choice(n_first, n, replace=False), some, bias[like])
        gone = self.rng.choice(n_first, n // 2, replace=False)
        self.index.remove(gone)
        return len(self.index)


class Filters:
    """A filter of a share of the items that changes; ``now`` is what a request makes of it."""

    def __init__(self, form: str, n: int, share: float, n_queries: int) -> None:
        self.form, self.share, self.n_queries = form, share, n_queries
        self.rng = np.random.default_rng(2)
        self.allowed = self.rng.random(n) < share
        if form == "attribute":
            table = pa.table({"rank": self.rng.random(n)})
            self.items = ItemAttributes(table, IdMap(np.arange(n)))
            self.where = parse(f"rank < {share}")
        self.lists = self._ids(n) if form == "ids" else None
        self.kept = CandidateFilter(allow_all=self.allowed)

    def _ids(self, n: int) -> IndexLists:
        size = int(self.share * n)
        rows = [np.sort(self.rng.choice(n, size, replace=False)) for _ in range(self.n_queries)]
        indptr = np.arange(self.n_queries + 1, dtype=np.int64) * size
        return IndexLists(indptr, np.concatenate(rows).astype(np.int32))

    def change(self, n: int, n_items: int) -> None:
        """Turn so many items over, and take in new items."""
        turned = self.rng.choice(len(self.allowed), n, replace=False)
        if self.form == "attribute":
            values = [self.items.read_values({"rank": float(rank)}) for rank in self.rng.random(n)]
            self.items.put(turned, values)
            return
        allowed = np.zeros(n_items, bool)
        allowed[: len(self.allowed)] = self.allowed
        allowed[turned] = self.rng.random(n) < self.share
        allowed[len(self.allowed) :] = self.rng.random(n_items - len(self.allowed)) < self.share
        self.allowed = allowed
        self.kept = CandidateFilter(allow_all=allowed)

    def now(self, rows: slice, n_items: int) -> CandidateFilter:
        """Return the filter of some queries."""
        if self.form == "mask":
            return self.kept
        if self.form == "attribute":
            found = self.items.filter(self.where)
            return CandidateFilter().within(found.n_items, found.bits, found.count)
        assert self.lists is not None
        return CandidateFilter(allow_per_query=self.lists[np.arange(self.n_queries)[rows]])


def measured(
    case: Case, form: str, share: float, changed: int, options: argparse.Namespace
) -> dict[str, Any]:
    """Return a row of times and what was found."""
    n_items, everything = len(case.index), slice(0, options.queries)
    some = Filters(form, n_items, share, options.queries)
    for _ in range(3):
        case.search(everything, options.k, some.now(everything, n_items))
    times: dict[str, list[float]] = {name: [] for name in ("batch", "plain batch", "single", "plain single")}
    least = options.k
    for number in range(options.rounds):
        n_items = change(case, some, changed)
        found, taken = timed(lambda n=n_items: case.search(everything, options.k, some.now(everything, n)))  # type: ignore[misc]
        least = min(least, int(found.counts.min()))
        times["batch"].append(taken)
        times["plain batch"].append(timed(lambda: case.search(everything, options.k, None))[1])
        n_items = change(case, some, changed)
        rows = [slice(at, at + 1) for at in range(number, number + _SINGLE)]
        limits = [some.now(row, n_items) for row in rows] if form == "ids" else None

        def asked(n: int = n_items, limits: Any = limits, rows: Any = rows) -> None:
            for at, row in enumerate(rows):
                case.search(row, options.k, some.now(row, n) if limits is None else limits[at])

        times["single"].append(timed(asked)[1])
        times["plain single"].append(
            timed(lambda rows=rows: [case.search(r, options.k, None) for r in rows])[1]
        )  # type: ignore[misc]
    mid = {name: float(np.median(values)) * 1e3 for name, values in times.items()}
    return {
        "index": case.kind,
        "filter": form,
        "share": share,
        "changed": changed,
        "least_results": least,
        "batch_ms": round(mid["batch"] / options.queries, 4),
        "batch_ratio": round(mid["batch"] / mid["plain batch"], 2),
        "single_ms": round(mid["single"] / _SINGLE, 4),
        "single_ratio": round(mid["single"] / mid["plain single"], 2),
    }


def change(case: Case, some: Filters, changed: int) -> int:
    """Change items and filter; return how many positions there are then."""
    if not changed:
        return len(case.index)
    n_items = case.change(changed, adds=some.form == "mask")
    if some.form == "ids":
        return n_items
    some.change(changed, n_items)
    return n_items


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """Return what comes out, and the processor time of this thread."""
    started = time.thread_time()
    found = work()
    return found, time.thread_time() - started


if __name__ == "__main__":
    main()
