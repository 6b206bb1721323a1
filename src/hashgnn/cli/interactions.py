"""``hashgnn interactions``: recorded interactions of a service, for the next version of a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from hashgnn._files import check_writable_file
from hashgnn.cli._options import Debug, Json, OverwriteTable, Quiet
from hashgnn.cli._output import Output
from hashgnn.cli._reading import SideName, known_ids, open_model
from hashgnn.cli._signals import stop_explained
from hashgnn.errors import ParameterError

app = typer.Typer(
    help="Export, delete or clear the interactions that a service has recorded.", no_args_is_help=True
)

Store = Annotated[
    str,
    typer.Argument(
        metavar="STORE",
        help="Store of hashgnn serve --interactions: a file or postgresql://user@host/database.",
        show_default=False,
    ),
]


@app.command("export")
def export(
    store: Store,
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="FILE.parquet", help="File for hashgnn update.", show_default=False
        ),
    ],
    model: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Leave out what this model was trained on.")
    ] = None,
    after: Annotated[
        int | None, typer.Option(metavar="N", help="Leave out interactions up to this number.")
    ] = None,
    overwrite: OverwriteTable = False,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Write the interactions of a store to a parquet file; the service may be running.

    Nothing is removed from the store. The file also says what users have deleted. Interactions that training
    would refuse, because an id is empty, are left out and counted. Where there is nothing new no file is
    written, and the exit code is 0.

    Examples:
      hashgnn interactions export events.db -o new.parquet --model models/current
    """
    out = Output(as_json, quiet)
    if model is not None and after is not None:
        raise ParameterError("--model and --after cannot be given together")
    check_writable_file(output)
    if output.exists() and not overwrite:
        raise ParameterError(f"{output}: exists; pass --overwrite to replace it")
    with opened_store(store) as opened:
        if model is not None:
            after = _trained_upto(opened, model)
        with stop_explained(out, lambda: f"{output}: is as it was; run the same command again"):
            found = opened.export(output, after=after or 0)
    is_written = bool(found.count or found.deletions)
    document = {
        "path": str(output) if is_written else None,
        "count": found.count,
        "after": found.after,
        "upto": found.upto,
        "deletions": found.deletions,
        "left_out": found.left_out,
    }
    if as_json:
        out.document(document)
        return
    if found.left_out:
        out.note(f"{found.left_out:,} interactions with an empty id are left out; training would refuse them")
    if not is_written:
        out.note(f"nothing new to export; {output} was not written")
        return
    out.table(("what", "value"), [(name, str(value)) for name, value in document.items()])
    out.note(f"next: hashgnn update {model or 'OLD'} {output}")


@app.command("delete")
def delete(
    store: Store,
    user: Annotated[
        str, typer.Option(metavar="ID", help="Whose interactions to delete.", show_default=False)
    ],
    item: Annotated[
        str | None, typer.Option(metavar="ID", help="Only those with this item; default: all of the user's.")
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="A model that says what its ids are, where the store is empty."),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Delete what a user did from a store; the service may be running, and answers without it at once.

    The deletion is remembered: models that were trained before it no longer use what the user did, and the next
    export tells hashgnn update. To delete what is not there is no error.

    Examples:
      hashgnn interactions delete events.db --user u1

      hashgnn interactions delete events.db --user u1 --item i7
    """
    out = Output(as_json, quiet)
    with opened_store(store) as opened:
        kinds = dict(opened.kinds)
        if model is not None:
            ids = known_ids(open_model(model))
            kinds = {"users": ids[0].kind, "items": ids[1].kind, **kinds}
        removed = opened.delete(
            typed_id("user", user, kinds.get("users")),
            None if item is None else typed_id("item", item, kinds.get("items")),
        )
        document = {"removed": removed, "kept": opened.count}
    if as_json:
        out.document(document)
        return
    out.table(("what", "value"), list(document.items()))


def typed_id(side: SideName, text: str, kind: str | None) -> int | str:
    """Return an id as a store keeps it: an integer where its ids are integers, else text."""
    if kind is None:
        raise ParameterError(
            f"--model must say whether {side} ids are integers or text, the store has seen none yet"
        )
    if kind != "int":
        return text
    try:
        return int(text)
    except ValueError:
        raise ParameterError(
            f"--{side} must be an integer as all {side} ids of the store, got {text!r}"
        ) from None


@app.command("clear")
def clear(
    store: Store,
    model: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Remove what this model was trained on.")
    ] = None,
    upto: Annotated[
        int | None, typer.Option(metavar="N", help="Remove interactions up to this number.")
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Remove interactions that the served model was trained on.

    Interactions recorded after the export stay. The service may be running.

    Examples:
      hashgnn interactions clear events.db --model models/current
    """
    out = Output(as_json, quiet)
    if (model is None) == (upto is None):
        raise ParameterError("one of --model and --upto must be given, to say what to remove")
    with opened_store(store) as opened:
        if model is not None:
            upto = _trained_upto(opened, model)
        assert upto is not None
        document = {"removed": opened.clear(upto), "kept": opened.count}
    if as_json:
        out.document(document)
        return
    out.table(("what", "value"), list(document.items()))


def _trained_upto(store: Any, model: Path) -> int:
    from hashgnn.state.lineage import trained_upto

    return trained_upto(store.identity, open_model(model).state_.training)


def opened_store(place: str) -> Any:
    """Open a store that is there."""
    from hashgnn.serving.store import InteractionStore

    return InteractionStore.open(place, make=False)
