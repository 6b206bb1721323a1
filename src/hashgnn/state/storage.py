"""A model state to a folder and back. The files are described in docs/reference/artifact-format.md."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
from scipy import sparse

from hashgnn._tensors import read_tensors, write_tensors
from hashgnn._types import Array
from hashgnn.codes import BinaryCodes, ItemBias
from hashgnn.config import ModelConfig
from hashgnn.data import FeatureVocabulary, IdMap
from hashgnn.errors import DataError, ParameterError
from hashgnn.fold_in import HashProjection, build_fold_in, kind_of
from hashgnn.index import HammingIndex, InvertedFile, load_index
from hashgnn.state.artifact import Artifact, read_artifact, write_artifact
from hashgnn.state.indexed_codes import IndexedCodes
from hashgnn.state.model_state import ModelState
from hashgnn.state.side import Side

_USERS, _ITEMS = "users.arrow", "items.arrow"
_ITEM_INDEX = "item_index.hgx"
_USER_CODES = "user_codes.safetensors"
_SEEN = "seen.safetensors"
_EMBEDDINGS = "embeddings.safetensors"
_FOLD_IN, _PROJECTION = "fold_in.safetensors", "projection.safetensors"
_USER_FEATURES, _ITEM_FEATURES = "user_features.json", "item_features.json"

# Of format 1, which had the items' codes as rows and ids in parquet.
_USERS_1, _ITEMS_1 = "users.parquet", "items.parquet"
_ITEM_CODES_1, _BIAS_1 = "item_codes.safetensors", "item_bias.safetensors"


def save_state(state: ModelState, path: str | Path, *, overwrite: bool = False) -> None:
    """Write a model to a folder, which appears whole or not at all.

    The codes and bias of the items are written as an index, which searches of the loaded model use as it is:
    the one that ``state.items`` holds, or a scan.

    Parameters
    ----------
    state : ModelState
    path : str or Path
    overwrite : bool, default=False
        Replace a saved model at ``path``; anything else there is never replaced.

    Raises
    ------
    ArtifactError
        If something that may not be replaced stands at ``path``.
    ParameterError
        If an embedding is not finite, or the metrics are not JSON values.
    StorageError
        If writing failed, as on a full disk.
    """
    state.check_finite()
    document = {
        "config": state.config.to_dict(),
        "n_users": state.n_users,
        "n_items": state.n_items,
        "index_recall": state.index_recall,
        "data_statistics": dict(state.data_statistics),
        "metrics": dict(state.metrics),
        "training": dict(state.training),
        "fold_in": {"kind": kind_of(state.fold_in), "params": state.fold_in.params},
    }
    with write_artifact(Path(path), document, created=state.created, overwrite=overwrite) as folder:
        _write_ids(folder / _USERS, state.users.ids)
        _write_ids(folder / _ITEMS, state.items.ids)
        index = state.items.index or HammingIndex(state.items.codes, state.items.bias)
        index.save(folder / _ITEM_INDEX)
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


def load_state(path: str | Path, *, mmap: bool = True, verify: bool = False) -> ModelState:
    """Open a saved model.

    Parameters
    ----------
    path : str or Path
    mmap : bool, default=True
        Leave ids, codes, embeddings and seen lists on disk, shared between processes, until they are used.
        The item index is mapped in any case.
    verify : bool, default=False
        Compare the checksum of every file, which reads them all. ``False`` compares the checksum of the
        manifest and the sizes of the files.

    Raises
    ------
    ArtifactError
        If the folder is missing, is not a saved model, was damaged or edited, or is of a later version.
    """
    return read_artifact(Path(path), lambda artifact: _read(artifact, mmap=mmap), verify=verify)


def _read(artifact: Artifact, *, mmap: bool) -> ModelState:
    document = artifact.document
    read_config = ModelConfig.from_format_1 if artifact.format_version == 1 else ModelConfig.from_dict

    def tensors(name: str) -> dict[str, Array]:
        return read_tensors(artifact.file(name), mmap=mmap)[0]

    if artifact.format_version == 1:
        user_ids, item_ids = (_read_ids_1(artifact.file(name)) for name in (_USERS_1, _ITEMS_1))
        item_codes = BinaryCodes.load(artifact.file(_ITEM_CODES_1), mmap=mmap)
        item_bias = _read_bias_1(tensors(_BIAS_1)) if _BIAS_1 in artifact.sizes else None
    else:
        user_ids, item_ids = (_read_ids(artifact.file(name), mmap=mmap) for name in (_USERS, _ITEMS))
        index = load_index(artifact.file(_ITEM_INDEX))
        if not isinstance(index, HammingIndex | InvertedFile):
            raise ParameterError(f"{_ITEM_INDEX} must hold a scan or lists, got a {type(index).__name__}")
        item_codes = IndexedCodes(index)
        item_bias = item_codes.bias
    seen = tensors(_SEEN)
    embeddings = tensors(_EMBEDDINGS)
    return ModelState(
        config=read_config(document["config"]),
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
        fold_in=build_fold_in(document["fold_in"]["kind"], tensors(_FOLD_IN), document["fold_in"]["params"]),
        projection=HashProjection(tensors(_PROJECTION)),
        index_recall=float(document.get("index_recall", 1.0)),
        data_statistics=document["data_statistics"],
        metrics=document["metrics"],
        training=document["training"],
        created=artifact.created,
        checksum=artifact.checksum,
    )


def _write_ids(path: Path, ids: IdMap) -> None:
    table = ids.to_arrow()
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


def _read_ids(path: Path, *, mmap: bool) -> IdMap:
    try:
        source = pa.memory_map(str(path)) if mmap else pa.OSFile(str(path))
        return IdMap.from_arrow(pa.ipc.open_file(source).read_all())
    except pa.ArrowException as error:
        raise DataError(f"{path.name} is no table of ids, {error}") from None


def _read_ids_1(path: Path) -> IdMap:
    # read_table would import pyarrow's data sets, and pandas with them: a quarter of a second of a start.
    import pyarrow.parquet

    return IdMap.from_arrow(pyarrow.parquet.ParquetFile(path).read())


def _read_bias_1(tensors: dict[str, Array]) -> ItemBias:
    return ItemBias(tensors["penalty"], float(tensors["top"][0]))


def _read_vocabulary(artifact: Artifact, name: str) -> Any:
    if name not in artifact.sizes:
        return None
    return FeatureVocabulary.from_dict(json.loads(artifact.file(name).read_text(encoding="utf-8")))
