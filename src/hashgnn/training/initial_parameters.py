"""``InitialParameters``: the fitted parameters from which a run continues."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from hashgnn._types import Array
from hashgnn.config import ModelConfig
from hashgnn.training.hash_model import HashModel


@dataclass(frozen=True)
class InitialParameters:
    """Parameters and origin of a run that continues from a fitted model.

    Attributes
    ----------
    parameters : mapping of str to ndarray
        By their names in ``HashModel``; those that are not named start as in a new run.
    config : ModelConfig
        The settings that the new fitted state keeps; those of the run may have fewer epochs.
    lineage : mapping
        JSON values that the fitted state keeps as ``training["lineage"]``.
    """

    parameters: Mapping[str, Array]
    config: ModelConfig
    lineage: Mapping[str, Any]

    def apply(self, model: HashModel) -> None:
        """Put the parameters into a model that was just built."""
        tensors = {name: torch.tensor(values) for name, values in self.parameters.items()}
        unknown = model.load_state_dict(tensors, strict=False).unexpected_keys
        assert not unknown, f"the model has no parameters of these names: {unknown}"
