"""The contract of callbacks, without a training run: order, errors, and which callbacks see them."""

from __future__ import annotations

from typing import Any

import pytest

from hashgnn.errors import CallbackError, ParameterError, StorageError
from hashgnn.runs import Callback, CallbackList, Run, RunOptions, RunState


def a_run(**state: object) -> Run:
    return Run(
        name="training",
        config={},
        seed=0,
        device="cpu",
        n_threads=1,
        n_steps=10,
        metric="recall@20",
        state=RunState(**state),  # type: ignore[arg-type]
    )


class Noted(Callback):
    """Write down every hook that is called; fail in one of them."""

    def __init__(self, name: str, notes: list[str], fails: str = "", error: Exception | None = None) -> None:
        self.name, self.notes, self.fails, self.error = name, notes, fails, error

    def note(self, hook: str) -> None:
        self.notes.append(f"{self.name}.{hook}")
        if hook == self.fails:
            raise self.error or ValueError("no space")

    def on_start(self, run: Run) -> None:
        self.note("on_start")

    def on_epoch_end(self, run: Run) -> None:
        self.note("on_epoch_end")

    def on_end(self, run: Run) -> None:
        self.note("on_end")

    def on_error(self, run: Run, error: BaseException) -> None:
        self.note("on_error")


class CountsSteps(Callback):
    def __init__(self) -> None:
        self.n = 0

    def on_step(self, run: Run) -> None:
        self.n += 1


def test_hooks_are_called_in_the_order_of_the_callbacks() -> None:
    notes: list[str] = []
    counter = CountsSteps()
    hooks = CallbackList([Noted("a", notes), counter, Noted("b", notes)])
    run = a_run()
    hooks.start(run)
    hooks.step(run)
    hooks.step(run)
    hooks.epoch_end(run)
    hooks.end(run)
    assert notes == ["a.on_start", "b.on_start", "a.on_epoch_end", "b.on_epoch_end", "a.on_end", "b.on_end"]
    assert counter.n == 2


def test_what_fails_in_a_hook_is_named_and_kept_as_the_cause() -> None:
    cause = ValueError("no space")
    hooks = CallbackList([Noted("a", [], "on_epoch_end", cause)])
    with pytest.raises(CallbackError) as caught:
        hooks.epoch_end(a_run())
    assert str(caught.value) == "Noted.on_epoch_end failed with ValueError: no space"
    assert caught.value.__cause__ is cause


def test_an_exception_of_hashgnn_keeps_its_class_and_gets_a_note() -> None:
    hooks = CallbackList([Noted("a", [], "on_epoch_end", StorageError("disk is full"))])
    with pytest.raises(StorageError, match=r"^disk is full") as caught:
        hooks.epoch_end(a_run())
    assert str(caught.value) == "disk is full"
    assert caught.value.__notes__ == ["raised in Noted.on_epoch_end"]


def test_an_error_reaches_those_that_were_started_and_not_ended() -> None:
    notes: list[str] = []
    hooks = CallbackList([Noted("a", notes), Noted("b", notes, "on_start"), Noted("c", notes)])
    with pytest.raises(CallbackError) as caught:
        hooks.start(a_run())
    hooks.error(a_run(), caught.value)
    assert notes == ["a.on_start", "b.on_start", "a.on_error", "b.on_error"]

    notes.clear()
    hooks = CallbackList([Noted("a", notes), Noted("b", notes, "on_end"), Noted("c", notes)])
    hooks.start(a_run())
    with pytest.raises(CallbackError) as caught:
        hooks.end(a_run())
    hooks.error(a_run(), caught.value)
    assert notes[3:] == ["a.on_end", "b.on_end", "c.on_error"]


def test_what_fails_after_an_error_does_not_hide_it() -> None:
    notes: list[str] = []
    hooks = CallbackList([Noted("a", notes, "on_error"), Noted("b", notes)])
    hooks.start(a_run())
    error = RuntimeError("the first")
    hooks.error(a_run(), error)
    assert error.__notes__ == ["Noted.on_error failed too: ValueError('no space')"]
    assert notes[-1] == "b.on_error"


def test_a_run_tells_where_it_is() -> None:
    run = a_run()
    assert (run.epoch, run.best_epoch, dict(run.metrics), run.best_metrics) == (0, 0, {}, {})
    history = [{"epoch": 1.0, "recall@20": 0.2}, {"epoch": 2.0, "recall@20": 0.1}, {"epoch": 3.0}]
    run = a_run(epoch=3, history=history, best_epoch=1, best_value=0.2)
    run.step = 4
    assert (run.epoch, run.global_step, run.best_epoch) == (3, 34, 1)
    assert (run.metrics, run.best_metrics) == ({"epoch": 3.0}, {"recall@20": 0.2})
    assert a_run(epoch=3, history=history).best_epoch == 3  # nothing was validated: the last is kept
    run.stop()
    assert run.is_stopping


def test_run_options_out_of_range_raise() -> None:
    with pytest.raises(ParameterError, match="seed must be an integer >= 0, got -1"):
        RunOptions(seed=-1)
    with pytest.raises(ParameterError, match="n_threads must be an integer >= 1, got 0"):
        RunOptions(n_threads=0)
    with pytest.raises(ParameterError, match="checkpoint_dir must be given with resume=True, got None"):
        RunOptions(resume=True)
    with pytest.raises(
        ParameterError, match="callbacks must be objects of classes derived from Callback, got 3"
    ):
        RunOptions(callbacks=[3])  # type: ignore[list-item]


def test_two_options_without_a_seed_draw_different_ones() -> None:
    assert RunOptions().seed != RunOptions().seed


def test_one_callback_alone_is_refused_and_so_is_an_iterator() -> None:
    wrong: list[Any] = [Callback(), iter([Callback()])]
    for callbacks in wrong:
        with pytest.raises(ParameterError, match="callbacks must be a list, got <"):
            RunOptions(callbacks=callbacks)
