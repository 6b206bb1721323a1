"""Several workers that share one socket: started, watched, replaced when one dies, ended together."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from prometheus_client import multiprocess

from hashgnn.errors import ArtifactError
from hashgnn.serving.models.metrics import MULTIPROCESS
from hashgnn.serving.process.ready_marks import all_ready
from hashgnn.serving.settings import BAD_INPUT, ServiceSettings
from hashgnn.serving.wire.logs import log, write_to_stderr

_INFO, _ERROR = 20, 40
_CHECK = 0.2  # seconds between checks of the workers
_EARLY = 5.0  # seconds: a worker that ends sooner is replaced after a pause
_PAUSE = 1.0


class Supervisor:
    """The worker processes of one service. They share the listening socket and the pages of the mapped tables.

    Parameters
    ----------
    settings : ServiceSettings
    listening : socket
    n_workers : int
    on_ready : callable
        Called once, when every worker answers requests.
    """

    def __init__(
        self,
        settings: ServiceSettings,
        listening: socket.socket,
        n_workers: int,
        on_ready: Callable[[], None],
    ) -> None:
        self._settings, self._listening, self._n_workers = settings, listening, n_workers
        self._on_ready, self._is_ready = on_ready, False
        self._running: dict[subprocess.Popen[bytes], float] = {}
        self._ending = threading.Event()

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT.

        Raises
        ------
        ArtifactError
            If the workers cannot start; one that is replaced later is tried again and again.
        """
        write_to_stderr()
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, self._end)
        with tempfile.TemporaryDirectory(prefix="hashgnn-serve-") as folder:
            (Path(folder) / "metrics").mkdir()
            try:
                for _ in range(self._n_workers):
                    self._start(Path(folder))
                while not self._ending.wait(_CHECK):
                    self._replace_dead(Path(folder))
                    self._tell_when_ready(Path(folder))
            finally:
                self._end_all()

    def _start(self, folder: Path) -> None:
        number = self._listening.fileno()
        worker = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", "hashgnn.serving.process.worker_main", str(number)],
            stdin=subprocess.PIPE,
            pass_fds=(number,),
            env={**os.environ, MULTIPROCESS: str(folder / "metrics")},
        )
        assert worker.stdin is not None
        # The settings hold keys. Other users could read an argument or the environment, but not a pipe.
        # The pipe stays open: its end tells the worker that this process is gone, however it went.
        worker.stdin.write(
            self._settings.model_copy(update={"runtime": folder}).model_dump_json().encode() + b"\n"
        )
        worker.stdin.flush()
        self._running[worker] = time.monotonic()
        log(_INFO, "worker started", pid=worker.pid)

    def _replace_dead(self, folder: Path) -> None:
        for worker, started in list(self._running.items()):
            if worker.poll() is None:
                continue
            del self._running[worker]
            if worker.stdin is not None:
                worker.stdin.close()
            multiprocess.mark_process_dead(worker.pid, str(folder / "metrics"))  # type: ignore[no-untyped-call]
            log(_ERROR, "worker ended", pid=worker.pid, code=worker.returncode)
            # Later it is tried again: the model or the server of the store may be away for a while.
            if worker.returncode == BAD_INPUT and not self._is_ready:
                raise ArtifactError("a worker could not start; the line above gives the reason")
            if time.monotonic() - started < _EARLY:
                self._ending.wait(
                    _PAUSE
                )  # a worker that dies again and again must not use all the processor time
            self._start(folder)

    def _tell_when_ready(self, folder: Path) -> None:
        if not self._is_ready and all_ready(folder, [worker.pid for worker in self._running]):
            self._is_ready = True
            self._on_ready()

    def _end(self, number: int, frame: FrameType | None) -> None:
        self._ending.set()

    def _end_all(self) -> None:
        for worker in self._running:
            worker.terminate()
        limit = self._settings.drain + self._settings.time_limit + 10
        deadline = time.monotonic() + limit
        for worker in self._running:
            try:
                worker.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()
            if worker.stdin is not None:
                worker.stdin.close()
