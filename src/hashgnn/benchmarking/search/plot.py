"""What each millisecond and each byte buys, drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hashgnn._extras import require
from hashgnn.benchmarking.search.benchmark import ENGINES
from hashgnn.benchmarking.search.code_peers import CODE_PEERS
from hashgnn.benchmarking.search.quality import HELD_OUT_K

_GROUPS = {"ours": "#1b6ca8", "codes, others": "#c96a1b", "floats": "#6b6b6b"}
_MARKERS = {"ours": "o", "codes, others": "s", "floats": "D"}
_AXES = {"single_query_ms": "milliseconds, one query (log)", "bytes_per_item": "bytes an item (log)"}


def plot_search(rows: Sequence[Mapping[str, Any]], path: Path, *, title: str = "") -> None:
    """Draw quality against the time of a single query, and against memory, as a PNG or SVG file.

    Quality is recall@20 on held-out items where the rows have it, else index recall. Up and to the left is
    better in both.
    """
    figures = require("matplotlib.figure", extra="plots", purpose="a plot")
    held_out = f"recall@{HELD_OUT_K}"
    quality = held_out if all(row[held_out] is not None for row in rows) else "index_recall"
    figure = figures.Figure(figsize=(11, 5), layout="constrained")
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
        _name_points(axis, [(row["engine"], row[key], row[quality]) for row in rows])
        axis.set_xscale("log")
        axis.set_xlabel(label)
        axis.grid(alpha=0.25, which="both", linewidth=0.5)
        axis.spines[["top", "right"]].set_visible(False)
        axis.margins(x=0.18, y=0.1)
    axes[0].set_ylabel(
        "recall@20 on held-out items" if quality == held_out else f"index recall@{rows[0]['k']}"
    )
    axes[0].legend(frameon=False, loc="lower left")
    figure.suptitle(title)
    figure.savefig(path, dpi=130)


def _group(engine: str) -> str:
    if engine in ENGINES:
        return "ours"
    return "codes, others" if engine in {peer.name for peer in CODE_PEERS} else "floats"


def _name_points(axis: Any, points: list[tuple[str, float, float]]) -> None:
    """Write each name beside its point; names of points at one height alternate above and below."""
    for rank, (name, x, y) in enumerate(sorted(points, key=lambda point: (point[2], point[1]))):
        axis.annotate(
            name,
            (x, y),
            xytext=(0, 8 if rank % 2 else -14),
            textcoords="offset points",
            ha="center",
            fontsize=7.5,
            color=_GROUPS[_group(name)],
        )
