"""Baselines, segments and the report of ``hashgnn evaluate``."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hashgnn._files import check_writable_file
from hashgnn.cli._output import Output
from hashgnn.cli._reading import SideName
from hashgnn.errors import DataError, ParameterError


@dataclass(frozen=True)
class AssessmentFiles:
    """The files of an assessment; ``None`` where there is none.

    Attributes
    ----------
    model, test : Path
    report, items, users : Path or None
    title : str or None
        Column of the titles in ``items``.
    """

    model: Path
    test: Path
    report: Path | None
    items: Path | None
    users: Path | None
    title: str | None


def check_report(path: Path, *, overwrite: bool) -> None:
    """Raise before anything is measured if a report could not be written."""
    if path.is_dir():
        raise ParameterError(f"--report must be a file, got the folder {path}")
    if path.exists() and not overwrite:
        raise ParameterError(f"{path}: exists; pass --overwrite to replace it")
    check_writable_file(path)


def run_assessment(
    model: Any, held_out: Any, files: AssessmentFiles, out: Output, *, silent: bool = False, **options: Any
) -> Any:
    """Assess a model, print the result unless ``silent``, write the report if there is to be one; return the result.

    ``options`` are those of :func:`hashgnn.benchmarking.assessment.assess`.
    """
    from hashgnn.benchmarking.assessment import assess, report_content
    from hashgnn.evaluation.report import write_report

    plots = files.report is not None and out.can_plot("the report will have no plots")
    items = _table("item", files.items, model.state_.items.ids, out)
    users = _table("user", files.users, model.state_.users.ids, out)
    if files.title is not None:
        if items is None:
            raise ParameterError("--title needs --items FILE")
        items.values(files.title)  # before anything is measured
    found = assess(model, held_out, items=items, users=users, progress=out.progress, **options)
    if files.report is not None:
        content = report_content(
            model,
            held_out,
            found,
            title=f"Report of {files.model.resolve().name}",
            items=items,
            title_column=files.title,
            commands=[shlex.join(["hashgnn", *sys.argv[1:]])],
            rng=options["rng"],
        )
        write_report(files.report, content, plots=plots)
    if silent:
        return found
    if out.as_json:
        recall = model.index_recall if options["served"] else 1.0
        written = {} if files.report is None else {"report": files.report}
        out.document({**found.to_dict(), "index_recall": recall, **written})
        return found
    out.line(found.verdict)
    for title, heading, rows in found.tables():
        out.line()
        out.table(heading, rows, title=title)
    if files.report is not None:
        out.line()
        out.line(f"report: {files.report}")
    return found


def _table(side: SideName, path: Path | None, ids: Any, out: Output) -> Any:
    if path is None:
        return None
    from hashgnn.benchmarking.assessment import SideTable
    from hashgnn.data import read_table

    try:
        table = SideTable(side, read_table(path), ids)
    except DataError as error:
        message = str(error)
        raise DataError(message if message.startswith(str(path)) else f"{path}: {message}") from None
    out.note(f"{path}: {table.n_known:,} of {len(ids):,} {side}s of the model")
    return table
