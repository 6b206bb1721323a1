"""A report on disk."""

from __future__ import annotations

from pathlib import Path

from hashgnn._files import atomic_file
from hashgnn.evaluation.report._page import render
from hashgnn.evaluation.report.content import ReportContent


def write_report(path: str | Path, content: ReportContent) -> None:
    """Write a report as one HTML file that loads nothing from anywhere.

    The file appears whole or not at all, and replaces one that is there.

    Parameters
    ----------
    path : str or Path
    content : ReportContent

    Raises
    ------
    MissingExtraError
        If matplotlib, of the extra ``plots``, is not installed.
    StorageError
        If the file cannot be written.
    """
    page = render(content)
    with atomic_file(Path(path)) as temporary:
        temporary.write_text(page, encoding="utf-8")
