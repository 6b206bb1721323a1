"""Schedules of guidance: the share of code entries that stay relaxed, over training."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

from hashgnn._checks import check_float, check_int
from hashgnn.errors import ParameterError


@dataclass(frozen=True)
class GuidanceSchedule(ABC):
    """The share of relaxed entries as a function of the training step.

    References
    ----------
    Tan et al., WWW 2020, arXiv 2003.01917: the share p falls from 1 (all continuous) to 0 (pure STE).
    """

    @abstractmethod
    def __call__(self, epoch: int, n_epochs: int, step: int, n_steps: int) -> float:
        """Return the share, in [0, 1], at one training step.

        Parameters
        ----------
        epoch, step : int
            Counted from 0; ``step`` within the epoch.
        n_epochs, n_steps : int
            Epochs of the run, steps of an epoch.
        """


@dataclass(frozen=True)
class ConstantGuidance(GuidanceSchedule):
    """The same share throughout.

    Parameters
    ----------
    share : float in [0, 1], default=1.0
    """

    share: float = 1.0

    def __post_init__(self) -> None:
        check_float("share", self.share, minimum=0, maximum=1)

    def __call__(self, epoch: int, n_epochs: int, step: int, n_steps: int) -> float:
        """Return the share."""
        return self.share


@dataclass(frozen=True)
class LinearGuidance(GuidanceSchedule):
    """``start`` for a while, then a straight line to ``end``, where it stays.

    Parameters
    ----------
    start, end : float in [0, 1], default=1.0 and 0.0
    until : float in (0, 1], default=1.0
        Share of the run after which ``end`` is reached.
    after : float in [0, 1), default=0.0
        Share of the run at which the line begins; smaller than ``until``. The paper lets guidance fall when the
        continuous model has converged.

    Examples
    --------
    >>> schedule = LinearGuidance()
    >>> [schedule(epoch, 3, 0, 1) for epoch in range(3)]
    [1.0, 0.5, 0.0]
    """

    start: float = 1.0
    end: float = 0.0
    until: float = 1.0
    after: float = 0.0

    def __post_init__(self) -> None:
        check_float("start", self.start, minimum=0, maximum=1)
        check_float("end", self.end, minimum=0, maximum=1)
        check_float("until", self.until, minimum=0, maximum=1, open_minimum=True)
        check_float("after", self.after, minimum=0, maximum=1)
        if self.after >= self.until:
            raise ParameterError(f"after must be smaller than until={self.until:g}, got {self.after:g}")

    def __call__(self, epoch: int, n_epochs: int, step: int, n_steps: int) -> float:
        """Return the share at one step."""
        first, last = (math.ceil(n_epochs * n_steps * share) for share in (self.after, self.until))
        done, total = max(epoch * n_steps + step - first, 0), last - first
        return self.start + (self.end - self.start) * min(self._way(done, total), 1.0)

    def _way(self, done: int, total: int) -> float:
        """Return the progress from ``start`` to ``end``, 1 or more after the end."""
        return done / (total - 1) if total > 1 else float(done > 0)


@dataclass(frozen=True)
class StepGuidance(LinearGuidance):
    """The line in equal steps, the first at ``start``, the last at ``end``.

    Parameters
    ----------
    start, end, until, after : float
        As for :class:`LinearGuidance`.
    steps : int, default=5
        Number of steps.
    """

    steps: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        check_int("steps", self.steps, minimum=1)

    def _way(self, done: int, total: int) -> float:
        stair = min(done * self.steps // max(total, 1), self.steps - 1)
        return stair / (self.steps - 1) if self.steps > 1 else 0.0


@dataclass(frozen=True)
class EpochGuidance(GuidanceSchedule):
    """From ``start`` towards ``end`` by ``change`` after every ``every`` epochs; it stops at ``end``.

    The authors' code has the defaults.

    Parameters
    ----------
    start, end : float in [0, 1], default=1.0 and 0.0
    change : float in [0, 1], default=0.02
    every : int, default=2

    Examples
    --------
    >>> round(EpochGuidance()(19, 20, 0, 100), 2)
    0.82
    """

    start: float = 1.0
    end: float = 0.0
    change: float = 0.02
    every: int = 2

    def __post_init__(self) -> None:
        check_float("start", self.start, minimum=0, maximum=1)
        check_float("end", self.end, minimum=0, maximum=1)
        check_float("change", self.change, minimum=0, maximum=1)
        check_int("every", self.every, minimum=1)

    def __call__(self, epoch: int, n_epochs: int, step: int, n_steps: int) -> float:
        """Return the share in one epoch."""
        moved = min(self.change * (epoch // self.every), abs(self.end - self.start))
        return self.start + math.copysign(moved, self.end - self.start)
