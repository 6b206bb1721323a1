"""The plots of a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from hashgnn.codes import CodeHealth
from hashgnn.evaluation._html import Html
from hashgnn.evaluation.distances import DistanceSample
from hashgnn.evaluation.evaluation_result import EvaluationResult
from hashgnn.evaluation.report._labels import place_labels
from hashgnn.evaluation.report._svg import FAINT, FIRST, INK, PAPER, SECOND, drawing

_BALANCE_BINS = 20
_MOST_TICKS = 6


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
            axes[place].plot(epochs, values, color=colour)
            for epoch, value in zip(epochs, values, strict=True):
                (point,) = axes[place].plot(epoch, value, "o", color=colour, markersize=3)
                sheet.tip(point, f"epoch {epoch:g}: {key} {value:.4g}")
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


def size_plot(
    result: EvaluationResult, metric: str, baselines: Mapping[str, EvaluationResult] | None = None
) -> Html:
    """Draw a metric of each search way, and of baselines, against the bytes it needs of an item."""
    shown = [(way, result, way, FIRST) for way in result.metrics]
    shown += [(name, found, next(iter(found.metrics)), SECOND) for name, found in (baselines or {}).items()]
    shown = [one for one in shown if one[1].bytes_per_item.get(one[2])]
    with drawing("size", f"{metric} of each method against bytes per item") as sheet:
        axes = sheet.figure.add_subplot()
        sizes = np.array([found.bytes_per_item[way] for _, found, way, _ in shown])
        values = np.array([found.metrics[way][metric] for _, found, way, _ in shown])
        lines = []
        for (name, found, way, colour), size, value in zip(shown, sizes, values, strict=True):
            text = f"{name}: {metric} {value:.4f}, {size:,.0f} bytes per item"
            if way in found.milliseconds_per_query:
                text += f", {found.milliseconds_per_query[way]:.3g} ms per query"
            if metric in found.intervals.get(way, {}):
                low, high = found.intervals[way][metric]
                axes.vlines(size, low, high, color=FAINT, linewidth=1.2)
                lines.append((size, low, high))
            (point,) = axes.plot(
                size, value, "o", markersize=6.5, color=colour, markeredgecolor=PAPER, markeredgewidth=0.8
            )
            sheet.tip(point, text)
        axes.set_xscale("log", base=2)
        axes.set_xlim(sizes.min() / 2, sizes.max() * 2)
        axes.margins(y=0.15)
        powers = np.round(np.log2(sizes)).astype(int)
        step = max(1, -(-(int(powers.max()) - int(powers.min())) // _MOST_TICKS))
        ticks = [2.0**power for power in range(powers.min(), powers.max() + 1, step)]
        axes.set_xticks(ticks, [f"{tick:,g}" for tick in ticks])
        axes.minorticks_off()
        axes.set_xlabel(f"bytes per item, each step {2**step} times the last")
        axes.set_ylabel(metric)
        place_labels(axes, [name for name, _, _, _ in shown], sizes, values, lines)
    return sheet.html


def balance_plot(health: CodeHealth) -> Html:
    """Draw how many bits are +1 in which share of the codes."""
    with drawing("balance", "Bits by the share of item codes in which they are +1") as sheet:
        axes = sheet.figure.add_subplot()
        edges = np.linspace(0, 1, _BALANCE_BINS + 1)
        counts, _, bars = axes.hist(health.balance, bins=edges, color=FIRST, edgecolor=PAPER, linewidth=0.8)
        for bar, count, low, high in zip(bars, counts, edges[:-1], edges[1:], strict=True):
            sheet.tip(bar, f"{count:.0f} bits are +1 in {100 * low:.0f} to {100 * high:.0f} % of the codes")
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
        tops = np.maximum(*sample.histogram())
        for distance in np.flatnonzero(tops):
            own, other = (shares[distance] for shares in sample.histogram())
            (bar,) = axes.bar(distance, tops[distance], width=1, color="none", linewidth=0)
            sheet.tip(
                bar,
                f"{distance} bits: {100 * own:.2f} % of their items, {100 * other:.2f} % of random items",
            )
        seen = np.flatnonzero(sum(sample.histogram()))
        axes.set_xlim(max(seen[0] - 2, 0), min(seen[-1] + 2, sample.n_bits))
        axes.set_ylim(bottom=0)
        axes.set_xlabel(f"differing bits, of {sample.n_bits}")
        axes.set_ylabel("share of pairs")
        axes.legend(loc="upper left")
    return sheet.html
