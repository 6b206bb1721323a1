"""The contract of relaxations: differentiable approximations of codes in training."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

import torch


class Relaxation(ABC):
    """A differentiable approximation of the sign: frozen options and a rule.

    The code that is saved and searched is always the sign of the hash layer's output, sign(0) = +1. A
    relaxation changes only the input of the loss in training.

    Attributes
    ----------
    before_tanh : bool
        Whether it takes ``a = W^T u + b``; otherwise it takes the hash layer's output, ``z = tanh(a)`` less
        the threshold where one is learned.
    learns_threshold : bool
        Whether the hash layer learns a threshold for each bit.
    is_continuous : bool
        Whether no code is trained at all, so that epochs are chosen by the relaxed vectors instead.
    """

    before_tanh: ClassVar[bool] = False
    learns_threshold: ClassVar[bool] = False
    is_continuous: ClassVar[bool] = False

    @classmethod
    def from_options(cls, **options: Any) -> Self:
        """Return the relaxation from options of plain values."""
        return cls(**options)

    def strength(self, epoch: int, n_epochs: int, step: int, n_steps: int) -> float:
        """Return the scheduled strength at one training step: a share, a temperature or a steepness.

        Parameters
        ----------
        epoch, step : int
            Counted from 0; ``step`` within the epoch.
        n_epochs, n_steps : int
            Epochs of the run, steps of an epoch.
        """
        return 0.0

    def user_strength(self, strength: float) -> float:
        """Return the strength for users' codes, where it may differ from that for items' codes."""
        return strength

    @abstractmethod
    def __call__(
        self,
        x: torch.Tensor,
        strength: float,
        *,
        generator: torch.Generator,
        groups: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return the relaxed codes of rows ``x`` (n, n_bits).

        Parameters
        ----------
        x : Tensor of shape (n, n_bits)
        strength : float
            As :meth:`strength` gives it.
        generator : torch.Generator
            Source of every draw, on the device of ``x``.
        groups : LongTensor of shape (n,), optional
            Rows of one group share their draw, where whole rows are drawn for.
        """


@runtime_checkable
class DrawsBefore(Protocol):
    """A relaxation whose draws depend on no code, so that they can be made while something else is waited for."""

    def draw(self, n_rows: int, n_bits: int, *, generator: torch.Generator) -> torch.Tensor:
        """Return what a call without groups draws for rows (n_rows, n_bits)."""
        ...

    def with_draws(self, x: torch.Tensor, strength: float, draws: torch.Tensor) -> torch.Tensor:
        """Return what that call makes of rows ``x`` (n_rows, n_bits)."""
        ...


def geometric(start: float, end: float, epoch: int, n_epochs: int, step: int, n_steps: int) -> float:
    """Return the value at one step of a run that goes from ``start`` to ``end`` by equal factors.

    Examples
    --------
    >>> [geometric(1.0, 4.0, epoch, 3, 0, 1) for epoch in range(3)]
    [1.0, 2.0, 4.0]
    """
    last = n_epochs * n_steps - 1
    share = (epoch * n_steps + step) / last if last > 0 else 0.0
    value: float = start * (end / start) ** min(share, 1.0)
    return value
