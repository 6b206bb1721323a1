"""STE with guidance: some entries stay relaxed, fewer as training goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import torch

from hashgnn._checks import check_choice, check_float
from hashgnn._components import GUIDANCE_SCHEDULES
from hashgnn._registry import imported
from hashgnn.errors import ParameterError
from hashgnn.nn.relaxations.base import Relaxation
from hashgnn.nn.relaxations.guidance_schedule import GuidanceSchedule, LinearGuidance
from hashgnn.nn.relaxations.ste import signs

_USER_FLOOR = 0.5


class _Mixture(torch.autograd.Function):
    """Relaxed codes where a draw is below the share, signs elsewhere; the gradient is the identity for both."""

    @staticmethod
    def forward(ctx: Any, z: torch.Tensor, draws: torch.Tensor, strength: float) -> torch.Tensor:
        relaxed = torch.lt(draws, strength, out=torch.empty_like(draws))
        return signs(z).lerp(z, relaxed.to(z.dtype).expand_as(z))

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        return gradients[0], None, None


def guided(
    z: torch.Tensor,
    strength: float,
    *,
    granularity: str = "bit",
    generator: torch.Generator,
    groups: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return ``Q * z + (1 - Q) * sign(z)`` with Q ~ Bernoulli(strength): STE with guidance.

    Parameters
    ----------
    z : Tensor of shape (n, n_bits)
        Relaxed codes.
    strength : float in [0, 1]
        The paper's p, the share of entries that stay relaxed: 1 returns ``z``, 0 returns ``sign_ste(z)``.
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
    check_float("strength", strength, minimum=0, maximum=1)
    check_choice("granularity", granularity, ("bit", "row"))
    n_rows, n_bits = z.shape
    if groups is not None and groups.shape != (n_rows,):
        raise ParameterError(f"groups must have shape ({n_rows},), got {tuple(groups.shape)}")
    draws = _draw(n_rows, n_bits, granularity, generator)
    if groups is not None:
        draws = draws[groups]
    result: torch.Tensor = _Mixture.apply(z, draws, strength)  # type: ignore[no-untyped-call]
    return result


def _draw(n_rows: int, n_bits: int, granularity: str, generator: torch.Generator) -> torch.Tensor:
    return torch.rand(
        n_rows, n_bits if granularity == "bit" else 1, generator=generator, device=generator.device
    )


@dataclass(frozen=True)
class Guided(Relaxation):
    """Signs, except for a share of the entries that stay relaxed; see :func:`guided`.

    Parameters
    ----------
    granularity : {"bit", "row"}, default="bit"
    schedule : GuidanceSchedule, optional
        Of the share of relaxed entries; linear from 1 to 0 if left out.
    user_floor : float in [0, 1], optional
        Smallest share of users' entries that stay relaxed, for an objective that relaxes users separately;
        ``None`` is 0.5.
    """

    granularity: str = "bit"
    schedule: GuidanceSchedule = field(default_factory=LinearGuidance)
    user_floor: float | None = None

    def __post_init__(self) -> None:
        check_choice("granularity", self.granularity, ("bit", "row"))
        if self.user_floor is not None:
            check_float("user_floor", self.user_floor, minimum=0, maximum=1)

    @classmethod
    def from_options(cls, *, schedule: Mapping[str, Any] | None = None, **options: Any) -> Self:
        """Return guidance from plain values; a schedule is its ``name`` with its own options."""
        if schedule is not None:
            rest = dict(schedule)
            options["schedule"] = imported(GUIDANCE_SCHEDULES[rest.pop("name")].implementation)(**rest)
        return cls(**options)

    def strength(self, epoch: int, n_epochs: int, step: int, n_steps: int) -> float:
        """Return the share of entries that stay relaxed."""
        return self.schedule(epoch, n_epochs, step, n_steps)

    def user_strength(self, strength: float) -> float:
        """Return the share, or the floor of users where that is larger."""
        return max(strength, _USER_FLOOR if self.user_floor is None else self.user_floor)

    def __call__(
        self,
        x: torch.Tensor,
        strength: float,
        *,
        generator: torch.Generator,
        groups: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return the mixture; ``groups`` count where rows are drawn for."""
        shared = groups if self.granularity == "row" else None
        return guided(x, strength, granularity=self.granularity, generator=generator, groups=shared)

    def draw(self, n_rows: int, n_bits: int, *, generator: torch.Generator) -> torch.Tensor:
        """Return numbers of [0, 1): an entry, or a row, is relaxed where its number is below the share."""
        return _draw(n_rows, n_bits, self.granularity, generator)

    def with_draws(self, x: torch.Tensor, strength: float, draws: torch.Tensor) -> torch.Tensor:
        """Return the mixture for the numbers that :meth:`draw` has returned."""
        result: torch.Tensor = _Mixture.apply(x, draws, strength)  # type: ignore[no-untyped-call]
        return result
