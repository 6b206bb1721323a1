"""``hashgnn data generate-shop``: the events and the catalogue of a made-up shop."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hashgnn._files import atomic_file, check_writable
from hashgnn.cli._options import Debug, Json, Quiet, Seed
from hashgnn.cli._output import Output
from hashgnn.errors import ParameterError


def generate_shop(
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="DIR", help="Folder to write to.", show_default=False),
    ],
    users: Annotated[int, typer.Option("--users", metavar="N", help="Users.")] = 12_000,
    items: Annotated[int, typer.Option("--items", metavar="N", help="Items.")] = 3_000,
    events: Annotated[
        int, typer.Option("--events", metavar="N", help="Clicks, carts and purchases together.")
    ] = 200_000,
    seed: Seed = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files in DIR.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Make up an online shop to try things out with: users with hidden tastes, and a catalogue.

    DIR gets events.parquet (user_id, item_id, event, timestamp) and items.parquet (item_id, title, category,
    price, stock, in_stock, added). The same seed gives the same shop.

    Examples:
      hashgnn data generate-shop -o shop

      hashgnn data generate-shop -o small --users 2000 --items 600 --events 30000 --seed 7
    """
    import pyarrow.parquet

    from hashgnn.data import generate_shop as generate

    out = Output(as_json, quiet)
    files = [output / "events.parquet", output / "items.parquet"]
    check_writable(files[0])
    if taken := [file for file in files if file.exists() and not overwrite]:
        raise ParameterError(f"{taken[0]}: exists; pass --overwrite to replace it")
    shop = generate(users, items, events, rng=seed)
    for file, table in zip(files, (shop.events, shop.items), strict=True):
        with atomic_file(file) as temporary:
            pyarrow.parquet.write_table(table, temporary)
    if as_json:
        rows = {"n_users": users, "n_items": items, "n_events": events}
        out.document({**rows, "seed": seed, "files": files})
        return
    out.table(
        ("file", "rows", "columns"),
        [
            (str(file), table.num_rows, ", ".join(table.column_names))
            for file, table in zip(files, (shop.events, shop.items), strict=True)
        ],
    )
