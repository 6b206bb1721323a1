"""Schedules of guidance: the share p of code entries that stay relaxed, over training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from hashgnn._checks import check_choice, check_float, check_int

GUIDANCE_KINDS = ("constant", "linear", "step", "epoch")


class GuidanceSettings(Protocol):
    """The fields of a config that a schedule is made from."""

    @property
    def guidance_schedule(self) -> str: ...
    @property
    def guidance_start(self) -> float: ...
    @property
    def guidance_end(self) -> float: ...
    @property
    def guidance_steps(self) -> int: ...
    @property
    def guidance_change(self) -> float: ...
    @property
    def guidance_every(self) -> int: ...
    @property
    def guidance_until(self) -> float: ...


@dataclass(frozen=True)
class GuidanceSchedule:
    """The share p of relaxed entries as a function of where training stands.

    Parameters
    ----------
    kind : {"constant", "linear", "step", "epoch"}
        ``constant``: always ``start``. ``linear``: from ``start`` at the first step to ``end`` at the last.
        ``step``: the same line as ``steps`` equal stairs, the first at ``start``, the last at ``end``.
        ``epoch``: p moves from ``start`` towards ``end`` by ``change`` after every ``every`` epochs and
        stops there; the authors' code is ``start=1, end=0, change=0.02, every=2``.
    start, end : float in [0, 1], default=1.0 and 0.0
    steps : int, default=5
    change : float in [0, 1], default=0.02
    every : int, default=2
    until : float in (0, 1], default=1.0
        ``linear`` and ``step``: the share of the run after which p is ``end``.

    Raises
    ------
    ParameterError
        If the kind is unknown or a number is out of its range.

    References
    ----------
    Tan et al., WWW 2020, arXiv 2003.01917: p falls from 1 (all continuous) to 0 (pure STE).

    Examples
    --------
    >>> schedule = GuidanceSchedule("linear")
    >>> [schedule(epoch, 3, 0, 1) for epoch in range(3)]
    [1.0, 0.5, 0.0]
    >>> round(GuidanceSchedule("epoch")(19, 20, 0, 100), 2)
    0.82
    """

    kind: str = "linear"
    start: float = 1.0
    end: float = 0.0
    steps: int = 5
    change: float = 0.02
    every: int = 2
    until: float = 1.0

    def __post_init__(self) -> None:
        check_choice("guidance_schedule", self.kind, GUIDANCE_KINDS)
        check_float("guidance_start", self.start, minimum=0, maximum=1)
        check_float("guidance_end", self.end, minimum=0, maximum=1)
        check_int("guidance_steps", self.steps, minimum=1)
        check_float("guidance_change", self.change, minimum=0, maximum=1)
        check_int("guidance_every", self.every, minimum=1)
        check_float("guidance_until", self.until, minimum=0, maximum=1, open_minimum=True)

    @classmethod
    def from_config(cls, config: GuidanceSettings) -> GuidanceSchedule:
        """Return the schedule that a config's ``guidance_*`` fields name."""
        return cls(
            kind=config.guidance_schedule,
            start=config.guidance_start,
            end=config.guidance_end,
            steps=config.guidance_steps,
            change=config.guidance_change,
            every=config.guidance_every,
            until=config.guidance_until,
        )

    def __call__(self, epoch: int, n_epochs: int, step: int, n_steps: int) -> float:
        """Return p for one training step.

        Parameters
        ----------
        epoch, step : int
            Counted from 0; ``step`` within the epoch.
        n_epochs, n_steps : int
            Epochs of the run, steps of an epoch.
        """
        if self.kind == "constant":
            return self.start
        if self.kind == "epoch":
            moved = min(self.change * (epoch // self.every), abs(self.end - self.start))
            return self.start + math.copysign(moved, self.end - self.start)
        done, total = epoch * n_steps + step, math.ceil(n_epochs * n_steps * self.until)
        if self.kind == "linear":
            share = done / (total - 1) if total > 1 else 0.0
        else:
            stair = min(done * self.steps // max(total, 1), self.steps - 1)
            share = stair / (self.steps - 1) if self.steps > 1 else 0.0
        return self.start + (self.end - self.start) * min(share, 1.0)
