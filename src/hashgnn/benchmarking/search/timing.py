"""Times of engines that take turns, on the wall and of the processor."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import numpy as np

from hashgnn._progress import Advance
from hashgnn.benchmarking.search.contract import Built

_SINGLE_QUERIES = 32  # a round


@dataclass(frozen=True)
class Times:
    """Seconds of each batch of all queries and of each single query, in the order they were taken."""

    batch: list[float] = field(default_factory=list)
    batch_processor: list[float] = field(default_factory=list)
    single: list[float] = field(default_factory=list)
    single_processor: list[float] = field(default_factory=list)

    def milliseconds(self, n_queries: int) -> dict[str, float]:
        """Return medians, in milliseconds a query."""
        return {
            "batch_ms": float(np.median(self.batch)) * 1e3 / n_queries,
            "batch_processor_ms": float(np.median(self.batch_processor)) * 1e3 / n_queries,
            "single_query_ms": float(np.median(self.single)) * 1e3,
            "single_query_p99_ms": float(np.percentile(self.single, 99)) * 1e3,
            "single_processor_ms": float(np.median(self.single_processor)) * 1e3,
        }


class Settings(Protocol):
    """Settings of an engine while it is timed."""

    def apply(self, built: Built) -> None:
        """Set them."""


K = TypeVar("K", bound=tuple[str, Any])


def take_turns(
    points: Mapping[K, tuple[Built, Settings]], *, n_queries: int, k: int, n_rounds: int, advance: Advance
) -> dict[K, Times]:
    """Time every engine once a round with each of its settings, so that a change of the machine's pace meets all.

    ``advance`` moves the progress bar on before an engine's first.
    """
    times = {point: Times() for point in points}
    for number in range(n_rounds):
        last = None
        for point, (engine, settings) in points.items():
            if point[0] != last:
                advance(note=f"timing {point[0]}")
            last = point[0]
            settings.apply(engine)
            taken = times[point]
            seconds, processor = timed(lambda e=engine: e.search(slice(0, n_queries), k))  # type: ignore[misc]
            taken.batch.append(seconds)
            taken.batch_processor.append(processor)
            for query in range(_SINGLE_QUERIES):
                at = (number * _SINGLE_QUERIES + query) % n_queries
                seconds, processor = timed(lambda e=engine, a=at: e.search(slice(a, a + 1), k))  # type: ignore[misc]
                taken.single.append(seconds)
                taken.single_processor.append(processor)
    return times


def timed(work: Callable[[], Any]) -> tuple[float, float]:
    """Run something; return its seconds on the wall, and those of the processor, all threads together."""
    processor, wall = time.process_time(), time.perf_counter()
    work()
    return time.perf_counter() - wall, time.process_time() - processor
