"""``Objective``: the loss that a run minimises."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
from torch import nn

M_contra = TypeVar("M_contra", bound=nn.Module, contravariant=True)


class StepPosition(NamedTuple):
    """Position of a step in its run, counted from 0; schedules depend on it."""

    epoch: int
    n_epochs: int
    step: int
    n_steps: int


class Objective(Protocol[M_contra]):
    """Makes the batches of an epoch and the loss of a batch, for one kind of module.

    Attributes
    ----------
    facts : mapping
        JSON values about how it was built, saved with the result.
    mixed_precision : bool
        Whether products may be rounded to bfloat16 on a GPU.
    """

    @property
    def facts(self) -> Mapping[str, Any]:
        """JSON values about how it was built."""
        ...

    @property
    def mixed_precision(self) -> bool:
        """Whether products may be rounded to bfloat16 on a GPU."""
        ...

    def n_steps(self) -> int:
        """Return the number of batches in an epoch."""
        ...

    def batches(self, rng: np.random.Generator) -> Iterator[Any]:
        """Yield the batches of one epoch in an order drawn from ``rng``."""
        ...

    def loss(
        self, model: M_contra, batch: Any, position: StepPosition, generator: torch.Generator
    ) -> torch.Tensor:
        """Return the loss of a batch, a scalar.

        Parameters
        ----------
        model : Module
        batch : object
            One of :meth:`batches`.
        position : StepPosition
        generator : torch.Generator
            Source of every draw, on the device of the model.
        """
        ...


@runtime_checkable
class Preparing(Protocol[M_contra]):
    """An objective that may use the time between the gradients of a step and the optimiser's for the next batch."""

    def prepare(
        self, model: M_contra, batch: Any, position: StepPosition, generator: torch.Generator
    ) -> None:
        """Make for a batch what does not depend on parameters, with the draws that its loss would make first."""
        ...
