"""``hashgnn items``: items that came after the training, added to a saved model or taken from a service."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from hashgnn._addresses import address_of
from hashgnn._files import check_writable, check_writable_file
from hashgnn.cli._options import (
    Debug,
    Decimal,
    Delimiter,
    FileFormat,
    ItemColumn,
    Json,
    MaxDecompressed,
    Overwrite,
    Quiet,
    UserColumn,
)
from hashgnn.cli._output import Output
from hashgnn.cli._reading import Columns, known_ids, open_model, read_interactions, table_rows
from hashgnn.cli._rules import AttributeRows
from hashgnn.cli._signals import stop_explained
from hashgnn.cli.interactions import Store, opened_store, typed_id
from hashgnn.errors import ParameterError

app = typer.Typer(
    help="Add new items to a saved model, or export, delete or clear those of a service.",
    no_args_is_help=True,
)


@app.command("add")
def add(
    old: Annotated[
        Path, typer.Argument(metavar="OLD", help="Folder of the saved model.", show_default=False)
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="DIR", help="Folder to save the model to.", show_default=False
        ),
    ],
    interactions: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="First interactions of the new items.", show_default=False),
    ] = None,
    item_features: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Table of the new items, where OLD was trained with item features.",
            show_default=False,
        ),
    ] = None,
    attributes: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Table of items with a column item_id; its other columns are those of OLD's table of items, which "
            "rules look at. Rows of items that are not added are left out.",
            show_default=False,
        ),
    ] = None,
    user: UserColumn = None,
    item: ItemColumn = None,
    file_format: FileFormat = None,
    delimiter: Delimiter = None,
    decimal: Decimal = None,
    max_decompressed: MaxDecompressed = None,
    on_known: Annotated[
        str,
        typer.Option(metavar="error|skip", help="Items that OLD has already: an error, or left as they are."),
    ] = "error",
    on_unknown: Annotated[
        str, typer.Option(metavar="error|skip", help="Users that OLD does not have: an error, or left out.")
    ] = "error",
    overwrite: Overwrite = False,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Save a model that also has new items, by their first users, their side features, or both.

    Nothing is trained and OLD stays as it is: codes, floats and bias of its items are the same in DIR. hashgnn update
    with the interactions trains the new items later.

    Examples:
      hashgnn items add models/v1 -o models/v1-new --interactions first.parquet

      hashgnn items add models/v1 -o models/v1-new --item-features new-items.parquet --on-known skip

      hashgnn items add models/v1 -o models/v1-new --interactions first.parquet --attributes new-items.csv
    """
    options = locals()
    out = Output(as_json, quiet)
    if interactions is None and item_features is None:
        raise ParameterError("--interactions or --item-features must name a file of new items, got neither")
    check_output(output, overwrite=overwrite)
    columns = Columns.of(options)
    with out.warnings_as_notes(), stop_explained(out, lambda: f"{output}: was not written"):
        model = open_model(old)
        users_of: dict[Any, list[Any]] = {}
        if interactions is not None:
            known = known_ids(model)
            found = read_interactions(interactions, columns, out, known=known, on_unknown="add")
            items, users = found.item_ids.at(found.item_index), found.user_ids.at(found.user_index)
            for one, who in zip(items.tolist(), users.tolist(), strict=True):
                users_of.setdefault(one, []).append(who)
        ids, rows = list(users_of), None
        if item_features is not None:
            table = table_rows("item", item_features, item, model.state_.items.ids)
            ids = list(dict.fromkeys([*ids, *table]))
            rows = [table.get(one, {}) for one in ids]
        values = None
        if attributes is not None:
            values = AttributeRows.read(attributes, item, model).of_items(ids)
        grown = model.add_items(
            ids,
            [users_of.get(one, []) for one in ids],
            item_features=rows,
            attributes=values,
            on_known=on_known,
            on_unknown=on_unknown,
        )
        grown.save(output, overwrite=overwrite)
    added = grown.state_.n_items - model.state_.n_items
    document = {
        "path": str(output),
        "added": added,
        "known": len(ids) - added,
        "n_items": grown.state_.n_items,
    }
    if as_json:
        out.document(document)
        return
    out.table(("what", "value"), [(name, str(value)) for name, value in document.items()])


@app.command("export")
def export(
    store: Store,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE.parquet",
            help="Table for --item-features.",
            show_default=False,
        ),
    ],
    attributes: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.parquet",
            help="Also write their attributes, as they are now, for --attributes of update and items add.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Write the new items of a service with their side features to a parquet file; the service may be running.

    Their first interactions are in hashgnn interactions export, so fit and update have them from there. The file has
    one row an item, its first users in the column first_users, and a column for each feature. That of --attributes has
    their rows of the table of items.

    Examples:
      hashgnn items export events.db -o new-items.parquet

      hashgnn items export events.db -o new-items.parquet --attributes new-rows.parquet
    """
    from hashgnn.serving.store.item_export import export_attributes, export_items

    out = Output(as_json, quiet)
    check_writable_file(output)
    if attributes is not None:
        check_writable_file(attributes)
    with opened_store(store) as opened:
        count, columns = export_items(opened, output)
        named = [] if attributes is None else export_attributes(opened, attributes)[1]
    document: dict[str, Any] = {
        "path": str(output) if count else None,
        "count": count,
        "features": columns,
    }
    if attributes is not None:
        document |= {"attributes_path": str(attributes) if count else None, "attributes": named}
    if as_json:
        out.document(document)
        return
    if not count:
        out.note(f"nothing to export; {output} was not written")
        return
    out.table(("what", "value"), [(name, str(value)) for name, value in document.items()])


@app.command("delete")
def delete(
    store: Store,
    item: Annotated[str, typer.Option(metavar="ID", help="The new item.", show_default=False)],
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Forget a new item of a service and its attributes; it answers without it at once, and interactions stay.

    To forget what is not there is no error.

    Examples:
      hashgnn items delete events.db --item i7
    """
    out = Output(as_json, quiet)
    with opened_store(store) as opened:
        kind = opened.kinds.get("items")
        removed = 0 if kind is None else opened.items.remove([typed_id("item", item, kind)], attributes=True)
        document = {"removed": removed, "kept": len(opened.items)}
    _report(out, document)


@app.command("clear")
def clear(
    store: Store,
    model: Annotated[
        Path,
        typer.Option(
            metavar="DIR", help="Forget the items that this model was trained on.", show_default=False
        ),
    ],
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Forget the new items that a model was trained on, once it is the one that is served; their attributes stay.

    Until then an older version may come back, which needs them. The service may be running.

    Examples:
      hashgnn items clear events.db --model models/current
    """
    out = Output(as_json, quiet)
    ids = open_model(model).state_.items.ids
    with opened_store(store) as opened:
        items = [one.item for one in opened.items.after(0)[0]]
        known = ids.index_of(items, on_unknown="skip", noun="items of the store") >= 0 if items else []
        removed = opened.items.remove([one for one, is_known in zip(items, known, strict=True) if is_known])
        document = {"removed": removed, "kept": len(opened.items)}
    _report(out, document)


def check_output(path: Path, *, overwrite: bool) -> None:
    """Raise before any work if a model could not be saved at a path."""
    from hashgnn.state.at_address import check_address

    address = address_of(path)
    if address is not None:
        check_address(address, overwrite=overwrite)
        return
    taken = path.exists() and not (path.is_dir() and not any(path.iterdir()))
    if taken and not (path / "manifest.json").is_file():
        raise ParameterError(f"{path}: exists and is not a saved model; choose another folder")
    if taken and not overwrite:
        raise ParameterError(f"{path}: holds a saved model; pass --overwrite to replace it")
    check_writable(path)


def _report(out: Output, document: dict[str, Any]) -> None:
    if out.as_json:
        out.document(document)
    else:
        out.table(("what", "value"), list(document.items()))
