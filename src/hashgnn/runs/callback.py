"""``Callback``: the contract of whatever follows a run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hashgnn.errors import CallbackError, HashGNNError
from hashgnn.runs.run import Run


class Callback:
    """Follow a training run. Derive from this class and override the hooks you need.

    ``on_start`` comes once, when everything is built and before the first step. Then come ``on_step`` after
    each step and ``on_epoch_end`` after each epoch and its validation. The last hook is ``on_end`` or
    ``on_error``, one of the two. After ``on_end`` of a hash model comes ``on_fitted``, with what it has become. The
    hooks of several callbacks are called in the order of the callbacks; those of the library come first. A
    resumed run calls ``on_start`` again, with ``run.is_resumed`` and, where a checkpoint was there, ``run.epoch``
    above 0.

    A hook reads what it needs from ``run`` and must not change it; :meth:`Run.stop` ends the run. It draws no
    random numbers from global generators, so that a run with callbacks learns what one without them does.
    An exception in a hook ends the run, as a :class:`~hashgnn.errors.CallbackError` with the name of the
    callback. An exception of hashgnn itself, such as a full disk, keeps its class.

    Hooks are called in one process, also where several train together.

    Examples
    --------
    >>> class BestLoss(Callback):
    ...     def on_start(self, run):
    ...         self.best = float("inf")
    ...
    ...     def on_epoch_end(self, run):
    ...         self.best = min(self.best, run.metrics["loss"])
    ...         if self.best < 0.1:
    ...             run.stop()
    >>> model.fit(train, callbacks=[BestLoss()])  # doctest: +SKIP
    """

    def on_start(self, run: Run) -> None:
        """Take note of ``run.config``, ``run.seed`` and ``run.facts``; open outputs of the other hooks."""

    def on_step(self, run: Run) -> None:
        """Take note of ``run.loss``, at ``run.global_step``. It runs often; keep it short."""

    def on_epoch_end(self, run: Run) -> None:
        """Take note of ``run.metrics``, the entry of epoch ``run.epoch``."""

    def on_end(self, run: Run) -> None:
        """Take note of ``run.best_epoch`` and ``run.best_metrics``; close opened outputs."""

    def on_fitted(self, run: Run, state: Any) -> None:
        """Take note of the fitted :class:`~hashgnn.state.ModelState`; baselines have none, and do not call this."""

    def on_error(self, run: Run, error: BaseException) -> None:
        """Close opened outputs: the run ends with ``error``, which may be a ``KeyboardInterrupt``."""


class CallbackList:
    """Call the hooks of several callbacks, in their order.

    Parameters
    ----------
    callbacks : iterable of Callback
    """

    def __init__(self, callbacks: Iterable[Callback]) -> None:
        self._callbacks = list(callbacks)
        self._with_steps = [c for c in self._callbacks if type(c).on_step is not Callback.on_step]
        self._started: list[Callback] = []

    def start(self, run: Run) -> None:
        """Call ``on_start``."""
        for callback in self._callbacks:
            self._started.append(callback)
            _call(callback, "on_start", run)

    def step(self, run: Run) -> None:
        """Call ``on_step`` of those that have one."""
        for callback in self._with_steps:
            _call(callback, "on_step", run)

    def epoch_end(self, run: Run) -> None:
        """Call ``on_epoch_end``."""
        for callback in self._callbacks:
            _call(callback, "on_epoch_end", run)

    def end(self, run: Run) -> None:
        """Call ``on_end``; a callback whose ``on_end`` has run gets no ``on_error`` afterwards."""
        for callback in self._callbacks:
            self._started.remove(callback)
            _call(callback, "on_end", run)

    def fitted(self, run: Run, state: Any) -> None:
        """Call ``on_fitted``."""
        for callback in self._callbacks:
            _call(callback, "on_fitted", run, state)

    def error(self, run: Run, error: BaseException) -> None:
        """Call ``on_error`` of all that were started; what fails there is added to ``error`` as a note."""
        for callback in self._started:
            try:
                callback.on_error(run, error)
            except Exception as further:
                error.add_note(f"{_name(callback, 'on_error')} failed too: {further!r}")


def _call(callback: Callback, hook: str, run: Run, *values: Any) -> None:
    try:
        getattr(callback, hook)(run, *values)
    except HashGNNError as error:
        error.add_note(f"raised in {_name(callback, hook)}")
        raise
    except Exception as error:
        raise CallbackError(f"{_name(callback, hook)} failed with {type(error).__name__}: {error}") from error


def _name(callback: Callback, hook: str) -> str:
    return f"{type(callback).__name__}.{hook}"
