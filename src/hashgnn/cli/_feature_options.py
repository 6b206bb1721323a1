"""Options of commands that train with side features."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_FEATURES = "Side features"

UserFeatures = Annotated[
    Path | None,
    typer.Option("--user-features", metavar="FILE", help="Table of users.", rich_help_panel=_FEATURES),
]
UserFeatureColumns = Annotated[
    str | None,
    typer.Option(
        "--user-columns",
        metavar="A,B",
        help="Columns of --user-features; default: all, or those of OLD.",
        rich_help_panel=_FEATURES,
    ),
]
ItemFeatures = Annotated[
    Path | None,
    typer.Option("--item-features", metavar="FILE", help="Table of items.", rich_help_panel=_FEATURES),
]
ItemFeatureColumns = Annotated[
    str | None,
    typer.Option(
        "--item-columns",
        metavar="A,B",
        help="Columns of --item-features; default: all, or those of OLD.",
        rich_help_panel=_FEATURES,
    ),
]
