"""``hashgnn data``: public data sets by name, and figures and splits of any file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from hashgnn._files import check_writable
from hashgnn.cli._lists import check_output, is_to_stdout, write_output
from hashgnn.cli._options import (
    Debug,
    Decimal,
    Delimiter,
    EventColumn,
    EventWeights,
    FileFormat,
    HalfLife,
    ItemColumn,
    Json,
    MaxDecompressed,
    OverwriteTable,
    Quiet,
    ReferenceTime,
    TableOutput,
    TimeColumn,
    UserColumn,
    WeightColumn,
)
from hashgnn.cli._output import Output
from hashgnn.cli._reading import Columns, read_interactions
from hashgnn.cli.data_generate_shop import generate_shop
from hashgnn.cli.data_prepare import prepare
from hashgnn.cli.data_split import split
from hashgnn.errors import ParameterError

app = typer.Typer(
    help="Fetch public data sets, look at files of interactions and split them.", no_args_is_help=True
)
app.command("split")(split)
app.command("prepare")(prepare)
app.command("generate-shop")(generate_shop)


@app.command("list")
def list_sets(as_json: Json = False, quiet: Quiet = False, debug: Debug = False) -> None:
    """List the public data sets that can be fetched.

    Examples:
      hashgnn data list
    """
    from hashgnn.data.datasets import list_datasets

    out = Output(as_json, quiet)
    sets = list_datasets()
    names = ("name", "n_users", "n_items", "n_interactions", "n_test", "description", "licence")
    if as_json:
        out.document({"datasets": [{name: getattr(one, name) for name in names} for one in sets]})
        return
    out.table(
        ("name", "users", "items", "interactions", "held out", "what"),
        [[getattr(one, name) for name in names[:-1]] for one in sets],
    )


@app.command("fetch")
def fetch_set(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name from: hashgnn data list")],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            help="Folder to write parquet files to; without it, the cache only.",
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files in DIR.")] = False,
    base_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Mirror that holds the files directly below this address."),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Fetch a public data set into the cache, verified against pinned checksums.

    With -o, the rows are written as interactions.parquet, or as train.parquet and test.parquet if the
    publisher has split the set. Sets with titles also give items.parquet.

    Examples:
      hashgnn data fetch movielens-100k -o data/ml-100k

      hashgnn fit data/ml-100k/interactions.parquet -o models/ml
    """
    from hashgnn.data.datasets import fetch

    out = Output(as_json, quiet)
    if output is not None:
        check_writable(output / "interactions.parquet")
    loaded = fetch(name, progress=out.progress, base_url=base_url)
    tables = {"interactions": loaded.interactions}
    if loaded.train is not None and loaded.test is not None:
        tables = {"train": loaded.train, "test": loaded.test}
    files: list[Path] = []
    if output is not None:
        named = {f"{part}.parquet": _table(rows) for part, rows in tables.items()}
        if loaded.items is not None:
            named["items.parquet"] = loaded.items
        files = [output / file for file in named]
        if taken := [file for file in files if file.exists() and not overwrite]:
            raise ParameterError(f"{taken[0]}: exists; pass --overwrite to replace it")
        for file, table in zip(files, named.values(), strict=True):
            _write_parquet(table, file)
    document = {
        "name": loaded.name,
        "source": loaded.source,
        "licence": loaded.licence,
        "n_users": loaded.interactions.n_users,
        "n_items": loaded.interactions.n_items,
        "n_interactions": len(loaded.interactions),
        "files": files,
    }
    if as_json:
        out.document(document)
        return
    out.table(("what", "value"), [(key, value) for key, value in document.items() if key != "files"])
    for file in files:
        out.line(str(file))


@app.command("stats")
def stats(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="File of interactions.")],
    user: UserColumn = None,
    item: ItemColumn = None,
    weight: WeightColumn = None,
    time: TimeColumn = None,
    file_format: FileFormat = None,
    delimiter: Delimiter = None,
    decimal: Decimal = None,
    max_decompressed: MaxDecompressed = None,
    event_column: EventColumn = None,
    event_weights: EventWeights = None,
    half_life: HalfLife = None,
    reference_time: ReferenceTime = None,
    output: TableOutput = None,
    overwrite: OverwriteTable = False,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Show the figures of a file of interactions: users, items, density, the long tail.

    Examples:
      hashgnn data stats events.csv --user customer --item product

      hashgnn data stats events.csv -o figures.jsonl
    """
    options = locals()
    out = Output(as_json, quiet)
    if output is not None:
        check_output(output, overwrite=overwrite)
    columns = Columns.of(options)
    with out.warnings_as_notes():
        interactions = read_interactions(file, columns, out)
    figures = interactions.statistics()
    if output is not None:
        write_output(_one_row(figures), output, overwrite=overwrite)
        if is_to_stdout(output):
            return
    if as_json:
        out.document(figures)
        return
    out.table(("what", "value"), _rows(figures))


def _one_row(figures: Mapping[str, Any]) -> Any:
    """Return figures as a table of one row; those that are made up of others are a column each."""
    import pyarrow as pa

    columns: dict[str, Any] = {}
    for name, value in figures.items():
        if isinstance(value, Mapping):
            columns |= {f"{name}_{part}": number for part, number in value.items()}
        else:
            columns[name] = value
    return pa.table({name: [value] for name, value in columns.items()})


def _table(interactions: Any) -> Any:
    """Return :class:`~hashgnn.data.Interactions` as an Arrow table in external ids."""
    import pyarrow as pa

    columns = {
        "user_id": pa.array(interactions.user_ids.ids[interactions.user_index]),
        "item_id": pa.array(interactions.item_ids.ids[interactions.item_index]),
    }
    # Named so that training takes a rating as a weight only where --weight rating says so.
    for name, column in (("weight", "rating"), ("timestamp", "timestamp")):
        values = getattr(interactions, name)
        if values is not None:
            columns[column] = pa.array(values)
    return pa.table(columns)


def _write_parquet(table: Any, path: Path) -> None:
    """Write a table to a file that appears whole or not at all."""
    import pyarrow.parquet

    from hashgnn._files import atomic_file

    with atomic_file(path) as temporary:
        pyarrow.parquet.write_table(table, temporary)


def _rows(figures: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return figures as rows; those that are made up of others are a row each."""
    rows: list[tuple[str, Any]] = []
    for name, value in figures.items():
        words = name.removeprefix("n_").replace("_", " ")
        if isinstance(value, Mapping):
            rows += [(f"{words}, {part.replace('_', ' ')}", number) for part, number in value.items()]
        else:
            rows.append((words, str(value) if "timestamp" in name and value is not None else value))
    return rows
