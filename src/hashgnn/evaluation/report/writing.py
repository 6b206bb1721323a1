"""A report on disk."""

from __future__ import annotations

from pathlib import Path

from hashgnn._addresses import path_of
from hashgnn._files import atomic_file
from hashgnn.evaluation.report._page import render
from hashgnn.evaluation.report.content import ReportContent


def write_report(path: str | Path, content: ReportContent, *, plots: bool = True) -> None:
    """Write a report as one HTML file that loads nothing from anywhere.

    The file appears whole or not at all, and replaces one that is there.

    Parameters
    ----------
    path : str or Path
    content : ReportContent
    plots : bool, default=True
        Draw the plots; ``False`` leaves them out and needs no matplotlib.

    Raises
    ------
    MissingExtraError
        If matplotlib, of the extra ``plots``, is not installed and plots are wanted.
    StorageError
        If the file cannot be written.
    """
    page = render(content, plots=plots)
    with atomic_file(path_of(path)) as temporary:
        temporary.write_text(page, encoding="utf-8")
