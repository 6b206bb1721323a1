"""Opening a version within a time limit, while the version before goes on answering."""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any, Generic, TypeVar

from hashgnn.errors import ArtifactError, HashGNNError

_LOOK = 0.5  # seconds between looks whether the service stops
_MAX_LEFT = 3  # openings that were given up and still run

Check = Callable[[], None]
V = TypeVar("V")


class Refusal(Enum):
    """Why a version was refused; the value is the label in the metrics."""

    MODEL = "model"
    """It cannot be opened, or fails its checks."""
    IDS = "ids"
    """The ids of the callers would not be valid."""
    TIME = "time"
    """It was not open in time."""


class VersionRefusedError(ArtifactError):
    """A version that may not answer. Its sentence names no path, so that a caller may read it.

    Parameters
    ----------
    sentence : str
    refusal : Refusal
    """

    def __init__(self, sentence: str, refusal: Refusal) -> None:
        super().__init__(sentence)
        self.refusal = refusal

    def __reduce__(self) -> tuple[Any, ...]:
        return VersionRefusedError, (str(self), self.refusal)


class GivenUpError(Exception):
    """Ends the work on a version that nobody waits for."""


class Opener(Generic[V]):
    """Opens versions, each in a thread of its own that is given up when its time is over.

    A thread cannot be ended from outside. One that was given up ends at its next check, and its version is dropped.
    While more than a few still run, as on a disk that does not answer, no other version is opened.

    Parameters
    ----------
    open_version : callable
        Takes a folder and a function to call between the parts of the work. It raises
        :class:`HashGNNError` if the folder cannot be used.
    time_limit : float
        Seconds.
    """

    def __init__(self, open_version: Callable[[Path, Check], V], time_limit: float) -> None:
        self._open, self._time_limit = open_version, time_limit
        self._closing = threading.Event()
        self._left: list[threading.Thread] = []

    def at_start(self, folder: Path) -> V:
        """Open a version without a time limit, as nothing answers yet."""
        return self._open(folder, lambda: None)

    def open(self, folder: Path) -> V:
        """Open a version in time.

        Raises
        ------
        HashGNNError
            If the folder cannot be used.
        VersionRefusedError
            If the time is over, or too many openings that were given up still run.
        """
        name = folder.resolve().name
        self._left = [thread for thread in self._left if thread.is_alive()]
        if len(self._left) >= _MAX_LEFT:
            raise VersionRefusedError(
                f"{name} is refused, {len(self._left)} versions that were given up are still being opened; "
                "start the service again",
                Refusal.TIME,
            )
        opening = _Opening(self._open, folder, self._closing)
        opening.thread.start()
        if not self._wait(opening):
            opening.given_up.set()
            self._left.append(opening.thread)
            raise VersionRefusedError(
                f"{name} is refused, it was not open within {self._time_limit:g} seconds; "
                "a larger --reload-timeout waits longer",
                Refusal.TIME,
            )
        return opening.result(name)

    def _wait(self, opening: _Opening[V]) -> bool:
        """Wait until an opening has ended; say whether it has in time, and before the service stops."""
        until = time.monotonic() + self._time_limit
        while not opening.ended.wait(min(_LOOK, max(0.0, until - time.monotonic()))):
            if time.monotonic() >= until or self._closing.is_set():
                return opening.ended.is_set()
        return True

    def close(self) -> None:
        """End the openings that run at their next check."""
        self._closing.set()


class _Opening(Generic[V]):
    """One version that is being opened in a thread."""

    def __init__(
        self, open_version: Callable[[Path, Check], V], folder: Path, closing: threading.Event
    ) -> None:
        self._open, self._folder, self._closing = open_version, folder, closing
        self.given_up, self.ended = threading.Event(), threading.Event()
        self._version: V | None = None
        self._error: Exception | None = None
        context = contextvars.copy_context()  # its log lines have the id of the request
        # A daemon: a disk that does not answer must not keep the process from ending.
        self.thread = threading.Thread(target=lambda: context.run(self._run), name="opening", daemon=True)

    def _run(self) -> None:
        try:
            version = self._open(self._folder, self._check)
            if not self.given_up.is_set():
                self._version = version
        except Exception as error:
            self._error = error
        finally:
            self.ended.set()

    def _check(self) -> None:
        if self.given_up.is_set() or self._closing.is_set():
            raise GivenUpError

    def result(self, name: str) -> V:
        """Return the version, or raise why there is none."""
        if isinstance(self._error, HashGNNError):
            raise self._error
        if isinstance(self._error, GivenUpError):
            raise VersionRefusedError(f"{name} is refused, the service is stopping", Refusal.TIME)
        if self._version is None:
            raise ArtifactError(
                f"{name} cannot be opened, {type(self._error).__name__}: {self._error!s:.200}"
            )
        return self._version
