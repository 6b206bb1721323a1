"""``hashgnn interactions``: what a service was told, on its way into the next version of a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from hashgnn.cli._models import open_model
from hashgnn.cli._options import Debug, Json, Quiet
from hashgnn.cli._output import Output
from hashgnn.cli._update import trained_upto
from hashgnn.errors import ParameterError

app = typer.Typer(help="Train on what a service was told.", no_args_is_help=True)

Store = Annotated[
    Path,
    typer.Argument(metavar="FILE.db", help="The file given to serve --interactions.", show_default=False),
]


@app.command("export")
def export(
    store: Store,
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="FILE.parquet", help="File for hashgnn fit.", show_default=False
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
    """Write the interactions of a store to a parquet file, while the service goes on.

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
        found = opened.export(output, after=after or 0)
    document = {"path": output, "count": found.count, "after": found.after, "upto": found.upto}
    if as_json:
        out.document({**document, "path": str(output)})
        return
    out.table(("what", "value"), [(name, str(value)) for name, value in document.items()])
    out.note(f"next: hashgnn fit {output} --update {model or 'DIR'}")


@app.command("clear")
def clear(
    store: Store,
    model: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Forget what this model was trained on.")
    ] = None,
    upto: Annotated[
        int | None, typer.Option(metavar="N", help="Forget interactions up to this number.")
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Forget interactions that the model which answers was trained on.

    What has come since the export stays. The service goes on meanwhile.

    Examples:
      hashgnn interactions clear events.db --model models/current
    """
    out = Output(as_json, quiet)
    if (model is None) == (upto is None):
        raise ParameterError("one of --model and --upto must be given, to say what to forget")
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
