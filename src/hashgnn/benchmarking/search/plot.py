"""Plots of quality against latency and size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hashgnn._extras import require
from hashgnn._files import atomic_file, check_writable_file
from hashgnn.benchmarking.search.benchmark import ENGINES
from hashgnn.benchmarking.search.code_peers import CODE_PEERS
from hashgnn.benchmarking.search.end_quality import HELD_OUT_K
from hashgnn.benchmarking.search.rivals import RIVALS
from hashgnn.errors import ParameterError

_GROUPS = {
    "ours": "#1b6ca8",
    "codes, others": "#c96a1b",
    "quantised after training": "#2e8b57",
    "floats": "#6b6b6b",
}
_MARKERS = {"ours": "o", "codes, others": "s", "quantised after training": "^", "floats": "D"}
# Where a name may stand, in points from its mark: next to it, then further off.
_PLACES = [
    (across, up, side)
    for far in range(7)
    for up in ((0, 11, -11) if far == 0 else (11 * far, -11 * far))
    for across, side in ((9, "left"), (-9, "right"))
]
_AXES = {"single_query_ms": "milliseconds, one query (log)", "bytes_per_item": "bytes an item (log)"}
_MISSED = 5e-4  # of the best, below which all is drawn as found
_SHARES = (0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995)


def check_plot(path: Path) -> None:
    """Raise unless a plot can be drawn to ``path``: what is to be plotted may take hours to measure."""
    require("matplotlib", extra="plots", purpose="a plot")
    if path.suffix not in (".png", ".svg"):
        raise ParameterError(f"plot must be a .png or .svg file, got {str(path)!r}")
    check_writable_file(path)


def plot_search(rows: Sequence[Mapping[str, Any]], path: Path, *, title: str = "") -> None:
    """Draw quality against the time of a single query, and against memory, as a PNG or SVG file.

    Quality is the share of the best by floats, and below it recall@20 on held-out items where rows have it. Rows of
    one engine are joined. A line joins those that nothing beats in both. Up and to the left is better.

    Parameters
    ----------
    rows : sequence of mapping
        Of :func:`benchmark_search`.
    path : Path
        Ends in .png or .svg.
    title : str, default=""
    """
    check_plot(path)
    if not rows:
        raise ParameterError("rows must hold one row or more, got none")
    figures = require("matplotlib.figure", extra="plots", purpose="a plot")
    agg = require("matplotlib.backends.backend_agg", extra="plots", purpose="a plot")
    held_out = f"recall@{HELD_OUT_K}"
    labels = {"float_recall": f"share of the best {rows[0]['k']} by floats"}
    if any(row[held_out] is not None for row in rows):
        labels[held_out] = f"{held_out} on held-out items"
    figure = figures.Figure(figsize=(15, 6.4 * len(labels)), layout="constrained")
    renderer = agg.FigureCanvasAgg(figure).get_renderer()  # measures the names
    axes = figure.subplots(len(labels), 2, sharey="row", squeeze=False)
    drawn = []
    for line, (quality, label) in zip(axes, labels.items(), strict=True):
        line[0].set_ylabel(label)
        for axis, key in zip(line, _AXES, strict=True):
            points = _points(rows, key, quality)
            _draw(axis, points, _AXES[key], is_share=quality == "float_recall")
            drawn.append((axis, points))
    handles, names = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, frameon=False, loc="outside lower center", ncols=len(names))
    figure.suptitle(title)
    figure.draw_without_rendering()  # names are placed where the points have come to lie
    figure.set_layout_engine("none")
    for axis, points in drawn:
        _name_points(axis, points, renderer)
    with atomic_file(path) as temporary:
        figure.savefig(temporary, format=path.suffix[1:], dpi=95)


def _points(
    rows: Sequence[Mapping[str, Any]], key: str, quality: str
) -> dict[str, list[tuple[float, float]]]:
    """Return the points of each engine, ascending."""
    points: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        if row[quality] is not None:
            points.setdefault(row["engine"], []).append((row[key], row[quality]))
    return {name: sorted(set(places)) for name, places in points.items()}


def _draw(axis: Any, points: Mapping[str, list[tuple[float, float]]], label: str, *, is_share: bool) -> None:
    ticker = require("matplotlib.ticker", extra="plots", purpose="a plot")
    named = set[str]()
    for name, places in points.items():
        group = _group(name)
        axis.plot(
            *zip(*places, strict=True),
            color=_GROUPS[group],
            marker=_MARKERS[group],
            markersize=6,
            linewidth=0.8,
            alpha=0.9,
            label=None if group in named else group,
        )
        named.add(group)
    front = _front([place for places in points.values() for place in places])
    axis.plot(
        *zip(*front, strict=True),
        color="#b0b0b0",
        linewidth=3,
        alpha=0.5,
        zorder=0,
        label="nothing is better",
    )
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5), numticks=12))
    axis.xaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:,g}"))
    axis.xaxis.set_minor_formatter(ticker.NullFormatter())
    if is_share:
        axis.set_yscale("function", functions=(_from_share, _to_share))
        axis.set_yticks([*_SHARES, 1.0])
        axis.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_xlabel(label)
    axis.grid(alpha=0.25, which="both", linewidth=0.5)
    axis.spines[["top", "right"]].set_visible(False)
    axis.margins(x=0.12, y=0.1)


def _from_share(share: Any) -> Any:
    """Stretch shares near 1, so that .95 and .99 differ."""
    return -np.log10(np.maximum(1 - np.asarray(share), 0) + _MISSED)


def _to_share(height: Any) -> Any:
    return 1 + _MISSED - 10.0 ** -np.asarray(height)


def _front(places: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the points that no other beats in both."""
    front: list[tuple[float, float]] = []
    for x, y in sorted(places, key=lambda place: (place[0], -place[1])):
        if not front or y > front[-1][1]:
            front.append((x, y))
    return front


def _group(engine: str) -> str:
    if engine in ENGINES:
        return "ours"
    if engine in {peer.name for peer in CODE_PEERS}:
        return "codes, others"
    return "quantised after training" if engine in {peer.name for peer in RIVALS} else "floats"


def _name_points(axis: Any, points: Mapping[str, list[tuple[float, float]]], renderer: Any) -> None:
    """Write each name as near to its best point as leaves it clear of the other names and points."""
    text = require("matplotlib.text", extra="plots", purpose="a plot")
    taken = [_around(axis, x, y) for places in points.values() for x, y in places]
    best = [(name, *max(places, key=lambda place: place[1])) for name, places in points.items()]
    area, right = axis.bbox, min(axis.bbox.x1 + 10, axis.figure.bbox.x1 - 2)
    for name, x, y in sorted(best, key=lambda point: (-point[2], point[1])):
        note = axis.annotate(
            name,
            (x, y),
            xytext=_PLACES[0][:2],
            textcoords="offset points",
            ha=_PLACES[0][2],
            va="center",
            fontsize=7.5,
            color=_GROUPS[_group(name)],
            arrowprops={"arrowstyle": "-", "linewidth": 0.4, "color": "#999999", "shrinkA": 0, "shrinkB": 4},
        )
        for across, up, side in _PLACES:
            note.set_position((across, up))
            note.set_horizontalalignment(side)
            note.update_positions(renderer)
            box = text.Text.get_window_extent(note, renderer)  # of the word, without the line to its point
            inside = area.x0 <= box.x0 and box.x1 <= right and area.y0 <= box.y0
            if inside and not any(box.overlaps(other) for other in taken):
                break
        taken.append(box)


def _around(axis: Any, x: float, y: float) -> Any:
    """Return the square on the picture that the mark of a point takes."""
    transforms = require("matplotlib.transforms", extra="plots", purpose="a plot")
    across, up = axis.transData.transform((x, y))
    return transforms.Bbox.from_bounds(across - 6, up - 6, 12, 12)
