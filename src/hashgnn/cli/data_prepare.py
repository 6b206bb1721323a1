"""``hashgnn data prepare``: files of events, as many as there are, to a folder of interactions that is mapped."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
    Quiet,
    ReferenceTime,
    TimeColumn,
    UserColumn,
    WeightColumn,
)
from hashgnn.cli._output import Output
from hashgnn.cli._reading import Columns

_FILTERS = "Filters"


def prepare(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="File or folder of interactions.", show_default=False)
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="DIR", help="Folder to write to.", show_default=False),
    ],
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
    user_k: Annotated[
        int | None,
        typer.Option(metavar="N", help="Only users with N items (k-core).", rich_help_panel=_FILTERS),
    ] = None,
    item_k: Annotated[
        int | None,
        typer.Option(metavar="N", help="Only items with N users (k-core).", rich_help_panel=_FILTERS),
    ] = None,
    scratch: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder for temporary files, some 30 bytes an event; default: next to --output.",
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace prepared interactions.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Read events that are more than memory holds, once, into a folder that other commands map.

    DIR takes the place of FILE in stats, fit, update and evaluate. It holds ids and sorted rows, repeated ones
    merged. Parquet is read in groups of rows, other formats file by file. DIR appears whole or not at all.

    Examples:
      hashgnn data prepare events -o prepared

      hashgnn data prepare events -o prepared --user customer --item product --user-k 5 --item-k 5

      hashgnn fit prepared -o models/v1
    """
    options = locals()
    from hashgnn.data import prepare_interactions

    out = Output(as_json, quiet)
    columns = Columns.of(options)
    with out.warnings_as_notes():
        made = prepare_interactions(
            file,
            output,
            **columns.arguments(),
            user_k=user_k,
            item_k=item_k,
            scratch=scratch,
            overwrite=overwrite,
            progress=out.progress,
        )
    size = sum(entry.stat().st_size for entry in output.iterdir())
    document = {
        "path": output,
        "n_users": made.n_users,
        "n_items": made.n_items,
        "n_interactions": len(made),
        "n_merged": made.n_merged,
        "bytes": size,
    }
    if as_json:
        out.document(document)
        return
    out.table(("what", "value"), [(name, value) for name, value in document.items() if name != "path"])
    out.line(str(output))
