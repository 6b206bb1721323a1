"""Options of the commands that train on several processes."""

from __future__ import annotations

from typing import Annotated, Any

import typer

_WORKERS = "Several processes"

TrainingEngine = Annotated[
    str,
    typer.Option(
        "--engine",
        metavar="NAME",
        help="Who starts the processes: local, or ray (extra ray).",
        rich_help_panel=_WORKERS,
    ),
]
TrainingWorkers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        metavar="N",
        help="Processes that train together; default: one, or what torchrun has started.",
        rich_help_panel=_WORKERS,
        show_default=False,
    ),
]
TrainingAddress = Annotated[
    str | None,
    typer.Option(
        "--address",
        metavar="URL",
        help="Of a Ray cluster; default: one that starts on this machine.",
        rich_help_panel=_WORKERS,
        show_default=False,
    ),
]
ShardFrom = Annotated[
    int,
    typer.Option(
        "--shard-from",
        metavar="N",
        help="Items from which on each process keeps a part of the items' tables instead of all.",
        rich_help_panel=_WORKERS,
    ),
]


def training_workers(
    engine: str, workers: int | None, address: str | None, shard_from: int
) -> dict[str, Any]:
    """Return the options as :meth:`hashgnn.HashGNN.fit` takes them."""
    return {"engine": engine, "n_workers": workers, "address": address, "shard_from": shard_from}
