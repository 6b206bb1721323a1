"""Gumbel-softmax bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from hashgnn._checks import check_float
from hashgnn.nn.relaxations.base import Relaxation, geometric
from hashgnn.nn.relaxations.ste import signs


@dataclass(frozen=True)
class GumbelBits(Relaxation):
    """A bit drawn with P(+1) = σ(2a), softened by a temperature that falls.

    With U uniform, the softmax over the two values of a bit with Gumbel noise on each, taken as a value in
    (-1, 1), is ``tanh((a + (ln U - ln(1 - U)) / 2) / temperature)``: the difference of two Gumbel draws is
    one logistic draw.

    Parameters
    ----------
    start, end : float > 0, default=1.0 and 0.2
        Temperature at the first and the last step; it falls by equal factors.
    hard : bool, default=False
        Return the sign of the draw, with the gradient of the soft value.

    References
    ----------
    Jang, Gu, Poole, *Categorical reparameterization with Gumbel-softmax*, ICLR 2017; Maddison, Mnih, Teh,
    *The concrete distribution*, ICLR 2017.
    """

    before_tanh: ClassVar[bool] = True

    start: float = 1.0
    end: float = 0.2
    hard: bool = False

    def __post_init__(self) -> None:
        check_float("start", self.start, minimum=0, open_minimum=True)
        check_float("end", self.end, minimum=0, open_minimum=True)

    def strength(self, epoch: int, n_epochs: int, step: int, n_steps: int) -> float:
        """Return the temperature."""
        return geometric(self.start, self.end, epoch, n_epochs, step, n_steps)

    def __call__(
        self,
        x: torch.Tensor,
        strength: float,
        *,
        generator: torch.Generator,
        groups: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return the drawn values, in (-1, 1) or, if hard, ±1."""
        uniform = torch.rand(x.shape, generator=generator, device=x.device, dtype=x.dtype)
        # The logarithms of 0 and of 1 - 0 must stay finite.
        uniform = uniform.clamp(1e-7, 1 - 1e-7)
        soft = torch.tanh((x + torch.logit(uniform) / 2) / strength)
        return signs(soft) + (soft - soft.detach()) if self.hard else soft
