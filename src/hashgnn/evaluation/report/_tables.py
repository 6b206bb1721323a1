"""The tables of a report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from hashgnn.evaluation._html import Html, join, tag
from hashgnn.evaluation.evaluation_result import EvaluationResult
from hashgnn.evaluation.report.content import ReportContent

_NAMES = {
    "hamming": "bits against bits",
    "biased": "bits against bits, plus the item bias",
    "asymmetric": "float query against bits, plus the item bias",
    "hierarchical": "candidates by bits, re-ranked by floats",
    "float": "floats against floats, every item",
}
_MEANINGS = {
    "itemrecall": "share of the users of an item who found it, mean over items",
    "coverage": "share of the catalogue that anybody is recommended",
    "gini": "0: every item equally often; near 1: always the same",
    "novelty": "bits of surprise in an item",
    "arp": "training users of a recommended item",
    "lift": "how much more popular than what users had: 0 is no bias",
    "aplt": "share of the lists outside the most popular fifth",
    "diversity": "how different the items of one list are",
    "calibration": "distance of a list from the user's own mix; 0 is best",
}


def results_table(content: ReportContent) -> Html:
    """Return the quality, size and speed of search ways and baselines; on a phone each is a card."""
    result = content.evaluation
    names = list(content.accuracy) or list(next(iter(result.metrics.values())))
    timed, sized = bool(result.milliseconds_per_query), bool(result.bytes_per_item)
    head = [
        "method" if content.baselines else "search way",
        *names,
        *(["bytes per item"] if sized else []),
        *(["ms per query"] if timed else []),
    ]
    rows = []
    for label, about, found, way in _methods(content):
        row: list[Any] = [
            join(tag("span", label, class_="way"), tag("span", about, class_="sub") if about else "")
        ]
        row += [_measure(found, way, name) for name in names]
        row += [_number(found.bytes_per_item.get(way), ",.0f")] if sized else []
        row += [_milliseconds(found.milliseconds_per_query.get(way))] if timed else []
        rows.append(row)
    return _cards(head, rows, class_="results cards pairs")


def beyond_table(content: ReportContent) -> Html:
    """Return the metrics that are not those of relevance, one a row, so that a phone shows them all."""
    result = content.evaluation
    shown = [name for name in next(iter(result.metrics.values())) if name not in content.accuracy]
    if not content.accuracy or not shown:
        return Html("")
    methods = list(_methods(content))
    rows = []
    for name in shown:
        about = _MEANINGS.get(name.split("@")[0], "")
        heading = join(tag("span", name, class_="way"), tag("span", about, class_="sub") if about else "")
        rows.append([heading, *(f"{found.metrics[way][name]:.3g}" for _, _, found, way in methods)])
    return _cards(["metric", *(label for label, _, _, _ in methods)], rows)


def comparison_table(content: ReportContent) -> Html:
    """Return each search way against each baseline: the difference, and whether it may be chance."""
    ways = list(dict.fromkeys(one.method for one in content.comparisons))
    found = {(one.method, one.baseline): one for one in content.comparisons}
    baselines = list(dict.fromkeys(one.baseline for one in content.comparisons))
    rows = []
    for way in ways:
        row: list[Any] = [tag("span", way, class_="way")]
        for name in baselines:
            one = found[way, name]
            certain = one.is_significant()
            word = ("better" if one.difference > 0 else "worse") if certain else "may be chance"
            p_value = "p < 0.001" if one.adjusted_p_value < 0.001 else f"p = {one.adjusted_p_value:.2g}"
            p_value = p_value.replace(" ", "\N{NO-BREAK SPACE}")
            row.append(
                join(
                    tag("span", f"{one.difference:+.4f}", class_="value"),
                    tag("span", f"{word}, {p_value}", class_="sub"),
                )
            )
        rows.append(row)
    return _cards(["search way", *(f"against {name}" for name in baselines)], rows)


def segment_tables(content: ReportContent) -> list[Html]:
    """Return a table for each kind of segment."""
    shown = []
    for name in dict.fromkeys((row.side, row.segments) for row in content.segments):
        own = [row for row in content.segments if (row.side, row.segments) == name]
        methods = list(dict.fromkeys(row.search for row in own))
        by_place = {(row.search, row.value): row for row in own}
        counts = {row.value: row.n for row in own}
        noun = "users" if own[0].side == "user" else "items"
        rows = []
        for value, count in counts.items():
            cells: list[Any] = [
                join(tag("span", value, class_="way"), tag("span", f"{count:,} {noun}", class_="sub"))
            ]
            for method in methods:
                one = by_place[method, value]
                ends = "" if one.low is None else tag("span", f"{one.low:.3f}–{one.high:.3f}", class_="sub")
                cells.append(join(tag("span", f"{one.mean:.4f}", class_="value"), ends))
            rows.append(cells)
        heading = tag("h3", f"{own[0].metric} by {name[1]} of {noun}")
        shown.append(join(heading, _cards([name[1], *methods], rows)))
    return shown


def _methods(content: ReportContent) -> Iterator[tuple[str, str, EvaluationResult, str]]:
    """Yield label, explanation, result and search way of each row."""
    for way in content.evaluation.metrics:
        yield way, _NAMES.get(way, ""), content.evaluation, way
    for name, found in content.baselines.items():
        yield name, "baseline", found, next(iter(found.metrics))


def _cards(head: Sequence[str], rows: Sequence[Sequence[Any]], *, class_: str = "results cards") -> Html:
    """Return a table whose rows are cards where the page is narrow: each cell then says what it is."""
    body = [
        tag(
            "tr",
            tag("th", row[0], scope="row"),
            *(
                tag("td", tag("div", cell), data_label=name)
                for name, cell in zip(head[1:], row[1:], strict=True)
            ),
        )
        for row in rows
    ]
    top = tag("thead", tag("tr", *(tag("th", cell, scope="col") for cell in head)))
    whole = tag("table", top, tag("tbody", *body), class_=class_)
    return tag("div", whole, class_="scroll", tabindex="0")


def _measure(result: EvaluationResult, way: str, name: str) -> Html:
    parts: list[Any] = [tag("span", f"{result.metrics[way][name]:.4f}", class_="value")]
    if name in result.intervals.get(way, {}):
        low, high = result.intervals[way][name]
        parts.append(tag("span", f"{low:.4f}–{high:.4f}", class_="sub"))
    if name in result.expected.get(way, {}):
        parts.append(tag("span", f"ties {result.expected[way][name]:.4f}", class_="sub"))
    return join(*parts)


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def _milliseconds(value: float | None) -> str:
    digits = 0 if value is None or value >= 10 else 2 if value >= 1 else 3
    return _number(value, f".{digits}f")
