"""What an evaluation found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hashgnn._types import Array


@dataclass(frozen=True, eq=False)
class EvaluationReport:
    """Metrics of every search way of a model, over the same users.

    Attributes
    ----------
    n_users, n_items : int
        Users evaluated, and items of the catalogue.
    metrics : mapping of str to mapping of str to float
        By search way and name: ``report.metrics["hamming"]["recall@20"]``. Ties are broken towards the
        smaller item position.
    expected : mapping of str to mapping of str to float
        The same, as the mean over all orders of tied items. Coverage has no such value.
    intervals : mapping of str to mapping of str to (float, float)
        Bootstrap intervals of ``metrics`` over users; empty where ``n_bootstrap=0``. Coverage has none.
    confidence : float
        Of the intervals.
    per_user : mapping of str to mapping of str to ndarray of shape (n_users,), float32
        What ``metrics`` are means of, in the order of ``user_index``.
    user_index : ndarray of shape (n_users,), int64
        The users evaluated, ascending.
    bytes_per_item : mapping of str to float
        What a search reads of an item.
    milliseconds_per_query : mapping of str to float
        Median time of a query asked alone; empty where nothing was timed.
    milliseconds_per_query_in_batch : mapping of str to float
        Time of a batch of queries, a query.
    """

    n_users: int
    n_items: int
    metrics: Mapping[str, Mapping[str, float]]
    expected: Mapping[str, Mapping[str, float]]
    intervals: Mapping[str, Mapping[str, tuple[float, float]]]
    confidence: float
    per_user: Mapping[str, Mapping[str, Array]]
    user_index: Array
    bytes_per_item: Mapping[str, float]
    milliseconds_per_query: Mapping[str, float]
    milliseconds_per_query_in_batch: Mapping[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold: all but the values of single users."""
        return {
            "n_users": self.n_users,
            "n_items": self.n_items,
            "metrics": {way: dict(values) for way, values in self.metrics.items()},
            "expected": {way: dict(values) for way, values in self.expected.items()},
            "intervals": {
                way: {name: list(ends) for name, ends in values.items()}
                for way, values in self.intervals.items()
            },
            "confidence": self.confidence,
            "bytes_per_item": dict(self.bytes_per_item),
            "milliseconds_per_query": dict(self.milliseconds_per_query),
            "milliseconds_per_query_in_batch": dict(self.milliseconds_per_query_in_batch),
        }
