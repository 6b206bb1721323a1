"""Signals that stop a command: Ctrl-C, SIGTERM and SIGHUP end it in order, a second one at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from hashgnn.cli._output import Output

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")  # SIGHUP comes when the terminal is closed


class Stopped(KeyboardInterrupt):
    """The command shall stop, after Ctrl-C or a signal that is treated in the same way."""


class StopSignals:
    """While the block runs, the first signal raises :class:`Stopped`, and a second one ends the process.

    A signal that whoever started the command wants ignored, as ``nohup`` does with SIGHUP, stays ignored.

    Attributes
    ----------
    received : Signals or None
        The first signal.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            for number in _numbers():
                if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
                    self._before[number] = signal.signal(number, self._stop)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @property
    def exit_code(self) -> int:
        """128 and the number of the signal, as a shell has it."""
        return 128 + (self.received or signal.SIGINT)

    @property
    def sentence(self) -> str:
        """The last words of the command."""
        return (
            "interrupted"
            if self.received in (None, signal.SIGINT)
            else f"stopped by {signal.Signals(self.received).name}"
        )

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.received = signal.Signals(number)
        for other in self._before:
            # The first process of a container has no default action.
            signal.signal(other, _leave if os.getpid() == 1 else signal.SIG_DFL)
        raise Stopped(self.sentence)


@contextmanager
def stop_explained(out: Output, kept: Callable[[], str]) -> Iterator[None]:
    """Say what is kept and how to go on where a signal stops the block.

    Parameters
    ----------
    out : Output
    kept : callable
        Returns the sentence.
    """
    try:
        yield
    except KeyboardInterrupt as stop:
        if not getattr(stop, "explained", False):  # else by a block within this one
            stop.explained = True  # type: ignore[attr-defined]
            with suppress(OSError):  # the terminal may be gone
                out.note(kept())
        raise


def hangup_ends_as_sigterm() -> None:
    """Let SIGHUP do what SIGTERM does, in a command that has a way of its own to end."""
    number = getattr(signal, "SIGHUP", None)
    if number is not None and signal.getsignal(number) != signal.SIG_IGN:
        signal.signal(number, lambda *_: signal.raise_signal(signal.SIGTERM))


def _numbers() -> list[signal.Signals]:
    return [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]


def _leave(number: int, frame: FrameType | None) -> None:
    os._exit(128 + number)
