"""``hashgnn similar``: the items or users most similar to one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hashgnn.cli._batch import check_single_file, engine_options, engine_url, print_batch
from hashgnn.cli._options import (
    Address,
    Debug,
    Engine,
    Json,
    K,
    Model,
    Oversampling,
    PartRows,
    Quiet,
    Search,
    Threads,
    Workers,
)
from hashgnn.cli._output import Output, print_ranked
from hashgnn.cli._reading import id_list, open_model, typed_ids
from hashgnn.errors import ParameterError


def similar(
    model: Model,
    item: Annotated[str | None, typer.Option(metavar="ID", help="An item, or several: a,b.")] = None,
    user: Annotated[str | None, typer.Option(metavar="ID", help="A user, or several: a,b.")] = None,
    everyone: Annotated[
        str | None, typer.Option("--all", metavar="items|users", help="Every item or user; needs -o FOLDER.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FOLDER", help="Where the parquet files of --all go."),
    ] = None,
    k: K = 10,
    search: Search = "hierarchical",
    oversampling: Oversampling = 5,
    threads: Threads = 1,
    engine: Engine = None,
    workers: Workers = None,
    address: Address = None,
    part_rows: PartRows = 4096,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Rank the items most similar to an item, or the users most similar to a user.

    Examples:
      hashgnn similar models/v1 --item i42 -k 5

      hashgnn similar models/v1 --user u7 --search hamming --json

      hashgnn similar models/v1 --all items -k 20 -o similar-items
    """
    out = Output(as_json, quiet)
    engine, holder = engine_url(engine)
    given = sum(value is not None for value in (item, user, everyone))
    if given != 1:
        raise ParameterError(f"similar needs one of --item, --user and --all, got {given} of them")
    if everyone is None:
        if output is not None:
            raise ParameterError("--output needs --all items or --all users")
        check_single_file(None, engine, workers, address)
    elif output is None or everyone not in ("items", "users"):
        raise ParameterError(f"--all must be items or users, with -o FOLDER, got {everyone!r}")
    if everyone is not None and holder is not None:
        raise ParameterError(
            "--engine must be local, ray or spark for a folder, got a URL; workers search the model"
        )
    loaded = open_model(model, engine=holder)
    options = {"k": k, "search": search, "oversampling": oversampling, "n_threads": threads}
    with out.warnings_as_notes():
        if everyone is not None:
            run = engine_options(out, engine, workers, threads, address)
            side = everyone.removesuffix("s")
            print_batch(out, loaded.similar_all(output, side=side, part_rows=part_rows, **{**options, **run}))
            return
        if item is not None:
            known = loaded.state_.items.ids
            ids = typed_ids("item", id_list("--item", item, known), known)
            found = loaded.similar_items(ids, **options)
        else:
            assert user is not None
            known = loaded.state_.users.ids
            ids = typed_ids("user", id_list("--user", user, known), known)
            found = loaded.similar_users(ids, **options)
    print_ranked(out, [found], {"k": k, "search": search})
