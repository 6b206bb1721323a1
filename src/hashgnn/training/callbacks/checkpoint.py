"""``Checkpoint``: everything that a killed run needs to end as an undisturbed one would have.

One safetensors file holds the parameters, the optimiser's moments and the best parameters so far. Its
metadata holds the state of the run and a fingerprint of what is trained on which data. Random numbers need no
saving: every stage draws from a generator derived from (seed, stage, epoch).
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from hashgnn._addresses import path_of
from hashgnn._tensors import read_tensors, write_tensors
from hashgnn.data import Interactions
from hashgnn.errors import ArtifactDamagedError, ParameterError, TrainingWarning
from hashgnn.runs import Callback, Run, RunState

FILE_NAME = "checkpoint.safetensors"
_FORMAT = "1"


def fingerprint(train: Interactions, valid: Interactions | None, described: Mapping[str, Any]) -> str:
    """Return a digest of the data and of JSON values such as settings and seed: what must be equal to resume."""
    digest = hashlib.sha256()
    for part in (train,) if valid is None else (train, valid):
        for array in (part.csr.indptr, part.csr.indices, part.csr.data):
            digest.update(np.ascontiguousarray(array).data)
    digest.update(json.dumps(dict(described), sort_keys=True).encode())
    return digest.hexdigest()


class Checkpoint(Callback):
    """Write a checkpoint after every epoch, atomically, over the former one.

    Parameters
    ----------
    folder : str or Path
    identity : str
        Digest of data, settings and seed; a checkpoint with another one is refused.
    model : Module
    optimizer : Optimizer
    best : dict of str to Tensor
        The parameters of the best epoch so far, which the loop keeps up to date.
    """

    def __init__(
        self,
        folder: str | Path,
        identity: str,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        best: dict[str, torch.Tensor],
    ) -> None:
        self._path = path_of(folder) / FILE_NAME
        self._identity = identity
        self._model, self._optimizer, self._best = model, optimizer, best

    def on_epoch_end(self, run: Run) -> None:
        """Write the checkpoint."""
        tensors = {f"model/{name}": value for name, value in self._model.state_dict().items()}
        tensors |= {f"best/{name}": value for name, value in self._best.items()}
        for index, moments in self._optimizer.state_dict()["state"].items():
            tensors |= {
                f"optimizer/{index}/{name}": torch.as_tensor(value) for name, value in moments.items()
            }
        metadata = {
            "format": _FORMAT,
            "identity": self._identity,
            "n_threads": str(run.n_threads),
            "state": json.dumps(asdict(run.state)),
        }
        arrays = {name: value.detach().cpu().numpy() for name, value in tensors.items()}
        write_tensors(self._path, arrays, metadata)

    def restore(self, run: Run) -> None:
        """Put a checkpoint back into model, optimiser and run; do nothing where there is none yet.

        Raises
        ------
        ParameterError
            If the checkpoint belongs to other data, other settings or another seed.
        ArtifactDamagedError
            If the file cannot be read.

        Warns
        -----
        TrainingWarning
            If it was written with another number of threads, whose sums round differently.
        """
        if not self._path.exists():
            return
        arrays, metadata = read_tensors(self._path, mmap=False)
        if metadata.get("format") != _FORMAT:
            raise ArtifactDamagedError(f"{self._path}: not a checkpoint of format {_FORMAT}")
        if metadata.get("identity") != self._identity:
            raise ParameterError(
                f"{self._path}: the checkpoint is of a run with other data, settings or seed; "
                "resume with those, or remove the file to start anew"
            )
        former = metadata.get("n_threads", str(run.n_threads))
        if former != str(run.n_threads):
            warnings.warn(
                f"{self._path}: the checkpoint is of a run with {former} threads, this one has "
                f"{run.n_threads}; it goes on, and its last digits may differ",
                TrainingWarning,
                stacklevel=2,
            )
        groups: dict[str, dict[str, torch.Tensor]] = {"model": {}, "best": {}, "optimizer": {}}
        for name, array in arrays.items():
            group, _, rest = name.partition("/")
            groups[group][rest] = torch.from_numpy(np.array(array))
        self._model.load_state_dict(groups["model"])
        moments: dict[int, dict[str, torch.Tensor]] = {}
        for name, value in groups["optimizer"].items():
            index, _, moment = name.partition("/")
            moments.setdefault(int(index), {})[moment] = value
        groups_of_optimizer = self._optimizer.state_dict()["param_groups"]
        self._optimizer.load_state_dict({"state": moments, "param_groups": groups_of_optimizer})
        device = next(self._model.parameters()).device
        self._best.update({name: value.to(device) for name, value in groups["best"].items()})
        run.state = RunState(**json.loads(metadata["state"]))
