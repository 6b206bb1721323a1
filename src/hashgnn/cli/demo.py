"""``hashgnn demo``: real data, a trained model, its quality, its recommendations, a report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hashgnn.cli._options import Debug, Json, Quiet
from hashgnn.cli._output import Output
from hashgnn.cli._signals import stop_explained


def demo(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for model/ and report.html.")
    ] = Path("demo"),
    offline: Annotated[bool, typer.Option("--offline", help="Use generated data and no network.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Train on MovieLens-100K, evaluate, recommend, save the model, write a report: about a minute.

    The last fifth of each user's ratings is held out; the model never sees it. Without a network the demo
    uses generated data, and every line says so.

    Examples:
      hashgnn demo

      hashgnn demo --output /tmp/demo --json
    """
    from hashgnn.cli._demo.run import run_demo

    out = Output(as_json, quiet)
    with stop_explained(out, lambda: "the demo has not ended; run the same command again"):
        run_demo(output, out, offline=offline)
