"""The measurement of searches: one run, one thread count, every engine in turn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hashgnn._checks import check_choice, check_int, check_threads
from hashgnn._progress import progress as progress_bar
from hashgnn.benchmarking.search.code_peers import CODE_PEERS
from hashgnn.benchmarking.search.contract import Built, Engine, Threads
from hashgnn.benchmarking.search.float_peers import FLOAT_PEERS
from hashgnn.benchmarking.search.gpu import GPU_ENGINES, GPU_PEERS, has_gpu
from hashgnn.benchmarking.search.index_recall import HELD_OUT_K, ExactResults, Tuned, held_out_recall
from hashgnn.benchmarking.search.ours import OURS
from hashgnn.benchmarking.search.timing import Times, take_turns, timed
from hashgnn.benchmarking.search.workload import Workload, generated_workload
from hashgnn.errors import ParameterError

_OURS = (*OURS, *GPU_ENGINES)
_PEERS = (*CODE_PEERS, *FLOAT_PEERS, *GPU_PEERS)

#: The names of our own searches that are timed.
ENGINES = tuple(engine.name for engine in _OURS)
#: The names of the searches of other libraries that are timed next to ours.
PEERS = tuple(engine.name for engine in _PEERS)


def benchmark_search(
    *,
    n_items: int = 1_000_000,
    n_bits: int = 128,
    k: int = 100,
    n_queries: int = 256,
    n_threads: int = 1,
    n_build_threads: int | None = None,
    peers: Sequence[str] = ("faiss-binary-flat", "faiss-flat-ip"),
    engines: Sequence[str] = ENGINES,
    n_rounds: int = 5,
    workload: Workload | None = None,
    rng: int | np.random.Generator = 0,
    progress: bool | None = None,
) -> list[dict[str, Any]]:
    """Measure our searches and their peers side by side.

    The engines take turns in every round, so that a change of the machine's pace meets all of them.
    Approximate ones, ours and others, are tuned first: to an index recall of .95 at ``k``, by their own scores.
    The tuning sets the breadth, in powers of two, and the number of candidates to re-rank. ``hierarchical``,
    which scans, re-ranks 500.

    Parameters
    ----------
    n_items, n_bits : int
        Of the generated items; ignored where a workload is passed.
    k, n_threads : int
    n_build_threads : int or None, default=None
        Threads that build what is searched; ``None``: as many as search.
    n_queries : int, default=256
        In a batch; at most as many as the workload has.
    peers : sequence of str, default=("faiss-binary-flat", "faiss-flat-ip")
        Names of ``PEERS``.
    engines : sequence of str
        Which of ``ENGINES``. What a peer is compared with is measured in any case; what needs an item bias
        or a GPU is left out where there is none.
    n_rounds : int, default=5
        Times are medians over the rounds.
    workload : Workload or None, default=None
        ``None`` generates a clustered one.
    rng : int or numpy Generator, default=0
    progress : bool or None, default=None
        ``None`` shows a bar where stderr is a terminal; ``False`` never.

    Returns
    -------
    list of dict
        One row an engine: ``engine``, ``items``, ``bits``, ``k``, ``queries``, ``threads``, ``build_threads``,
        ``qps``, ``single_query_ms`` (median), ``single_query_p99_ms``, ``build_seconds``,
        ``bytes_per_item``, ``breadth`` (lists or graph nodes looked at; None for exact), ``candidates`` (re-ranked by floats;
        None for engines that re-rank nothing), ``index_recall`` (share of the exact
        best ``k`` by what the engine compares), ``recall@20`` (on held-out items, where the workload has
        some, else None), ``compared_with``, and ``ratio_to_ours`` and ``single_ratio_to_ours``: its time a
        query divided by that of the engine of ours in ``compared_with``, in batches and for single
        queries. Above 1, ours is faster. The same of processor time, which other work on the machine
        hardly changes: ``batch_processor_ms``, ``single_processor_ms``, ``build_processor_seconds``,
        ``processor_ratio_to_ours``, ``single_processor_ratio_to_ours``.

    Raises
    ------
    ParameterError
        If an argument breaks its rule, or nothing that was chosen can run here.
    MissingExtraError
        If a peer is not installed.
    """
    size = check_int("k", k, minimum=1)
    searching = check_threads(n_threads)
    building = searching if n_build_threads is None else n_build_threads
    threads = Threads(check_int("n_build_threads", building, minimum=1), searching)
    rounds = check_int("n_rounds", n_rounds, minimum=1)
    batch = check_int("n_queries", n_queries, minimum=1)
    chosen = _chosen(engines, peers)
    if any(engine.needs_gpu for engine in chosen) and not has_gpu():
        chosen = [engine for engine in chosen if not engine.needs_gpu]
    if not chosen:
        raise ParameterError(
            f"engines must name one that can run here, got {', '.join(map(repr, engines)) or 'none'}; "
            "what needs a GPU is left out where torch finds none"
        )
    for engine in chosen:  # before what may take hours
        engine.load()
    data = workload
    if data is None:
        check_int("n_items", n_items, minimum=size)
        with progress_bar("Generating items", None, enabled=progress):
            data = generated_workload(n_items, batch, n_bits, rng=rng)
    if size > len(data.items):
        raise ParameterError(f"k must be at most {len(data.items)}, the number of items, got {size}")
    batch = min(batch, len(data.queries))
    chosen = [engine for engine in chosen if data.item_bias is not None or not engine.needs_bias]
    built: dict[str, Built] = {}
    build_times: dict[str, tuple[float, float]] = {}
    tuned: dict[str, Tuned] = {}
    recall: dict[str, tuple[float, float | None]] = {}
    exact = ExactResults(data, size, threads.search)
    with progress_bar("Comparing", len(chosen) * (2 + rounds), enabled=progress) as advance:
        for engine in chosen:
            advance(note=f"building {engine.name}")
            build_times[engine.name] = timed(
                lambda e=engine: built.update({e.name: e.build(data, size, threads)})  # type: ignore[misc]
            )
        for name, ready in built.items():
            advance(note=f"what {name} finds")
            tuned[name] = exact.tune(ready)
            recall[name] = exact.index_recall(ready), _held_out_recall(ready, data)
        times = take_turns(built, n_queries=batch, k=size, n_rounds=rounds, advance=advance)
    rows = []
    for engine in chosen:
        name = engine.name
        taken = times[name].milliseconds(batch)
        rows.append(
            {
                "engine": name,
                "items": len(data.items),
                "bits": data.n_bits,
                "k": size,
                "queries": batch,
                "threads": threads.search,
                "build_threads": threads.build,
                "qps": 1e3 / taken.pop("batch_ms"),
                **taken,
                "build_seconds": build_times[name][0],
                "build_processor_seconds": build_times[name][1],
                "bytes_per_item": built[name].n_bytes / len(data.items),
                "breadth": tuned[name].breadth,
                "candidates": tuned[name].candidates,
                "index_recall": recall[name][0],
                f"recall@{HELD_OUT_K}": recall[name][1],
                "compared_with": engine.ours,
                **_ratios(times[name], times[engine.ours]),
            }
        )
    return rows


def _chosen(engines: Sequence[str], peers: Sequence[str]) -> list[Engine]:
    own = {engine.name: engine for engine in _OURS}
    others = {engine.name: engine for engine in _PEERS}
    names = {check_choice("engines", name, own) for name in engines}
    picked = [others[check_choice("peers", name, others)] for name in dict.fromkeys(peers)]
    names |= {engine.ours for engine in picked}
    names |= {own[name].ours for name in names}
    return [engine for engine in _OURS if engine.name in names] + picked


def _ratios(theirs: Times, ours: Times) -> dict[str, float]:
    keys = {
        "ratio_to_ours": "batch",
        "single_ratio_to_ours": "single",
        "processor_ratio_to_ours": "batch_processor",
        "single_processor_ratio_to_ours": "single_processor",
    }
    return {
        key: float(np.median(getattr(theirs, kind)) / np.median(getattr(ours, kind)))
        for key, kind in keys.items()
    }


def _held_out_recall(built: Built, data: Workload) -> float | None:
    held_out = data.held_out
    if held_out is None or held_out.n_items < HELD_OUT_K:
        return None
    return held_out_recall(built, held_out)
