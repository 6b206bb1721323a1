"""``hashgnn benchmark``: measurements on this machine, one file a measurement."""

from __future__ import annotations

import typer

from hashgnn.cli.benchmark import quality, search

__all__ = ["app"]

app = typer.Typer(help="Measure on this machine.", no_args_is_help=True)


@app.callback()
def benchmark() -> None:
    """Measure on this machine."""


app.command("search")(search.search)
app.command("quality")(quality.quality)
