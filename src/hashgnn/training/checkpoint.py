"""Checkpoints: everything that a killed run needs to end as an undisturbed one would have.

One safetensors file holds the parameters, the optimiser's moments and the best parameters so far; its
metadata holds the epoch, the history and a fingerprint of what is being trained on what. Random
numbers need no saving: every stage draws from a generator derived from (seed, stage, epoch).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import nn

from hashgnn._tensors import read_tensors, write_tensors
from hashgnn.config import ModelConfig
from hashgnn.errors import ArtifactDamagedError, ParameterError

FILE_NAME = "checkpoint.safetensors"
_FORMAT = "1"


@dataclass
class Progress:
    """How far a run has come: what the loop changes and a checkpoint keeps."""

    epoch: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    best_value: float = -float("inf")
    best_epoch: int = 0
    best_parameters: dict[str, torch.Tensor] = field(default_factory=dict)


def fingerprint(matrix: sparse.csr_matrix, config: ModelConfig, seed: int, extra: Mapping[str, Any]) -> str:
    """Return a digest of the training data, the config and the seed: what must be equal to resume."""
    digest = hashlib.sha256()
    for array in (matrix.indptr, matrix.indices, matrix.data):
        digest.update(np.ascontiguousarray(array).tobytes())
    described = {"config": config.to_dict(), "seed": seed, **extra}
    digest.update(json.dumps(described, sort_keys=True).encode())
    return digest.hexdigest()


def save_checkpoint(
    folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, progress: Progress, identity: str
) -> None:
    """Write the checkpoint, atomically, over the former one."""
    tensors = {f"model/{name}": value for name, value in model.state_dict().items()}
    tensors |= {f"best/{name}": value for name, value in progress.best_parameters.items()}
    for index, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{index}/{name}": torch.as_tensor(value) for name, value in moments.items()}
    metadata = {
        "format": _FORMAT,
        "identity": identity,
        "progress": json.dumps(
            {
                "epoch": progress.epoch,
                "history": progress.history,
                "best_value": progress.best_value,
                "best_epoch": progress.best_epoch,
            }
        ),
    }
    arrays = {name: value.detach().cpu().numpy() for name, value in tensors.items()}
    write_tensors(folder / FILE_NAME, arrays, metadata)


def load_checkpoint(
    folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, identity: str
) -> Progress | None:
    """Put a checkpoint back into model and optimiser; ``None`` where there is none yet.

    Raises
    ------
    ParameterError
        If the checkpoint belongs to other data, another config or another seed.
    ArtifactDamagedError
        If the file cannot be read.
    """
    path = folder / FILE_NAME
    if not path.exists():
        return None
    arrays, metadata = read_tensors(path, mmap=False)
    if metadata.get("format") != _FORMAT:
        raise ArtifactDamagedError(f"{path}: not a checkpoint of format {_FORMAT}")
    if metadata.get("identity") != identity:
        raise ParameterError(
            f"{path}: the checkpoint is of a run with other data, settings or seed; "
            "resume with those, or remove the file to start anew"
        )
    groups: dict[str, dict[str, torch.Tensor]] = {"model": {}, "best": {}, "optimizer": {}}
    for name, array in arrays.items():
        group, _, rest = name.partition("/")
        groups[group][rest] = torch.from_numpy(np.array(array))
    model.load_state_dict(groups["model"])
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in groups["optimizer"].items():
        index, _, moment = name.partition("/")
        state.setdefault(int(index), {})[moment] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    device = next(model.parameters()).device
    best = {name: value.to(device) for name, value in groups["best"].items()}
    return Progress(**json.loads(metadata["progress"]), best_parameters=best)
