"""Searches for settings: a run of the tracker for each trial, read back by the trackers' own readers."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
from tests.tracking.runs import METRIC, Store, scalars, tensorboard_of, text
from tests.tracking.test_trackers import Refused

from hashgnn.config import ModelConfig, load_recipe
from hashgnn.errors import TrainingWarning
from hashgnn.tracking import TensorBoard, Tracker
from hashgnn.tuning.followed import FollowedStudy

pytest.importorskip("torch")
pytest.importorskip("tensorboard")
pytest.importorskip("mlflow")
pytestmark = pytest.mark.filterwarnings("ignore", "error::hashgnn.errors.HashGNNWarning")

SETTINGS = {"metric": METRIC, "space": {"optimizer.learning_rate": {"low": 0.1, "high": 0.2}}}


def config(rate: float) -> ModelConfig:
    return load_recipe("default", **{"optimizer.learning_rate": rate, "validation.metric": METRIC})


def events(n: int, start: float = 0.1) -> list[dict[str, Any]]:
    """What the log of a trial holds of its epochs; the second is the best."""
    values = [start, start + 0.2, *[start + 0.1] * n]
    return [
        {"event": "epoch", "seconds": 1.0, "epoch": place + 1, "loss": 1 / (place + 1), METRIC: values[place]}
        for place in range(n)
    ]


def trial(study: FollowedStudy, number: int, state: str, value: float | None, n_epochs: int = 3) -> None:
    with study.trial(number, config(0.1 + number / 100), 0, 1, "cpu") as followed:
        for event in events(n_epochs):
            followed.epoch(event)
        followed.ended(state, value)


def search(trackers: list[Tracker], token: str = "a1") -> None:
    study = FollowedStudy(trackers, token, SETTINGS)
    with study.opened():
        trial(study, 0, "complete", 0.3)
        trial(study, 1, "pruned", None, n_epochs=1)
        trial(study, 2, "failed", None, n_epochs=0)
        study.end({"best/trial": 0, "best/value": 0.3})


def by_name(store: Store) -> dict[str, Any]:
    return {run.info.run_name: run for run in store.runs()[1]}


def test_mlflow_holds_a_nested_run_for_each_trial(store: Store) -> None:
    search([store.tracker(run_name="mine")])
    client, _ = store.runs()
    found = by_name(store)
    assert sorted(found) == ["mine", "mine-trial-0000", "mine-trial-0001", "mine-trial-0002"]
    whole, first = found["mine"], found["mine-trial-0000"]
    assert whole.info.status == "FINISHED"
    assert whole.data.metrics == {"best/trial": 0.0, "best/value": 0.3}
    assert whole.data.params["metric"] == METRIC
    assert whole.data.params["space.optimizer.learning_rate.low"] == "0.1"
    for number, (status, state) in enumerate(
        [("FINISHED", "complete"), ("KILLED", "pruned"), ("FAILED", "failed")]
    ):
        run = found[f"mine-trial-000{number}"]
        assert run.data.tags["mlflow.parentRunId"] == whole.info.run_id
        assert (run.info.status, run.data.tags["hashgnn.state"]) == (status, state)
        assert run.data.params["optimizer.learning_rate"] == str(0.1 + number / 100)
    curve = client.get_metric_history(first.info.run_id, "recall_at_20")
    assert [(one.step, one.value) for one in curve] == [(1, 0.1), (2, pytest.approx(0.3)), (3, 0.2)]
    assert (first.data.metrics["final/value"], first.data.metrics["final/best_epoch"]) == (0.3, 2.0)


def test_tensorboard_holds_a_folder_for_each_trial() -> None:
    search([TensorBoard("runs/mine")])
    assert sorted(path.name for path in Path("runs/mine").iterdir()) == [
        "trial-0000",
        "trial-0001",
        "trial-0002",
    ]
    folder = Path("runs/mine/trial-0000")
    assert [step for step, _ in scalars(folder, f"validation/{METRIC}")] == [1, 2, 3]
    assert scalars(folder, "final/value") == [(3, pytest.approx(0.3))]
    assert "| optimizer.learning_rate | `0.1` |" in text(folder, "settings")
    states = [text(Path(f"runs/mine/trial-000{number}"), "state") for number in range(3)]
    assert states == ["complete", "pruned", "failed"]
    assert tensorboard_of(Path("runs/mine/trial-0002")).Tags()["scalars"] == [
        "final/epochs",
        "final/best_epoch",
        "final/seconds",
    ]


def test_a_study_that_goes_on_ends_the_run_of_the_trial_that_was_killed(store: Store) -> None:
    tracker = store.tracker(run_name="mine")
    study = FollowedStudy([tracker], "b2", SETTINGS)
    opened = study.opened()
    opened.__enter__()
    began = study.trial(0, config(0.1), 0, 1, "cpu")
    began.__enter__().epoch(events(1)[0])  # and nothing more: the process is gone
    assert {run.info.status for run in by_name(store).values()} == {"RUNNING"}
    again = FollowedStudy([store.tracker(run_name="mine")], "b2", SETTINGS)
    with again.opened():
        again.end_killed(0)
        again.end_killed(5)  # of which the store knows nothing
        trial(again, 1, "complete", 0.3)
        again.end({"best/value": 0.3})
    found = by_name(store)
    assert sorted(found) == ["mine", "mine-trial-0000", "mine-trial-0001"]
    killed = found["mine-trial-0000"]
    assert (killed.info.status, killed.data.tags["hashgnn.state"]) == ("KILLED", "killed")
    assert found["mine-trial-0001"].data.tags["mlflow.parentRunId"] == found["mine"].info.run_id
    assert found["mine"].info.status == "FINISHED"
    search([store.tracker(run_name="other")], "c3")  # another study is another run
    assert sum(run.data.tags["hashgnn.run"] == "tune" for run in store.runs()[1]) == 2


def test_a_study_that_is_stopped_by_hand_ends_its_runs(store: Store) -> None:
    study = FollowedStudy([store.tracker(run_name="mine")], "d4", SETTINGS)
    with pytest.raises(KeyboardInterrupt), study.opened(), study.trial(0, config(0.1), 0, 1, "cpu"):
        raise KeyboardInterrupt
    assert {name: run.info.status for name, run in by_name(store).items()} == {
        "mine": "KILLED",
        "mine-trial-0000": "KILLED",
    }


class Recorder(Refused):
    """A tracker that shares what it writes down with those of its trials."""

    def _open_study(self, token: str, settings: Any) -> None:
        self.note("study")

    def _close_study(self, figures: Any, error: BaseException | None) -> None:
        self.note("end of study")


@pytest.mark.parametrize("fails", ["study", "open", "epoch", "close"])
def test_a_tracker_that_fails_is_one_warning_for_the_study(fails: str) -> None:
    broken, whole = Recorder(fails), Recorder("nothing")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        search([broken, whole])
    said = [one for one in caught if issubclass(one.category, TrainingWarning)]
    assert [str(one.message) for one in said] == [
        "Recorder failed with OSError: no space left; the training goes on without it"
    ]
    assert broken.calls.count(fails) == 1
    assert broken.calls[-1] == fails
    assert whole.calls.count("open") == whole.calls.count("close") == 3
    assert whole.calls[-1] == "end of study"
