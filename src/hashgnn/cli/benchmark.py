"""``hashgnn benchmark``: measurements on this machine."""

from __future__ import annotations

import typer

app = typer.Typer(help="Measure on this machine.", no_args_is_help=True)
