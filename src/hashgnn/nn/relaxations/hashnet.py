"""HashNet's continuation: a tanh that grows steeper until it is nearly the sign."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from hashgnn._checks import check_float
from hashgnn.nn.relaxations.base import Relaxation, geometric


@dataclass(frozen=True)
class TanhContinuation(Relaxation):
    """``tanh(β a)`` with β growing over training.

    Parameters
    ----------
    start, end : float > 0, default=1.0 and 10.0
        β at the first and the last step; it grows by equal factors.

    References
    ----------
    Cao, Long, Wang, Yu, *HashNet: deep learning to hash by continuation*, ICCV 2017.
    """

    before_tanh: ClassVar[bool] = True

    start: float = 1.0
    end: float = 10.0

    def __post_init__(self) -> None:
        check_float("start", self.start, minimum=0, open_minimum=True)
        check_float("end", self.end, minimum=0, open_minimum=True)

    def strength(self, epoch: int, n_epochs: int, step: int, n_steps: int) -> float:
        """Return β."""
        return geometric(self.start, self.end, epoch, n_epochs, step, n_steps)

    def __call__(
        self,
        x: torch.Tensor,
        strength: float,
        *,
        generator: torch.Generator,
        groups: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return ``tanh(strength * x)``; nothing is drawn."""
        return torch.tanh(strength * x)
