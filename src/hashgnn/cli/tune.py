"""``hashgnn tune``: the settings of a recipe that are best on held-out training interactions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from hashgnn._extras import check_extra
from hashgnn._files import check_writable_file
from hashgnn.cli._feature_options import (
    ItemFeatureColumns,
    ItemFeatures,
    UserFeatureColumns,
    UserFeatures,
)
from hashgnn.cli._option_values import chosen_settings
from hashgnn.cli._options import (
    Bits,
    Debug,
    Decimal,
    Delimiter,
    Device,
    EventColumn,
    EventWeights,
    FileFormat,
    HalfLife,
    ItemColumn,
    Json,
    MaxDecompressed,
    MLflowPlace,
    Quiet,
    ReferenceTime,
    Seed,
    Settings,
    TensorBoardFolder,
    TimeColumn,
    UserColumn,
    WeightColumn,
)
from hashgnn.cli._output import Output
from hashgnn.cli._reading import Columns, read_features, read_interactions
from hashgnn.cli._signals import stop_explained
from hashgnn.cli._tracking import FollowedRun
from hashgnn.errors import ParameterError

_SETTINGS, _RUN = "Settings", "Run"


def tune(
    train: Annotated[
        Path,
        typer.Argument(
            metavar="TRAIN", help="Training interactions; never the test part.", show_default=False
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE.toml",
            help="Recipe file to write; the trials are kept in FILE.tune next to it.",
            show_default=False,
        ),
    ],
    minutes: Annotated[
        float, typer.Option(metavar="M", help="Time for all trials, including those of earlier runs.")
    ] = 30.0,
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
    valid: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Held-out interactions; default: a tenth of TRAIN."),
    ] = None,
    user_features: UserFeatures = None,
    user_columns: UserFeatureColumns = None,
    item_features: ItemFeatures = None,
    item_columns: ItemFeatureColumns = None,
    recipe: Annotated[
        str,
        typer.Option(
            metavar="NAME|FILE.toml", help="Recipe that the search starts from.", rich_help_panel=_SETTINGS
        ),
    ] = "default",
    space: Annotated[
        str,
        typer.Option(
            metavar="NAME|FILE.toml",
            help="Settings that vary: rates, default, paper, or a file.",
            rich_help_panel=_SETTINGS,
        ),
    ] = "rates",
    bits: Bits = None,
    settings: Settings = None,
    metric: Annotated[
        str | None,
        typer.Option(
            metavar="A@N",
            help="Metric of the codes to maximise; default: the recipe's.",
            rich_help_panel=_SETTINGS,
            show_default=False,
        ),
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option(metavar="N", help="Maximum number of trials.", rich_help_panel=_RUN, show_default=False),
    ] = None,
    seed: Seed = 0,
    device: Device = "auto",
    tensorboard: TensorBoardFolder = None,
    mlflow: MLflowPlace = None,
    threads: Annotated[
        int, typer.Option(metavar="N", help="Threads to train with.", rich_help_panel=_RUN)
    ] = 1,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Search for the best settings of a recipe, and write them as a recipe file that fit --recipe takes.

    Trial 0 is the recipe as it stands. Trials are compared on interactions held out of TRAIN; the test part
    is never read. FILE.tune keeps every trial: after a stop, the same command continues, and with more
    minutes it adds trials. One search at a time works in FILE.tune. A space file has one line per setting:

      optimizer.learning_rate = { low = 0.01, high = 0.1, log = true }

      relaxation = ["guided", "hashnet"]

    Examples:
      hashgnn tune train.parquet -o mine.toml --minutes 30

      hashgnn tune train.parquet -o mine.toml --recipe paper --space paper --minutes 60 --metric recall@50

      hashgnn tune train.parquet -o mine.toml --trials 20 --tensorboard runs

      hashgnn fit train.parquet -o models/v1 --recipe mine.toml
    """
    from hashgnn.config import load_recipe
    from hashgnn.tuning import load_space
    from hashgnn.tuning import tune as search

    options = locals()
    out = Output(as_json, quiet)
    if output.suffix != ".toml":
        raise ParameterError(f"--output must name a .toml file, got {str(output)!r}")
    check_writable_file(output)
    check_extra("optuna", extra="tune", purpose="tuning")
    check_extra("torch", extra="train", purpose="tuning")
    followed = FollowedRun.of(output.stem, tensorboard, mlflow, None, None)
    chosen = chosen_settings(settings, bits=("n_bits", bits))
    base = load_recipe(recipe, **chosen)
    varied = load_space(space, base)
    fixed = sorted(varied.keys() & chosen.keys())
    if len(fixed) == len(varied):
        raise ParameterError(f"--set leaves nothing of the space {space} to vary; it sets {', '.join(fixed)}")
    for name in fixed:  # what the caller has set is not searched
        del varied[name]
    if fixed:
        out.note(f"set, and not varied: {', '.join(fixed)}")
    columns = Columns.of(options)
    with out.warnings_as_notes(), stop_explained(out, lambda: _kept(output)):
        interactions = read_interactions(train, columns, out)
        held = (
            None
            if valid is None
            else read_interactions(valid, columns, out, known=(interactions.user_ids, interactions.item_ids))
        )
        found = search(
            interactions,
            output,
            base=base,
            space=varied,
            minutes=minutes,
            n_trials=trials,
            valid=held,
            user_features=read_features("user", user_features, user_columns, user, interactions.user_ids),
            item_features=read_features("item", item_features, item_columns, item, interactions.item_ids),
            metric=metric,
            rng=seed,
            n_threads=threads,
            device=device,
            progress=out.progress,
            trackers=followed.trackers,
            on_trial=lambda trial: out.note(_summary(trial)),
        )
    document = {
        "recipe": output,
        "folder": output.with_suffix(".tune"),
        "metric": found.metric,
        "value": found.best.value,
        "settings": found.best.settings,
        "seconds": found.seconds,
        "trials": [vars(trial) for trial in found.trials],
    }
    if as_json:
        out.document(document)
        return
    shown = [[trial.number, trial.state, trial.value, trial.epochs, trial.seconds] for trial in found.trials]
    rows = [
        [*row, *(_short(trial.settings.get(name)) for name in varied)]
        for row, trial in zip(shown, found.trials, strict=True)
    ]
    out.table(["trial", "state", found.metric, "trained", "seconds", *varied], rows)
    out.note(f"{output}: trial {found.best.number}, {found.metric} {found.best.value:.4f} on validation")
    tables = "".join(
        f" --{side}-features {path}"
        for side, path in (("user", user_features), ("item", item_features))
        if path is not None
    )
    out.note(f"next: hashgnn fit {train} -o DIR --recipe {output}{tables}")


def _kept(output: Path) -> str:
    folder = output.with_suffix(".tune")
    kept = f"{folder}: keeps the trials that have ended" if folder.exists() else "no trial had begun"
    return f"{kept}; run the same command to continue"


def _summary(trial: Any) -> str:
    value = "" if trial.value is None else f" {trial.value:.4f}"
    varied = ", ".join(f"{name} {_short(entry)}" for name, entry in trial.settings.items())
    return f"trial {trial.number}: {trial.state}{value}, {trial.epochs} epochs in {trial.seconds:.0f} s; {varied}"


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
