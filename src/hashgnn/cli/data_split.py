"""``hashgnn data split``: a file of events into train, valid and test."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from hashgnn.cli._option_values import comma_list
from hashgnn.cli._options import Debug, FileFormat, ItemColumn, Json, Quiet, Seed, TimeColumn, UserColumn
from hashgnn.cli._output import Output
from hashgnn.errors import DataError, ParameterError

_HOW, _FILTERS = "How (one of these)", "Filters, before the split"


def split(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="File of interactions.", show_default=False)],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="DIR", help="Folder to write to.", show_default=False),
    ],
    temporal: Annotated[
        float | None,
        typer.Option(
            metavar="X", help="The latest share of all rows, from one moment on.", rich_help_panel=_HOW
        ),
    ] = None,
    temporal_per_user: Annotated[
        float | None,
        typer.Option(metavar="X", help="The latest share of each user's rows.", rich_help_panel=_HOW),
    ] = None,
    random: Annotated[
        float | None,
        typer.Option(metavar="X", help="A random share of each user's rows.", rich_help_panel=_HOW),
    ] = None,
    leave_one_out: Annotated[
        bool, typer.Option("--leave-one-out", help="The latest item of each user.", rich_help_panel=_HOW)
    ] = False,
    users: Annotated[
        float | None,
        typer.Option(metavar="X", help="All rows of a share of the users.", rich_help_panel=_HOW),
    ] = None,
    valid: Annotated[
        float | None,
        typer.Option(metavar="X", help="Share for validation; default: that of the test part. 0: none."),
    ] = None,
    unknown: Annotated[
        str,
        typer.Option(
            metavar="WHAT",
            help="Rows of valid and test with users or items that are not in train: keep or drop.",
        ),
    ] = "keep",
    event_column: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Event types; default: event.", rich_help_panel=_FILTERS),
    ] = None,
    events: Annotated[
        str | None, typer.Option(metavar="A,B", help="Only events of these types.", rich_help_panel=_FILTERS)
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="Only rows from this time on, 2024-05-01.", rich_help_panel=_FILTERS
        ),
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only rows before this time.", rich_help_panel=_FILTERS)
    ] = None,
    user_k: Annotated[
        int | None,
        typer.Option(metavar="N", help="Only users with N items (k-core).", rich_help_panel=_FILTERS),
    ] = None,
    item_k: Annotated[
        int | None,
        typer.Option(metavar="N", help="Only items with N users (k-core).", rich_help_panel=_FILTERS),
    ] = None,
    user: UserColumn = None,
    item: ItemColumn = None,
    time: TimeColumn = None,
    file_format: FileFormat = None,
    seed: Seed = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier split at DIR.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Split a file of interactions into train, valid and test, with all its columns, and note how.

    DIR gets train.parquet, valid.parquet, test.parquet and split.json. All rows of one user and item are in
    one part, that of the latest of them. Ctrl-C or an error leaves no folder.

    Examples:
      hashgnn data split events.parquet -o parts --temporal 0.1

      hashgnn data split events.parquet -o parts --random 0.2 --valid 0 --seed 7

      hashgnn data split events.parquet -o parts --leave-one-out --user-k 5 --item-k 5

      hashgnn data split shop.parquet -o parts --temporal 0.1 --events cart,purchase --since 2024-01-01
    """
    from hashgnn.data import read_table
    from hashgnn.data.split_folder import check_folder, describe_source, write_split
    from hashgnn.data.table_split import split_table

    out = Output(as_json, quiet)
    shares: dict[str, float | None] = {
        "temporal": temporal,
        "temporal_per_user": temporal_per_user,
        "random": random,
        "leave_one_out": 0.1 if leave_one_out else None,  # of no effect there
        "users": users,
    }
    chosen = {name: share for name, share in shares.items() if share is not None}
    if len(chosen) != 1:
        known = ", ".join(f"--{name.replace('_', '-')}" for name in shares)
        raise ParameterError(f"split needs one of {known}, got {len(chosen)} of them")
    (method, share) = next(iter(chosen.items()))
    if not 0 < share < 1:
        raise ParameterError(f"--{method.replace('_', '-')} must be > 0 and < 1, got {share:g}")
    check_folder(output, overwrite=overwrite)
    with out.warnings_as_notes():
        table = read_table(file, format=file_format)
        try:
            made = split_table(
                table,
                method,
                share,
                valid_size=valid,
                user=user,
                item=item,
                timestamp=time,
                event_column=event_column,
                events=comma_list("--events", events) if events is not None else None,
                since=since,
                until=until,
                user_k=user_k,
                item_k=item_k,
                unknown=unknown,
                rng=seed,
            )
        except DataError as error:
            raise DataError(f"{file}: {error}") from None
    note = write_split(output, made, source=describe_source(file), overwrite=overwrite)
    if as_json:
        out.document({"path": output, **note})
        return
    _print(out, output, note)


def _print(out: Output, output: Path, note: dict[str, Any]) -> None:
    for step in note["filters"]:
        given = ", ".join(
            f"{name}={value}"
            for name, value in step.items()
            if name not in ("filter", "rows") and value is not None
        )
        out.note(f"{step['filter']}: {step['rows']:,} rows left ({given})")
    columns = ("part", "rows", "users", "items", "new users", "new items", "dropped")
    fields = ("rows", "users", "items", "new_users", "new_items", "interactions_dropped")
    out.table(
        columns, [[name, *(part.get(field) for field in fields)] for name, part in note["parts"].items()]
    )
    out.line(f"{output}: {note['method'].replace('_', ' ')}, seed {note['seed']}; split.json says how")
