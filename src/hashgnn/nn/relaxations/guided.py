"""STE with guidance: some entries stay relaxed, fewer as training goes on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

import torch

from hashgnn._checks import check_choice, check_float
from hashgnn.errors import ParameterError
from hashgnn.nn.relaxations.base import Relaxation
from hashgnn.nn.relaxations.guidance_schedule import GuidanceSchedule
from hashgnn.nn.relaxations.ste import sign_ste, signs


class _Mixture(torch.autograd.Function):
    """Relaxed codes where a draw is below p, signs elsewhere; the gradient is the identity for both."""

    @staticmethod
    def forward(ctx: Any, z: torch.Tensor, draws: torch.Tensor, p: float) -> torch.Tensor:
        relaxed = torch.lt(draws, p, out=torch.empty_like(draws))
        return signs(z).lerp(z, relaxed.to(z.dtype).expand_as(z))

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        return gradients[0], None, None


def guided(
    z: torch.Tensor,
    p: float,
    *,
    granularity: str = "bit",
    generator: torch.Generator,
    groups: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return ``Q * z + (1 - Q) * sign(z)`` with Q ~ Bernoulli(p): STE with guidance.

    Parameters
    ----------
    z : Tensor of shape (n, n_bits)
        Relaxed codes.
    p : float in [0, 1]
        Share of entries that stay relaxed: 1 returns ``z``, 0 returns ``sign_ste(z)``.
    granularity : {"bit", "row"}, default="bit"
        Draw Q for each entry, or once for each row.
    generator : torch.Generator
        On the device of ``z``.
    groups : LongTensor of shape (n,), optional
        Rows of one group share their draw; values in ``0 .. n-1``. The authors' code shares one draw
        between a user and its positive and has one for each negative.

    Returns
    -------
    Tensor of shape (n, n_bits)
        The gradient with respect to ``z`` is the identity for every Q.

    References
    ----------
    Tan et al., WWW 2020, arXiv 2003.01917, the optimisation with guidance.
    """
    check_float("p", p, minimum=0, maximum=1)
    check_choice("granularity", granularity, ("bit", "row"))
    n_rows, n_bits = z.shape
    if groups is not None and groups.shape != (n_rows,):
        raise ParameterError(f"groups must have shape ({n_rows},), got {tuple(groups.shape)}")
    width = n_bits if granularity == "bit" else 1
    draws = torch.rand(n_rows, width, generator=generator, device=z.device)
    if groups is not None:
        draws = draws[groups]
    result: torch.Tensor = _Mixture.apply(z, draws, p)  # type: ignore[no-untyped-call]
    return result


@dataclass(frozen=True)
class Guided(Relaxation):
    """Signs, but for a share of the entries that stay as they are; see :func:`guided`.

    Parameters
    ----------
    granularity : {"none", "bit", "row"}, default="bit"
        ``none`` leaves signs alone: the plain estimator.
    schedule : GuidanceSchedule, optional
        Of the share of relaxed entries; linear from 1 to 0 if left out.
    """

    granularity: str = "bit"
    schedule: GuidanceSchedule = field(default_factory=GuidanceSchedule)

    def __post_init__(self) -> None:
        check_choice("guidance", self.granularity, ("none", "bit", "row"))

    @classmethod
    def from_config(cls, config: Any) -> Self:
        """Return guidance as the ``guidance*`` fields of a config describe it."""
        return cls(config.guidance, GuidanceSchedule.from_config(config))

    def level(self, epoch: int, n_epochs: int, step: int, n_steps: int) -> float:
        """Return the share of entries that stay relaxed."""
        return self.schedule(epoch, n_epochs, step, n_steps)

    def __call__(
        self,
        x: torch.Tensor,
        level: float,
        *,
        generator: torch.Generator,
        groups: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return the mixture; ``groups`` count where rows are drawn for."""
        if self.granularity == "none":
            return sign_ste(x)
        shared = groups if self.granularity == "row" else None
        return guided(x, level, granularity=self.granularity, generator=generator, groups=shared)
