"""``hashgnn fit``: a file of interactions in, a saved model out."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from hashgnn.cli._models import open_model
from hashgnn.cli._options import (
    Debug,
    FileFormat,
    ItemColumn,
    Json,
    Quiet,
    TimeColumn,
    UserColumn,
    WeightColumn,
)
from hashgnn.cli._output import Output
from hashgnn.cli._reading import Columns, read_features, read_interactions
from hashgnn.cli._run_folder import RunFolder
from hashgnn.cli._update import check_options, next_version, taken_exports
from hashgnn.errors import ParameterError

_SETTINGS, _RUN, _FEATURES = "Settings", "Run", "Side features"


def fit(
    train: Annotated[Path, typer.Argument(metavar="TRAIN", help="File of interactions.", show_default=False)],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            help="Folder to save the model to; with --update, the next version beside the old one.",
            show_default=False,
        ),
    ] = None,
    update: Annotated[
        Path | None,
        typer.Option(
            "--update",
            metavar="OLD",
            help="Train on from this saved model, with TRAIN as new interactions.",
            show_default=False,
        ),
    ] = None,
    user: UserColumn = None,
    item: ItemColumn = None,
    weight: WeightColumn = None,
    time: TimeColumn = None,
    file_format: FileFormat = None,
    valid: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Held-out interactions that choose the best epoch; else a share of TRAIN is held out.",
        ),
    ] = None,
    user_features: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Table of users.", rich_help_panel=_FEATURES)
    ] = None,
    user_columns: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="Its columns to use; all.", rich_help_panel=_FEATURES),
    ] = None,
    item_features: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Table of items.", rich_help_panel=_FEATURES)
    ] = None,
    item_columns: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="Its columns to use; all.", rich_help_panel=_FEATURES),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE.toml",
            help="default, paper, authors, or a file; default.",
            rich_help_panel=_SETTINGS,
            show_default=False,
        ),
    ] = None,
    bits: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Width of a code; the recipe's.", rich_help_panel=_SETTINGS, show_default=False
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Most passes over the data; the recipe's, or a third of OLD's.",
            rich_help_panel=_SETTINGS,
            show_default=False,
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Any other setting.", rich_help_panel=_SETTINGS),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Of all random choices.", rich_help_panel=_RUN)] = 0,
    device: Annotated[
        str, typer.Option(metavar="NAME", help="auto, cpu or cuda[:N].", rich_help_panel=_RUN)
    ] = "auto",
    threads: Annotated[
        int | None,
        typer.Option(metavar="N", help="Processors to use; all.", rich_help_panel=_RUN, show_default=False),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a run that was stopped.", rich_help_panel=_RUN)
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a model in DIR.", rich_help_panel=_RUN)
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Train a model and save it to a folder.

    While it runs, a checkpoint of the last epoch lies in .DIR.checkpoint beside DIR; after a crash or a kill,
    the same command with --resume ends with the same model as an undisturbed run. DIR.log.jsonl gets a line
    an epoch. DIR appears only when training has ended well.

    Examples:
      hashgnn fit events.parquet -o models/v1

      hashgnn fit u.data -o models/ml --format movielens --bits 64 --epochs 10

      hashgnn fit events.csv -o models/v2 --user customer --item product --recipe paper --set margin=0.1

      hashgnn fit new.parquet --update models/v1 -o models/v2
    """
    out = Output(as_json, quiet)
    if output is None and update is None:
        raise ParameterError("--output must name a folder to make, unless --update names a model")
    if update is not None:
        check_options(
            {
                "--recipe": recipe,
                "--bits": bits,
                "--set": settings,
                "--user-features": user_features,
                "--item-features": item_features,
            }
        )
    output = next_version(update) if output is None and update is not None else output
    assert output is not None
    run = RunFolder(output)
    run.check(overwrite=overwrite, resume=resume)
    if seed < 0:
        raise ParameterError(f"--seed must be an integer >= 0, got {seed}")
    columns = Columns(user, item, weight, time, file_format)
    with out.warnings_as_notes():
        if update is None:
            train_model = _new_model(recipe or "default", settings, bits, epochs).fit
        else:
            old = open_model(update)
            lineage = taken_exports(train, update, old.state_.training, out)
            train_model = partial(old.update, epochs=epochs, lineage=lineage)
        interactions = read_interactions(train, columns, out)
        aligned = interactions if update is None else None
        options = {"valid": None if valid is None else read_interactions(valid, columns, out, like=aligned)}
        if update is None:
            options["user_features"] = read_features("user", user_features, user_columns, user)
            options["item_features"] = read_features("item", item_features, item_columns, item)
        if not resume:
            run.clear()
        elif not run.checkpoint.exists():
            out.note(f"{run.checkpoint}: there is no checkpoint yet; training from the start")
        try:
            model = train_model(
                interactions,
                **options,
                device=device,
                n_threads=threads,
                rng=seed,
                progress=out.progress,
                checkpoint_dir=run.checkpoint,
                resume=resume,
                log_path=run.log,
            )
        except KeyboardInterrupt:
            if run.checkpoint.exists():
                out.note("the last whole epoch is kept; go on with the same command and --resume")
            raise
        model.save(output, overwrite=overwrite or resume)
    run.forget_checkpoint()
    _report(out, run, model)


def _new_model(recipe: str, settings: list[str] | None, bits: int | None, epochs: int | None) -> Any:
    from hashgnn.config import load_recipe, parse_setting
    from hashgnn.recommender import HashGNN

    chosen: dict[str, Any] = dict(parse_setting(text) for text in settings or [])
    chosen |= {} if bits is None else {"n_bits": bits}
    chosen |= {} if epochs is None else {"epochs": epochs}
    n_bits = load_recipe(recipe, **chosen).n_bits
    return HashGNN(recipe=recipe, **{**chosen, "n_bits": n_bits})


def _report(out: Output, run: RunFolder, model: Any) -> None:
    state = model.state_
    document = {
        "path": run.model,
        "log": run.log,
        "n_users": state.n_users,
        "n_items": state.n_items,
        "n_interactions": int(state.seen.nnz),
        "n_bits": state.n_bits,
        "epochs": state.training["epochs"],
        "best_epoch": state.training["best_epoch"],
        "seconds": state.training["seconds"],
        "metrics": dict(state.metrics),
        "lineage": state.training.get("lineage"),
        "config": state.config.to_dict(),
    }
    if out.as_json:
        out.document(document)
        return
    found = ", ".join(f"{name} {value:.4f}" for name, value in document["metrics"].items())
    out.note(
        f"{run.model}: {document['epochs']} epochs in {document['seconds']:.1f} seconds"
        + (f", best epoch {document['best_epoch']} with {found} on the held-out share" if found else "")
    )
    out.note(f"next: hashgnn recommend {run.model} --users {state.users.ids.ids[0]}")
