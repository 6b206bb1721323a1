"""``hashgnn interactions``: recorded interactions of a service, for the next version of a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from hashgnn.cli._options import Debug, Json, Quiet
from hashgnn.cli._output import Output
from hashgnn.cli._reading import open_model
from hashgnn.cli._signals import stop_explained
from hashgnn.cli.update import trained_upto
from hashgnn.errors import ParameterError

app = typer.Typer(help="Export or remove the interactions that a service has recorded.", no_args_is_help=True)

Store = Annotated[
    Path,
    typer.Argument(metavar="FILE.db", help="Store of hashgnn serve --interactions.", show_default=False),
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
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Write the interactions of a store to a parquet file; the service may be running.

    Nothing is removed from the store.

    Examples:
      hashgnn interactions export events.db -o new.parquet --model models/current
    """
    out = Output(as_json, quiet)
    if model is not None and after is not None:
        raise ParameterError("--model and --after cannot be given together")
    with _opened(store) as opened:
        if model is not None:
            after = trained_upto(opened.identity, open_model(model).state_.training)
        with stop_explained(out, lambda: f"{output}: is as it was; run the same command again"):
            found = opened.export(output, after=after or 0)
    document = {"path": output, "count": found.count, "after": found.after, "upto": found.upto}
    if found.left_out:
        document["left_out"] = found.left_out
        out.note(f"{found.left_out} interactions have an empty id; they were left out")
    if as_json:
        out.document({**document, "path": str(output)})
        return
    out.table(("what", "value"), [(name, str(value)) for name, value in document.items()])
    out.note(f"next: hashgnn update {model or 'OLD'} {output}")


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
    with _opened(store) as opened:
        if model is not None:
            upto = trained_upto(opened.identity, open_model(model).state_.training)
        assert upto is not None
        document = {"removed": opened.clear(upto), "kept": opened.count}
    if as_json:
        out.document(document)
        return
    out.table(("what", "value"), list(document.items()))


def _opened(path: Path) -> Any:
    from hashgnn.serving.store import InteractionStore

    if not path.exists():  # opening would make an empty one
        raise ParameterError(f"{path}: there is no such file")
    return InteractionStore.open(path)
