"""The plots of a comparison, as PNG files."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hashgnn._extras import require
from hashgnn._files import atomic_file
from hashgnn.benchmarking.quality._shares import draw_shares, shares
from hashgnn.benchmarking.quality.cells import Result
from hashgnn.benchmarking.quality.differences import KINDS
from hashgnn.benchmarking.quality.table import Row, grouped, table_rows

_MARKERS = {"recipe": "o", "codes": "P", "coded": "s", "floats": "D"}
_WAYS = {
    "hamming": "o",
    "biased": "^",
    "scaled": "P",
    "asymmetric": "v",
    "hierarchical": "s",
    "float": "D",
}
_RELAXED = "relaxed "  # begins the name of the relaxed codes' metric in a training history
_FAINT = "#8a8a8a"


def draw_plots(results: Sequence[Result], metric: str, folder: Path) -> list[Path]:
    """Draw the plots that the results allow, for each data set or for all. Each file appears whole or not at all.

    ========== =====================================================================================
    plot       drawn
    ========== =====================================================================================
    bits       the metric against the width of the code; with two widths or more
    bytes      against the bytes that a search reads of an item
    time       against the CPU seconds that fitting took
    ablations  of everything trained by a recipe, side by side, with deviations over seeds
    gap        validation of relaxed and of signed codes over the epochs, where training logged both
    shares     bytes of an item against the share of the floats' metric, all data sets in one file;
               where codes were made of floats after training
    ========== =====================================================================================

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = table_rows(results)
    written = []
    for data in dict.fromkeys(row.data for row in rows):
        own = [row for row in rows if row.data == data]
        of_data = [result for result in results if result.cell.data == data]
        for name, draw in (
            ("bits", partial(_bits, rows=own)),
            ("bytes", partial(_bytes, rows=own)),
            ("time", partial(_time, rows=own)),
            ("ablations", partial(_ablations, rows=own)),
            ("gap", partial(_gap, results=of_data)),
        ):
            path = folder / f"{name}.{data.replace('/', '_')}.png"
            with _figure(path, f"{data}, {metric}") as (figure, keep):
                if draw(figure, metric=metric):
                    keep()
                    written.append(path)
    if any(row.family == "coded" for row in rows):
        path = folder / "shares.png"
        with _figure(
            path, "What each byte keeps", height=7 if len({row.data for row in rows}) > 2 else 4
        ) as (figure, keep):
            draw_shares(figure, shares(results, metric), metric)
            keep()
        written.append(path)
    return written


@contextmanager
def _figure(path: Path, title: str, height: float = 5) -> Iterator[tuple[Any, Callable[[], None]]]:
    figures = require("matplotlib.figure", extra="plots", purpose="a plot")
    figure = figures.Figure(figsize=(9.5, height), layout="constrained")
    kept: list[bool] = []
    yield figure, lambda: kept.append(True)
    if kept:
        figure.suptitle(title)
        with atomic_file(path) as temporary:
            figure.savefig(temporary, dpi=110, format="png")


def _bits(figure: Any, *, rows: Sequence[Row], metric: str) -> bool:
    widths = sorted({row.n_bits for row in rows if row.n_bits is not None})
    if len(widths) < 2:
        return False
    axes = figure.subplots(1, 2, sharey=True)
    colours = _colours(rows)
    for axis, kind in zip(axes, ("codes", "hierarchical"), strict=True):
        for method, colour in colours.items():
            own = [row for row in _of_kind(rows, kind) if row.method == method]
            if not own:
                continue
            if own[0].n_bits is None:
                axis.axhline(own[0].means[metric], color=colour, linewidth=1, linestyle=":", label=method)
                continue
            own.sort(key=lambda row: row.n_bits or 0)
            places = [row.n_bits for row in own]
            values = np.array([row.means[metric] for row in own])
            spread = np.array([row.deviations[metric] or 0.0 for row in own])
            axis.errorbar(
                places,
                values,
                spread,
                color=colour,
                marker=_MARKERS[own[0].family],
                markersize=5,
                label=method,
            )
        axis.set_xscale("log", base=2)
        axis.set_xticks(widths, [str(width) for width in widths])
        axis.minorticks_off()
        _finish(axis, "bits", title="code against code" if kind == "codes" else "hierarchical")
    axes[0].set_ylabel(metric)
    _legend(figure, axes)
    return True


def _bytes(figure: Any, *, rows: Sequence[Row], metric: str) -> bool:
    axis = figure.add_subplot()
    colours = _colours(rows)
    for row in rows:
        axis.scatter(
            row.bytes_per_item,
            row.means[metric],
            color=colours[row.method],
            marker=_WAYS.get(row.search, "o"),
            s=36,
            label=row.method,
        )
    axis.set_xscale("log", base=2)
    sizes = np.log2([row.bytes_per_item for row in rows])
    ticks = [2.0**power for power in range(int(np.floor(sizes.min())), int(np.ceil(sizes.max())) + 1)]
    axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    _finish(axis, "bytes that a search reads of an item")
    axis.set_ylabel(metric)
    ways = dict.fromkeys(row.search for row in rows)
    shown = [axis.scatter([], [], color=_FAINT, marker=_WAYS.get(way, "o"), label=way) for way in ways]
    axis.add_artist(axis.legend(handles=shown, frameon=False, fontsize=8, loc="lower right"))
    _legend(figure, [axis], without=set(ways))
    return True


def _time(figure: Any, *, rows: Sequence[Row], metric: str) -> bool:
    axes = figure.subplots(1, 2, sharey=True)
    colours = _colours(rows)
    for axis, kind in zip(axes, ("codes", "hierarchical"), strict=True):
        for row in _of_kind(rows, kind):
            axis.scatter(
                max(row.processor_seconds, 0.1),
                row.means[metric],
                color=colours[row.method],
                marker=_MARKERS[row.family],
                s=20 + (row.n_bits or 0) / 8,
                label=row.method,
            )
        axis.set_xscale("log")
        title = "code against code" if kind == "codes" else "hierarchical, and float models"
        _finish(axis, "CPU seconds to fit", title=title)
    axes[0].set_ylabel(metric)
    _legend(figure, axes)
    return True


def _ablations(figure: Any, *, rows: Sequence[Row], metric: str) -> bool:
    own = [row for row in rows if row.family == "recipe"]
    names = list(dict.fromkeys((row.method, row.n_bits) for row in own))
    if len({name for name, _ in names}) < 2:
        return False
    axes = figure.subplots(1, 2, sharey=True)
    for axis, kind in zip(axes, ("codes", "hierarchical"), strict=True):
        found = {(row.method, row.n_bits): row for row in _of_kind(own, kind)}
        for place, name in enumerate(names):
            if name in found:
                row = found[name]
                axis.errorbar(
                    row.means[metric],
                    place,
                    xerr=row.deviations[metric] or 0.0,
                    marker="o",
                    color="#1b6ca8",
                    capsize=3,
                )
        _finish(axis, metric, title="code against code" if kind == "codes" else "hierarchical")
    many = len({width for _, width in names}) > 1
    axes[0].set_yticks(
        range(len(names)), [f"{name}, {width} bits" if many else name for name, width in names]
    )
    axes[0].invert_yaxis()
    return True


def _gap(figure: Any, *, results: Sequence[Result], metric: str) -> bool:
    axis = figure.add_subplot()
    drawn = False
    colours = _colours([row for row in table_rows(results) if row.family == "recipe"])
    for (_, method, n_bits), seeds in grouped(results).items():
        histories = (seed.values["training"].get("history", []) for seed in seeds)
        history: Sequence[Mapping[str, float]] = next(
            (of_seed for of_seed in histories if _relaxed_keys(of_seed)), []
        )
        keys = _relaxed_keys(history)
        if not keys:
            continue
        signed = keys[0].removeprefix(_RELAXED)
        points = [entry for entry in history if signed in entry and keys[0] in entry]
        epochs = [entry["epoch"] for entry in points]
        colour = colours.get(method, _FAINT)
        axis.plot(
            epochs, [entry[signed] for entry in points], color=colour, label=f"{method}, {n_bits}: signed"
        )
        axis.plot(
            epochs,
            [entry[keys[0]] for entry in points],
            color=colour,
            linestyle="--",
            label=f"{method}, {n_bits}: relaxed",
        )
        axis.set_ylabel(f"{signed} on validation")
        drawn = True
    _finish(axis, "epoch")
    axis.locator_params(axis="x", integer=True)
    _legend(figure, [axis])
    return drawn


def _relaxed_keys(history: Sequence[Mapping[str, float]]) -> list[str]:
    return [key for entry in history for key in entry if key.startswith(_RELAXED)]


def _of_kind(rows: Sequence[Row], kind: str) -> list[Row]:
    """Return the row of each method and width that stands for a kind of search."""
    chosen: dict[tuple[str, int | None], Row] = {}
    for row in rows:
        wanted = KINDS[kind] if row.n_bits is not None else (("float",) if kind != "codes" else ())
        key = (row.method, row.n_bits)
        if row.search in wanted and (
            key not in chosen or wanted.index(row.search) < wanted.index(chosen[key].search)
        ):
            chosen[key] = row
    return list(chosen.values())


def _colours(rows: Sequence[Row]) -> dict[str, Any]:
    colormaps = require("matplotlib", extra="plots", purpose="a plot").colormaps
    wheel = [*colormaps["tab10"].colors, *colormaps["Dark2"].colors, *colormaps["Set2"].colors]
    names = dict.fromkeys(row.method for row in rows)
    return {name: wheel[place % len(wheel)] for place, name in enumerate(names)}


def _finish(axis: Any, label: str, *, title: str = "") -> None:
    axis.set_xlabel(label)
    axis.set_title(title, fontsize=10)
    axis.grid(alpha=0.25, linewidth=0.5)
    axis.spines[["top", "right"]].set_visible(False)


def _legend(figure: Any, axes: Sequence[Any], *, without: Collection[str] = ()) -> None:
    """Name every method once, next to the axes."""
    found: dict[str, Any] = {}
    for axis in axes:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            if label not in without:
                found.setdefault(label, handle)
    if found:
        figure.legend(found.values(), found.keys(), loc="outside right upper", frameon=False, fontsize=8)
