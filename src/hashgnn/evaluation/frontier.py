"""The frontier of bits, latency and quality: which settings no other setting dominates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from hashgnn.errors import ParameterError
from hashgnn.evaluation.evaluation_result import EvaluationResult


@dataclass(frozen=True)
class FrontierRow:
    """One way to search one model.

    Attributes
    ----------
    method, search : str
    n_bits : int
    bytes_per_item, milliseconds_per_query : float
        Lower is better.
    metric : str
    value : float
        Higher is better.
    """

    method: str
    search: str
    n_bits: int
    bytes_per_item: float
    milliseconds_per_query: float
    metric: str
    value: float

    def dominates(self, other: FrontierRow) -> bool:
        """Return whether this is nowhere worse than ``other`` and somewhere better."""
        pairs = list(zip(self._costs(), other._costs(), strict=True))
        return all(mine <= theirs for mine, theirs in pairs) and any(mine < theirs for mine, theirs in pairs)

    def _costs(self) -> tuple[float, float, float]:
        return self.bytes_per_item, self.milliseconds_per_query, -self.value


def frontier_rows(
    result: EvaluationResult, *, method: str, n_bits: int, metric: str = "recall@20"
) -> list[FrontierRow]:
    """Return a row for each search way of a result that has times.

    Raises
    ------
    ParameterError
        If the metric, the times or the bytes are missing in the result.
    """
    rows = []
    for way, values in result.metrics.items():
        if metric not in values:
            raise ParameterError(
                f"metric must be one that was evaluated, {', '.join(values)}, got {metric!r}"
            )
        if way not in result.milliseconds_per_query:
            raise ParameterError("result must hold times, got none; evaluate with n_timed >= 1")
        if way not in result.bytes_per_item:
            raise ParameterError("result must hold bytes per item, got none; evaluate a Scorer")
        size, wait = result.bytes_per_item[way], result.milliseconds_per_query[way]
        rows.append(FrontierRow(method, way, n_bits, size, wait, metric, values[metric]))
    return rows


def frontier(rows: Iterable[FrontierRow]) -> list[FrontierRow]:
    """Return the rows that no other dominates, by bytes per item.

    Raises
    ------
    ParameterError
        If the rows are of several metrics.

    Examples
    --------
    >>> good = FrontierRow("a", "hamming", 64, 8, 0.1, "recall@20", 0.15)
    >>> worse = FrontierRow("b", "hamming", 64, 8, 0.2, "recall@20", 0.14)
    >>> [row.method for row in frontier([worse, good])]
    ['a']
    """
    given = list(rows)
    metrics = {row.metric for row in given}
    if len(metrics) > 1:
        raise ParameterError(f"rows must be of one metric, got {', '.join(sorted(metrics))}")
    best = [row for row in given if not any(other.dominates(row) for other in given)]
    return sorted(best, key=lambda row: (row.bytes_per_item, row.milliseconds_per_query, -row.value))


def frontier_table(rows: Sequence[FrontierRow]) -> list[dict[str, Any]]:
    """Return JSON-able rows, each with ``on_frontier``: whether no other row dominates it."""
    best = set(frontier(rows))
    return [{**vars(row), "on_frontier": row in best} for row in rows]
