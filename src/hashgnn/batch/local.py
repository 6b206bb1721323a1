"""The engine ``local``: processes of this machine, each with a model of its own that shares the mapped pages."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from hashgnn.batch.writing import PartRecord, PartWriter
from hashgnn.errors import EngineError

_ATTEMPTS = 3  # processes that one part may cost
ONE_THREAD = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")}


def run_local(writer: PartWriter, numbers: Sequence[int], n_workers: int) -> Iterator[PartRecord]:
    """Yield the record of each part as it is written.

    A process that dies is replaced, and its part is made again.

    Raises
    ------
    EngineError
        If a part costs three processes.
    """
    pool = _Pool(writer, numbers, n_workers)
    try:
        yield from pool.records()
    finally:
        pool.stop()


class _Pool:
    def __init__(self, writer: PartWriter, numbers: Sequence[int], n_workers: int) -> None:
        kind = type(writer.job)
        request = {
            "job": f"{kind.__module__}:{kind.__qualname__}",
            "document": writer.job.document(),
            "folder": writer.folder,
        }
        self._request = (json.dumps(request) + "\n").encode()
        self._n_parts = len(numbers)
        self._todo: queue.SimpleQueue[int] = queue.SimpleQueue()
        for number in numbers:
            self._todo.put(number)
        self._done: queue.SimpleQueue[PartRecord | BaseException] = queue.SimpleQueue()
        self._deaths: Counter[int] = Counter()
        self._processes: set[subprocess.Popen[bytes]] = set()
        self._lock, self._is_stopped = threading.Lock(), False
        self._threads = [
            threading.Thread(target=self._serve, name=f"batch-{number}", daemon=True)
            for number in range(min(n_workers, len(numbers)))
        ]

    def records(self) -> Iterator[PartRecord]:
        for thread in self._threads:
            thread.start()
        for _ in range(self._n_parts):
            record = self._done.get()
            if isinstance(record, BaseException):
                raise record
            yield record

    def stop(self) -> None:
        with self._lock:
            self._is_stopped = True
            for process in self._processes:
                process.kill()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()

    def _serve(self) -> None:
        """Keep one process at work until nothing is left to do."""
        process: subprocess.Popen[bytes] | None = None
        try:
            while not self._is_stopped:
                try:
                    number = self._todo.get_nowait()
                except queue.Empty:
                    return
                process = process or self._start()
                record = None if process is None else _ask(process, number)
                if record is not None:
                    self._done.put(record)
                elif not self._is_stopped:
                    self._end(process)
                    process = None
                    self._after_death(number)
        except BaseException as error:
            self._done.put(error)
        finally:
            self._end(process)

    def _after_death(self, number: int) -> None:
        with self._lock:
            self._deaths[number] += 1
            attempts = self._deaths[number]
        if attempts >= _ATTEMPTS:
            raise EngineError(
                f"part {number} was given up, {attempts} processes were killed while they made it; "
                "with fewer workers each has more memory, and the same call goes on from here"
            )
        self._todo.put(number)  # for this thread, if the others have ended

    def _start(self) -> subprocess.Popen[bytes] | None:
        process = subprocess.Popen(
            [sys.executable, "-m", "hashgnn.batch.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **ONE_THREAD},
            start_new_session=True,  # Ctrl-C is for the run, which ends its workers
        )
        with self._lock:
            if self._is_stopped:
                process.kill()
            self._processes.add(process)
        if _send(process, self._request):
            return process
        self._end(process)
        return None

    def _end(self, process: subprocess.Popen[bytes] | None) -> None:
        if process is None:
            return
        with self._lock:
            self._processes.discard(process)
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                _close(pipe)


def _ask(process: subprocess.Popen[bytes], number: int) -> PartRecord | None:
    """Return the record of a part, ``None`` where the process has died."""
    if not _send(process, f"{number}\n".encode()):
        return None
    assert process.stdout is not None
    line = process.stdout.readline()
    return dict(json.loads(line)) if line.endswith(b"\n") else None


def _send(process: subprocess.Popen[bytes], line: bytes) -> bool:
    assert process.stdin is not None
    try:
        process.stdin.write(line)
        process.stdin.flush()
    except BrokenPipeError:
        return False
    return True


def _close(pipe: Any) -> None:
    try:
        pipe.close()
    except BrokenPipeError:
        return  # what was not sent is of no use to a dead process
