"""A search from end to end on generated data; every trial is a process that imports torch, so there are few."""

from __future__ import annotations

import json
import os
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from hashgnn.config import ModelConfig, load_recipe
from hashgnn.data import IdMap, Interactions, SideFeatures
from hashgnn.errors import (
    ArtifactDamagedError,
    DataError,
    DataWarning,
    ParameterError,
    StorageError,
    TrainingError,
)
from hashgnn.recommender import HashGNN
from hashgnn.runs import Run
from hashgnn.tracking import Tracker
from hashgnn.tuning import Range, TuneResult, tune
from hashgnn.tuning.study_folder import StudyFolder

pytest.importorskip("optuna")

# A step of 1e-6 learns nothing in three epochs, one of .1 finds the two groups.
SPACE = {"optimizer.learning_rate": Range(1e-6, 0.1, log=True)}


@pytest.fixture(scope="module")
def blocks() -> Interactions:
    """Two groups of 20 users that like two groups of 12 items, each pair with probability 0.7."""
    rng = np.random.default_rng(0)
    same = np.kron(np.eye(2), np.ones((20, 12))) > 0
    users, items = np.nonzero(same & (rng.random(same.shape) < 0.7))
    return Interactions.from_arrays([f"u{user}" for user in users], [f"i{item}" for item in items])


def base(**settings: object) -> ModelConfig:
    small = {
        "n_bits": 16,
        "embedding_dim": 8,
        "optimizer.batch_size": 16,
        "optimizer.epochs": 3,
        "teacher": "none",
    }
    plain = {
        "objective.observed_target": "all",
        "objective.item_share": 1.0,
        "objective.min_steps": 1,
        "warm_start": False,
        "optimizer.learning_rate": 1e-6,
        "validation.metric": "recall@5",
    }
    return load_recipe("default", **{**small, **plain, **settings})


def search(train: Interactions, path: Path, **options: object) -> TuneResult:
    given: dict[str, object] = {
        "base": base(),
        "space": SPACE,
        "minutes": 1000.0,
        "n_trials": 3,
        "device": "cpu",
    }
    return tune(train, path, progress=False, **{**given, **options})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def whole(blocks: Interactions, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TuneResult]:
    path = tmp_path_factory.mktemp("whole") / "mine.toml"
    return path, search(blocks, path)


def test_the_first_trial_is_the_recipe_and_the_best_is_better(whole: tuple[Path, TuneResult]) -> None:
    _, found = whole
    first = found.trials[0]
    assert (first.number, first.state, first.settings) == (0, "complete", {"optimizer.learning_rate": 1e-6})
    assert [trial.number for trial in found.trials] == [0, 1, 2]
    assert found.best.value is not None
    assert first.value is not None
    assert found.best.value == max(trial.value or 0 for trial in found.trials if trial.state == "complete")
    assert found.best.value > first.value
    assert found.config == base(**{"optimizer.learning_rate": found.best.settings["optimizer.learning_rate"]})


def test_the_recipe_file_reads_back_and_fits(whole: tuple[Path, TuneResult], blocks: Interactions) -> None:
    path, found = whole
    assert load_recipe(path) == found.config
    model = HashGNN(16, path).fit(blocks, rng=0, n_threads=1, progress=False)
    assert model.config == found.config


def test_a_trials_value_is_what_its_log_says_at_the_last_epoch(whole: tuple[Path, TuneResult]) -> None:
    path, found = whole
    lines = (path.with_suffix(".tune") / "trials" / "0000.jsonl").read_text().splitlines()
    epochs = [event for event in map(json.loads, lines) if event["event"] == "epoch"]
    assert len(epochs) == found.trials[0].epochs == 3
    assert found.trials[0].value == epochs[-1]["recall@5"]


def test_a_search_in_two_calls_draws_what_one_call_draws(
    whole: tuple[Path, TuneResult], blocks: Interactions, tmp_path: Path
) -> None:
    path = tmp_path / "mine.toml"
    for n_trials in (1, 3):
        found = search(blocks, path, n_trials=n_trials)
    assert [trial.settings for trial in found.trials] == [trial.settings for trial in whole[1].trials]
    assert [trial.value for trial in found.trials] == [trial.value for trial in whole[1].trials]


def test_a_search_that_was_killed_in_a_trial_tries_it_again(blocks: Interactions, tmp_path: Path) -> None:
    import optuna

    path = tmp_path / "mine.toml"
    search(blocks, path, n_trials=1)
    journal = optuna.storages.journal.JournalFileBackend(str(tmp_path / "mine.tune" / "study.jsonl"))
    study = optuna.load_study(study_name="tune", storage=optuna.storages.JournalStorage(journal))
    study.enqueue_trial({"optimizer.learning_rate": 0.05})
    study.ask().suggest_float(
        "optimizer.learning_rate", 1e-6, 0.1, log=True
    )  # and nothing more: the process is gone
    found = search(blocks, path, n_trials=3)
    states = [(trial.state, trial.settings["optimizer.learning_rate"]) for trial in found.trials]
    assert states[1:3] == [("killed", 0.05), ("complete", 0.05)]
    # Three trials were asked for, and three have ended by themselves.
    assert [state for state, _ in states].count("killed") == 1
    assert len(states) == 4
    assert search(blocks, path, n_trials=3) == found


class Recorder(Tracker):
    """A tracker that writes down what it is given of each trial."""

    def __init__(self) -> None:
        super().__init__()
        self.of_trials: dict[str, list[Any]] = {}
        self.study: list[Any] = []

    def _begin_trial(self, study: Recorder, name: str) -> None:
        self.seen = self.of_trials[name] = []

    def _open_study(self, token: str, settings: Mapping[str, Any]) -> None:
        self.study += [token, settings["metric"]]

    def _close_study(self, figures: Mapping[str, float], error: BaseException | None) -> None:
        self.study.append(dict(figures))

    def _end_killed(self, identity: str) -> None:
        self.study.append(("killed", identity.split("/")[1]))

    def _open(self, run: Run, settings: dict[str, Any]) -> None:
        self.seen.append(settings["optimizer.learning_rate"])

    def _write_epoch(self, run: Run, epoch: int, figures: dict[str, float]) -> None:
        self.seen.append((epoch, figures["recall@5"]))

    def _write_figures(self, run: Run, figures: dict[str, float]) -> None:
        self.seen.append(figures["final/value"])

    def _write_state(self, run: Run, state: str) -> None:
        self.seen.append(state)

    def _close(self, run: Run, error: BaseException | None) -> None:
        self.seen.append(error)

    def _flush(self) -> None: ...
    def _write_model(self, run: Run, figures: dict[str, float], card: str) -> None: ...
    def _write_card(self, card: str, step: int) -> None: ...


def test_trackers_see_each_trial(
    whole: tuple[Path, TuneResult], blocks: Interactions, tmp_path: Path
) -> None:
    path, _ = copied(whole, tmp_path)
    recorder = Recorder()
    found = search(blocks, path, n_trials=4, trackers=[recorder])
    last = found.trials[3]
    lines = (tmp_path / "mine.tune/trials/0003.jsonl").read_text().splitlines()
    epochs = [event for event in map(json.loads, lines) if event["event"] == "epoch"]
    curve = [(event["epoch"], event["recall@5"]) for event in epochs]
    (seen,) = recorder.of_trials.values()
    assert list(recorder.of_trials) == ["trial-0003"]
    assert seen[0] == last.settings["optimizer.learning_rate"]
    assert seen[1 : 1 + len(curve)] == curve
    assert seen[1 + len(curve) : -1] == [last.value, last.state]
    token, metric, best = recorder.study
    assert (tmp_path / "mine.tune/token").read_text().strip() == token
    assert (metric, best) == ("recall@5", {"best/trial": found.best.number, "best/value": found.best.value})


def copied(whole: tuple[Path, TuneResult], folder: Path) -> tuple[Path, Path]:
    """A copy of a study that has ended; its recipe file and its journal."""
    shutil.copytree(whole[0].with_suffix(".tune"), folder / "mine.tune")
    return folder / "mine.toml", folder / "mine.tune" / "study.jsonl"


def mend(journal: Path) -> None:
    StudyFolder(journal.parent).mend_journal()


@pytest.mark.parametrize("ending", [b'{"op_code": 4, "wor', b"{", b'{"op_code": 4\n', b"\0\0\0"])
def test_a_last_line_of_the_journal_that_was_cut_is_dropped_with_a_word(
    whole: tuple[Path, TuneResult], blocks: Interactions, tmp_path: Path, ending: bytes
) -> None:
    path, journal = copied(whole, tmp_path)
    before = journal.read_bytes()
    journal.write_bytes(before + ending)
    with pytest.warns(DataWarning, match=r"study\.jsonl: its last line was cut short and is left out"):
        assert search(blocks, path, n_trials=3) == whole[1]
    assert journal.read_bytes().startswith(before)
    assert search(blocks, path, n_trials=3) == whole[1]  # and nothing is said any more


def test_every_place_where_the_journal_can_be_cut_is_mended(
    whole: tuple[Path, TuneResult], tmp_path: Path
) -> None:
    _, journal = copied(whole, tmp_path)
    entries = journal.read_bytes()
    for place in range(0, len(entries), 7):
        journal.write_bytes(entries[:place])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DataWarning)
            mend(journal)
        assert journal.read_bytes() == entries[: entries[:place].rfind(b"\n") + 1]


def test_a_study_whose_journal_lost_the_end_of_a_trial_tries_it_again(
    whole: tuple[Path, TuneResult], blocks: Interactions, tmp_path: Path
) -> None:
    path, journal = copied(whole, tmp_path)
    journal.write_bytes(journal.read_bytes()[:-9])
    with pytest.warns(DataWarning, match="cut short"):
        found = search(blocks, path, n_trials=3)
    assert [trial.state for trial in found.trials] == ["complete", "complete", "killed", "complete"]
    assert found.trials[3].settings == found.trials[2].settings == whole[1].trials[2].settings
    assert found.trials[3].value == whole[1].trials[2].value


def test_a_damaged_line_within_the_journal_is_named(
    whole: tuple[Path, TuneResult], blocks: Interactions, tmp_path: Path
) -> None:
    path, journal = copied(whole, tmp_path)
    lines = journal.read_bytes().splitlines(keepends=True)
    lines[2] = lines[2][:9] + lines[2]
    journal.write_bytes(b"".join(lines))
    with pytest.raises(
        ArtifactDamagedError, match=r"study\.jsonl, line 3: is damaged; remove .*mine\.tune to"
    ):
        search(blocks, path)


def test_a_second_search_is_told_who_is_at_work_and_changes_nothing(
    whole: tuple[Path, TuneResult], blocks: Interactions, tmp_path: Path
) -> None:
    path, journal = copied(whole, tmp_path)
    before = journal.read_bytes()
    with StudyFolder(journal.parent).held(), pytest.raises(StorageError) as refused:
        search(blocks, path, n_trials=4)
    sentence = str(refused.value)
    assert f"mine.tune: process {os.getpid()} on " in sentence
    assert " has been tuning there since 20" in sentence
    assert sentence.endswith("; wait until it has ended, or name another output")
    assert journal.read_bytes() == before
    assert search(blocks, path, n_trials=3) == whole[1]


def test_what_optuna_locked_when_it_was_killed_holds_up_nobody(
    whole: tuple[Path, TuneResult], blocks: Interactions, tmp_path: Path
) -> None:
    path, journal = copied(whole, tmp_path)
    for name in ("study.jsonl.lock", "study.jsonl.lock-1.rename"):
        (journal.parent / name).symlink_to(journal)
    assert search(blocks, path, n_trials=3) == whole[1]
    assert not list(journal.parent.glob("*.lock*"))


def test_minutes_that_are_spent_add_nothing(whole: tuple[Path, TuneResult], blocks: Interactions) -> None:
    path, found = whole
    for seconds in (found.seconds, np.nextafter(found.seconds, np.inf), found.seconds + 0.01):
        assert search(blocks, path, n_trials=None, minutes=seconds / 60) == found


def test_where_no_trial_ends_the_minutes_were_too_few(blocks: Interactions, tmp_path: Path) -> None:
    with pytest.raises(
        TrainingError, match=r"mine\.tune: none of 1 trials ended within the minutes; give more"
    ):
        search(blocks, tmp_path / "mine.toml", minutes=0.001)
    assert not (tmp_path / "mine.toml").exists()


def test_where_nothing_can_be_held_out_no_search_begins(tmp_path: Path) -> None:
    one_each = Interactions.from_arrays([f"u{n}" for n in range(20)], [f"i{n % 3}" for n in range(20)])
    with pytest.raises(DataError, match="train must have users with two items or more"):
        search(one_each, tmp_path / "mine.toml")
    assert list(tmp_path.iterdir()) == []


def test_where_every_trial_failed_the_reason_is_said(
    blocks: Interactions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "not a number")  # the process of a trial ends at once
    with pytest.raises(
        TrainingError, match=r"mine\.tune: all 1 trials failed, the last one because Python runtime state"
    ):
        search(blocks, tmp_path / "mine.toml", n_trials=1)
    assert not (tmp_path / "mine.toml").exists()


def test_a_folder_of_another_search_is_refused(
    whole: tuple[Path, TuneResult], blocks: Interactions, tmp_path: Path
) -> None:
    with pytest.raises(
        ParameterError, match=r"mine\.tune: holds a search with other recipe, seed, data; remove it"
    ):
        search(blocks, whole[0], base=base(n_bits=32), rng=1)
    (tmp_path / "other.tune").mkdir()
    (tmp_path / "other.tune" / "notes.txt").write_text("mine")
    with pytest.raises(ParameterError, match=r"other\.tune: exists and holds no search"):
        search(blocks, tmp_path / "other.toml")


def test_what_training_refuses_ends_the_search_with_its_sentence(
    blocks: Interactions, tmp_path: Path
) -> None:
    with pytest.raises(ParameterError, match="metrics must be cut at 1000 at most, got 'recall@3000'"):
        search(blocks, tmp_path / "mine.toml", metric="recall@3000")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"minutes": 0}, "minutes must be a finite number > 0, got 0"),
        ({"n_trials": 0}, "n_trials must be an integer >= 1, got 0"),
        ({"metric": "recall"}, "metrics must be names like 'recall@20'"),
    ],
)
def test_bad_options_are_refused(
    options: dict[str, object], message: str, blocks: Interactions, tmp_path: Path
) -> None:
    with pytest.raises(ParameterError, match=message):
        search(blocks, tmp_path / "mine.toml", **options)
    assert list(tmp_path.iterdir()) == []


def test_trials_train_with_side_features(blocks: Interactions, tmp_path: Path) -> None:
    rows = {"item_id": [f"i{n}" for n in range(24)], "group": ["a"] * 12 + ["b"] * 12}
    features = SideFeatures.from_frame(pa.table(rows), id="item_id", categorical=["group"])
    found = search(blocks, tmp_path / "mine.toml", item_features=features, n_trials=1)
    assert found.best.state == "complete"
    folder = StudyFolder(tmp_path / "mine.tune")
    users, items = folder.read_features()
    assert users is None
    assert items is not None
    assert items.vocabulary == features.vocabulary
    expected = features.design_matrix(blocks.item_ids)
    assert (items.design_matrix(IdMap(np.arange(blocks.n_items))) != expected).nnz == 0
    with pytest.raises(ParameterError, match="holds a search with other data"):
        search(blocks, tmp_path / "mine.toml", n_trials=1)
