"""Rows of a measurement, from the figures of each engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hashgnn.benchmarking.search.contract import INDEX_RECALL, Built, Engine
from hashgnn.benchmarking.search.end_quality import HELD_OUT_K, EndQuality
from hashgnn.benchmarking.search.index_recall import Tuned
from hashgnn.benchmarking.search.timing import Times

_RATIOS = {
    "ratio_to_ours": "batch",
    "ratio_to_ours_single": "single",
    "processor_ratio_to_ours": "batch_processor",
    "processor_ratio_to_ours_single": "single_processor",
}

Goal = float | None
TimesOf = Mapping[tuple[str, Tuned], Times]


@dataclass(frozen=True)
class Measured:
    """An engine, and what was found of it for each requested index recall.

    Attributes
    ----------
    engine : Engine
    built : Built
    build_seconds : tuple of two floats
        On the wall and of the processor.
    tuned : dict of Tuned
    recall : dict of tuple of two floats
        By what it compares, and by floats.
    quality : dict of EndQuality
    """

    engine: Engine
    built: Built
    build_seconds: tuple[float, float]
    tuned: dict[Goal, Tuned]
    recall: dict[Goal, tuple[float, float]]
    quality: dict[Goal, EndQuality]


def rows_of(
    measured: Mapping[str, Measured],
    times: TimesOf,
    goals: Sequence[Goal],
    shape: Mapping[str, Any],
    floats: EndQuality | None,
) -> list[dict[str, Any]]:
    """Return one row an engine and goal; ``shape`` is the same in all."""
    rows = []
    for goal in goals:
        best = _fastest_of_ours(measured, times, goal)
        for name, one in measured.items():
            ours = best if one.engine.ours is None else one.engine.ours
            taken = times[name, one.tuned[goal]]
            compared = None if ours is None else times[ours, measured[ours].tuned[goal]]
            rows.append(_row(one, goal, taken, ours, compared, shape, floats))
    return rows


def _row(
    one: Measured,
    goal: Goal,
    taken: Times,
    ours: str | None,
    compared: Times | None,
    shape: Mapping[str, Any],
    floats: EndQuality | None,
) -> dict[str, Any]:
    quality = one.quality.get(goal)
    milliseconds = taken.milliseconds(shape["queries"])
    return {
        "engine": one.engine.name,
        **shape,
        "qps": 1e3 / milliseconds["batch_ms"],
        **milliseconds,
        "build_seconds": one.build_seconds[0],
        "build_processor_seconds": one.build_seconds[1],
        "bytes_per_item": one.built.n_bytes / shape["items"],
        "breadth": one.tuned[goal].breadth,
        "candidates": one.tuned[goal].candidates,
        "requested_index_recall": INDEX_RECALL if goal is None else goal,
        "index_recall": one.recall[goal][0],
        "float_recall": one.recall[goal][1],
        f"recall@{HELD_OUT_K}": None if quality is None else quality.recall,
        f"ndcg@{HELD_OUT_K}": None if quality is None else quality.ndcg,
        "share_of_floats": None if quality is None or not floats else quality.recall / floats.recall,
        "ours": ours,
        **{key: _ratio(taken, compared, kind) for key, kind in _RATIOS.items()},
    }


def _fastest_of_ours(measured: Mapping[str, Measured], times: TimesOf, goal: Goal) -> str | None:
    """Return the fastest of ours over floats that finds enough in batches; where none does, what finds most."""
    requested = INDEX_RECALL if goal is None else goal
    ours = [name for name, one in measured.items() if one.engine.is_ours and one.built.compares == "floats"]
    enough = [name for name in ours if measured[name].recall[goal][0] >= requested]
    if enough:
        return min(enough, key=lambda name: float(np.median(times[name, measured[name].tuned[goal]].batch)))
    return max(ours, key=lambda name: measured[name].recall[goal][0], default=None)


def _ratio(theirs: Times, ours: Times | None, kind: str) -> float | None:
    if ours is None:
        return None
    return float(np.median(getattr(theirs, kind)) / np.median(getattr(ours, kind)))
