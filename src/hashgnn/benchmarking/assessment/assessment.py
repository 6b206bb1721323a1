"""``Assessment``: what was found of a model, next to its baselines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa

from hashgnn._checks import check_choice
from hashgnn._frames import FrameLibrary, to_frame
from hashgnn.evaluation import Comparison, EvaluationResult, SegmentRow
from hashgnn.evaluation._html import Html, table, tag
from hashgnn.evaluation._notebook import notebook

MODEL = "hashgnn"
_NO_VALUE = "–"
Table = tuple[str, list[str], list[list[str]]]


@dataclass(frozen=True, eq=False, repr=False)
class Assessment:
    """Quality of every search way and of baselines, over the same users. It prints as tables.

    Attributes
    ----------
    verdict : str
        One sentence.
    result : EvaluationResult
        Of the model.
    baselines : mapping of str to EvaluationResult
        By name; each has one search way.
    metric : str
        The metric that comparisons, segments and the verdict are about.
    accuracy, beyond : sequence of str
        Names of the metrics of relevance, and of those beyond accuracy.
    comparisons : sequence of Comparison
        Each search way against each baseline, tested over the same users, with Holm's correction.
    segments : sequence of SegmentRow
        Of search ways and baselines; ``search`` is the name of the baseline there.
    """

    verdict: str
    result: EvaluationResult
    baselines: Mapping[str, EvaluationResult]
    metric: str
    accuracy: Sequence[str]
    beyond: Sequence[str]
    comparisons: Sequence[Comparison]
    segments: Sequence[SegmentRow]

    def methods(self) -> Iterator[tuple[str, EvaluationResult, str]]:
        """Yield the name, the result and the search way of each row: search ways first, then baselines."""
        for way in self.result.metrics:
            yield way, self.result, way
        for name, found in self.baselines.items():
            yield name, found, next(iter(found.metrics))

    def tables(self) -> list[Table]:
        """Return a title, headings and rows of text for each part that there is."""
        shown = [self._accuracy()]
        if self.beyond:
            methods = list(self.methods())
            heading = ["metric", *(name for name, _, _ in methods)]
            rows = [
                [metric, *(f"{found.metrics[way][metric]:.4g}" for _, found, way in methods)]
                for metric in self.beyond
            ]
            shown.append(("beyond accuracy", heading, rows))
        if self.comparisons:
            pairs = {(one.method, one.baseline): one for one in self.comparisons}
            names = list(dict.fromkeys(one.baseline for one in self.comparisons))
            ways = list(dict.fromkeys(one.method for one in self.comparisons))
            heading = ["search way", *(f"less {name}" for name in names)]
            rows = [[way, *(_difference(pairs[way, name]) for name in names)] for way in ways]
            title = f"{self.metric}: differences, and p-values of paired tests over the same users"
            shown.append((title, heading, rows))
        return [*shown, *self._segments()]

    def _accuracy(self) -> Table:
        heading = ["method", *self.accuracy, "bytes per item", "ms per query"]
        rows = []
        for name, found, way in self.methods():
            size, wait = found.bytes_per_item.get(way), found.milliseconds_per_query.get(way)
            rows.append(
                [
                    name,
                    *(f"{found.metrics[way][metric]:.4f}" for metric in self.accuracy),
                    _NO_VALUE if size is None else f"{size:,.0f}",
                    _NO_VALUE if wait is None else f"{wait:,.3f}",
                ]
            )
        return self.result.summary, heading, rows

    def _segments(self) -> list[Table]:
        found = []
        for name in dict.fromkeys(row.segments for row in self.segments):
            own = [row for row in self.segments if row.segments == name]
            methods = list(dict.fromkeys(row.search for row in own))
            by_place = {(row.search, row.value): row for row in own}
            first = own[0]
            kinds = "users" if first.side == "user" else "items"
            counts = {row.value: row.n for row in own}
            heading = [name, kinds, *methods]
            rows = [
                [value, f"{n:,}", *(f"{by_place[method, value].mean:.4f}" for method in methods)]
                for value, n in counts.items()
            ]
            found.append((f"{first.metric} by {name} of {kinds}", heading, rows))
        return found

    def __repr__(self) -> str:
        parts = [self.verdict] if self.verdict else []
        for title, heading, rows in self.tables():
            widths = [max(len(line[at]) for line in [heading, *rows]) for at in range(len(heading))]
            lines = [
                "  ".join(
                    text.ljust(width) if at == 0 else text.rjust(width)
                    for at, (text, width) in enumerate(zip(line, widths, strict=True))
                ).rstrip()
                for line in [heading, *rows]
            ]
            parts.append("\n".join([title, *lines]))
        return "\n\n".join(parts)

    def _repr_html_(self) -> str:
        parts: list[Html] = [tag("p", self.verdict, class_="verdict")] if self.verdict else []
        for title, heading, rows in self.tables():
            best = _best_rows(heading, rows) if heading[0] == "method" else {}
            body: list[list[Any]] = [
                [
                    tag("strong", cell) if best.get(column) == number else cell
                    for column, cell in enumerate(row)
                ]
                for number, row in enumerate(rows)
            ]
            parts.append(table(list(heading), body, caption=title))
        return notebook(*parts)

    def to_frame(self, part: str = "metrics", *, backend: FrameLibrary = "pandas") -> Any:
        """Return a data frame.

        Parameters
        ----------
        part : {"metrics", "segments", "comparisons"}, default="metrics"
            ``"metrics"`` has the columns of :meth:`EvaluationResult.to_frame` after ``method``, which is
            ``"hashgnn"`` or the name of a baseline. The others have a column for each attribute of
            :class:`SegmentRow` and of :class:`Comparison`.
        backend : {"pandas", "polars", "pyarrow"}, default="pandas"
            A library that is installed.
        """
        check_choice("part", part, ("metrics", "segments", "comparisons"))
        if part == "metrics":
            tables = []
            for name, found in {MODEL: self.result, **self.baselines}.items():
                own = found.to_frame("pyarrow")
                tables.append(own.add_column(0, "method", pa.array([name] * len(own), pa.string())))
            return to_frame(pa.concat_tables(tables), backend)
        rows = self.segments if part == "segments" else self.comparisons
        kind = SegmentRow if part == "segments" else Comparison
        columns = {name: [getattr(row, name) for row in rows] for name in kind.__dataclass_fields__}
        return to_frame(pa.table(columns), backend)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values: everything except the values of single users and items."""
        return {
            **self.result.to_dict(),
            "verdict": self.verdict,
            "metric": self.metric,
            "baselines": {name: found.to_dict() for name, found in self.baselines.items()},
            "comparisons": [asdict(one) for one in self.comparisons],
            "segments": [asdict(one) for one in self.segments],
        }


def _best_rows(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> dict[int, int]:
    """Return the row of the highest value for each column that is a metric."""
    return {
        column: max(range(len(rows)), key=lambda row: float(rows[row][column]))
        for column, name in enumerate(heading)
        if "@" in name
    }


def _difference(one: Comparison) -> str:
    p_value = "p < 0.001" if one.adjusted_p_value < 0.001 else f"p = {one.adjusted_p_value:.3f}"
    return f"{one.difference:+.4f} ({p_value})"
