"""Plots of quality against latency and size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hashgnn._extras import require
from hashgnn._files import atomic_file, check_writable_file
from hashgnn.benchmarking.search.benchmark import ENGINES
from hashgnn.benchmarking.search.code_peers import CODE_PEERS
from hashgnn.benchmarking.search.end_quality import HELD_OUT_K
from hashgnn.errors import ParameterError

_GROUPS = {"ours": "#1b6ca8", "codes, others": "#c96a1b", "floats": "#6b6b6b"}
_MARKERS = {"ours": "o", "codes, others": "s", "floats": "D"}
# Where a name may stand, in points from its mark: next to it, then further off.
_PLACES = [
    (across, up, side)
    for far in range(7)
    for up in ((0, 11, -11) if far == 0 else (11 * far, -11 * far))
    for across, side in ((9, "left"), (-9, "right"))
]
_AXES = {"single_query_ms": "milliseconds, one query (log)", "bytes_per_item": "bytes an item (log)"}


def check_plot(path: Path) -> None:
    """Raise unless a plot can be drawn to ``path``: what is to be plotted may take hours to measure."""
    require("matplotlib", extra="plots", purpose="a plot")
    if path.suffix not in (".png", ".svg"):
        raise ParameterError(f"plot must be a .png or .svg file, got {str(path)!r}")
    check_writable_file(path)


def plot_search(rows: Sequence[Mapping[str, Any]], path: Path, *, title: str = "") -> None:
    """Draw quality against the time of a single query, and against memory, as a PNG or SVG file.

    Quality is recall@20 on held-out items where the rows have it, else index recall. Up and to the left is
    better in both.
    """
    check_plot(path)
    figures = require("matplotlib.figure", extra="plots", purpose="a plot")
    ticker = require("matplotlib.ticker", extra="plots", purpose="a plot")
    held_out = f"recall@{HELD_OUT_K}"
    quality = held_out if all(row[held_out] is not None for row in rows) else "index_recall"
    agg = require("matplotlib.backends.backend_agg", extra="plots", purpose="a plot")
    figure = figures.Figure(figsize=(11, 5), layout="constrained")
    renderer = agg.FigureCanvasAgg(figure).get_renderer()  # measures the names
    axes = figure.subplots(1, 2, sharey=True)
    for axis, (key, label) in zip(axes, _AXES.items(), strict=True):
        for group in _GROUPS:
            points = [(row[key], row[quality]) for row in rows if _group(row["engine"]) == group]
            if points:
                axis.scatter(
                    *zip(*points, strict=True),
                    color=_GROUPS[group],
                    marker=_MARKERS[group],
                    s=46,
                    label=group,
                )
        axis.set_xscale("log")
        axis.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5), numticks=12))
        axis.xaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:,g}"))
        axis.xaxis.set_minor_formatter(ticker.NullFormatter())
        axis.set_xlabel(label)
        axis.grid(alpha=0.25, which="both", linewidth=0.5)
        axis.spines[["top", "right"]].set_visible(False)
        axis.margins(x=0.15, y=0.15)
    axes[0].set_ylabel(
        "recall@20 on held-out items" if quality == held_out else f"index recall@{rows[0]['k']}"
    )
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, loc="outside lower center", ncols=len(labels))
    figure.suptitle(title)
    figure.draw_without_rendering()  # names are placed where the points have come to lie
    figure.set_layout_engine("none")
    for axis, key in zip(axes, _AXES, strict=True):
        _name_points(axis, [(row["engine"], row[key], row[quality]) for row in rows], renderer)
    with atomic_file(path) as temporary:
        figure.savefig(temporary, format=path.suffix[1:], dpi=130)


def _group(engine: str) -> str:
    if engine in ENGINES:
        return "ours"
    return "codes, others" if engine in {peer.name for peer in CODE_PEERS} else "floats"


def _name_points(axis: Any, points: list[tuple[str, float, float]], renderer: Any) -> None:
    """Write each name as near to its point as leaves it clear of the other names and points."""
    text = require("matplotlib.text", extra="plots", purpose="a plot")
    taken = [_around(axis, x, y) for _, x, y in points]
    area, right = axis.bbox, min(axis.bbox.x1 + 10, axis.figure.bbox.x1 - 2)
    for name, x, y in sorted(points, key=lambda point: (-point[2], point[1])):
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
