"""``Tracker``: the base of callbacks that write to an experiment tracker, and cannot end a run."""

from __future__ import annotations

import copy
import os
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Self

from hashgnn.errors import TrainingError, TrainingWarning
from hashgnn.runs import Callback, Run
from hashgnn.state import ModelState
from hashgnn.tracking.figures import figures_of_run, figures_of_state, settings_of

_SHOWN = 200  # characters of an error that the warning repeats


class Tracker(Callback, ABC):
    """Write a run to an experiment tracker: its settings, the figures of each epoch, and the fitted model.

    A tracker that fails gives one :class:`~hashgnn.errors.TrainingWarning` and writes no more of that run. The
    training goes on. Where several processes train together, as under ``torchrun``, the first one writes.

    A derived class has the methods that write. They may raise whatever they like.

    :func:`hashgnn.tuning.tune` takes trackers too: each of its trials is a run of its own.
    """

    def __init__(self) -> None:
        self._is_off = False
        self._step = 0

    def on_start(self, run: Run) -> None:
        """Open the tracker; write settings, and epochs of a resumed run that it does not have."""
        self._is_off = os.environ.get("RANK", "0") != "0"

        def write() -> None:
            self._open(run, settings_of(run))
            for entry in run.history:
                self._write_epoch(run, int(entry["epoch"]), _figures(entry))
            self._flush()

        self._try(write)

    def on_epoch_end(self, run: Run) -> None:
        """Write the entry of the epoch."""

        def write() -> None:
            self._write_epoch(run, run.epoch, _figures(run.metrics))
            self._flush()

        self._try(write)

    def on_end(self, run: Run) -> None:
        """Write the best epoch and its metric, and close the tracker."""

        def write() -> None:
            self._write_figures(run, figures_of_run(run))
            self._close(run, None)

        self._try(write)

    def on_fitted(self, run: Run, state: Any) -> None:
        """Write the final metrics, the health of the codes and the model card."""

        def write() -> None:
            assert isinstance(state, ModelState)
            self._step = run.epoch
            self._write_model(run, figures_of_state(state), state.card())

        self._try(write)

    def log_card(self, card: str) -> None:
        """Write another card for the run that was fitted last, such as that of the saved model with its notes."""
        self._try(lambda: self._write_card(card, self._step))

    def on_error(self, run: Run, error: BaseException) -> None:
        """Close the tracker; the run is marked as failed or as stopped by hand."""
        self._try(lambda: self._close(run, error))

    @property
    def is_off(self) -> bool:
        """Whether it has failed, and writes no more of its run or study."""
        return self._is_off

    def begin_study(self, token: str, settings: Mapping[str, Any]) -> None:
        """Begin to write a search for settings, or go on with it.

        Parameters
        ----------
        token : str
            Of the study, the same when it goes on.
        settings : mapping
            What it varies and by which metric, JSON values.
        """
        self._is_off = os.environ.get("RANK", "0") != "0"
        self._try(lambda: self._open_study(token, settings))

    def of_trial(self, number: int) -> Self:
        """Return a tracker that writes the run of one trial of the study."""
        tracker = copy.copy(self)
        if not self._is_off:
            tracker._begin_trial(self, f"trial-{number:04}")
        return tracker

    def on_trial_end(self, run: Run, state: str, value: float | None) -> None:
        """Write how a trial ended, and close the tracker.

        Parameters
        ----------
        run : Run
        state : {"complete", "pruned", "failed"}
        value : float or None
            Of the trial.
        """

        def write() -> None:
            figures = figures_of_run(run)
            self._write_figures(run, figures if value is None else {**figures, "final/value": value})
            self._write_state(run, state)
            errors: dict[str, BaseException] = {
                "failed": TrainingError("the trial failed"),
                "pruned": KeyboardInterrupt(),
            }
            self._close(run, errors.get(state))

        self._try(write)

    def end_killed(self, token: str, number: int) -> None:
        """End the run of a trial that was killed together with its study."""
        self._try(lambda: self._end_killed(f"{token}/{number}"))

    def end_study(self, figures: Mapping[str, float], error: BaseException | None) -> None:
        """Write the figures of the best trial, and close the study."""
        self._try(lambda: self._close_study(figures, error))

    def _begin_trial(self, study: Self, name: str) -> None:
        """Make this copy of the tracker of a study one of a trial, which is another run."""

    def _open_study(self, token: str, settings: Mapping[str, Any]) -> None:
        """Begin to write a study; by default its trials are all that is written."""

    def _close_study(self, figures: Mapping[str, float], error: BaseException | None) -> None:
        """End a study."""

    def _end_killed(self, identity: str) -> None:
        """End the run of that identity, if it still counts as running."""

    def _write_state(self, run: Run, state: str) -> None:
        """Write how a trial ended; by default its end says it."""

    @abstractmethod
    def _open(self, run: Run, settings: dict[str, Any]) -> None:
        """Begin to write a run, or go on with the one that is resumed."""

    @abstractmethod
    def _write_epoch(self, run: Run, epoch: int, figures: dict[str, float]) -> None:
        """Write the figures of an epoch, unless they are there."""

    @abstractmethod
    def _flush(self) -> None:
        """Make sure that what was written is kept, so that a failure is seen here."""

    @abstractmethod
    def _write_figures(self, run: Run, figures: dict[str, float]) -> None:
        """Write figures of the whole run."""

    @abstractmethod
    def _write_model(self, run: Run, figures: dict[str, float], card: str) -> None:
        """Write figures and card of the fitted model; the run was closed before."""

    @abstractmethod
    def _write_card(self, card: str, step: int) -> None:
        """Write the card of the fitted model; the run was closed before."""

    @abstractmethod
    def _close(self, run: Run, error: BaseException | None) -> None:
        """End the run, with an error or well."""

    def _try(self, write: Callable[[], None]) -> None:
        if self._is_off:
            return
        try:
            write()
        except Exception as error:
            self._is_off = True
            with suppress(Exception):
                self._give_up()
            reason = " ".join(str(error).split())[:_SHOWN]
            warnings.warn(
                f"{type(self).__name__} failed with {type(error).__name__}: {reason}; the training goes on "
                "without it",
                TrainingWarning,
                stacklevel=4,
            )

    def _give_up(self) -> None:
        """Release what is open after a failure."""


def _figures(entry: Any) -> dict[str, float]:
    return {name: float(value) for name, value in entry.items() if name != "epoch"}
