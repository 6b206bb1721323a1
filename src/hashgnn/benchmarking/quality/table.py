"""The table of a comparison: means and standard deviations over seeds."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hashgnn.benchmarking.quality.cells import Result


@dataclass(frozen=True)
class Row:
    """A method by one search way at one width, over its seeds.

    Attributes
    ----------
    data, method, family : str
    n_bits : int or None
    search : str
    n_seeds : int
    means : dict of str to float
        By metric.
    deviations : dict of str to float or None
        Sample standard deviations over seeds; ``None`` of a single one.
    tied : dict of str to float
        The means where ties count as the mean over their orders.
    bytes_per_item : float
    processor_seconds : float
        Of fitting, the mean.
    """

    data: str
    method: str
    family: str
    n_bits: int | None
    search: str
    n_seeds: int
    means: dict[str, float]
    deviations: dict[str, float | None]
    tied: dict[str, float]
    bytes_per_item: float
    processor_seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return dict(vars(self))


def grouped(results: Sequence[Result]) -> dict[tuple[str, str, int | None], list[Result]]:
    """Return results by data set, method and width, in their order; a group holds the seeds."""
    groups: dict[tuple[str, str, int | None], list[Result]] = {}
    for result in results:
        key = (result.cell.data, result.cell.method, result.cell.n_bits)
        groups.setdefault(key, []).append(result)
    return groups


def table_rows(results: Sequence[Result]) -> list[Row]:
    """Return a row for each data set, method, width and search way.

    The seeds of a row are all that there are; a row of a run cut short may have fewer than another.
    """
    rows = []
    for (data, method, n_bits), seeds in grouped(results).items():
        first = seeds[0]
        for way in first.search_ways:
            values = {
                metric: np.array([result.values["metrics"][way][metric] for result in seeds])
                for metric in first.values["metrics"][way]
            }
            rows.append(
                Row(
                    data=data,
                    method=method,
                    family=first.values["family"],
                    n_bits=n_bits,
                    search=way,
                    n_seeds=len(seeds),
                    means={metric: float(found.mean()) for metric, found in values.items()},
                    deviations={
                        metric: float(found.std(ddof=1)) if len(found) > 1 else None
                        for metric, found in values.items()
                    },
                    tied={
                        metric: float(np.mean([result.values["expected"][way][metric] for result in seeds]))
                        for metric in values
                    },
                    bytes_per_item=float(first.values["bytes_per_item"][way]),
                    processor_seconds=float(
                        np.mean([result.values["processor_seconds"] for result in seeds])
                    ),
                )
            )
    return rows


def columns(metrics: Sequence[str]) -> list[str]:
    """Return the headings of the table."""
    tied = f"{metrics[0]} over ties"
    return ["data", "method", "bits", "search", *metrics, tied, "bytes an item", "fit, s", "seeds"]


def cells_of(row: Row, metrics: Sequence[str]) -> list[Any]:
    """Return a row as text for people: four digits, mean ± standard deviation."""
    figures = []
    for metric in metrics:
        spread = row.deviations[metric]
        figures.append(f"{row.means[metric]:.4f}" + ("" if spread is None else f" ± {spread:.4f}"))
    width = "float" if row.n_bits is None else str(row.n_bits)
    return [
        row.data,
        row.method,
        width,
        row.search,
        *figures,
        f"{row.tied[metrics[0]]:.4f}",
        f"{row.bytes_per_item:,.0f}",
        f"{row.processor_seconds:,.0f}",
        row.n_seeds,
    ]


def markdown(headings: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return a Markdown table."""
    lines = ["| " + " | ".join(headings) + " |", "|" + "---|" * len(headings)]
    lines += ["| " + " | ".join(str(entry) for entry in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def as_csv(rows: Sequence[Row], metrics: Sequence[str]) -> str:
    """Return the table with numbers that are not rounded, one column per metric and one its deviation."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    spread = [f"{metric} deviation" for metric in metrics]
    tied = [f"{metric} over ties" for metric in metrics]
    fixed = ["bytes_per_item", "processor_seconds", "n_seeds"]
    writer.writerow(["data", "method", "n_bits", "search", *metrics, *spread, *tied, *fixed])
    for row in rows:
        figures = [part[metric] for part in (row.means, row.deviations, row.tied) for metric in metrics]
        own = [getattr(row, name) for name in fixed]
        writer.writerow([row.data, row.method, row.n_bits, row.search, *figures, *own])
    return text.getvalue()
