"""``hashgnn similar``: the items or users most similar to one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hashgnn.cli._batch import check_no_engine, engine_options, engine_url, is_file, print_batch
from hashgnn.cli._lists import ListOutput
from hashgnn.cli._option_values import id_lines
from hashgnn.cli._options import (
    Address,
    Debug,
    Engine,
    Json,
    K,
    ListFormat,
    Model,
    Oversampling,
    OverwriteFile,
    PartRows,
    Quiet,
    Search,
    Threads,
    TitleColumns,
    Workers,
)
from hashgnn.cli._output import Output
from hashgnn.cli._reading import SideName, id_list, open_model, typed_ids
from hashgnn.cli._rules import (
    BoostOption,
    Diversity,
    ItemId,
    Items,
    MaxPer,
    Now,
    Where,
    read_items,
    rules_of,
    with_items,
)
from hashgnn.errors import ParameterError


def similar(
    model: Model,
    item: Annotated[str | None, typer.Option(metavar="ID", help="An item, or several: a,b.")] = None,
    user: Annotated[str | None, typer.Option(metavar="ID", help="A user, or several: a,b.")] = None,
    item_file: Annotated[Path | None, typer.Option(metavar="FILE", help="One item id a line.")] = None,
    user_file: Annotated[Path | None, typer.Option(metavar="FILE", help="One user id a line.")] = None,
    everyone: Annotated[
        str | None, typer.Option("--all", metavar="items|users", help="Every item or user; needs -o.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE|FOLDER",
            help="Write .parquet, .csv or .jsonl instead of printing; - is stdout. For --all a name "
            "without such a suffix is a folder of parquet.",
        ),
    ] = None,
    file_format: ListFormat = None,
    overwrite: OverwriteFile = False,
    title: TitleColumns = None,
    k: K = 10,
    search: Search = "hierarchical",
    oversampling: Oversampling = 5,
    items: Items = None,
    item_id: ItemId = "item_id",
    where: Where = None,
    boost: BoostOption = None,
    max_per: MaxPer = None,
    diversity: Diversity = 0.0,
    now: Now = None,
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

      hashgnn similar models/v1 --item i42 --items items.parquet --where "price < 30" --diversity 0.3

      hashgnn similar models/v1 --item-file items.txt --items titles.parquet -o similar.csv

      hashgnn similar models/v1 --all items -k 20 -o similar-items
    """
    out = Output(as_json, quiet)
    engine, holder = engine_url(engine)
    given = sum(value is not None for value in (item, user, item_file, user_file, everyone))
    if given != 1:
        raise ParameterError(
            f"similar needs one of --item, --user, --item-file, --user-file and --all, got {given} of them"
        )
    rules = rules_of(where, boost, max_per, diversity, now)
    lists = ListOutput(output, file_format, overwrite, items, title, item_id, needs_titles=not rules)
    one_file = everyone is None or is_file(output or Path(), file_format)
    if everyone is None:
        check_no_engine(engine=engine, workers=workers, address=address)
    elif output is None or lists.is_stdout or everyone not in ("items", "users"):
        raise ParameterError(f"--all must be items or users, with -o FOLDER or -o FILE.csv, got {everyone!r}")
    if one_file:
        lists.check()
    side: SideName = "user" if everyone == "users" or user is not None or user_file is not None else "item"
    if rules and side == "user":
        raise ParameterError("rules are for items similar to --item, --item-file or --all items, got users")
    if side == "user" and items is not None:
        raise ParameterError("--items needs --item, --item-file or --all items")
    if everyone is not None and holder is not None:
        raise ParameterError(
            "--engine must be local, ray or spark for a folder, got a URL; workers search the model"
        )
    loaded = open_model(model, engine=holder)
    if rules and everyone is None:
        loaded = with_items(loaded, read_items(items, item_id, loaded.state_.items.ids))
    options = {"k": k, "search": search, "oversampling": oversampling, "n_threads": threads}
    with out.warnings_as_notes():
        if everyone is not None:
            run = engine_options(out, engine, workers, threads, address)
            more = {"side": side, "part_rows": part_rows, **lists.in_parts, **rules}
            print_batch(out, loaded.similar_all(output, **{**options, **more, **run}), one_file=one_file)
            return
        known = (loaded.state_.items if side == "item" else loaded.state_.users).ids
        file, text = (item_file, item) if side == "item" else (user_file, user)
        names = id_lines(file) if file is not None else id_list(f"--{side}", text or "", known)
        verb = loaded.similar_items if side == "item" else loaded.similar_users
        found = verb(typed_ids(side, names, known), **options, **rules)
    lists.put([found], loaded.state_.items.ids, out, {"k": k, "search": search}, f"{side}s")
