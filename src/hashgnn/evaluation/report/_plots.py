"""The plots of a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hashgnn._types import Array
from hashgnn.codes import CodeHealth
from hashgnn.evaluation._html import Html
from hashgnn.evaluation.distances import DistanceSample
from hashgnn.evaluation.evaluation_result import EvaluationResult
from hashgnn.evaluation.report._svg import FAINT, FIRST, INK, PAPER, SECOND, drawing

_BALANCE_BINS = 20
_LABEL_GAP = 0.075  # of the height of the axes, between two labels


def training_plot(history: Sequence[Mapping[str, float]]) -> Html:
    """Draw the loss and, where there is one, the validation metric over the epochs."""
    metric = next((key for entry in history for key in entry if "@" in key), None)
    label = "Training loss" + (f" and {metric} on validation" if metric else "") + ", by epoch"
    with drawing("training", label) as sheet:
        shown = ["loss", *([metric] if metric else [])]
        axes = np.atleast_1d(sheet.figure.subplots(len(shown), 1, sharex=True))
        for place, (key, colour) in enumerate(zip(shown, (SECOND, FIRST), strict=False)):
            points = [(entry["epoch"], entry[key]) for entry in history if key in entry]
            epochs, values = (list(part) for part in zip(*points, strict=True))
            axes[place].plot(epochs, values, color=colour, marker="o", markersize=3)
            axes[place].set_ylabel(key)
            if key == metric:
                best = int(np.argmax(values))
                axes[place].plot(epochs[best], values[best], "o", markersize=7, mfc="none", color=INK)
                axes[place].annotate(
                    f"best, epoch {epochs[best]:g}",
                    (epochs[best], values[best]),
                    textcoords="offset points",
                    xytext=(0, -12),
                    ha="right" if best > len(values) / 2 else "left",
                    va="top",
                )
        axes[-1].set_xlabel("epoch")
        axes[-1].xaxis.get_major_locator().set_params(integer=True)
    return sheet.html


def size_plot(result: EvaluationResult, metric: str) -> Html:
    """Draw a metric of each search way against the bytes it needs of an item."""
    with drawing("size", f"{metric} of each search way against bytes per item") as sheet:
        axes = sheet.figure.add_subplot()
        ways = sorted(result.metrics, key=lambda way: result.metrics[way][metric])
        sizes = np.array([result.bytes_per_item[way] for way in ways])
        values = np.array([result.metrics[way][metric] for way in ways])
        if result.intervals:
            ends = np.array([result.intervals[way][metric] for way in ways])
            axes.vlines(sizes, ends[:, 0], ends[:, 1], color=FAINT, linewidth=1.2)
        axes.scatter(sizes, values, s=34, color=FIRST, edgecolor=PAPER, linewidth=0.8, zorder=3)
        axes.set_xscale("log", base=2)
        axes.set_xlim(sizes.min() / 1.6, sizes.max() * 1.6)
        axes.margins(y=0.12)
        powers = np.round(np.log2(sizes)).astype(int)
        ticks = [2.0**power for power in range(powers.min(), powers.max() + 1)]
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
        axes.set_xlabel("bytes per item, each step twice the last")
        axes.set_ylabel(metric)
        _label_points(axes, ways, sizes, values)
    return sheet.html


def _label_points(axes: Any, names: Sequence[str], x: Array, y: Array) -> None:
    """Write names next to points that ascend, towards the middle, without overlap."""
    low, high = axes.get_ylim()
    middle = np.sqrt(np.prod(axes.get_xlim()))
    heights: dict[bool, float] = {}
    for name, place, value in zip(names, x, y, strict=True):
        on_left = bool(place < middle)
        height = max((value - low) / (high - low), heights.get(on_left, -1) + _LABEL_GAP)
        heights[on_left] = height
        axes.annotate(
            name,
            (place, low + height * (high - low)),
            textcoords="offset points",
            xytext=(10 if on_left else -10, 0),
            ha="left" if on_left else "right",
            va="center",
        )


def balance_plot(health: CodeHealth) -> Html:
    """Draw how many bits are +1 in which share of the codes."""
    with drawing("balance", "Bits by the share of item codes in which they are +1") as sheet:
        axes = sheet.figure.add_subplot()
        edges = np.linspace(0, 1, _BALANCE_BINS + 1)
        axes.hist(health.balance, bins=edges, color=FIRST, edgecolor=PAPER, linewidth=0.8)
        axes.axvline(0.5, color=FAINT, linewidth=1, linestyle=(0, (4, 3)))
        axes.set_xlim(0, 1)
        axes.set_xlabel("share of item codes in which a bit is +1")
        axes.set_ylabel("bits")
        axes.yaxis.get_major_locator().set_params(integer=True)
    return sheet.html


def distance_plot(sample: DistanceSample) -> Html:
    """Draw the distances of users to their items and to random items."""
    label = "Distances between users and their items, and between random users and items"
    with drawing("distances", label) as sheet:
        axes = sheet.figure.add_subplot()
        distances = np.arange(sample.n_bits + 1)
        named = zip(sample.histogram(), ("their items", "random items"), (FIRST, SECOND), strict=True)
        for shares, name, colour in named:
            axes.fill_between(distances, shares, step="mid", color=colour, alpha=0.25, linewidth=0)
            axes.step(distances, shares, where="mid", color=colour, label=name, linewidth=1.4)
        seen = np.flatnonzero(sum(sample.histogram()))
        axes.set_xlim(max(seen[0] - 2, 0), min(seen[-1] + 2, sample.n_bits))
        axes.set_ylim(bottom=0)
        axes.set_xlabel(f"differing bits, of {sample.n_bits}")
        axes.set_ylabel("share of pairs")
        axes.legend(loc="upper left")
    return sheet.html
