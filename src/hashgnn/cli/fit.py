"""``hashgnn fit``: a file of interactions in, a saved model out."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from hashgnn._extras import check_extra
from hashgnn._launched import is_helper
from hashgnn.cli._feature_options import (
    ItemFeatureColumns,
    ItemFeatures,
    UserFeatureColumns,
    UserFeatures,
)
from hashgnn.cli._option_values import chosen_settings
from hashgnn.cli._options import (
    Bits,
    CardNotes,
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
    License,
    MaxDecompressed,
    MLflowPlace,
    Overwrite,
    Quiet,
    Recipe,
    ReferenceTime,
    Resume,
    Seed,
    Settings,
    TensorBoardFolder,
    TimeColumn,
    TrainingThreads,
    UserColumn,
    Valid,
    WeightColumn,
)
from hashgnn.cli._output import Output
from hashgnn.cli._reading import Columns, read_features, read_interactions
from hashgnn.cli._rules import ItemId, Items, read_items, with_items
from hashgnn.cli._signals import stop_explained
from hashgnn.cli._tracking import FollowedRun
from hashgnn.cli._training_run import RunFolder, train_and_save
from hashgnn.cli._workers import ShardFrom, TrainingAddress, TrainingEngine, TrainingWorkers, training_workers


def fit(
    train: Annotated[Path, typer.Argument(metavar="TRAIN", help="File of interactions.", show_default=False)],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="DIR", help="Folder to save the model to.", show_default=False
        ),
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
    valid: Valid = None,
    user_features: UserFeatures = None,
    user_columns: UserFeatureColumns = None,
    item_features: ItemFeatures = None,
    item_columns: ItemFeatureColumns = None,
    items: Items = None,
    item_id: ItemId = "item_id",
    recipe: Recipe = "default",
    bits: Bits = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Maximum number of passes over the data; default: the recipe's.",
            rich_help_panel="Settings",
            show_default=False,
        ),
    ] = None,
    settings: Settings = None,
    index_recall: Annotated[
        float,
        typer.Option(
            metavar="X",
            help="Share of the exact best by code that searches shall find; below 1, millions of items are "
            "saved in lists.",
            rich_help_panel="Settings",
        ),
    ] = 1.0,
    seed: Seed = 0,
    device: Device = "auto",
    threads: TrainingThreads = None,
    resume: Resume = False,
    engine: TrainingEngine = "local",
    workers: TrainingWorkers = None,
    address: TrainingAddress = None,
    shard_from: ShardFrom = 10_000,
    tensorboard: TensorBoardFolder = None,
    mlflow: MLflowPlace = None,
    license: License = None,
    card_notes: CardNotes = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Train a model and save it to a folder.

    DIR appears only when training has succeeded. Until then a checkpoint of the last epoch is kept in
    .DIR.checkpoint next to DIR. After a crash or a kill, run the same command with --resume: it ends with
    the same model as an undisturbed run. DIR.log.jsonl gets a line per epoch.

    With --workers N, or under torchrun, several processes share each step; the settings mean the same.

    Examples:
      hashgnn fit events.parquet -o models/v1

      hashgnn fit u.data -o models/ml --format movielens --bits 64 --epochs 10

      hashgnn fit events.parquet -o models/v1 --items items.parquet

      hashgnn fit events.parquet -o models/v1 --workers 4

      torchrun --nproc-per-node 4 -m hashgnn fit events.parquet -o models/v1

      hashgnn fit events.csv -o models/v2 --user customer --item product --recipe paper --set optimizer.epochs=4
    """
    options = locals()
    out = Output(as_json, quiet or is_helper())
    folder = RunFolder(output)
    resume = folder.goes_on(resume)
    folder.check(overwrite=overwrite, resume=resume)
    check_extra("torch", extra="train", purpose="fit")
    followed = FollowedRun.of(folder.model.name, tensorboard, mlflow, license, card_notes)
    columns = Columns.of(options)
    with out.warnings_as_notes(), stop_explained(out, folder.kept):
        model = _new_model(recipe, settings, bits, epochs, index_recall)
        interactions = read_interactions(train, columns, out)
        attributes = read_items(items, item_id, interactions.item_ids)
        fit_model = partial(
            model.fit,
            interactions,
            valid=None
            if valid is None
            else read_interactions(valid, columns, out, known=(interactions.user_ids, interactions.item_ids)),
            user_features=read_features("user", user_features, user_columns, user, interactions.user_ids),
            item_features=read_features("item", item_features, item_columns, item, interactions.item_ids),
            **training_workers(engine, workers, address, shard_from),
        )
        train_and_save(
            folder,
            lambda **run: with_items(fit_model(**run), attributes),
            out,
            seed=seed,
            device=device,
            threads=threads,
            resume=resume,
            overwrite=overwrite,
            followed=followed,
        )


def _new_model(
    recipe: str, settings: list[str] | None, bits: int | None, epochs: int | None, index_recall: float
) -> Any:
    from hashgnn.recommender import HashGNN

    chosen = chosen_settings(settings, bits=("n_bits", bits), epochs=("optimizer.epochs", epochs))
    return HashGNN(recipe=recipe, index_recall=index_recall, **chosen)
