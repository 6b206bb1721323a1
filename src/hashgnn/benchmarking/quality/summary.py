"""The summary of a comparison: its tables, tests and plots, written next to its cells."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hashgnn._files import atomic_file
from hashgnn.benchmarking.quality._plots import draw_plots
from hashgnn.benchmarking.quality.cells import Result
from hashgnn.benchmarking.quality.differences import Difference, differences
from hashgnn.benchmarking.quality.table import Row, as_csv, cells_of, columns, markdown, table_rows

LEVEL = 0.05
TEST_COLUMNS = (
    "data",
    "bits",
    "search",
    "reference",
    "against",
    "difference",
    "p",
    "adjusted p",
    f"at {LEVEL:.0%}",
)


@dataclass(frozen=True)
class QualitySummary:
    """The outcome of a comparison.

    Attributes
    ----------
    metrics : tuple of str
        The first was tested.
    rows : list of Row
    tests : list of Difference
        Empty where there is no method to compare the reference with.
    plots : list of Path
    """

    metrics: tuple[str, ...]
    rows: list[Row]
    tests: list[Difference]
    plots: list[Path]

    def table(self) -> tuple[list[str], list[list[Any]]]:
        """Return headings and rows, as text for people."""
        return columns(self.metrics), [cells_of(row, self.metrics) for row in self.rows]

    def test_table(self) -> tuple[list[str], list[list[Any]]]:
        """Return headings and rows of the tests, as text for people."""
        return list(TEST_COLUMNS), [_test_cells(one) for one in self.tests]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values, numbers not rounded."""
        return {
            "metrics": list(self.metrics),
            "rows": [row.to_dict() for row in self.rows],
            "tests": [{**vars(one), "is_significant": one.is_significant(LEVEL)} for one in self.tests],
            "plots": [str(path) for path in self.plots],
        }


def summarise_quality(
    results: Sequence[Result], metrics: Sequence[str], reference: str, *, test: str = "t"
) -> QualitySummary:
    """Make table and tests of results; the reference is tested only where it is among them."""
    methods = {result.cell.method for result in results}
    is_tested = reference in methods and len(methods) > 1
    tests = differences(results, reference, metrics[0], test=test) if is_tested else []
    return QualitySummary(tuple(metrics), table_rows(results), tests, [])


def write_summary(
    summary: QualitySummary, results: Sequence[Result], folder: Path, *, plots: bool = True
) -> QualitySummary:
    """Write ``table.md``, ``table.csv``, ``tests.md``, ``summary.json`` and ``plots/`` into a folder.

    Returns
    -------
    QualitySummary
        The same, with the paths of the plots.
    """
    drawn = draw_plots(results, summary.metrics[0], folder / "plots") if plots and results else []
    full = QualitySummary(summary.metrics, summary.rows, summary.tests, drawn)
    texts = {
        "table.md": markdown(*summary.table()),
        "table.csv": as_csv(summary.rows, summary.metrics),
        "tests.md": markdown(*summary.test_table()),
        "summary.json": json.dumps(full.to_dict(), indent=1) + "\n",
    }
    for name, text in texts.items():
        with atomic_file(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return full


def _test_cells(one: Difference) -> list[Any]:
    search = one.search if one.search == one.reference_search else f"{one.reference_search} / {one.search}"
    verdict = "level"
    if one.is_significant(LEVEL):
        verdict = "better" if one.difference > 0 else "worse"
    return [
        one.data,
        one.n_bits,
        search,
        one.reference,
        one.method,
        f"{one.difference:+.4f}",
        f"{one.p_value:.2g}",
        f"{one.adjusted_p_value:.2g}",
        verdict,
    ]
