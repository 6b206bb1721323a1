"""``hashgnn encode``: the codes and embeddings of all users or items, or of a folder of histories."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hashgnn.cli._batch import engine_options, is_file, print_batch
from hashgnn.cli._lists import STDOUT, check_output
from hashgnn.cli._options import (
    Address,
    Debug,
    Engine,
    Histories,
    Json,
    ListFormat,
    Model,
    OnUnknown,
    OverwriteFile,
    PartRows,
    Quiet,
    Threads,
    Workers,
)
from hashgnn.cli._output import Output
from hashgnn.cli._reading import open_model
from hashgnn.cli._weighting import AgeHalfLife, LastN, PositionHalfLife, Session, weighting_of
from hashgnn.errors import ParameterError


def encode(
    model: Model,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE|FOLDER",
            help="A file .parquet, .csv or .jsonl, or a folder of parquet.",
        ),
    ],
    file_format: ListFormat = None,
    overwrite: OverwriteFile = False,
    everyone: Annotated[
        str | None, typer.Option("--all", metavar="users|items", help="Every user or item of the model.")
    ] = None,
    histories: Histories = None,
    last_n: LastN = None,
    position_half_life: PositionHalfLife = None,
    age_half_life: AgeHalfLife = None,
    session: Session = None,
    on_unknown: OnUnknown = "error",
    threads: Threads = 1,
    engine: Engine = None,
    workers: Workers = None,
    address: Address = None,
    part_rows: PartRows = 4096,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Write the codes and embeddings of all users or items, or of users by what they have interacted with.

    Examples:
      hashgnn encode models/v1 --all items -o item-codes

      hashgnn encode models/v1 --all items -o item-codes.jsonl

      hashgnn encode models/v1 --histories histories --on-unknown skip -o user-codes --workers 2

      hashgnn encode models/v1 --histories histories --last-n 20 -o lately
    """
    out = Output(as_json, quiet)
    if (everyone is None) == (histories is None):
        raise ParameterError("encode needs either --all or --histories, got both or none")
    if everyone not in (None, "users", "items"):
        raise ParameterError(f"--all must be users or items, got {everyone!r}")
    side = "item" if everyone == "items" else "user"
    weighting = weighting_of(
        last_n,
        position_half_life,
        age_half_life,
        session,
        places=histories is not None,
        times=histories is not None,
        needs="--histories",
    )
    run = engine_options(out, engine, workers, threads, address)
    if str(output) == STDOUT:
        raise ParameterError("--output must be a file or a folder for encode, got '-'")
    one_file = is_file(output, file_format)
    if one_file:
        check_output(output, format=file_format, overwrite=overwrite)
    loaded = open_model(model)
    with out.warnings_as_notes():
        made = loaded.encode_all(
            output,
            side=side,
            histories=histories,
            history_weighting=weighting,
            on_unknown=on_unknown,
            part_rows=part_rows,
            format=file_format,
            overwrite=overwrite,
            **run,
        )
    print_batch(out, made, one_file=one_file)
