"""TensorBoard and MLflow: what a run writes is read back by their own readers."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.tracking.runs import HEALTH, METRIC, Store, few, fit, scalars, tensorboard_of, text
from tests.training.quick import InterruptAfter

from hashgnn.baselines import fit_baseline
from hashgnn.errors import MissingExtraError, ParameterError, TrainingError, TrainingWarning
from hashgnn.runs import Callback, Run
from hashgnn.tracking import MLflow, TensorBoard, Tracker

pytest.importorskip("torch")
pytest.importorskip("tensorboard")
pytest.importorskip("mlflow")
# Other libraries warn of their own calls; our own warnings stay errors.
pytestmark = pytest.mark.filterwarnings("ignore", "error::hashgnn.errors.HashGNNWarning")


class Fails(Callback):
    """End a run with an error when an epoch has ended."""

    def on_epoch_end(self, run: Run) -> None:
        raise TrainingError("the loss became nan")


class Refused(Tracker):
    """A tracker whose store fails in one of its calls; the calls are written down."""

    def __init__(self, fails: str) -> None:
        super().__init__()
        self.fails, self.calls = fails, []  # type: list[str]

    def note(self, call: str) -> None:
        self.calls.append(call)
        if call == self.fails:
            raise OSError("no space\nleft")

    def _open(self, run: Run, settings: dict[str, Any]) -> None:
        self.note("open")

    def _write_epoch(self, run: Run, epoch: int, figures: dict[str, float]) -> None:
        self.note("epoch")

    def _flush(self) -> None:
        self.note("flush")

    def _write_figures(self, run: Run, figures: dict[str, float]) -> None:
        self.note("figures")

    def _write_model(self, run: Run, figures: dict[str, float], card: str) -> None:
        self.note("model")

    def _write_card(self, card: str, step: int) -> None:
        self.note("card")

    def _close(self, run: Run, error: BaseException | None) -> None:
        self.note("close")


def test_tensorboard_holds_every_epoch_the_settings_and_the_model() -> None:
    state = fit(TensorBoard("runs/v1"))
    folder, history = Path("runs/v1"), state.training["history"]
    assert [step for step, _ in scalars(folder, "loss")] == [1, 2, 3]
    for tag, name in (("loss", "loss"), (f"validation/{METRIC}", METRIC), ("train_seconds", "train_seconds")):
        wanted = [pytest.approx(entry[name], rel=1e-6) for entry in history]
        assert [value for _, value in scalars(folder, tag)] == wanted
    assert scalars(folder, f"final/{METRIC}") == [(3, pytest.approx(state.metrics[METRIC], rel=1e-6))] * 2
    assert scalars(folder, "final/best_epoch") == [(3, state.training["best_epoch"])]
    tags = set(tensorboard_of(folder).Tags()["scalars"])
    assert {f"code_health/{side}/{name}" for side in ("users", "items") for name in HEALTH} <= tags
    assert scalars(folder, "code_health/items/n_codes") == [(3, 24)]
    assert "| optimizer.epochs | `3` |" in text(folder, "settings")
    assert text(folder, "model_card") == state.card()


def test_mlflow_holds_every_epoch_the_settings_and_the_model(place: Path, store: Store) -> None:
    state = fit(store.tracker(run_name="v1"))
    client, (run,) = store.runs()
    assert (run.info.run_name, run.info.status) == ("v1", "FINISHED")
    for name, key in (("loss", "loss"), ("recall_at_20", METRIC)):
        found = [(one.step, one.value) for one in client.get_metric_history(run.info.run_id, name)]
        assert found == [(int(entry["epoch"]), entry[key]) for entry in state.training["history"]]
    metrics = run.data.metrics
    assert metrics["final/recall_at_20"] == state.metrics[METRIC]
    assert metrics["final/best_epoch"] == state.training["best_epoch"]
    assert {name.split("/")[2] for name in metrics if name.startswith("code_health/items/")} == HEALTH
    assert run.data.params["optimizer.epochs"] == "3"
    assert (run.data.params["seed"], run.data.params["device"]) == ("1", "cpu")
    written = Path(client.download_artifacts(run.info.run_id, "model_card.md", str(place)))
    assert written.read_text(encoding="utf-8") == state.card()


def test_a_resumed_run_goes_on_in_the_same_place_without_a_gap_or_an_epoch_twice(
    tmp_path: Path, store: Store
) -> None:
    checkpoint = tmp_path / "checkpoint"
    # The interrupt comes before the trackers hear of epoch 2, whose checkpoint is written: as a kill would do it.
    with pytest.raises(KeyboardInterrupt):
        fit(InterruptAfter(2), TensorBoard("v1"), store.tracker(), epochs=4, checkpoint_dir=checkpoint)
    client, (stopped,) = store.runs()
    assert stopped.info.status == "KILLED"
    assert [step for step, _ in scalars(Path("v1"), "loss")] == [1]
    state = fit(TensorBoard("v1"), store.tracker(), epochs=4, checkpoint_dir=checkpoint, resume=True)
    losses = [entry["loss"] for entry in state.training["history"]]
    assert [step for step, _ in scalars(Path("v1"), "loss")] == [1, 2, 3, 4]
    assert [value for _, value in scalars(Path("v1"), "loss")] == [pytest.approx(x, rel=1e-6) for x in losses]
    client, (run,) = store.runs()
    assert (run.info.run_id, run.info.status) == (stopped.info.run_id, "FINISHED")
    found = client.get_metric_history(run.info.run_id, "loss")
    assert [(one.step, one.value) for one in found] == list(enumerate(losses, start=1))


def test_an_event_file_that_a_kill_cut_short_is_no_hindrance(tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint"
    with pytest.raises(KeyboardInterrupt):
        fit(TensorBoard("v1"), InterruptAfter(2), checkpoint_dir=checkpoint)
    (cut,) = Path("v1").iterdir()
    cut.write_bytes(cut.read_bytes()[:-7])
    fit(TensorBoard("v1"), checkpoint_dir=checkpoint, resume=True)
    assert [step for step, _ in scalars(Path("v1"), "loss")] == [1, 2, 3]


def test_a_run_that_starts_anew_is_another_mlflow_run_and_takes_the_place_in_a_tensorboard_folder(
    store: Store,
) -> None:
    fit(TensorBoard("v1"), store.tracker(), epochs=3)
    fit(TensorBoard("v1"), store.tracker(), epochs=2)
    assert [step for step, _ in scalars(Path("v1"), "loss")] == [1, 2]
    assert len(store.runs()[1]) == 2


def test_a_run_that_fails_is_closed_as_failed(store: Store) -> None:
    with pytest.raises(TrainingError, match="the loss became nan"):
        fit(TensorBoard("v1"), store.tracker(), Fails())
    (run,) = store.runs()[1]
    assert run.info.status == "FAILED"
    assert [step for step, _ in scalars(Path("v1"), "loss")] == [1]


@pytest.mark.parametrize("call", ["open", "epoch", "flush", "figures", "close", "model"])
def test_a_tracker_that_fails_is_one_warning_and_the_run_goes_on(call: str) -> None:
    tracker = Refused(call)
    with pytest.warns(TrainingWarning) as warned:
        state = fit(tracker)
    assert [str(one.message) for one in warned] == [
        "Refused failed with OSError: no space left; the training goes on without it"
    ]
    assert state.training["epochs"] == 3
    assert tracker.calls[-1] == call  # and nothing more is tried
    assert fit().items.codes == state.items.codes


def test_a_tracker_that_failed_begins_again_with_the_next_run() -> None:
    tracker = Refused("open")
    for _ in range(2):
        with pytest.warns(TrainingWarning, match="no space left"):
            fit(tracker, epochs=1)
    assert tracker.calls == ["open", "open"]


def test_a_store_that_cannot_be_reached_does_not_end_a_training(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "file").write_text("no folder")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    for tracker in (
        TensorBoard("file/v1"),
        MLflow("http://127.0.0.1:9"),
        MLflow(f"sqlite:///{place}/file/store.db"),
    ):
        with pytest.warns(
            TrainingWarning, match=f"^{type(tracker).__name__} failed with .*goes on without it$"
        ):
            assert fit(tracker, epochs=1).training["epochs"] == 1


def test_of_several_processes_the_first_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    trackers = [Refused("") for _ in range(2)]
    for rank, tracker in enumerate(trackers):
        monkeypatch.setenv("RANK", str(rank))
        fit(tracker, epochs=1)
    assert trackers[0].calls == ["open", "flush", "epoch", "flush", "figures", "close", "model"]
    assert trackers[1].calls == []


def test_trackers_change_nothing_of_what_is_learned(store: Store) -> None:
    tracked, plain = fit(TensorBoard("v1"), store.tracker()), fit()
    assert tracked.items.codes == plain.items.codes
    assert tracked.users.embeddings.tobytes() == plain.users.embeddings.tobytes()


def test_another_card_takes_the_place_of_the_first(store: Store) -> None:
    trackers = [TensorBoard("v1"), store.tracker()]
    fit(*trackers, epochs=1)
    for tracker in trackers:
        tracker.log_card("# Another")
    assert text(Path("v1"), "model_card") == "# Another"
    client, (run,) = store.runs()
    written = Path(client.download_artifacts(run.info.run_id, "model_card.md"))
    assert written.read_text(encoding="utf-8") == "# Another"


def test_a_baseline_is_tracked_too() -> None:
    fit_baseline("lightgcn", few(), dim=8, rng=0, progress=False, callbacks=[TensorBoard("b")], epochs=2)
    assert [step for step, _ in scalars(Path("b"), "loss")] == [1, 2]


def test_a_folder_is_one_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert TensorBoard("~/runs").folder == tmp_path / "runs"
    with pytest.raises(
        ParameterError, match="^folder must be a path of this machine, got the address 's3://b/runs'"
    ):
        TensorBoard("s3://b/runs")


def test_a_name_that_is_empty_is_refused() -> None:
    with pytest.raises(ParameterError, match="experiment must be text that is not empty, got ''"):
        MLflow("sqlite:///store.db", "")
    with pytest.raises(ParameterError, match="uri must be text that is not empty, got ''"):
        MLflow("")


def test_a_tracker_can_be_sent_and_used_again_after_a_run(store: Store) -> None:
    for tracker in (TensorBoard("v1"), store.tracker()):
        fit(tracker, epochs=1)
        copy = pickle.loads(pickle.dumps(tracker))
        fit(copy, epochs=2)
    assert [step for step, _ in scalars(Path("v1"), "loss")] == [1, 2]
    assert len(store.runs()[1]) == 2


@pytest.mark.parametrize(("package", "make"), [("tensorboard", TensorBoard), ("mlflow", MLflow)])
def test_a_missing_package_is_one_sentence_before_the_training(
    package: str, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(
        MissingExtraError, match=f"needs the package {package}, of the extra {package}; install"
    ):
        make("place")
