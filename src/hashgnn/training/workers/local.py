"""The engine ``local``: this process and helpers on this machine, which it starts and ends."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import distributed

from hashgnn import errors
from hashgnn._registry import imported
from hashgnn.data.stored import StoredInteractions, StoredPlace
from hashgnn.errors import EngineError, HashGNNError, PeerLostError
from hashgnn.runs import RunOptions
from hashgnn.state import ModelState
from hashgnn.training.device import resolve_device
from hashgnn.training.workers.group import JoinedGroup
from hashgnn.training.workers.joining import backend_for, first_has_result, loopback_only

_SECONDS_TO_JOIN = 300.0
_SECONDS_TO_END = 10.0
_OPEN = threading.Lock()  # torch.distributed has one default group in a process


def run_local(function: str, arguments: dict[str, Any], options: RunOptions, n_workers: int) -> ModelState:
    """Call a training function in this process and in ``n_workers - 1`` others that train with it.

    Callbacks, log, checkpoint and progress stay in this process. It ends the helpers in any case, and they end by
    themselves where it is killed.

    Parameters
    ----------
    function : str
        ``"module:name"`` of :func:`~hashgnn.training.train` or :func:`~hashgnn.training.update`.
    arguments : dict
        Those of the function, without ``options``.
    options : RunOptions
    n_workers : int

    Raises
    ------
    EngineError
        If a helper does not start or is killed.
    """
    backend = backend_for(resolve_device(options.device), n_workers)
    with _OPEN, _helpers(n_workers, backend) as helpers:
        try:
            request = (function, _by_place(arguments), replace(options, callbacks=()))
            JoinedGroup(0, n_workers, n_workers).share(request)
            with first_has_result():
                state: ModelState = imported(function)(**arguments, options=options)
            return state
        except PeerLostError as error:
            raise helpers.reason() from error


def _by_place(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return arguments in which interactions that lie in a folder are its place, so that all processes map one copy."""
    return {
        name: value.place if isinstance(value, StoredInteractions) and value.place is not None else value
        for name, value in arguments.items()
    }


def from_places(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments that another process has sent with places instead of interactions.

    Raises
    ------
    DataError
        If other interactions lie there by now.
    """
    return {
        name: value.open() if isinstance(value, StoredPlace) else value for name, value in arguments.items()
    }


def join_local(rank: int, size: int, folder: Path, backend: str) -> None:
    """Open the process group of a run on this machine; the folder is where its processes find one another."""
    store = distributed.FileStore(str(folder / "store"), size)  # type: ignore[attr-defined]
    with loopback_only():
        distributed.init_process_group(
            backend, store=store, rank=rank, world_size=size, timeout=timedelta(minutes=30)
        )


class _Helpers:
    def __init__(self, size: int, folder: Path, backend: str) -> None:
        self._folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []
        for rank in range(1, size):
            place = {"rank": rank, "size": size, "folder": str(folder), "backend": backend}
            with (folder / f"{rank}.err").open("wb") as report:
                process = subprocess.Popen(
                    [sys.executable, "-m", "hashgnn.training.workers.helper"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=report,
                    start_new_session=True,  # Ctrl-C is for the run, which ends its helpers
                )
            self._processes.append(process)
            assert process.stdin is not None
            with suppress(BrokenPipeError):  # it has died, as whoever waits for it will see
                process.stdin.write(json.dumps(place).encode() + b"\n")
                process.stdin.flush()

    def wait_until_ready(self) -> None:
        for process in self._processes:
            assert process.stdout is not None
            if process.stdout.readline() != b"ready\n":
                raise self.reason()

    def reason(self) -> HashGNNError:
        """Return the error of the first helper that has ended."""
        deadline = time.monotonic() + _SECONDS_TO_END
        while time.monotonic() < deadline and all(p.poll() is None for p in self._processes):
            time.sleep(0.05)
        for rank, process in enumerate(self._processes, 1):
            code = process.poll()
            if code is None or process.stdout is None:
                continue
            with suppress(ValueError, KeyError, IndexError):  # a process that was killed said nothing
                report = json.loads(process.stdout.read().splitlines()[-1])
                kind = getattr(errors, report["kind"], None)
                if isinstance(kind, type) and issubclass(kind, HashGNNError):
                    return kind(report["error"])
                return EngineError(
                    f"process {rank} of the training ended, {report['kind']}: {report['error']}"
                )
            if code < 0:
                how = f"was killed by {signal.Signals(-code).name}"
            else:
                how = f"ended with code {code}, {self._last_words(rank)}"
            return EngineError(
                f"process {rank} of the training {how}; the same run with resume=True goes on from its checkpoint"
            )
        return EngineError(
            "a process of the training does not answer; the same run with resume=True goes on from its checkpoint"
        )

    def end(self, *, at_once: bool) -> None:
        deadline = time.monotonic() + (0.0 if at_once else _SECONDS_TO_END)
        for process in self._processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with suppress(BrokenPipeError):
                        pipe.close()

    def _last_words(self, rank: int) -> str:
        lines = (self._folder / f"{rank}.err").read_text(errors="replace").split("\n")
        return next((line.strip()[:200] for line in reversed(lines) if line.strip()), "without a word")


@contextmanager
def _helpers(size: int, backend: str) -> Iterator[_Helpers]:
    """Start the helpers and open the process group with them; end both after the block."""
    folder = Path(tempfile.mkdtemp(prefix="hashgnn-training-"))
    helpers = None
    is_done = False
    try:
        helpers = _Helpers(size, folder, backend)
        helpers.wait_until_ready()
        try:
            join_local(0, size, folder, backend)
            yield helpers
            is_done = True
        finally:
            if distributed.is_initialized():
                distributed.destroy_process_group()
    finally:
        if helpers is not None:
            helpers.end(at_once=not is_done)
        shutil.rmtree(folder, ignore_errors=True)


def n_processors() -> int:
    """Return how many processes of one thread this machine can run at a time."""
    if torch.cuda.is_available():
        return torch.cuda.device_count()
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
