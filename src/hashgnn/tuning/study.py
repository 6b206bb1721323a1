"""``tune``: trials one after another until the minutes are spent."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hashgnn import _rng
from hashgnn._checks import check_float, check_int, check_threads
from hashgnn._extras import require
from hashgnn._printing import ShortRepr
from hashgnn._progress import progress as progress_bar
from hashgnn.config import ModelConfig, save_recipe
from hashgnn.data import Interactions, SideFeatures, split
from hashgnn.errors import DataError, ParameterError, TrainingError
from hashgnn.evaluation import parse_metric
from hashgnn.tracking import Tracker
from hashgnn.tuning.followed import FollowedStudy, FollowedTrial
from hashgnn.tuning.process import TrialProcess, last_words
from hashgnn.tuning.space import Space
from hashgnn.tuning.study_folder import StudyFolder
from hashgnn.tuning.trial import BAD_INPUT, DONE

_VALID_SHARE = 0.1
_SPLIT_STREAM, _SAMPLER_STREAM = 0, 1
_PARTS = 10  # of a trial, after each of which it may be pruned
_POLL = 0.05  # seconds between two looks at a trial's log
_NAME = "tune"
_SECONDS, _KILLED = "seconds", "killed"  # of a trial, in Optuna's journal


@dataclass(frozen=True)
class TrialResult:
    """One trial.

    Attributes
    ----------
    number : int
        From 0, the recipe as it stands.
    state : {"complete", "pruned", "failed", "killed"}
        Pruned: stopped because half of the others were better at that point, or because the time was up. Killed:
        together with its study, which tries the same settings again when it goes on.
    value : float or None
        The metric on validation; of a pruned trial the last one seen.
    settings : dict
        The values of the space's settings.
    seconds : float
    epochs : int
        That were trained.
    """

    number: int
    state: str
    value: float | None
    settings: dict[str, Any]
    seconds: float
    epochs: int


@dataclass(frozen=True, repr=False)
class TuneResult(ShortRepr):
    """The outcome of a study.

    Attributes
    ----------
    config : ModelConfig
        The recipe with the best trial's settings.
    metric : str
    best : TrialResult
    trials : tuple of TrialResult
        All of them, those of earlier calls included.
    """

    config: ModelConfig
    metric: str
    best: TrialResult
    trials: tuple[TrialResult, ...]

    @property
    def seconds(self) -> float:
        """Seconds that all trials took."""
        return sum(trial.seconds for trial in self.trials)


def tune(
    train: Interactions,
    output: str | Path,
    *,
    base: ModelConfig,
    space: Space,
    minutes: float,
    n_trials: int | None = None,
    valid: Interactions | None = None,
    user_features: SideFeatures | None = None,
    item_features: SideFeatures | None = None,
    metric: str | None = None,
    rng: int = 0,
    n_threads: int = 1,
    device: str = "auto",
    progress: bool | None = None,
    on_trial: Callable[[TrialResult], None] | None = None,
    trackers: Sequence[Tracker] = (),
) -> TuneResult:
    """Search for the settings of a recipe that are best on held-out training interactions.

    Trial 0 is the recipe as it stands; the others are drawn by Optuna's tree-structured Parzen estimator.
    A trial is pruned where at that point half of the others were better. The folder next to the recipe file
    keeps everything: the same call resumes a killed study, and a call with more minutes adds trials. It belongs
    to one call at a time. Nothing global is seeded.

    Parameters
    ----------
    train : Interactions
        Never the test part.
    output : path
        The recipe file, ``X.toml``; the study is kept in ``X.tune``.
    base : ModelConfig
        Where it holds a part out (``validation.share`` > 0), a trial's value is that of its best epoch, as a
        fit will choose it; elsewhere that of the last epoch, as a fit will end with it.
    space : mapping of str to Range or Choice
    minutes : float
        For all trials, those of earlier calls included; the trial that runs when they are spent is stopped.
    n_trials : int or None, default=None
        Maximum number of trials in all; those that were killed together with their study do not count.
    valid : Interactions or None, default=None
        Held out, over the same ids; ``None`` holds out a tenth of each user's interactions.
    user_features, item_features : SideFeatures or None, default=None
        What each trial is trained with, as a fit will be.
    metric : str or None, default=None
        Of codes against codes, with the item bias where there is one; ``None`` is the recipe's
        ``validation.metric``.
    rng : int, default=0
        Of the split, the training and the draws.
    n_threads : int, default=1
    device : str, default="auto"
    progress : bool or None, default=None
    on_trial : callable, optional
        Called with every trial that has ended.
    trackers : sequence of Tracker, optional
        Each trial is a run of theirs, with its settings, its epochs and its value, as by
        ``trackers=[TensorBoard("runs/mine"), MLflow("http://host:5000", "shop")]``.

    Returns
    -------
    TuneResult

    Raises
    ------
    MissingExtraError
        If Optuna or torch is not installed.
    ParameterError
        If an argument breaks its rule, or the folder holds another study.
    DataError
        If nothing can be held out of the training interactions.
    StorageError
        If another process is tuning in the folder; the message names it.
    ArtifactDamagedError
        If a line of the journal is damaged, the last one aside.
    TrainingError
        If every trial failed, or none ended within the minutes.

    Warns
    -----
    DataWarning
        If the last line of the journal was cut short, as by a kill: it is left out, and the study goes on.

    See Also
    --------
    load_space : What may vary.
    hashgnn.load_recipe : Reads the file that this writes.
    """
    optuna = require("optuna", extra="tune", purpose="tuning")
    require("torch", extra="train", purpose="tuning")
    path = Path(output)
    if path.suffix != ".toml":
        raise ParameterError(f"the recipe must be written to a .toml file, got {str(output)!r}")
    seconds = 60 * check_float("minutes", minutes, minimum=0, open_minimum=True)
    most = None if n_trials is None else check_int("n_trials", n_trials, minimum=1)
    seed = check_int("rng", rng, minimum=0)
    name = str(parse_metric(metric or base.validation.metric))
    fitted, held = train, valid
    if held is None:
        fitted, held = split.random(train, _VALID_SHARE, rng=_rng.derive(seed, _SPLIT_STREAM))
        if not len(held):
            raise DataError(
                "train must have users with two items or more, of which one can be held out; or pass valid"
            )
    threads = check_threads(n_threads)
    folder = StudyFolder(path.with_suffix(".tune"))
    with folder.held():
        folder.open(_identity(base, space, name, seed), fitted, held, (user_features, item_features))
        followed = FollowedStudy(
            trackers, folder.token() if trackers else "", _identity(base, space, name, seed)
        )
        with followed.opened():
            study = _Study(optuna, folder, base, space, name, seed, threads, device, followed)
            spent = study.spent()
            with progress_bar("Tuning, seconds", int(seconds), enabled=progress) as advance:
                advance(int(spent))
                while seconds - spent > _POLL and (most is None or study.n_ended() < most):
                    ended = study.run_trial(seconds - spent)
                    if on_trial is not None:
                        on_trial(ended)
                    spent = study.spent()
                    advance(round(ended.seconds), note=study.note())
            result = study.result()
            save_recipe(result.config, path)
            followed.end({"best/trial": result.best.number, "best/value": result.best.value or 0.0})
    return result


def _identity(base: ModelConfig, space: Space, metric: str, seed: int) -> dict[str, Any]:
    return {
        "recipe": base.identity(),
        "space": {name: parameter.to_dict() for name, parameter in space.items()},
        "metric": metric,
        "seed": seed,
    }


class _Study:
    """The study of one folder."""

    def __init__(
        self,
        optuna: Any,
        folder: StudyFolder,
        base: ModelConfig,
        space: Space,
        metric: str,
        seed: int,
        n_threads: int,
        device: str,
        followed: FollowedStudy,
    ) -> None:
        self._followed = followed
        self._optuna, self._folder, self._base, self._space = optuna, folder, base, space
        self._metric, self._seed, self._n_threads, self._device = metric, seed, n_threads, device
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        folder.mend_journal()
        journal = optuna.storages.journal.JournalFileBackend(str(folder.journal))
        self._study = optuna.create_study(
            storage=optuna.storages.JournalStorage(journal),
            study_name=_NAME,
            direction="maximize",
            load_if_exists=True,
            pruner=optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=_PARTS // 3),
        )
        self._states = optuna.trial.TrialState
        if not self._study.trials:
            own = {name: base.value(name) for name in space}
            start = {name: own[name] for name, parameter in space.items() if parameter.holds(own[name])}
            self._study.enqueue_trial(start)
        for trial in self._study.get_trials(states=(self._states.RUNNING,)):
            # Its process ended with the study that was killed.
            optuna.trial.Trial(self._study, trial._trial_id).set_user_attr(_KILLED, True)
            self._study.tell(trial.number, state=self._states.FAIL)
            self._study.enqueue_trial(trial.params)
            followed.end_killed(trial.number)

    def run_trial(self, seconds: float) -> TrialResult:
        """Run one trial for at most ``seconds``."""
        number = self.n_ended()
        seed = int(_rng.derive(self._seed, _SAMPLER_STREAM, number).integers(2**31))
        # A sampler of its own for each trial: draws depend on the earlier trials, not on this process.
        self._study.sampler = self._optuna.samplers.TPESampler(seed=seed, n_startup_trials=5)
        trial = self._study.ask()
        settings = {name: parameter.suggest(trial, name) for name, parameter in self._space.items()}
        config = self._config(settings)
        self._folder.write_trial(trial.number, config, self._seed, self._n_threads, self._device)
        run = (trial.number, config, self._seed, self._n_threads, self._device)
        started = time.monotonic()
        with self._followed.trial(*run) as followed:
            with TrialProcess(self._folder, trial.number, self._n_threads) as process:
                outcome = self._follow(trial, process, config, started + seconds, followed)
            trial.set_user_attr(_SECONDS, time.monotonic() - started)
            self._study.tell(trial, **outcome)
            ended = self._read(self._study.trials[trial.number])
            followed.ended(ended.state, ended.value)
        if outcome.get("state") == self._states.FAIL and process.exit_code() == BAD_INPUT:
            raise ParameterError(process.said())
        return ended

    def _config(self, settings: Mapping[str, Any]) -> ModelConfig:
        """Return the settings of a trial, which is validated every epoch."""
        config = self._base.replace(**settings, validation={"metric": self._metric, "every": 1})
        if self._base.validation.share > 0:
            return config
        return config.replace(validation={"patience": config.optimizer.epochs})

    def _follow(
        self,
        trial: Any,
        process: TrialProcess,
        config: ModelConfig,
        deadline: float,
        followed: FollowedTrial,
    ) -> dict[str, Any]:
        """Watch a trial until it has ended or is pruned; return its outcome for Optuna."""
        values: list[float] = []
        part = 0
        while True:
            code = process.exit_code()
            reported = part
            for epoch in process.new_epochs():
                values.append(epoch[self._metric])
                followed.epoch(epoch)
                reached = int(_PARTS * epoch["epoch"] / config.optimizer.epochs)
                if reached > part:
                    part = reached
                    trial.report(self._value(values), part)
            if len(values) == config.optimizer.epochs or (code == DONE and values):
                return {"values": self._value(values)}
            if code is not None:
                return {"state": self._states.FAIL}
            if time.monotonic() > deadline or (part > reported and trial.should_prune()):
                return {"state": self._states.PRUNED}
            time.sleep(_POLL)

    def _value(self, values: list[float]) -> float:
        return max(values) if self._base.validation.share > 0 else values[-1]

    def _ended(self) -> tuple[Any, ...]:
        return (self._states.COMPLETE, self._states.PRUNED, self._states.FAIL)

    def _trials(self) -> list[Any]:
        found: list[Any] = self._study.get_trials(states=self._ended())
        return found

    def n_ended(self) -> int:
        """Return how many trials have ended; those that were killed together with the study have not."""
        return sum(_KILLED not in trial.user_attrs for trial in self._trials())

    def spent(self) -> float:
        """Return the seconds that ended trials took."""
        return sum(self._seconds(trial) for trial in self._trials())

    def note(self) -> str:
        """Return the best value so far, as text."""
        whole = [trial.value for trial in self._trials() if trial.state == self._states.COMPLETE]
        return f"{self._metric} {max(whole):.4f}" if whole else ""

    def result(self) -> TuneResult:
        """Return the best of the trials that ended well."""
        trials = tuple(self._read(trial) for trial in self._trials())
        whole = [trial for trial in trials if trial.state == "complete"]
        if not whole:
            failed = [trial.number for trial in trials if trial.state == "failed"]
            if failed and len(failed) == sum(trial.state != "killed" for trial in trials):
                raise TrainingError(
                    f"{self._folder.path}: all {len(failed)} trials failed, the last one because "
                    f"{last_words(self._folder.errors_of(failed[-1]))}"
                )
            raise TrainingError(
                f"{self._folder.path}: none of {len(trials)} trials ended within the minutes; "
                "give more, or a recipe with fewer epochs"
            )
        best = max(whole, key=lambda trial: trial.value or 0.0)
        return TuneResult(self._base.replace(**best.settings), self._metric, best, trials)

    def _read(self, trial: Any) -> TrialResult:
        names = {self._states.COMPLETE: "complete", self._states.PRUNED: "pruned"}
        return TrialResult(
            number=trial.number,
            state="killed" if _KILLED in trial.user_attrs else names.get(trial.state, "failed"),
            value=trial.value,
            settings=dict(trial.params),
            seconds=self._seconds(trial),
            epochs=len(self._folder.epochs_of(trial.number)),
        )

    def _seconds(self, trial: Any) -> float:
        """Return the seconds of a trial; of a killed one, the seconds that its log covers."""
        logged = self._folder.epochs_of(trial.number)
        return float(trial.user_attrs.get(_SECONDS, logged[-1]["seconds"] if logged else 0.0))
