"""The measurement of searches: one run, one thread count, every engine in turn."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from hashgnn._checks import check_choice, check_int
from hashgnn.benchmarking.search.catalogue import Catalogue, generated_catalogue
from hashgnn.benchmarking.search.engines import OURS, Built, Engine
from hashgnn.benchmarking.search.code_peers import PEER_ENGINES
from hashgnn.index import HammingIndex

Array = np.ndarray[Any, Any]

ENGINES = tuple(engine.name for engine in OURS)
PEERS = tuple(engine.name for engine in PEER_ENGINES)

_SINGLE_QUERIES = 16  # a round
_RECALL_QUERIES = 32


def benchmark_search(
    *,
    n_items: int = 1_000_000,
    n_bits: int = 128,
    k: int = 100,
    n_queries: int = 256,
    n_threads: int = 1,
    peers: Sequence[str] = ("faiss-binary-flat", "faiss-flat-ip"),
    engines: Sequence[str] = ENGINES,
    n_rounds: int = 5,
    catalogue: Catalogue | None = None,
    rng: int | np.random.Generator = 0,
) -> list[dict[str, Any]]:
    """Measure our searches and their peers side by side.

    The engines take turns in every round, so that a change of the machine's pace meets all of them.

    Parameters
    ----------
    n_items, n_bits, n_queries : int
        Of the generated catalogue; ignored where one is given.
    k, n_threads : int
    peers : sequence of str, default=("faiss-binary-flat", "faiss-flat-ip")
        Names of ``PEERS``.
    engines : sequence of str
        Which of ours: hamming, biased, asymmetric, hierarchical, inverted-file. What a peer is compared
        with is measured in any case.
    n_rounds : int, default=5
        Times are medians over the rounds.
    catalogue : Catalogue or None, default=None
        ``None`` generates a clustered one.
    rng : int or numpy Generator, default=0

    Returns
    -------
    list of dict
        One row an engine: ``engine``, ``items``, ``bits``, ``k``, ``queries``, ``threads``, ``qps``,
        ``single_query_ms`` (median), ``single_query_p99_ms``, ``build_seconds``, ``bytes_per_item``,
        ``index_recall`` (share of the exact best ``k`` by what the engine compares; None for asymmetric),
        ``compared_with``, and ``ratio_to_ours`` and ``single_ratio_to_ours``: its time a query divided by
        that of the engine of ours in ``compared_with``, in batches and for single queries. Above 1, ours
        is faster.
    """
    size = check_int("k", k, minimum=1)
    threads, rounds = (
        check_int("n_threads", n_threads, minimum=1),
        check_int("n_rounds", n_rounds, minimum=1),
    )
    chosen = _chosen(engines, peers)
    data = catalogue or generated_catalogue(
        check_int("n_items", n_items, minimum=size),
        check_int("n_queries", n_queries, minimum=1),
        n_bits,
        rng=rng,
    )
    built, build_seconds = {}, {}
    for engine in chosen:
        start = time.perf_counter()
        built[engine.name] = engine.build(data, size, threads)
        build_seconds[engine.name] = time.perf_counter() - start
    batch, single = _times(built, len(data.queries), rounds)
    exact = _exact_scores(data, size, threads)
    rows = []
    for engine in chosen:
        name, ours = engine.name, engine.ours
        rows.append(
            {
                "engine": name,
                "items": len(data.items),
                "bits": data.n_bits,
                "k": size,
                "queries": len(data.queries),
                "threads": threads,
                "qps": len(data.queries) / float(np.median(batch[name])),
                "single_query_ms": float(np.median(single[name])) * 1e3,
                "single_query_p99_ms": float(np.percentile(single[name], 99)) * 1e3,
                "build_seconds": build_seconds[name],
                "bytes_per_item": built[name].n_bytes / len(data.items),
                "index_recall": _index_recall(engine, built[name], data, exact),
                "compared_with": ours,
                "ratio_to_ours": float(np.median(batch[name]) / np.median(batch[ours])),
                "single_ratio_to_ours": float(np.median(single[name]) / np.median(single[ours])),
            }
        )
    return rows


def _chosen(engines: Sequence[str], peers: Sequence[str]) -> list[Engine]:
    own = {engine.name: engine for engine in OURS}
    others = {engine.name: engine for engine in PEER_ENGINES}
    names = {check_choice("engines", name, own) for name in engines}
    picked = [others[check_choice("peers", name, others)] for name in dict.fromkeys(peers)]
    names |= {engine.ours for engine in picked}
    names |= {own[name].ours for name in names}
    return [engine for engine in OURS if engine.name in names] + picked


def _times(built: dict[str, Built], n_queries: int, n_rounds: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return seconds of each batch of all queries, and of each single query, by engine."""
    batch: dict[str, list[float]] = {name: [] for name in built}
    single: dict[str, list[float]] = {name: [] for name in built}
    everything = slice(0, n_queries)
    for number in range(n_rounds):
        for name, engine in built.items():
            start = time.perf_counter()
            engine.search(everything)
            batch[name].append(time.perf_counter() - start)
            for query in range(_SINGLE_QUERIES):
                at = (number * _SINGLE_QUERIES + query) % n_queries
                start = time.perf_counter()
                engine.search(slice(at, at + 1))
                single[name].append(time.perf_counter() - start)
    return batch, single


def _exact_scores(data: Catalogue, k: int, n_threads: int) -> dict[str, Array]:
    """Return the score of the exact k-th result of some queries, by what is compared."""
    codes = data.query_codes[:_RECALL_QUERIES]
    index = HammingIndex(data.item_codes, data.item_bias)
    products = data.queries[:_RECALL_QUERIES] @ data.items.T
    return {
        "codes": index.search(codes, k, biased=False, n_threads=n_threads).scores[:, -1],
        "biased codes": index.search(codes, k, n_threads=n_threads).scores[:, -1],
        "floats": np.partition(products, -k, axis=1)[:, -k],
    }


def _index_recall(engine: Engine, built: Built, data: Catalogue, exact: dict[str, Array]) -> float | None:
    if engine.compares not in exact:
        return None
    rows = slice(0, min(_RECALL_QUERIES, len(data.queries)))
    positions = built.search(rows)
    hits = 0
    for row, found in enumerate(positions):
        chosen = found[found >= 0]
        if engine.compares == "floats":
            scores = data.items[chosen] @ data.queries[row]
            slack = 1e-5  # sums of floats differ by their order
        else:
            scores = data.n_bits - 2.0 * data.query_codes[row : row + 1].distances(data.item_codes[chosen])[0]
            slack = 0.0
            if engine.compares == "biased codes":
                scores = scores + data.item_bias[chosen].values()
                slack = 1e-3
        hits += int((scores >= exact[engine.compares][row] - slack).sum())
    return hits / positions.size
