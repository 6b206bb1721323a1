"""The plot of what each byte keeps: bytes of an item against the share of the floats' quality."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hashgnn._extras import require
from hashgnn.benchmarking.quality.cells import Result
from hashgnn.benchmarking.quality.table import grouped

_COLUMNS = 2
_OURS = {"asymmetric": "float query", "biased": "code query", "hamming": "code query"}
_QUERIES = {"asymmetric": "o", "biased": "^", "hamming": "^"}
_MARKER = "s"  # of codes made after training


@dataclass(frozen=True)
class Share:
    """The share of the floats' quality that one search of few bytes keeps.

    Attributes
    ----------
    data, group : str
        A group is one line of the plot.
    way : str
    is_learned : bool
        Whether code and floats were trained together.
    bytes_per_item, share : float
        The share is of the mean over seeds.
    """

    data: str
    group: str
    way: str
    is_learned: bool
    bytes_per_item: float
    share: float


def shares(results: Sequence[Result], metric: str) -> list[Share]:
    """Return a share for every method that has codes and floats.

    Codes that were made after training are searched by their best query, which is a float query; learned codes
    by float queries and by codes, with the item bias where there is one.
    """
    found = []
    for (data, _, _), seeds in grouped(results).items():
        first = seeds[0].values
        ways = first["metrics"]
        if "float" not in ways or first["family"] == "floats":
            continue
        is_learned = first["family"] == "recipe"
        code = "biased" if "biased" in ways else "hamming"
        floats = _mean(seeds, "float", metric)
        for way in ("asymmetric", *((code,) if is_learned else ())):
            if way in ways and floats > 0:
                group = f"{seeds[0].cell.method}, {_OURS[way]}" if is_learned else first["settings"]["coder"]
                size = first["bytes_per_item"][way]
                found.append(Share(data, group, way, is_learned, size, _mean(seeds, way, metric) / floats))
    return found


def draw_shares(figure: Any, points: Sequence[Share], metric: str) -> None:
    """Draw a panel a data set."""
    names, groups = (list(dict.fromkeys(getattr(one, key) for one in points)) for key in ("data", "group"))
    n_rows = -(-len(names) // _COLUMNS)
    panels = figure.subplots(n_rows, min(len(names), _COLUMNS), sharey=True, squeeze=False).ravel()
    colours = _colours(points, groups)
    for panel, name in zip(panels, names, strict=False):
        for group in groups:
            line = sorted(
                (one for one in points if one.data == name and one.group == group),
                key=lambda one: one.bytes_per_item,
            )
            if not line:
                continue
            own = line[0]
            panel.plot(
                [one.bytes_per_item for one in line],
                [one.share for one in line],
                color=colours[group],
                marker=_QUERIES[own.way] if own.is_learned else _MARKER,
                markersize=8 if own.is_learned else 5,
                linewidth=2 if own.is_learned else 1,
                zorder=3 if own.is_learned else 2,
                label=group,
            )
        _axes(panel, name, [one.bytes_per_item for one in points])
    for panel in panels[len(names) :]:
        panel.set_visible(False)
    for panel in panels[::_COLUMNS]:
        panel.set_ylabel(f"share of the floats' {metric}")
    labelled = {
        label: handle
        for panel in panels
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True)
    }
    order = [group for group in groups if group in labelled]
    figure.legend(
        [labelled[group] for group in order], order, loc="outside right upper", frameon=False, fontsize=8
    )


def _axes(panel: Any, name: str, sizes: Sequence[float]) -> None:
    panel.set_xscale("log", base=2)
    powers = range(int(np.floor(np.log2(min(sizes)))), int(np.ceil(np.log2(max(sizes)))) + 1)
    panel.set_xticks([2.0**power for power in powers], [f"{2.0**power:g}" for power in powers])
    panel.minorticks_off()
    panel.axhline(1.0, color="#8a8a8a", linewidth=1, linestyle=":")
    panel.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    panel.set_title(name, fontsize=10)
    panel.set_xlabel("bytes an item")
    panel.grid(alpha=0.25, linewidth=0.5)
    panel.spines[["top", "right"]].set_visible(False)


def _colours(points: Sequence[Share], groups: Sequence[str]) -> dict[str, Any]:
    wheel = require("matplotlib", extra="plots", purpose="a plot").colormaps["tab10"].colors
    learned = {one.group for one in points if one.is_learned}
    order = [*(group for group in groups if group in learned), *(g for g in groups if g not in learned)]
    return {group: wheel[place % len(wheel)] for place, group in enumerate(order)}


def _mean(seeds: Sequence[Result], way: str, metric: str) -> float:
    return float(np.mean([one.values["metrics"][way][metric] for one in seeds]))
