"""``EvaluationResult``: the metrics of an evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from hashgnn._frames import FrameLibrary, to_frame
from hashgnn._types import Array
from hashgnn.evaluation import _html
from hashgnn.evaluation._notebook import notebook

NO_VALUE = "–"


@dataclass(frozen=True, eq=False, repr=False)
class EvaluationResult:
    """Metrics of every search way of a model, over the same users. It prints as a table.

    Attributes
    ----------
    n_users, n_items : int
        Users evaluated, and items of the catalogue.
    served : bool
        Whether ``metrics`` are those of the lists that the model returns, approximate index included.
        False: those of an exact ranking of all items by their scores.
    metrics : mapping of str to mapping of str to float
        By search way and name: ``result.metrics["hamming"]["recall@20"]``. Ties go to the smaller item
        position, or stand as the model's index orders them where ``served``.
    expected : mapping of str to mapping of str to float
        The same, as the mean over all orders of tied items. A metric is absent where this cannot be
        computed: coverage, a metric without a formula, and every metric where ``served``.
    intervals : mapping of str to mapping of str to (float, float)
        Bootstrap intervals of ``metrics`` over users; empty where ``n_bootstrap=0``. Coverage has none.
    confidence : float
        Of the intervals.
    per_user : mapping of str to mapping of str to ndarray of shape (n_users,), float32
        What ``metrics`` are means of, in the order of ``user_index``.
    user_index : ndarray of shape (n_users,), int64
        The users evaluated, ascending.
    bytes_per_item : mapping of str to float
        Bytes of an item that a search reads; empty where the model does not report them.
    milliseconds_per_query : mapping of str to float
        Median latency of a query of one user; empty where nothing was timed.
    milliseconds_per_query_in_batch : mapping of str to float
        Time of a batch of queries, divided by their number.
    per_item : mapping of str to mapping of str to ndarray of shape (n_items,), float64
        Values of the metrics that have one for each item, by search way and name; NaN where no user had the
        item held out. Empty where no such metric was named.
    n_held_out : ndarray of shape (n_items,), int64, or None
        Users who had each item held out.
    """

    n_users: int
    n_items: int
    served: bool
    metrics: Mapping[str, Mapping[str, float]]
    expected: Mapping[str, Mapping[str, float]]
    intervals: Mapping[str, Mapping[str, tuple[float, float]]]
    confidence: float
    per_user: Mapping[str, Mapping[str, Array]]
    user_index: Array
    bytes_per_item: Mapping[str, float]
    milliseconds_per_query: Mapping[str, float]
    milliseconds_per_query_in_batch: Mapping[str, float]
    per_item: Mapping[str, Mapping[str, Array]] = field(default_factory=dict)
    n_held_out: Array | None = None

    def __repr__(self) -> str:
        heading, rows = self.table()
        widths = [max(len(line[column]) for line in [heading, *rows]) for column in range(len(heading))]
        lines = [
            "  ".join(
                text.ljust(width) if column == 0 else text.rjust(width)
                for column, (text, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in [heading, *rows]
        ]
        return "\n".join([self.summary, *lines])

    def _repr_html_(self) -> str:
        heading, rows = self.table()
        return notebook(_html.table(heading, rows, caption=self.summary))

    @property
    def summary(self) -> str:
        """A summary of the measurement, in one line."""
        how = "as served" if self.served else "every item ranked by its exact score"
        ranges = f", {100 * self.confidence:g} % intervals over users" if self.intervals else ""
        return f"{self.n_users:,} users, {self.n_items:,} items, {how}{ranges}"

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Return headings and a row for each search way, as text: metrics, bytes an item, latency."""
        names = list(next(iter(self.metrics.values())))
        rows = []
        for way, values in self.metrics.items():
            size, latency = self.bytes_per_item.get(way), self.milliseconds_per_query.get(way)
            rows.append(
                [
                    way,
                    *(self._cell(way, name) for name in values),
                    NO_VALUE if size is None else f"{size:,.0f}",
                    NO_VALUE if latency is None else f"{latency:,.3f}",
                ]
            )
        return ["search way", *names, "bytes per item", "ms per query"], rows

    def _cell(self, way: str, name: str) -> str:
        value = f"{self.metrics[way][name]:.4f}"
        ends = self.intervals.get(way, {}).get(name)
        return value if ends is None else f"{value} [{ends[0]:.4f}, {ends[1]:.4f}]"

    def to_frame(self, backend: FrameLibrary = "pandas") -> Any:
        """Return a data frame with a row for each search way and metric.

        Its columns are ``search``, ``metric``, ``value``, ``expected``, ``low`` and ``high`` (ends of the
        interval), ``bytes_per_item``, ``milliseconds_per_query`` and ``milliseconds_per_query_in_batch``.
        What is absent is null.

        Parameters
        ----------
        backend : {"pandas", "polars", "pyarrow"}, default="pandas"
            A library that is installed.
        """
        places = [(way, name) for way, values in self.metrics.items() for name in values]
        ends = [self.intervals.get(way, {}).get(name, (None, None)) for way, name in places]
        columns: dict[str, list[float | None]] = {
            "value": [self.metrics[way][name] for way, name in places],
            "expected": [self.expected.get(way, {}).get(name) for way, name in places],
            "low": [low for low, _ in ends],
            "high": [high for _, high in ends],
        }
        for name in ("bytes_per_item", "milliseconds_per_query", "milliseconds_per_query_in_batch"):
            columns[name] = [getattr(self, name).get(way) for way, _ in places]
        labels = {
            name: pa.array([place[at] for place in places], pa.string())
            for at, name in enumerate(("search", "metric"))
        }
        numbers = {name: pa.array(values, pa.float64()) for name, values in columns.items()}
        return to_frame(pa.table({**labels, **numbers}), backend)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values: everything except the values of single users."""
        return {
            "n_users": self.n_users,
            "n_items": self.n_items,
            "served": self.served,
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
