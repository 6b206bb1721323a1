"""``FollowedStudy``: a study as trackers see it, a run of theirs for each trial."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from hashgnn.config import ModelConfig
from hashgnn.runs import Run
from hashgnn.tracking import Tracker


class FollowedStudy:
    """The trackers of a study. One that fails gives a warning and writes no more of the study.

    Parameters
    ----------
    trackers : sequence of Tracker
    token : str
        Of the study, the same when it goes on.
    settings : mapping
        What the study varies and by which metric, JSON values.
    """

    def __init__(self, trackers: Sequence[Tracker], token: str, settings: Mapping[str, Any]) -> None:
        self._trackers, self._token, self._settings = list(trackers), token, settings

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Hold the study open for the trackers while the block runs."""
        for tracker in self._trackers:
            tracker.begin_study(self._token, self._settings)
        self._trackers = [tracker for tracker in self._trackers if not tracker.is_off]
        try:
            yield
        except BaseException as error:
            for tracker in self._trackers:
                tracker.end_study({}, error)
            raise

    def end(self, figures: Mapping[str, float]) -> None:
        """Close the study with the figures of its best trial."""
        for tracker in self._trackers:
            tracker.end_study(figures, None)

    def end_killed(self, number: int) -> None:
        """End the run of a trial whose study was killed."""
        for tracker in self._trackers:
            tracker.end_killed(self._token, number)

    @contextmanager
    def trial(
        self, number: int, config: ModelConfig, seed: int, n_threads: int, device: str
    ) -> Iterator[FollowedTrial]:
        """Yield what follows a trial; an error of the block ends its runs."""
        run = Run(
            f"trial-{number:04}",
            config.to_dict(),
            seed,
            device,
            n_threads,
            facts={"trial": number},
            n_epochs=config.optimizer.epochs,
            metric=config.validation.metric,
            identity=f"{self._token}/{number}",
        )
        followed = FollowedTrial([tracker.of_trial(number) for tracker in self._trackers], run)
        try:
            yield followed
        except BaseException as error:
            followed.stopped(error)
            raise
        finally:
            kept = zip(self._trackers, followed.trackers, strict=True)
            self._trackers = [tracker for tracker, of_trial in kept if not of_trial.is_off]


class FollowedTrial:
    """A trial as trackers see it: a run that they read of its log.

    Parameters
    ----------
    trackers : list of Tracker
        Of this trial alone.
    run : Run
    """

    def __init__(self, trackers: list[Tracker], run: Run) -> None:
        self.trackers, self._run = trackers, run
        for tracker in trackers:
            tracker.on_start(run)

    def epoch(self, event: Mapping[str, Any]) -> None:
        """Write an epoch of the log."""
        state = self._run.state
        entry = {name: value for name, value in event.items() if name not in ("event", "seconds")}
        state.epoch = int(entry["epoch"])
        state.history.append(entry)
        value = entry.get(self._run.metric or "")
        if value is not None and value > state.best_value:
            state.best_epoch, state.best_value = state.epoch, float(value)
        for tracker in self.trackers:
            tracker.on_epoch_end(self._run)

    def ended(self, state: str, value: float | None) -> None:
        """Write how the trial ended, and end its runs."""
        for tracker in self.trackers:
            tracker.on_trial_end(self._run, state, value)

    def stopped(self, error: BaseException) -> None:
        """End its runs with an error."""
        for tracker in self.trackers:
            tracker.on_error(self._run, error)
