"""What rules cost: filtered searches against unfiltered ones, while attributes change, and the choice by diversity.

``python benchmarks/rules.py`` generates a million items and prints, for each share of items that a filter leaves,
the time of a search as a ratio to that of the search without a filter: single queries, and a batch. Both are asked
in turn, so that other work on the machine slows both. With ``--changes`` a thread changes so many items a second.
``--index lists`` searches in inverted lists that find 95 % of the exact results; building them takes minutes, so
``--index-file`` keeps them for the next run. ``benchmarks/rules_in_service.py`` measures the same over HTTP.
"""

from __future__ import annotations

import argparse
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa

from hashgnn.codes import BinaryCodes, ItemBias
from hashgnn.data import IdMap
from hashgnn.index import HammingIndex, HierarchicalIndex, InvertedFile, build_index
from hashgnn.index.choosing import choose_diverse
from hashgnn.index.stores.embedded_codes import EmbeddedCodes
from hashgnn.ranking import CandidateFilter
from hashgnn.rules import ItemAttributes, parse

SHARES = (0.5, 0.1, 0.01, 0.001)
K, BATCH = 10, 64


def generated(
    n_items: int, n_bits: int, dim: int, kind: str = "scan", kept: Path | None = None
) -> tuple[ItemAttributes, HierarchicalIndex, EmbeddedCodes]:
    """Return a table of items, an index over as many codes in clusters, and queries.

    Lists are read from ``kept``, or built and written there.
    """
    rng = np.random.default_rng(0)
    table = {
        "price": rng.random(n_items) * 100,
        "in_stock": rng.random(n_items) < 0.9,
        "category": pa.array([f"c{n}" for n in range(50)]).take(pa.array(rng.integers(0, 50, n_items))),
        "share": rng.random(n_items),
    }
    centers = rng.standard_normal((200, dim)).astype(np.float32)
    vectors = centers[rng.integers(0, 200, n_items)] + rng.standard_normal((n_items, dim)).astype(np.float32)
    weights = rng.standard_normal((dim, n_bits)).astype(np.float32)
    bias = ItemBias.from_values(rng.normal(scale=2.0, size=n_items))
    codes = BinaryCodes.from_signs(vectors @ weights)
    asked = centers[rng.integers(0, 200, BATCH)] + rng.standard_normal((BATCH, dim)).astype(np.float32)
    queries = EmbeddedCodes(BinaryCodes.from_signs(asked @ weights), asked)
    items = ItemAttributes(pa.table(table), IdMap(np.arange(n_items)))
    if kind == "scan":
        return items, HierarchicalIndex(HammingIndex(codes, bias), vectors), queries
    if kept is not None and kept.exists():
        return items, HierarchicalIndex.load(kept), queries
    lists = build_index(codes, "inverted-file", item_bias=bias, index_recall=0.95, queries=queries.codes)
    assert isinstance(lists, InvertedFile)
    index = HierarchicalIndex(lists, vectors)
    if kept is not None:
        index.save(kept)
    return items, index, queries


def ratio(plain: Callable[[], object], ruled: Callable[[], object], n: int) -> tuple[float, float, float]:
    """Return the median milliseconds of both, asked in turn, and the ratio of the medians.

    Searches run in this thread alone, so its processor time is that of a quiet machine, whatever else runs.
    """
    times = np.empty((n, 2))
    for turn in range(n):
        for place, work in enumerate((plain, ruled)):
            started = time.thread_time()
            work()
            times[turn, place] = (time.thread_time() - started) * 1000
    first, second = np.median(times, axis=0).tolist()
    return first, second, second / first


class Changing:
    """Changes prices and stocks of random items, in small groups, at a steady rate."""

    def __init__(self, items: ItemAttributes, a_second: int) -> None:
        self._items, self._a_second, self._stop = items, a_second, threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.n = 0

    def __enter__(self) -> Changing:
        if self._a_second:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._a_second:
            self._thread.join()

    def _run(self) -> None:
        rng, started = np.random.default_rng(1), time.perf_counter()
        while not self._stop.wait(0.005):
            due = int((time.perf_counter() - started) * self._a_second) - self.n
            if due > 0:
                positions = rng.integers(0, len(self._items), due)
                values = [
                    self._items.read_values({"price": float(price), "share": float(share)})
                    for price, share in rng.random((due, 2))
                ]
                self._items.put(positions, values)
                self.n += due


def measure_filters(
    n_items: int, n_bits: int, dim: int, a_second: int, n: int, kind: str, kept: Path | None
) -> None:
    """Print a line for each share and kind of search."""
    items, index, queries = generated(n_items, n_bits, dim, kind, kept)
    one = queries[:1]
    print(f"{index!r}")
    print(
        f"{n_items:,} items, {n_bits} bits, k={K}, {a_second} changes a second, load {os.getloadavg()[0]:.1f}"
    )
    for share in SHARES:
        where = parse(f"in_stock and share < {share / 0.9:.6f}")

        def filtered(asked: EmbeddedCodes, where: object = where) -> object:
            found = items.filter(where)  # type: ignore[arg-type]
            limits = CandidateFilter().within(found.n_items, found.bits, found.count)
            matches = index.search(asked, K, candidates=limits)
            assert (matches.counts == min(K, found.count)).all()
            return matches

        filtered(one)
        with Changing(items, a_second) as changing:
            for name, asked, turns in (("single", one, n), ("batch of 64", queries, max(5, n // 10))):
                plain, ruled, times = ratio(
                    lambda asked=asked: index.search(asked, K), lambda asked=asked: filtered(asked), turns
                )
                print(f"  {share:7.1%}  {name:12} {plain:8.3f} ms  {ruled:8.3f} ms  ratio {times:.2f}")
        assert not a_second or changing.n


def measure_first_use(n_items: int) -> None:
    """Print the time of a filter that no request has used before, with a new column and with a known one."""
    items, _, _ = generated(n_items, 8, 4)
    uses = (
        ("of numbers, new column", "price < 50"),
        ("of numbers, known column", "price < 25"),
        ("of text, new column", "category = 'c1'"),
        ("of text, known column", "category = 'c2'"),
    )
    for what, where in uses:
        begun = time.perf_counter()
        items.filter(parse(where))
        print(f"  first use of a filter {what}: {1000 * (time.perf_counter() - begun):.1f} ms")


def measure_choice(n_bits: int) -> None:
    """Print the time of choosing 100 of 500 candidates."""
    rng = np.random.default_rng(0)
    centers = rng.integers(0, 256, (20, n_bits // 8), dtype=np.uint8)
    noise = np.packbits(rng.random((500, n_bits)) < 0.15, axis=1)
    codes = BinaryCodes(centers[rng.integers(0, 20, 500)] ^ noise)
    relevance = np.sort(rng.random(500))[::-1].copy()
    for diversity in (0.1, 0.3, 0.5, 1.0):
        times: list[float] = []
        for _ in range(500):
            started = time.perf_counter()
            choose_diverse(codes, relevance, 100, diversity=diversity)
            times.append((time.perf_counter() - started) * 1000)
        print(f"  100 of 500, {n_bits} bits, diversity {diversity}: {np.median(times):.3f} ms")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--bits", type=int, default=128)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--changes", type=int, nargs="+", default=[0, 1000], help="changes a second")
    parser.add_argument("--index", choices=["scan", "lists"], default="scan")
    parser.add_argument("--index-file", type=Path, help="keeps the lists; another one for other sizes")
    parser.add_argument("--repeats", type=int, default=200)
    options = parser.parse_args()
    measure_choice(options.bits)
    measure_first_use(options.items)
    for a_second in options.changes:
        size = (options.items, options.bits, options.dim)
        measure_filters(*size, a_second, options.repeats, options.index, options.index_file)


if __name__ == "__main__":
    main()
