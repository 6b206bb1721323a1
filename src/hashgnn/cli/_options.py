"""Options that several commands share, so that they read the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hashgnn.errors import ParameterError

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document, with numbers not rounded.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print results and errors only.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]

Model = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a saved model.", show_default=False)]
K = Annotated[int, typer.Option("--k", "-k", metavar="N", help="How many results.")]
Search = Annotated[
    str, typer.Option("--search", metavar="WAY", help="hamming, biased, asymmetric, hierarchical or float.")
]
Oversampling = Annotated[
    int, typer.Option("--oversampling", metavar="N", help="Hierarchical: candidates re-ranked a result.")
]
Threads = Annotated[int, typer.Option("--threads", metavar="N", help="Threads of the search.")]
IndexRecall = Annotated[
    float,
    typer.Option(
        "--index-recall",
        metavar="X",
        help="Share of the exact best by code to find; below 1, millions of items are searched in lists.",
    ),
]

_COLUMNS = "Columns"
UserColumn = Annotated[
    str | None,
    typer.Option("--user", metavar="COLUMN", help="Of user ids; user_id.", rich_help_panel=_COLUMNS),
]
ItemColumn = Annotated[
    str | None,
    typer.Option("--item", metavar="COLUMN", help="Of item ids; item_id.", rich_help_panel=_COLUMNS),
]
WeightColumn = Annotated[
    str | None, typer.Option("--weight", metavar="COLUMN", help="Of weights; none.", rich_help_panel=_COLUMNS)
]
TimeColumn = Annotated[
    str | None,
    typer.Option("--time", metavar="COLUMN", help="Of timestamps; none.", rich_help_panel=_COLUMNS),
]
FileFormat = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="NAME",
        help="Of the file; told by its suffix.",
        rich_help_panel=_COLUMNS,
    ),
]


def comma_list(name: str, text: str) -> list[str]:
    """Split ``a,b,c``; an entry that holds a comma is written in double quotes.

    Examples
    --------
    >>> comma_list("--users", 'u1, u2,"a,b"')
    ['u1', 'u2', 'a,b']
    """
    import csv

    entries = [entry.strip() for entry in next(csv.reader([text], skipinitialspace=True), [])]
    if not entries or not all(entries):
        raise ParameterError(f"{name} must be a list like a,b,c without empty entries, got {text!r}")
    return entries


def id_lines(path: Path) -> list[str]:
    """Read a text file with one id a line; empty lines are left out."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise ParameterError(f"{path}: must be a text file in UTF-8 with one id a line") from None
    except OSError as error:
        raise ParameterError(f"{path}: cannot be read, {error.strerror}") from None
    ids = [line.strip() for line in lines if line.strip()]
    if not ids:
        raise ParameterError(f"{path}: holds no id")
    return ids
