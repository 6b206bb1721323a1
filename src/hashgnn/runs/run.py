"""``Run``: what callbacks see of a training run."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass
class RunState:
    """How far a run has come: JSON values that the loop changes and a checkpoint keeps.

    Attributes
    ----------
    epoch : int
        Finished epochs.
    history : list of dict of str to float
        One entry an epoch: ``epoch`` (from 1), the mean ``loss`` of its steps, ``train_seconds``, and the
        validation metrics of the epochs that were validated.
    best_epoch : int
        The epoch with the best validation metric, from 1; 0 before the first validation.
    best_value : float
        Its metric.
    """

    epoch: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = 0
    best_value: float = -math.inf


@dataclass
class Run:
    """A training run, as callbacks see it. Callbacks read it; the one thing they do to it is :meth:`stop`.

    Attributes
    ----------
    name : str
        Name of the run in reports: ``"training"``, or the name of a baseline.
    config : mapping
        The settings, JSON values.
    seed : int
    device : str
        Such as ``"cpu"`` or ``"cuda:0"``.
    n_threads : int
        Threads of torch on the CPU.
    facts : mapping
        JSON values that are known before the first step, such as the teacher that was chosen.
    started : float
        ``time.perf_counter()`` when the run began, its preparation included.
    n_epochs, n_steps : int
        Epochs at most, and steps of an epoch.
    metric : str or None
        The validation metric, higher is better; ``None`` where nothing is validated.
    identity : str
        Digest of data, settings and seed: that of a run and of the one that resumes it are equal.
    is_resumed : bool
        Whether the run goes on from a checkpoint, if there was one.
    state : RunState
    step : int
        Finished steps of the epoch under way; 0 between epochs.
    loss : float
        Of the last step; NaN before the first.
    """

    name: str
    config: Mapping[str, Any]
    seed: int
    device: str
    n_threads: int
    facts: Mapping[str, Any] = field(default_factory=dict)
    started: float = field(default_factory=time.perf_counter)
    n_epochs: int = 0
    n_steps: int = 0
    metric: str | None = None
    identity: str = ""
    is_resumed: bool = False
    state: RunState = field(default_factory=RunState)
    step: int = 0
    loss: float = math.nan
    is_stopping: bool = False

    def stop(self) -> None:
        """End the run after the epoch under way, or after the one that has just ended."""
        self.is_stopping = True

    @property
    def epoch(self) -> int:
        """Finished epochs."""
        return self.state.epoch

    @property
    def global_step(self) -> int:
        """Finished steps of all epochs together."""
        return self.epoch * self.n_steps + self.step

    @property
    def history(self) -> Sequence[Mapping[str, float]]:
        """One entry an epoch; see :class:`RunState`."""
        return self.state.history

    @property
    def metrics(self) -> Mapping[str, float]:
        """The entry of the last finished epoch; empty before the first."""
        return self.history[-1] if self.history else {}

    @property
    def best_epoch(self) -> int:
        """The epoch whose parameters are kept, from 1; the last one where nothing was validated."""
        return self.state.best_epoch or self.epoch

    @property
    def best_metrics(self) -> dict[str, float]:
        """The best validation metric by its name; empty where nothing was validated."""
        return {self.metric: self.state.best_value} if self.metric and self.state.best_epoch else {}

    @property
    def seconds(self) -> float:
        """Seconds since the run began."""
        return time.perf_counter() - self.started
