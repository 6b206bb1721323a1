"""A model state to a folder and back. The files are described in docs/reference/artifact-format.md."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
from scipy import sparse

from hashgnn._tensors import read_tensors, write_tensors
from hashgnn._types import Array
from hashgnn.artifact import Artifact, read_artifact, write_artifact
from hashgnn.codes import BinaryCodes, ItemBias
from hashgnn.config import ModelConfig
from hashgnn.data import FeatureVocabulary, IdMap
from hashgnn.fold_in import HashProjection, build_fold_in, kind_of
from hashgnn.state.model_state import ModelState

_USERS, _ITEMS = "users.parquet", "items.parquet"
_SEEN = "seen.safetensors"
_USER_CODES, _ITEM_CODES = "user_codes.safetensors", "item_codes.safetensors"
_BIAS = "item_bias.safetensors"
_EMBEDDINGS = "embeddings.safetensors"
_FOLD_IN, _PROJECTION = "fold_in.safetensors", "projection.safetensors"
_FEATURES = {"user_features": "user_features.json", "item_features": "item_features.json"}


def save_state(state: ModelState, path: str | Path, *, overwrite: bool = False) -> None:
    """Write a model to a folder, which appears whole or not at all.

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
        "data_statistics": dict(state.data_statistics),
        "metrics": dict(state.metrics),
        "training": dict(state.training),
        "fold_in": {"kind": kind_of(state.fold_in), "params": state.fold_in.params},
    }
    with write_artifact(Path(path), document, overwrite=overwrite) as folder:
        pyarrow.parquet.write_table(state.user_ids.to_arrow(), folder / _USERS)
        pyarrow.parquet.write_table(state.item_ids.to_arrow(), folder / _ITEMS)
        seen = {"indptr": state.seen.indptr, "indices": state.seen.indices, "weights": state.seen.data}
        write_tensors(folder / _SEEN, seen)
        state.user_codes.save(folder / _USER_CODES)
        state.item_codes.save(folder / _ITEM_CODES)
        if state.item_bias is not None:
            bias = {"penalty": state.item_bias.penalty, "top": np.array([state.item_bias.top])}
            write_tensors(folder / _BIAS, bias)
        embeddings = {"users": state.user_embeddings, "items": state.item_embeddings}
        write_tensors(folder / _EMBEDDINGS, embeddings)
        write_tensors(folder / _FOLD_IN, state.fold_in.arrays)
        write_tensors(folder / _PROJECTION, state.projection.arrays)
        for side, name in _FEATURES.items():
            vocabulary: FeatureVocabulary | None = getattr(state, side)
            if vocabulary is not None:
                text = json.dumps(vocabulary.to_dict(), ensure_ascii=False, allow_nan=False)
                (folder / name).write_text(text, encoding="utf-8")


def load_state(path: str | Path, *, mmap: bool = True, verify: bool = True) -> ModelState:
    """Open a saved model.

    Parameters
    ----------
    path : str or Path
    mmap : bool, default=True
        Leave codes, embeddings and seen lists on disk, shared between processes, until they are used.
    verify : bool, default=True
        Compare the checksum of every file; ``False`` compares the sizes only.

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

    # read_table would import pyarrow's data sets, and pandas with them: a quarter of a second of a start.
    user_ids = IdMap.from_arrow(pyarrow.parquet.ParquetFile(artifact.file(_USERS)).read())
    item_ids = IdMap.from_arrow(pyarrow.parquet.ParquetFile(artifact.file(_ITEMS)).read())
    seen = tensors(_SEEN)
    embeddings = tensors(_EMBEDDINGS)
    return ModelState(
        config=read_config(document["config"]),
        user_ids=user_ids,
        item_ids=item_ids,
        seen=sparse.csr_matrix(
            (seen["weights"], seen["indices"], seen["indptr"]),
            shape=(len(user_ids), len(item_ids)),
            copy=False,
        ),
        user_codes=BinaryCodes.load(artifact.file(_USER_CODES), mmap=mmap),
        item_codes=BinaryCodes.load(artifact.file(_ITEM_CODES), mmap=mmap),
        item_bias=_read_bias(tensors(_BIAS)) if _BIAS in artifact.sizes else None,
        user_embeddings=embeddings["users"],
        item_embeddings=embeddings["items"],
        fold_in=build_fold_in(document["fold_in"]["kind"], tensors(_FOLD_IN), document["fold_in"]["params"]),
        projection=HashProjection(tensors(_PROJECTION)),
        data_statistics=document["data_statistics"],
        metrics=document["metrics"],
        training=document["training"],
        checksum=artifact.checksum,
        **{side: _read_vocabulary(artifact, name) for side, name in _FEATURES.items()},
    )


def _read_bias(tensors: dict[str, Array]) -> ItemBias:
    return ItemBias(tensors["penalty"], float(tensors["top"][0]))


def _read_vocabulary(artifact: Artifact, name: str) -> Any:
    if name not in artifact.sizes:
        return None
    return FeatureVocabulary.from_dict(json.loads(artifact.file(name).read_text(encoding="utf-8")))
