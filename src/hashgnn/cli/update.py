"""``hashgnn update``: a saved model and new interactions in, its next version out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from hashgnn._addresses import address_of
from hashgnn._extras import check_extra
from hashgnn._launched import is_helper
from hashgnn.cli._feature_options import (
    ItemFeatureColumns,
    ItemFeatures,
    UserFeatureColumns,
    UserFeatures,
)
from hashgnn.cli._options import (
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
    ReferenceTime,
    Resume,
    Seed,
    TensorBoardFolder,
    TimeColumn,
    TrainingThreads,
    UserColumn,
    WeightColumn,
)
from hashgnn.cli._output import Output
from hashgnn.cli._reading import Columns, known_ids, open_model, read_features, read_interactions
from hashgnn.cli._rules import AttributeRows
from hashgnn.cli._signals import stop_explained
from hashgnn.cli._tracking import FollowedRun
from hashgnn.cli._training_run import RunFolder, train_and_save
from hashgnn.cli._workers import ShardFrom, TrainingAddress, TrainingEngine, TrainingWorkers, training_workers
from hashgnn.errors import ParameterError


def update(
    old: Annotated[
        Path, typer.Argument(metavar="OLD", help="Folder of the saved model.", show_default=False)
    ],
    new: Annotated[
        Path, typer.Argument(metavar="NEW_EVENTS", help="File of new interactions.", show_default=False)
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            help="Folder to save the new version to; default: the next free name next to OLD, v2 after v1.",
            show_default=False,
        ),
    ] = None,
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
        typer.Option(
            metavar="FILE",
            help="Held-out interactions that choose the best epoch. Without it OLD's settings decide: the "
            "same share is held out as when OLD was fitted, none with the default recipe.",
        ),
    ] = None,
    user_features: UserFeatures = None,
    user_columns: UserFeatureColumns = None,
    item_features: ItemFeatures = None,
    item_columns: ItemFeatureColumns = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Passes over the data; default: a third of OLD's.", show_default=False
        ),
    ] = None,
    attributes: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Table of items with a column item_id; its other columns are those of OLD's table of items, which "
            "rules look at. Other rows of OLD's table stay as they are.",
            show_default=False,
        ),
    ] = None,
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
    """Continue the training of a saved model with new interactions, and save its next version.

    OLD stays as it is, and its settings are kept. New users and items are added. A model that was trained with side
    features needs tables of the same columns again, with rows for the new ones. A file that was exported
    from a service's store is refused if OLD was already trained on a part of it. What users have deleted in
    that store is left out of OLD's own training data. Events and ages weigh as they did in OLD: types have
    OLD's weights, to which --event-weights may add new types, and OLD's half-life counts on, so that its own
    interactions grow older.

    Examples:
      hashgnn update models/v1 new.parquet

      hashgnn update models/v1 new.parquet -o models/v2 --epochs 5

      hashgnn update models/v1 new.parquet --item-features items.parquet

      hashgnn update models/v1 new.parquet --attributes new-rows.parquet
    """
    options = locals()
    out = Output(as_json, quiet or is_helper())
    folder = RunFolder(next_version(old) if output is None else output)
    resume = folder.goes_on(resume)
    folder.check(overwrite=overwrite, resume=resume)
    check_extra("torch", extra="train", purpose="update")
    followed = FollowedRun.of(folder.model.name, tensorboard, mlflow, license, card_notes)
    columns = Columns.of(options)
    with out.warnings_as_notes(), stop_explained(out, folder.kept):
        model = open_model(old)
        known = known_ids(model)
        given = None if attributes is None else AttributeRows.read(attributes, item, model)
        lineage = taken_exports(new, old, model.state_.training, out)
        deleted = deletions_of(new, model.state_.training, out)
        read = partial(
            read_interactions,
            columns=columns,
            out=out,
            known=known,
            on_unknown="add",
            weighting=model.weighting,
        )
        update_model = partial(
            model.update,
            epochs=epochs,
            lineage=lineage,
            deleted=deleted,
            new=None if deleted and _is_empty(new) else read(new),
            valid=None if valid is None else read(valid),
            user_features=read_features(
                "user", user_features, user_columns, user, known[0], like=model.state_.users.features
            ),
            item_features=read_features(
                "item", item_features, item_columns, item, known[1], like=model.state_.items.features
            ),
            **training_workers(engine, workers, address, shard_from),
        )
        train_and_save(
            folder,
            update_model if given is None else lambda **run: given.put(update_model(**run)),
            out,
            seed=seed,
            device=device,
            threads=threads,
            resume=resume,
            overwrite=overwrite,
            followed=followed,
        )


def next_version(model: Path) -> Path:
    """Return a free name next to a model, one version on: ``v3`` becomes ``v4``, ``movies`` becomes ``movies-2``.

    A link is followed, so that ``current`` gives the name after the version that it points to.
    """
    from hashgnn.state.at_address import exists_at

    model = model.resolve() if model.is_symlink() else model
    match = re.fullmatch(r"(.*?)(\d+)", model.name)
    stem, number = (match[1], int(match[2])) if match else (f"{model.name}-", 1)
    while True:
        number += 1
        candidate = model.with_name(f"{stem}{number}")
        address = address_of(candidate)
        if not (candidate.exists() if address is None else exists_at(address)):
            return candidate


def taken_exports(path: Path, model: Path, training: Mapping[str, Any], out: Output) -> dict[str, Any]:
    """Return for the lineage, per store, the last interaction that the new model will be trained on.

    A file that no store exported adds nothing.

    Raises
    ------
    ParameterError
        If the model was trained on some of the file's interactions, which would count twice; or if it has not
        heard of deletions that the file leaves out, which nobody would tell it later.
    """
    from hashgnn.state.lineage import exports_of

    taken = exports_of(training)
    mark = _mark(path)
    if mark is not None:
        store, after, upto, earlier_deletion = mark
        before = taken.get(store)
        if earlier_deletion > (before or 0):
            raise ParameterError(
                f"{path}: leaves out deletions of its store up to number {earlier_deletion}, and {model} has heard "
                f"of those up to {before or 0}; export it with --model {model}"
            )
        if before is not None and after < before:
            raise ParameterError(
                f"{path}: holds interactions {after + 1} to {upto} of a store, and {model} was trained on those "
                f"up to {before}; export it with --model {model}"
            )
        if before is not None and after > before:
            out.note(f"{path}: interactions {before + 1} to {after} of its store are in no export; going on")
        taken[store] = upto
    return {"exports": taken} if taken else {}


def deletions_of(path: Path, training: Mapping[str, Any], out: Output) -> Any:
    """Return the deletions of an exported file that a model has not heard of, none of any other file."""
    from hashgnn.data import Deletions
    from hashgnn.state.lineage import trained_upto

    mark = _mark(path)
    found = Deletions.read(path).after(0 if mark is None else trained_upto(mark[0], training))
    if found:
        out.note(f"{path}: {len(found):,} deletions; their interactions are left out of the training data")
    return found


def _is_empty(path: Path) -> bool:
    """Say whether a parquet file has no rows."""
    import pyarrow.parquet as pq

    return int(pq.read_metadata(path).num_rows) == 0


def _mark(path: Path) -> tuple[str, int, int, int] | None:
    """Return the store of an exported file, the numbers between which its interactions lie, and the number of the
    last deletion that it leaves out.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        metadata = pq.read_schema(path).metadata or {}
        return (
            metadata[b"hashgnn_store"].decode(),
            int(metadata[b"hashgnn_after"]),
            int(metadata[b"hashgnn_upto"]),
            int(metadata.get(b"hashgnn_earlier_deletion", 0)),
        )
    except (pa.ArrowException, OSError, KeyError, ValueError):
        return None  # no parquet, or not from a store; the reader reports any other problem
