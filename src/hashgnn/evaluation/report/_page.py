"""The report as a page."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from typing import Any

from hashgnn.evaluation._html import Html, join, table, tag
from hashgnn.evaluation.report._plots import balance_plot, distance_plot, size_plot, training_plot
from hashgnn.evaluation.report._tables import (
    beyond_table,
    comparison_table,
    results_table,
    segment_tables,
)
from hashgnn.evaluation.report.content import Example, ReportContent

_HELD_OUT_SHOWN = 12
_FIGURE = 12  # characters that fit into the room of one figure
# The page is self-contained and may load nothing.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def render(content: ReportContent, *, plots: bool) -> str:
    """Return the whole page.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed and there are plots.
    """
    title = content.title + (" (generated data)" if content.generated else "")
    head = join(
        Html('<meta charset="utf-8">'),
        Html('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'),
        Html('<meta name="color-scheme" content="light dark">'),
        tag("title", title),
        tag("style", Html(resources.files(__package__).joinpath("style.css").read_text(encoding="utf-8"))),
    )
    sections = [
        _results(content),
        _comparisons(content),
        _plots(content) if plots else Html(""),
        _beyond(content),
        _segments(content),
        _examples(content.examples, content.generated),
        _health(content),
        _details(content),
    ]
    body = tag("main", _header(content, title), *(section for section in sections if section))
    return "<!doctype html>\n" + tag("html", tag("head", head), tag("body", body), lang="en") + "\n"


def _header(content: ReportContent, title: str) -> Html:
    evaluation = content.evaluation
    parts = [tag("p", "hashgnn report", class_="kicker"), tag("h1", title)]
    if content.generated:
        parts.append(
            tag(
                "p",
                tag("strong", "Generated data. "),
                "The people and items on this page do not exist; the numbers say that the library works, "
                "and nothing about real data.",
                class_="notice",
            )
        )
    if content.verdict:
        parts.append(tag("p", content.verdict, class_="verdict"))
    known = {**({"Data set": content.data_set} if content.data_set else {}), **content.data}
    if known.get("users") != evaluation.n_users:
        known["Users evaluated"] = evaluation.n_users
    if known.get("items") != evaluation.n_items:
        known["Items ranked for each"] = evaluation.n_items
    facts = [_fact(name, _value(value)) for name, value in known.items()]
    return tag("header", *parts, tag("dl", *facts, class_="facts"))


def _fact(name: str, value: str) -> Html:
    """Return a name over its value; a sentence takes the room of two figures."""
    pair = (tag("dt", name[:1].upper() + name[1:]), tag("dd", value))
    return tag("div", *pair, class_="wide") if len(value) > _FIGURE else tag("div", *pair)


def _results(content: ReportContent) -> Html:
    result = content.evaluation
    if result.served:
        notes = (
            "Lists are measured as the model returns them, its index included, for every user who has "
            "held-out items. The model leaves out what it has seen of the user. "
        )
    else:
        notes = (
            "Every item is ranked for every user who has held-out items; what the user has in training is "
            "left out. Equal scores go to the item that comes first; “ties” is the mean over all orders of "
            "equal scores. "
        )
    if result.intervals:
        notes += f"Ranges are {100 * result.confidence:g} % bootstrap intervals over users. "
    if result.milliseconds_per_query:
        notes += "Times are median latencies of single queries on this machine. "
    if content.baselines:
        notes += "Baselines were fitted on the training interactions of the model."
    heading = "Search ways and baselines" if content.baselines else "Search ways"
    return _section(heading, results_table(content), tag("p", notes, class_="note"), of=content)


def _comparisons(content: ReportContent) -> Html:
    if not content.comparisons:
        return Html("")
    note = (
        "Differences of the means, search way less baseline. Student's t over the same users, corrected for the number "
        "of tests by Holm's method; “may be chance” is p ≥ 0.05."
    )
    heading = "Better than the baselines?"
    return _section(heading, comparison_table(content), tag("p", note, class_="note"), of=content)


def _beyond(content: ReportContent) -> Html:
    shown = beyond_table(content)
    return _section("Beyond accuracy", shown, of=content) if shown else Html("")


def _segments(content: ReportContent) -> Html:
    if not content.segments:
        return Html("")
    note = (
        "New users have up to 5 training items, heavy users are the fifth with the most. The head is the most popular "
        "fifth of the items."
    )
    return _section("By segment", *segment_tables(content), tag("p", note, class_="note"), of=content)


def _plots(content: ReportContent) -> Html:
    result = content.evaluation
    metric = next(iter(next(iter(result.metrics.values()))))
    figures = []
    if result.bytes_per_item:
        caption = "What each byte buys. " + ("Lines are intervals over users." if result.intervals else "")
        figures.append((size_plot(result, metric, content.baselines), caption))
    if content.history:
        figures.append((training_plot(content.history), "Training, epoch by epoch."))
    if "items" in content.health:
        caption = "Balance of the item bits: at one half a bit says most; at 0 or 1 it says nothing."
        figures.append((balance_plot(content.health["items"]), caption))
    if content.distances is not None:
        caption = (
            "Codes put users nearer to their own items than to random ones; the less overlap, the better."
        )
        figures.append((distance_plot(content.distances), caption))
    shown = [tag("figure", svg, tag("figcaption", caption)) for svg, caption in figures]
    return _section("Pictures", tag("div", *shown, class_="figures"), of=content)


def _examples(examples: Iterable[Example], generated: bool) -> Html:
    shown = []
    for example in examples:
        liked = [tag("li", title) for title in example.liked]
        recommended = [
            tag("li", entry.title, *([" ", tag("span", "held out", class_="hit")] if entry.held_out else []))
            for entry in example.recommended
        ]
        shown.append(
            tag(
                "article",
                tag("h3", example.user),
                tag("div", tag("h4", "In training"), tag("ol", *liked)),
                tag("div", tag("h4", "Recommended"), tag("ol", *recommended)),
                _held_out(example.held_out),
                class_="example",
            )
        )
    if not shown:
        return Html("")
    note = tag(
        "p",
        "Nothing that the training data holds of a user is recommended. ",
        tag("span", "held out", class_="hit"),
        " marks what the user did choose, hidden from training.",
        class_="note",
    )
    heading = "Recommendations" + (", generated data" if generated else "")
    return tag("section", tag("h2", heading), *shown, note)


def _held_out(titles: Sequence[str]) -> Html:
    if not titles:
        return Html("")
    shown, rest = titles[:_HELD_OUT_SHOWN], len(titles) - _HELD_OUT_SHOWN
    more = [tag("li", f"and {rest} more")] if rest > 0 else []
    return tag(
        "div",
        tag("h4", "Held out: what the user did choose"),
        tag("ul", *(tag("li", one) for one in shown), *more),
        class_="later",
    )


def _health(content: ReportContent) -> Html:
    if not content.health:
        return Html("")
    summaries = {of: health.summary() for of, health in content.health.items()}
    names = list(next(iter(summaries.values())))
    rows = [
        [
            name.removeprefix("n_").replace("_", " "),
            *(_value(summary[name]) for summary in summaries.values()),
        ]
        for name in names
    ]
    note = tag(
        "p", "Best: balance 0.5, entropy 1, correlation 0, no dead bits, no collisions.", class_="note"
    )
    advice = (
        [tag("ul", *(tag("li", one) for one in content.advice), class_="advice")] if content.advice else []
    )
    return _section("Code health", *advice, table(["codes of", *summaries], rows), note, of=content)


def _details(content: ReportContent) -> Html:
    parts = []
    if content.commands:
        lines = tag("pre", tag("code", "\n".join(content.commands)), tabindex="0")
        parts += [tag("h3", "Commands"), lines]
    for heading, known in (("Configuration", content.configuration), ("Versions", content.versions)):
        if known:
            rows: list[list[Any]] = [[tag("code", name), _value(value)] for name, value in known.items()]
            parts.append(tag("details", tag("summary", heading), table([], rows)))
    return tag("section", tag("h2", "How this was made"), *parts) if parts else Html("")


def _section(heading: str, *parts: Any, of: ReportContent) -> Html:
    return tag("section", tag("h2", heading + (", generated data" if of.generated else "")), *parts)


def _value(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping | list | tuple):
        return json.dumps(value, default=str)
    return str(value)
