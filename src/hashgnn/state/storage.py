"""A model state to a folder and back. The files are described in docs/reference/artifact-format.md."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field
from scipy import sparse

from hashgnn._addresses import address_of, path_of
from hashgnn._declared import Count, Declared, check_fields, read_json
from hashgnn._files import open_regular
from hashgnn._tensors import read_tensors, write_tensors
from hashgnn._types import Array
from hashgnn.codes import BinaryCodes, ItemBias
from hashgnn.config import ModelConfig
from hashgnn.data import FeatureVocabulary, Weighting
from hashgnn.data.id_files import read_ids, read_parquet_ids, write_ids
from hashgnn.data.weighting import MAX_EVENT_NAME, MAX_EVENT_WEIGHT, MAX_EVENTS
from hashgnn.errors import ArtifactDamagedError
from hashgnn.fold_in import HashProjection, build_fold_in, kind_of
from hashgnn.index import HammingIndex, HierarchicalIndex, InvertedFile, load_index
from hashgnn.state.artifact import Artifact, read_artifact, write_artifact
from hashgnn.state.at_address import check_address, local_folder, name_of, upload
from hashgnn.state.card import CARD, MAX_CARD, MAX_LICENSE, MAX_NOTES, harmless
from hashgnn.state.indexed_codes import IndexedCodes
from hashgnn.state.model_state import ModelState
from hashgnn.state.side import Side

_USERS, _ITEMS = "users.arrow", "items.arrow"
_ITEM_INDEX = "item_index.hgx"
_ITEM_ROWS = "item_rows.hgx"
_USER_CODES = "user_codes.safetensors"
_SEEN = "seen.safetensors"
_EMBEDDINGS = "embeddings.safetensors"
_FOLD_IN, _PROJECTION = "fold_in.safetensors", "projection.safetensors"
_USER_FEATURES, _ITEM_FEATURES = "user_features.json", "item_features.json"

_Weight = Annotated[float, Field(ge=0, le=MAX_EVENT_WEIGHT)]
_ITEM_INDEXES = ("hamming", "inverted-file")  # kinds that a model's items may be in


class _FoldIn(Declared):
    kind: Annotated[str, Field(max_length=64)]
    params: Annotated[dict[str, Any], Field(max_length=256)]


class _Weighting(Declared):
    event_weights: Annotated[
        dict[Annotated[str, Field(max_length=MAX_EVENT_NAME)], _Weight], Field(max_length=MAX_EVENTS)
    ]
    half_life: Annotated[float, Field(gt=0, le=1e15)] | None
    reference_time: Annotated[float, Field(ge=0, le=2**63)] | None


class _Card(Declared):
    license: Annotated[str, Field(max_length=MAX_LICENSE)] = ""
    notes: Annotated[str, Field(max_length=MAX_NOTES)] = ""


class _Document(Declared):
    """Fields that the manifest of a model holds besides those of every folder."""

    config: dict[str, Any]
    n_users: Count
    n_items: Count
    index_recall: Annotated[float, Field(gt=0, le=1)] = 1.0
    bytes_per_item: Annotated[float, Field(gt=0, le=1_000_000)] | None = None
    weighting: _Weighting | None = None
    card: _Card = _Card()
    data_statistics: dict[str, Any]
    metrics: dict[str, Any]
    training: dict[str, Any]
    fold_in: _FoldIn


# Of format 1, which had the items' codes as rows and ids in parquet.
_USERS_1, _ITEMS_1 = "users.parquet", "items.parquet"
_ITEM_CODES_1, _BIAS_1 = "item_codes.safetensors", "item_bias.safetensors"


def save_state(
    state: ModelState,
    path: str | Path,
    *,
    overwrite: bool = False,
    more: Callable[[Path], None] | None = None,
) -> None:
    """Write a model to a folder, which appears whole or not at all, or to an address.

    The codes and bias of the items are written as an index, which searches of the loaded model use as it is:
    the one that ``state.items`` holds, or a scan.

    Parameters
    ----------
    state : ModelState
    path : str or Path
        A folder, or an address such as ``s3://bucket/models/v1`` (extra ``cloud``): there the manifest comes
        last.
    overwrite : bool, default=False
        Replace a saved model at ``path``; anything else there is never replaced.
    more : callable, optional
        Called with the folder, to write files of its own into it.

    Raises
    ------
    ArtifactError
        If something that may not be replaced stands at ``path``.
    ParameterError
        If an embedding is not finite, or the metrics are not JSON values.
    StorageError
        If writing failed, as on a full disk.

    See Also
    --------
    load_state : Reads it.
    """
    state.check_finite()
    address = address_of(path)
    if address is not None:
        check_address(address, overwrite=overwrite)  # before anything is written
        with tempfile.TemporaryDirectory(prefix="hashgnn-") as folder:
            save_state(state, Path(folder, name_of(address)), more=more)
            upload(Path(folder, name_of(address)), address, overwrite=overwrite)
        return
    document = {
        "config": state.config.to_dict(),
        "n_users": state.n_users,
        "n_items": state.n_items,
        "index_recall": state.index_recall,
        **({} if state.bytes_per_item is None else {"bytes_per_item": state.bytes_per_item}),
        "data_statistics": dict(state.data_statistics),
        "metrics": dict(state.metrics),
        "training": dict(state.training),
        "fold_in": {"kind": kind_of(state.fold_in), "params": state.fold_in.params},
        **({} if state.weighting is None else {"weighting": state.weighting.to_dict()}),
        **(
            {"card": card}
            if any((card := {"license": state.license, "notes": state.card_notes}).values())
            else {}
        ),
    }
    with write_artifact(path_of(path), document, created=state.created, overwrite=overwrite) as folder:
        (folder / CARD).write_text(state.card(), encoding="utf-8")
        write_ids(folder / _USERS, state.users.ids)
        write_ids(folder / _ITEMS, state.items.ids)
        index = state.items.index or HammingIndex(state.items.codes, state.items.bias)
        index.save(folder / _ITEM_INDEX)
        if state.ranked_items is not None:
            state.ranked_items.save_rows(folder / _ITEM_ROWS)
        state.users.codes.save(folder / _USER_CODES)
        seen = {"indptr": state.seen.indptr, "indices": state.seen.indices, "weights": state.seen.data}
        write_tensors(folder / _SEEN, seen)
        embeddings = {"users": state.users.embeddings, "items": state.items.embeddings}
        write_tensors(folder / _EMBEDDINGS, embeddings)
        write_tensors(folder / _FOLD_IN, state.fold_in.arrays)
        write_tensors(folder / _PROJECTION, state.projection.arrays)
        for name, vocabulary in (
            (_USER_FEATURES, state.users.features),
            (_ITEM_FEATURES, state.items.features),
        ):
            if vocabulary is not None:
                text = json.dumps(vocabulary.to_dict(), ensure_ascii=False, allow_nan=False)
                (folder / name).write_text(text, encoding="utf-8")
        if more is not None:
            more(folder)


def load_state(
    path: str | Path,
    *,
    mmap: bool = True,
    verify: bool = False,
    cache_dir: str | Path | None = None,
) -> ModelState:
    """Open a saved model.

    Parameters
    ----------
    path : str or Path
        A folder, or an address such as ``s3://bucket/models/v1`` (extra ``cloud``).
    mmap : bool, default=True
        Leave ids, codes, embeddings and seen lists on disk, shared between processes, until they are used.
        The item index is mapped in any case.
    verify : bool, default=False
        Compare the checksum of every file, which reads them all. ``False`` compares the checksum of the
        manifest and the sizes of the files.
    cache_dir : str or Path, optional
        Where a model at an address is copied to, see :func:`hashgnn.state.at_address.local_folder`.

    Raises
    ------
    ArtifactError
        If the folder is missing, is not a saved model, was damaged or edited, or is of a later version.

    See Also
    --------
    save_state : Writes it.
    """
    folder = local_folder(path, cache_dir)
    return read_artifact(folder, lambda artifact: _read(artifact, mmap=mmap), verify=verify)


def read_card(artifact: Artifact) -> str | None:
    """Return the card of an opened artifact, without control characters; ``None`` where it has none.

    It is what its writer says, and nothing is read from it but text.

    Raises
    ------
    ArtifactDamagedError
        If it is larger than 1 MiB.
    """
    if CARD not in artifact.sizes:
        return None
    if artifact.sizes[CARD] > MAX_CARD:
        raise ArtifactDamagedError(
            f"{artifact.path}: {CARD} must be at most {MAX_CARD} bytes, got {artifact.sizes[CARD]}"
        )
    with open_regular(artifact.file(CARD), follow=False) as file:
        return harmless(file.read(MAX_CARD).decode("utf-8", "replace"))


def _read(artifact: Artifact, *, mmap: bool) -> ModelState:
    document = check_fields(_Document, artifact.document)
    n_users, n_items = document.n_users, document.n_items
    read_config = ModelConfig.from_format_1 if artifact.format_version == 1 else ModelConfig.from_dict

    def tensors(name: str) -> dict[str, Array]:
        return read_tensors(artifact.file(name), mmap=mmap)[0]

    if artifact.format_version == 1:
        user_ids, item_ids = (
            read_parquet_ids(artifact.file(name), n) for name, n in ((_USERS_1, n_users), (_ITEMS_1, n_items))
        )
        item_codes = BinaryCodes.load(artifact.file(_ITEM_CODES_1), mmap=mmap)
        item_bias = _read_bias_1(tensors(_BIAS_1)) if _BIAS_1 in artifact.sizes else None
    else:
        user_ids, item_ids = (
            read_ids(artifact.file(name), n, mmap=mmap) for name, n in ((_USERS, n_users), (_ITEMS, n_items))
        )
        index = load_index(artifact.file(_ITEM_INDEX), kinds=_ITEM_INDEXES)
        assert isinstance(index, HammingIndex | InvertedFile)  # the classes of these kinds
        item_codes = IndexedCodes(index)
        item_bias = item_codes.bias
    seen = tensors(_SEEN)
    embeddings = tensors(_EMBEDDINGS)
    ranked = None
    if _ITEM_ROWS in artifact.sizes and isinstance(item_codes, IndexedCodes):
        rows = artifact.file(_ITEM_ROWS)
        ranked = HierarchicalIndex.of_rows(rows, item_codes.index, embeddings["items"])
    return ModelState(
        config=read_config(document.config),
        users=Side(
            ids=user_ids,
            codes=BinaryCodes.load(artifact.file(_USER_CODES), mmap=mmap),
            embeddings=embeddings["users"],
            features=_read_vocabulary(artifact, _USER_FEATURES),
        ),
        items=Side(
            ids=item_ids,
            codes=item_codes,
            embeddings=embeddings["items"],
            bias=item_bias,
            features=_read_vocabulary(artifact, _ITEM_FEATURES),
        ),
        seen=sparse.csr_matrix(
            (seen["weights"], seen["indices"], seen["indptr"]),
            shape=(len(user_ids), len(item_ids)),
            copy=False,
        ),
        fold_in=build_fold_in(document.fold_in.kind, tensors(_FOLD_IN), document.fold_in.params),
        projection=HashProjection(tensors(_PROJECTION)),
        index_recall=document.index_recall,
        bytes_per_item=document.bytes_per_item,
        ranked_items=ranked,
        weighting=None if document.weighting is None else Weighting(**document.weighting.model_dump()),
        data_statistics=document.data_statistics,
        metrics=document.metrics,
        training=document.training,
        license=document.card.license,
        card_notes=document.card.notes,
        created=artifact.created,
        checksum=artifact.checksum,
    )


def _read_bias_1(tensors: dict[str, Array]) -> ItemBias:
    return ItemBias(tensors["penalty"], float(tensors["top"].reshape(-1)[0]))


def _read_vocabulary(artifact: Artifact, name: str) -> Any:
    if name not in artifact.sizes:
        return None
    with open_regular(artifact.file(name), follow=False) as file:
        return FeatureVocabulary.from_dict(read_json(file.read(artifact.sizes[name])))
