"""The measurement of searches: one run, one thread count, every engine in turn."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from hashgnn._checks import check_choice, check_float, check_int, check_threads
from hashgnn._progress import progress as progress_bar
from hashgnn.benchmarking.search.code_peers import CODE_PEERS
from hashgnn.benchmarking.search.contract import Built, Engine, Threads
from hashgnn.benchmarking.search.end_quality import EndQuality, end_quality, float_quality
from hashgnn.benchmarking.search.float_peers import FLOAT_PEERS
from hashgnn.benchmarking.search.gpu import GPU_ENGINES, GPU_PEERS, has_gpu
from hashgnn.benchmarking.search.index_recall import ExactResults, Tuned
from hashgnn.benchmarking.search.ours import OURS
from hashgnn.benchmarking.search.rivals import RIVALS
from hashgnn.benchmarking.search.rows import Measured, rows_of
from hashgnn.benchmarking.search.stored import build
from hashgnn.benchmarking.search.timing import take_turns
from hashgnn.benchmarking.search.workload import Workload, generated_workload
from hashgnn.errors import EngineError, MissingExtraError, ParameterError, ResultWarning

_OURS = (*OURS, *GPU_ENGINES)
_PEERS = (*CODE_PEERS, *FLOAT_PEERS, *RIVALS, *GPU_PEERS)
_FASTEST = "hierarchical-lists"  # what a peer over floats is compared with where no other of ours takes part

#: The names of our own searches that are timed.
ENGINES = tuple(engine.name for engine in _OURS)
#: The names of the searches of other libraries that are timed next to ours.
PEERS = tuple(engine.name for engine in _PEERS)

_OVER_FLOATS = {engine.name for engine in OURS if engine.ours is None}


def benchmark_search(
    *,
    n_items: int = 1_000_000,
    n_bits: int = 128,
    k: int = 100,
    n_queries: int = 256,
    n_threads: int = 1,
    n_build_threads: int | None = None,
    index_recall: float | Sequence[float] | None = None,
    peers: Sequence[str] = ("faiss-binary-flat", "faiss-flat-ip"),
    engines: Sequence[str] = ENGINES,
    n_rounds: int = 5,
    workload: Workload | None = None,
    judged_on: Workload | None = None,
    keep: str | Path | None = None,
    rng: int | np.random.Generator = 0,
    progress: bool | None = None,
) -> list[dict[str, Any]]:
    """Measure our searches and their peers side by side.

    The engines take turns in every round, so that a change of the machine's pace meets all of them.
    Approximate ones, ours and others, are tuned first, by one procedure and by their own scores: each gets the
    breadth and the number of candidates to re-rank that take least time and find the requested index recall at ``k``.

    Parameters
    ----------
    n_items, n_bits : int
        Of the generated items; ignored where a workload is passed.
    k, n_threads : int
    n_build_threads : int or None, default=None
        Threads that build what is searched; ``None``: as many as search.
    n_queries : int, default=256
        In a batch; at most as many as the workload has.
    index_recall : float, sequence of float or None, default=None
        What approximate engines are tuned to; several give a row each. ``None``: .95, and ``hierarchical``, which
        scans, re-ranks 500.
    peers : sequence of str, default=("faiss-binary-flat", "faiss-flat-ip")
        Names of ``PEERS``. Those that are not installed, or cannot run on this machine, are left out with a
        warning.
    engines : sequence of str
        Which of ``ENGINES``. What a peer is compared with is measured in any case; what needs an item bias
        or a GPU is left out where there is none.
    n_rounds : int, default=5
        Times are medians over the rounds.
    workload : Workload or None, default=None
        ``None`` generates a clustered one.
    judged_on : Workload or None, default=None
        Where end quality is judged: every engine is built and tuned on these items too. ``None``: on the items that
        are searched.
    keep : path or None, default=None
        A folder where peers that take long to build are kept. Another run of the same items takes them from there,
        with the seconds that their building took.
    rng : int or numpy Generator, default=0
    progress : bool or None, default=None
        ``None`` shows a bar where stderr is a terminal; ``False`` never.

    Returns
    -------
    list of dict
        One row an engine and requested index recall: ``engine``, ``items``, ``bits``, ``k``, ``queries``, ``threads``,
        ``build_threads``, ``batch_ms`` (a query, in batches), ``qps``, ``single_query_ms`` (median),
        ``single_query_p99_ms``, ``build_seconds``, ``bytes_per_item``, ``breadth`` (lists or graph nodes looked at;
        None for exact), ``candidates`` (re-ranked by floats; None for engines that re-rank nothing),
        ``requested_index_recall``, ``index_recall`` (share of the exact best ``k`` by what the engine compares),
        ``float_recall`` (the same share of the best by floats), ``recall@20``, ``ndcg@20`` and ``share_of_floats``
        (on held-out items, where there are some, else None; the last divides recall@20 by that of the floats),
        ``ours``, and ``ratio_to_ours`` and ``ratio_to_ours_single``: its time a query divided by that of the engine
        of ours in ``ours``, in batches and for single queries. Above 1, ours is faster. Peers over floats are
        compared with the fastest of ours over floats that finds the requested index recall. The same of processor
        time, which other work on the machine hardly changes: ``batch_processor_ms``, ``single_processor_ms``,
        ``build_processor_seconds``, ``processor_ratio_to_ours``, ``processor_ratio_to_ours_single``.

    Raises
    ------
    ParameterError
        If an argument breaks its rule, or nothing that was chosen can run here.
    MissingExtraError
        If none of the peers is installed.
    """
    size = check_int("k", k, minimum=1)
    searching = check_threads(n_threads)
    building = searching if n_build_threads is None else n_build_threads
    threads = Threads(check_int("n_build_threads", building, minimum=1), searching)
    rounds = check_int("n_rounds", n_rounds, minimum=1)
    batch = check_int("n_queries", n_queries, minimum=1)
    goals = _goals(index_recall)
    chosen = _runnable(_chosen(engines, peers), engines)
    data = workload
    if data is None:
        check_int("n_items", n_items, minimum=size)
        with progress_bar("Generating items", None, enabled=progress):
            data = generated_workload(n_items, batch, n_bits, rng=rng)
    if size > len(data.items):
        raise ParameterError(f"k must be at most {len(data.items)}, the number of items, got {size}")
    batch = min(batch, len(data.queries))
    chosen = [engine for engine in chosen if data.item_bias is not None or not engine.needs_bias]
    kept = None if keep is None else Path(keep)
    judged = _judged(judged_on, size) or data
    floats = float_quality(judged)
    measured: dict[str, Measured] = {}
    exact = ExactResults(data, size, threads.search)
    with progress_bar("Comparing", len(chosen) * (2 + rounds), enabled=progress) as advance:
        for engine in chosen:
            advance(note=f"building {engine.name}")
            with _others_may_fail(engine):
                ready, seconds = build(engine, data, size, threads, kept)
                measured[engine.name] = Measured(engine, ready, seconds, {}, {}, {})
        for name, one in list(measured.items()):
            advance(note=f"what {name} finds")
            with _others_may_fail(one.engine, lambda failed=name: measured.pop(failed)):  # type: ignore[misc]
                for goal in goals:
                    one.tuned[goal] = exact.tune(one.built, goal)
                    one.recall[goal] = exact.index_recall(one.built), exact.index_recall(one.built, "floats")
                    if floats is not None and judged is data:
                        one.quality[goal] = _quality(one.built, judged)
        if floats is not None and judged is not data:
            _judge_all(measured, judged, size, threads, goals)
        times = take_turns(
            {
                (name, settings): (one.built, settings)
                for name, one in measured.items()
                for settings in one.tuned.values()
            },
            n_queries=batch,
            k=size,
            n_rounds=rounds,
            advance=advance,
        )
    shape = {
        "items": len(data.items),
        "bits": data.n_bits,
        "k": size,
        "queries": batch,
        "threads": threads.search,
        "build_threads": threads.build,
    }
    return rows_of(measured, times, goals, shape, floats)


def unusable(peers: Sequence[str]) -> dict[str, str]:
    """Return the peers that cannot run here, each with the reason.

    Raises
    ------
    ParameterError
        If a name is not one of ``PEERS``.
    """
    others = {engine.name: engine for engine in _PEERS}
    reasons = {}
    for name in dict.fromkeys(peers):
        engine = others[check_choice("peers", name, others)]
        try:
            if not engine.needs_gpu or has_gpu():
                engine.load()
            else:
                reasons[name] = "it needs a GPU, and torch finds none"
        except (MissingExtraError, EngineError) as error:
            reasons[name] = str(error)
    return reasons


def _goals(index_recall: float | Sequence[float] | None) -> tuple[float | None, ...]:
    if index_recall is None:
        return (None,)
    values = index_recall if isinstance(index_recall, Sequence) else [index_recall]
    goals = tuple(
        check_float("index_recall", value, minimum=0.0, maximum=1.0, open_minimum=True) for value in values
    )
    if not goals:
        raise ParameterError("index_recall must name one value or more, got none")
    return tuple(dict.fromkeys(goals))


def _judged(judged_on: Workload | None, k: int) -> Workload | None:
    if judged_on is None:
        return None
    if judged_on.held_out is None:
        raise ParameterError("judged_on must be a workload with held-out items, got one without")
    if k > len(judged_on.items):
        raise ParameterError(
            f"k must be at most {len(judged_on.items)}, the items that are judged on, got {k}"
        )
    return judged_on


def _judge_all(
    measured: Mapping[str, Measured],
    judged: Workload,
    k: int,
    threads: Threads,
    goals: Sequence[float | None],
) -> None:
    """Build and tune each engine on other items, and take its end quality there."""
    exact = ExactResults(judged, k, threads.search)
    for one in measured.values():
        with _others_may_fail(one.engine):
            built, _ = build(one.engine, judged, k, threads, None)
            found: dict[Tuned, EndQuality] = {}
            for goal in goals:
                settings = exact.tune(built, goal)
                if settings not in found:
                    found[settings] = _quality(built, judged)
                one.quality[goal] = found[settings]


@contextmanager
def _others_may_fail(engine: Engine, undo: Callable[[], Any] = lambda: None) -> Iterator[None]:
    """Leave a peer out, with a warning, where its library fails: what took long before is not lost."""
    try:
        yield
    except Exception as error:
        if engine.is_ours:
            raise
        undo()
        reason = f"{type(error).__name__}: {error}"
        warnings.warn(f"{engine.name} is left out: its library failed: {reason}", ResultWarning, stacklevel=4)


def _quality(built: Built, judged: Workload) -> EndQuality:
    assert judged.held_out is not None
    return end_quality(built, judged.held_out)


def _chosen(engines: Sequence[str], peers: Sequence[str]) -> list[Engine]:
    own = {engine.name: engine for engine in _OURS}
    others = {engine.name: engine for engine in _PEERS}
    names = {check_choice("engines", name, own) for name in engines}
    picked = [others[check_choice("peers", name, others)] for name in dict.fromkeys(peers)]
    if any(engine.ours is None for engine in picked) and not names & _OVER_FLOATS:
        names.add(_FASTEST)
    names |= {engine.ours for engine in picked if engine.ours is not None}
    names |= {engine.ours for engine in map(own.__getitem__, names) if engine.ours is not None}
    return [engine for engine in _OURS if engine.name in names] + picked


def _runnable(chosen: Sequence[Engine], requested: Sequence[str]) -> list[Engine]:
    """Leave out what needs a GPU where there is none, and, with a warning, peers that are not installed."""
    usable: list[Engine] = []
    reasons: list[Exception] = []
    n_peers = 0
    for engine in chosen:
        if engine.needs_gpu and not has_gpu():
            continue
        n_peers += engine.name in PEERS
        try:
            engine.load()  # before what may take hours
        except (MissingExtraError, EngineError) as error:
            reasons.append(error)
            warnings.warn(f"{engine.name} is left out: {error}", ResultWarning, stacklevel=3)
        else:
            usable.append(engine)
    if reasons and len(reasons) == n_peers:
        raise reasons[0]
    if not usable:
        raise ParameterError(
            f"engines must name one that can run here, got {', '.join(map(repr, requested)) or 'none'}; "
            "what needs a GPU is left out where torch finds none"
        )
    return usable
