"""The callbacks of the library, and those of users, in a real run."""

from __future__ import annotations

import ast
import json
import os
import sys
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
import torch
from tests.training.quick import InterruptAfter, quick, run_options

import hashgnn.training.callbacks.progress_report as progress_report
from hashgnn.data import Interactions, split
from hashgnn.errors import CallbackError, StorageError, TrainingWarning
from hashgnn.recommender import HashGNN
from hashgnn.runs import Callback, Run, RunState
from hashgnn.training import train
from hashgnn.training.callbacks import EarlyStopping

SOURCE = Path(progress_report.__file__).parents[2]


class Follower(Callback):
    """What a tracker would keep: settings at the start, metrics of epochs, the outcome."""

    def __init__(self) -> None:
        self.events: list[object] = []
        self.losses: list[float] = []

    def on_start(self, run: Run) -> None:
        facts = sorted(run.facts)
        self.events.append(("start", run.config["n_bits"], run.seed, run.device, facts, run.epoch))

    def on_step(self, run: Run) -> None:
        self.losses.append(run.loss)
        assert run.global_step == (run.epoch * run.n_steps) + run.step

    def on_epoch_end(self, run: Run) -> None:
        assert run.step == 0
        mean = float(np.mean(self.losses[-run.n_steps :]))
        self.events.append(("epoch", run.epoch, run.metrics["loss"] == pytest.approx(mean)))

    def on_end(self, run: Run) -> None:
        self.events.append(("end", run.best_epoch, run.best_metrics))

    def on_error(self, run: Run, error: BaseException) -> None:
        self.events.append(("error", type(error).__name__))


class StopAfter(Callback):
    def __init__(self, epoch: int, *, in_step: bool = False) -> None:
        self.epoch, self.in_step = epoch, in_step

    def on_step(self, run: Run) -> None:
        if self.in_step and run.epoch == self.epoch - 1:
            run.stop()

    def on_epoch_end(self, run: Run) -> None:
        if not self.in_step and run.epoch == self.epoch:
            run.stop()


class Fails(Callback):
    def on_epoch_end(self, run: Run) -> None:
        raise KeyError("tracking-server")


def test_a_callback_follows_a_run_from_its_settings_to_its_outcome(blocks: Interactions) -> None:
    follower = Follower()
    config = quick(
        "default", **{"optimizer.epochs": 3, "validation.share": 0.2, "validation.metric": "recall@5"}
    )
    state = train(blocks, config, options=run_options(7, callbacks=[follower]))
    best = state.training["best_epoch"]
    assert follower.events == [
        ("start", 16, 7, "cpu", ["teacher"], 0),
        ("epoch", 1, True),
        ("epoch", 2, True),
        ("epoch", 3, True),
        ("end", best, {"recall@5": state.metrics["recall@5"]}),
    ]
    assert len(follower.losses) == 3 * len(follower.losses[::3])


def test_callbacks_do_not_change_what_is_learned(blocks: Interactions, tmp_path: Path) -> None:
    config = quick("default")
    followed = run_options(
        1, callbacks=[Follower()], checkpoint_dir=tmp_path, log_path=tmp_path / "log", progress=None
    )
    one, other = (train(blocks, config, options=options) for options in (run_options(1), followed))
    assert np.array_equal(one.users.embeddings, other.users.embeddings)
    assert one.items.codes == other.items.codes


@pytest.mark.parametrize("in_step", [False, True])
def test_a_callback_can_stop_a_run(in_step: bool, blocks: Interactions) -> None:
    follower = Follower()
    options = run_options(0, callbacks=[StopAfter(2, in_step=in_step), follower])
    state = train(blocks, quick("default", **{"optimizer.epochs": 9}), options=options)
    assert (state.training["epochs"], state.training["best_epoch"]) == (2, 2)
    assert follower.events[-1] == ("end", 2, {})


def test_the_epoch_in_which_a_run_is_stopped_is_validated(blocks: Interactions) -> None:
    config = quick("default", **{"optimizer.epochs": 9, "validation.share": 0.2, "validation.every": 4})
    state = train(blocks, config, options=run_options(0, callbacks=[StopAfter(2, in_step=True)]))
    assert [config.validation.metric in entry for entry in state.training["history"]] == [False, True]
    assert state.training["best_epoch"] == 2


def test_a_callback_that_fails_ends_the_run_with_its_name(blocks: Interactions, tmp_path: Path) -> None:
    follower, log = Follower(), tmp_path / "log.jsonl"
    options = run_options(0, callbacks=[follower, Fails()], checkpoint_dir=tmp_path, log_path=log)
    with pytest.raises(CallbackError, match=r"^Fails.on_epoch_end failed with KeyError: 'tracking-server'$"):
        train(blocks, quick("default"), options=options)
    assert follower.events[-1] == ("error", "CallbackError")
    last = json.loads(log.read_text().splitlines()[-1])
    assert last["event"] == "error"
    assert last["error"] == "CallbackError: Fails.on_epoch_end failed with KeyError: 'tracking-server'"
    # The callbacks of the library come first: the epoch is in the checkpoint and is not lost.
    resumed = train(blocks, quick("default"), options=run_options(0, checkpoint_dir=tmp_path, resume=True))
    whole = train(blocks, quick("default"), options=run_options(0))
    assert [e["loss"] for e in resumed.training["history"]] == [e["loss"] for e in whole.training["history"]]
    assert np.array_equal(resumed.items.embeddings, whole.items.embeddings)


def test_a_resumed_run_starts_its_callbacks_where_it_continues(blocks: Interactions, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(
            blocks,
            quick("default"),
            options=run_options(0, checkpoint_dir=tmp_path, callbacks=[InterruptAfter(2)]),
        )
    follower = Follower()
    options = run_options(0, checkpoint_dir=tmp_path, resume=True, callbacks=[follower])
    train(blocks, quick("default"), options=options)
    assert [event[:2] for event in follower.events[1:]] == [("epoch", 3), ("end", 3)]  # type: ignore[index]
    assert follower.events[0][-1] == 2  # type: ignore[index]


def test_the_fitted_state_comes_last_and_is_the_one_that_training_returns(blocks: Interactions) -> None:
    class Fitted(Follower):
        def on_fitted(self, run: Run, state: object) -> None:
            self.events.append(("fitted", run.epoch))
            self.state = state

    follower = Fitted()
    state = train(blocks, quick("paper"), options=run_options(0, callbacks=[follower]))
    assert follower.state is state
    assert [event[0] for event in follower.events[-2:]] == ["end", "fitted"]  # type: ignore[index]


def test_what_fails_at_the_fitted_state_is_named(blocks: Interactions) -> None:
    class Fitted(Callback):
        def on_fitted(self, run: Run, state: object) -> None:
            raise ValueError("no place")

    with pytest.raises(CallbackError, match=r"^Fitted\.on_fitted failed with ValueError: no place$"):
        train(blocks, quick("paper"), options=run_options(0, callbacks=[Fitted()]))


def test_a_run_and_the_one_that_resumes_it_have_one_identity(blocks: Interactions, tmp_path: Path) -> None:
    class Identity(Callback):
        def on_start(self, run: Run) -> None:
            self.found = (run.identity, run.is_resumed)

    first, second, other = Identity(), Identity(), Identity()
    with pytest.raises(KeyboardInterrupt):
        train(
            blocks,
            quick("paper"),
            options=run_options(0, callbacks=[first, InterruptAfter(1)], checkpoint_dir=tmp_path),
        )
    resumed = run_options(0, callbacks=[second], checkpoint_dir=tmp_path, resume=True)
    train(blocks, quick("paper"), options=resumed)
    train(blocks, quick("paper"), options=run_options(1, callbacks=[other]))
    assert first.found == (second.found[0], False)
    assert second.found[1]
    assert other.found[0] not in ("", first.found[0])


def test_fit_and_update_take_callbacks(blocks: Interactions) -> None:
    first, second = Follower(), Follower()
    config = quick("default", **{"optimizer.epochs": 3}).to_dict()
    model = HashGNN(**config).fit(blocks, rng=0, device="cpu", n_threads=1, progress=False, callbacks=[first])
    new = Interactions.from_arrays([500, 501], [1, 2])
    model.update(new, rng=0, device="cpu", n_threads=1, progress=False, callbacks=[second])
    assert len(first.events) == 1 + 3 + 1
    assert len(second.events) == 1 + 1 + 1  # a third of the epochs


# --- early stopping


def history(*values: float | None) -> list[dict[str, float]]:
    return [
        {"epoch": float(epoch)} | ({} if value is None else {"recall@20": value})
        for epoch, value in enumerate(values, 1)
    ]


@pytest.mark.parametrize(
    ("values", "best_epoch", "stops"),
    [
        ((0.3, 0.2), 1, False),
        ((0.3, 0.2, 0.1), 1, True),
        ((0.3, 0.2, 0.4), 3, False),
        ((None, 0.3, None, 0.2, None), 2, False),
        ((None, 0.3, None, 0.2, None, 0.1), 2, True),
        ((None, None, None), 0, False),
    ],
)
def test_patience_counts_validations_since_the_best(
    values: tuple[float | None, ...], best_epoch: int, stops: bool
) -> None:
    state = RunState(epoch=len(values), history=history(*values), best_epoch=best_epoch)
    for hook in ("on_start", "on_epoch_end"):
        run = Run("training", {}, 0, "cpu", 1, metric="recall@20", state=state)
        getattr(EarlyStopping(2), hook)(run)
        assert run.is_stopping == stops


def test_a_run_that_had_stopped_early_trains_no_further_when_resumed(
    blocks: Interactions, tmp_path: Path
) -> None:
    fitted, valid = split.random(blocks, 0.2, rng=0)
    config = quick(
        "default", **{"optimizer.epochs": 30, "validation.patience": 1, "optimizer.learning_rate": 0.05}
    )
    first = train(fitted, config, valid=valid, options=run_options(0, checkpoint_dir=tmp_path))
    assert first.training["epochs"] < 30
    follower = Follower()
    options = run_options(0, checkpoint_dir=tmp_path, resume=True, callbacks=[follower])
    again = train(fitted, config, valid=valid, options=options)
    assert again.training["history"] == first.training["history"]
    assert follower.losses == []
    assert np.array_equal(again.users.embeddings, first.users.embeddings)


# --- progress and log


def test_without_a_terminal_there_is_a_line_an_epoch_and_a_summary(
    blocks: Interactions, capsys: pytest.CaptureFixture[str]
) -> None:
    config = quick(
        "default", **{"optimizer.epochs": 3, "validation.share": 0.2, "validation.metric": "recall@5"}
    )
    state = train(blocks, config, options=run_options(0, progress=None))
    out, err = capsys.readouterr()
    assert out == ""
    *epochs, summary = err.splitlines()
    history = state.training["history"]
    assert [line.rsplit(", ", 1)[0] for line in epochs] == [
        f"training: epoch {n} of 3, loss {entry['loss']:.4f}, recall@5 {entry['recall@5']:.4f}"
        for n, entry in enumerate(history, start=1)
    ]
    assert summary.startswith("training: 3 epochs in ")
    best, value = state.training["best_epoch"], state.metrics["recall@5"]
    assert summary.endswith(f" seconds; best epoch {best}, recall@5 {value:.4f}")


def test_a_quiet_run_prints_nothing(blocks: Interactions, capsys: pytest.CaptureFixture[str]) -> None:
    train(blocks, quick("default", **{"optimizer.epochs": 1}), options=run_options(0))
    assert capsys.readouterr() == ("", "")


def test_on_a_terminal_a_bar_comes_and_goes(
    blocks: Interactions, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    train(blocks, quick("paper", **{"optimizer.epochs": 1}), options=run_options(0, progress=None))
    err = capsys.readouterr().err
    assert "training" in err
    assert "epochs in" not in err


def test_a_log_that_cannot_be_written_is_found_before_any_work(
    blocks: Interactions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["hashgnn.training.train"], "build_model", None)
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="file"):
        train(blocks, quick("default"), options=run_options(0, log_path=tmp_path / "file" / "log.jsonl"))


# --- one loop


def test_nothing_but_the_loop_steps_an_optimiser() -> None:
    """A second training loop would have to call ``step`` of an optimiser, or ``backward`` of a loss."""
    found = set()
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                is_step = node.func.attr == "step" and "optim" in ast.unparse(node.func.value)
                if is_step or node.func.attr == "backward":
                    found.add(path.relative_to(SOURCE).as_posix())
                if ast.unparse(node.func).startswith("torch.optim."):
                    found.add(path.relative_to(SOURCE).as_posix())
    assert found - {path for path in found if path.startswith("testing/")} == {"training/loop.py"}


def test_the_loop_trains_any_module() -> None:
    """Least squares of one parameter: the mean of the data, whatever the module is."""
    from hashgnn._rng import derive
    from hashgnn.config.training import OptimizerConfig, ValidationConfig
    from hashgnn.training.loop import run_loop

    class Mean(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.value = torch.nn.Parameter(torch.zeros(()))

    class Squares:
        facts = MappingProxyType({})
        mixed_precision = False

        def n_steps(self) -> int:
            return 4

        def batches(self, rng: np.random.Generator):
            return iter(rng.permutation(8.0 * np.arange(1, 5)))

        def loss(self, model, batch, position, generator) -> torch.Tensor:
            positions.append(tuple(position))
            return (model.value - batch) ** 2

    positions: list[tuple[int, ...]] = []
    model = Mean()
    run = Run("means", {}, 0, "cpu", 1)
    run_loop(
        model,
        Squares(),
        run,
        optimizer=OptimizerConfig(epochs=150, learning_rate=0.5, shared_learning_rate=None, beta2=0.999),
        validation=ValidationConfig(),
        options=run_options(0),
        identity="",
        epoch_rng=lambda epoch: derive(0, epoch),
    )
    assert model.value.item() == pytest.approx(20, abs=0.5)
    assert positions[:5] == [(0, 150, 0, 4), (0, 150, 1, 4), (0, 150, 2, 4), (0, 150, 3, 4), (1, 150, 0, 4)]
    assert (run.epoch, run.best_epoch, run.global_step) == (150, 150, 600)


def test_a_run_resumes_on_another_number_of_threads_with_a_word(blocks: Interactions, tmp_path: Path) -> None:
    whole = train(blocks, quick("default"), options=run_options(0, n_threads=1))
    with pytest.raises(KeyboardInterrupt):
        stopped = run_options(0, n_threads=1, checkpoint_dir=tmp_path, callbacks=[InterruptAfter(1)])
        train(blocks, quick("default"), options=stopped)
    options = run_options(0, n_threads=2, checkpoint_dir=tmp_path, resume=True)
    with pytest.warns(TrainingWarning, match="a run with 1 threads, this one has 2; it goes on"):
        resumed = train(blocks, quick("default"), options=options)
    losses, expected = ([e["loss"] for e in s.training["history"]] for s in (resumed, whole))
    assert losses[0] == expected[0]
    assert losses == pytest.approx(expected, rel=1e-3)


def test_a_line_of_the_log_that_a_kill_cut_short_is_removed_before_the_next_run(
    blocks: Interactions, tmp_path: Path
) -> None:
    log = tmp_path / "run.jsonl"
    log.write_text('{"event": "start", "seconds": 0.0}\n{"event": "epoch", "sec')
    train(blocks, quick("default", **{"optimizer.epochs": 1}), options=run_options(0, log_path=log))
    events = [json.loads(line)["event"] for line in log.read_text().splitlines()]
    assert events == ["start", "start", "objective", "epoch", "end"]


def test_a_folder_for_checkpoints_belongs_to_one_run_at_a_time(blocks: Interactions, tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    config = quick("default", **{"optimizer.epochs": 2})
    refused: list[str] = []

    class Second(Callback):
        def on_epoch_end(self, run: Run) -> None:
            with pytest.raises(StorageError) as error:
                train(blocks, config, options=run_options(1, checkpoint_dir=folder))
            refused.append(str(error.value))

    train(blocks, config, options=run_options(0, checkpoint_dir=folder, callbacks=[Second()]))
    assert len(refused) == 2
    assert f"checkpoints: process {os.getpid()} on " in refused[0]
    assert refused[0].endswith("; wait until it has ended, or name another folder for checkpoints")
    resumed = train(blocks, config, options=run_options(0, checkpoint_dir=folder, resume=True))
    assert resumed.training["epochs"] == 2  # the checkpoint is that of the first run
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoints"]
