"""The folder of a study: recipe and space, the split, Optuna's journal and a log for each trial."""

from __future__ import annotations

import hashlib
import json
import os
import uuid
import warnings
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from hashgnn._files import atomic_file, storage_errors
from hashgnn._locks import held
from hashgnn._tensors import read_tensors, write_tensors
from hashgnn.config import ModelConfig
from hashgnn.data import FeatureVocabulary, IdMap, Interactions, SideFeatures
from hashgnn.errors import ArtifactDamagedError, DataWarning, ParameterError

_FORMAT = 1
SIDES = ("users", "items")


@dataclass(frozen=True)
class StudyFolder:
    """The files of a study, from which a later call resumes.

    Attributes
    ----------
    path : Path
    """

    path: Path

    @property
    def journal(self) -> Path:
        """Optuna's log of the study."""
        return self.path / "study.jsonl"

    @property
    def data(self) -> Path:
        """The two parts of the training interactions."""
        return self.path / "split.safetensors"

    def config_of(self, number: int) -> Path:
        """The settings of a trial."""
        return self.path / "trials" / f"{number:04}.json"

    def log_of(self, number: int) -> Path:
        """The training log of a trial, a line per epoch."""
        return self.path / "trials" / f"{number:04}.jsonl"

    def errors_of(self, number: int) -> Path:
        """The error output of the process of a trial."""
        return self.path / "trials" / f"{number:04}.txt"

    def epochs_of(self, number: int) -> list[dict[str, Any]]:
        """Return the epochs that a trial has logged, a line that is still being written left out."""
        log = self.log_of(number)
        lines = log.read_bytes().split(b"\n")[:-1] if log.exists() else []
        return [event for event in map(json.loads, lines) if event["event"] == "epoch"]

    def open(
        self,
        identity: Mapping[str, Any],
        fitted: Interactions,
        valid: Interactions,
        features: tuple[SideFeatures | None, SideFeatures | None] = (None, None),
    ) -> None:
        """Make the folder, or check that it belongs to the same study.

        ``features`` are those of users and of items.

        Raises
        ------
        ParameterError
            If it belongs to other data, settings or another space.
        """
        manifest = self.path / "search.json"
        columns = {
            side: (given.design_matrix(ids), given.vocabulary)
            for side, given, ids in zip(SIDES, features, (fitted.user_ids, fitted.item_ids), strict=True)
            if given is not None
        }
        digest = _fingerprint(fitted, valid)
        if columns:
            digest = hashlib.sha256((digest + _fingerprint_of_features(columns)).encode()).hexdigest()
        document = {"format": _FORMAT, **identity, "data": digest}
        if manifest.exists():
            try:
                known = json.loads(manifest.read_text(encoding="utf-8"))
            except ValueError:
                known = {}
            changed = [name for name in document if known.get(name) != json.loads(json.dumps(document[name]))]
            if changed:
                raise ParameterError(
                    f"{self.path}: holds a search with other {', '.join(changed)}; "
                    "remove it, or name another output"
                )
            return
        if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise ParameterError(f"{self.path}: exists and holds no search; name another output")
        tensors: dict[str, Any] = {}
        for name, part in (("fitted", fitted), ("valid", valid)):
            tensors |= {f"{name}/users": part.user_index, f"{name}/items": part.item_index}
        if fitted.weight is not None:
            tensors["fitted/weights"] = fitted.weight
        shape = json.dumps([fitted.n_users, fitted.n_items])
        metadata = {"shape": shape}
        for side, (matrix, vocabulary) in columns.items():
            tensors |= {f"{side}/{part}": getattr(matrix, part) for part in ("data", "indices", "indptr")}
            metadata[side] = json.dumps(vocabulary.to_dict())
        write_tensors(self.data, tensors, metadata)
        self.config_of(0).parent.mkdir(exist_ok=True)
        with atomic_file(manifest) as temporary:
            temporary.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")

    def held(self) -> AbstractContextManager[None]:
        """Return a context in which no other process searches in the folder."""
        return held(self.path, "tuning", "name another output")

    def token(self) -> str:
        """Return what names the study in trackers, made at its first call; whoever calls holds the folder."""
        file = self.path / "token"
        if not file.exists():
            with atomic_file(file) as temporary:
                temporary.write_text(uuid.uuid4().hex + "\n", encoding="ascii")
        return file.read_text(encoding="ascii").strip()

    def mend_journal(self) -> None:
        """Leave out a last line that was cut short; whoever calls holds the folder.

        Raises
        ------
        ArtifactDamagedError
            If another line is damaged.
        """
        for left in self.path.glob(
            f"{self.journal.name}.lock*"
        ):  # Optuna's own, of a process that was killed
            left.unlink(missing_ok=True)
        if not self.journal.exists():
            return
        lines = self.journal.read_bytes().splitlines(keepends=True)
        damaged = next((number for number, line in enumerate(lines) if not _is_entry(line)), None)
        if damaged is None:
            return
        if damaged < len(lines) - 1:
            raise ArtifactDamagedError(
                f"{self.journal}, line {damaged + 1}: is damaged; remove {self.path} to search anew"
            )
        with storage_errors(self.journal):
            os.truncate(self.journal, sum(map(len, lines[:-1])))
        warnings.warn(
            f"{self.journal}: its last line was cut short and is left out; the search goes on",
            DataWarning,
            stacklevel=2,
        )

    def read_parts(self) -> tuple[Interactions, Interactions]:
        """Return the fitted and the held-out part, over numbers as ids."""
        tensors, metadata = read_tensors(self.data)
        shape = tuple(json.loads(metadata["shape"]))
        parts = []
        for name in ("fitted", "valid"):
            users, items = tensors[f"{name}/users"], tensors[f"{name}/items"]
            weights = tensors.get(f"{name}/weights", np.ones(len(users), np.float32))
            parts.append(Interactions.from_csr(sp.csr_matrix((weights, (users, items)), shape=shape)))
        fitted, valid = parts
        return fitted, Interactions(fitted.user_ids, fitted.item_ids, valid.user_index, valid.item_index)

    def read_features(self) -> tuple[SideFeatures | None, SideFeatures | None]:
        """Return the side features of users and of items, over numbers as ids; None where there are none."""
        tensors, metadata = read_tensors(self.data)
        found: list[SideFeatures | None] = []
        for side, n in zip(SIDES, json.loads(metadata["shape"]), strict=True):
            if side not in metadata:
                found.append(None)
                continue
            vocabulary = FeatureVocabulary.from_dict(json.loads(metadata[side]))
            data, indices, indptr = (tensors[f"{side}/{part}"] for part in ("data", "indices", "indptr"))
            matrix = sp.csr_matrix((data, indices, indptr), shape=(n, vocabulary.n_columns))
            found.append(SideFeatures(IdMap(np.arange(n)), matrix, vocabulary))
        return found[0], found[1]

    def write_trial(self, number: int, config: ModelConfig, seed: int, n_threads: int, device: str) -> None:
        """Write the settings for the process of a trial, and remove an earlier log of it."""
        self.log_of(number).unlink(missing_ok=True)
        document = {"config": config.to_dict(), "seed": seed, "n_threads": n_threads, "device": device}
        with atomic_file(self.config_of(number)) as temporary:
            temporary.write_text(json.dumps(document) + "\n", encoding="utf-8")


def _is_entry(line: bytes) -> bool:
    """Return whether a line of the journal is whole."""
    try:
        return line.endswith(b"\n") and isinstance(json.loads(line), dict)
    except ValueError:
        return False


def _fingerprint_of_features(columns: Mapping[str, tuple[sp.csr_matrix, FeatureVocabulary]]) -> str:
    digest = hashlib.sha256()
    for side, (matrix, vocabulary) in columns.items():
        digest.update(json.dumps([side, vocabulary.to_dict()], sort_keys=True).encode())
        for part in (matrix.data, matrix.indices, matrix.indptr):
            digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()


def _fingerprint(*parts: Interactions) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(np.array([part.n_users, part.n_items], np.int64).tobytes())
        for index in (part.user_index, part.item_index):
            digest.update(np.ascontiguousarray(index).tobytes())
        if part.weight is not None:
            digest.update(part.weight.tobytes())
    return digest.hexdigest()
