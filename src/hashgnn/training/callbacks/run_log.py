"""``RunLog``: the events of a run, one JSON object a line, flushed as they happen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TextIO

from hashgnn._addresses import path_of
from hashgnn._files import drop_cut_line, storage_errors
from hashgnn.runs import Callback, Run

_BEGINS = b'{"event": "'


class RunLog(Callback):
    """Append the events of a run to a JSONL file.

    A last line that a kill or a full disk cut short is removed before anything is appended.

    Each line holds ``event``, ``seconds`` since the run began, and the event's own fields: ``start``,
    ``objective`` where there are facts, ``epoch``, and ``end`` or ``error``.

    Parameters
    ----------
    path : str or Path
        Its folder is made where it is missing.

    Raises
    ------
    StorageError
        If the file cannot be written.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = path_of(path)
        self._file: TextIO | None = None

    @staticmethod
    def create(path: str | Path) -> None:
        """Make the file where it is missing, so that one that cannot be written is found before any work."""
        path = path_of(path)
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.open("a").close()
            if path.is_file():
                drop_cut_line(path, _BEGINS)

    def on_start(self, run: Run) -> None:
        """Open the file and write the inputs of the run."""
        self.create(self._path)
        with storage_errors(self._path):
            self._file = self._path.open("a", encoding="utf-8")
        self._write(
            "start",
            run,
            config=dict(run.config),
            seed=run.seed,
            device=run.device,
            n_threads=run.n_threads,
        )
        if run.facts:
            self._write("objective", run, **run.facts)

    def on_epoch_end(self, run: Run) -> None:
        """Write the entry of the epoch."""
        self._write("epoch", run, **run.metrics)

    def on_end(self, run: Run) -> None:
        """Write the best epoch and its metric."""
        self._write("end", run, epochs=run.epoch, best_epoch=run.best_epoch, metrics=run.best_metrics)
        self._close()

    def on_error(self, run: Run, error: BaseException) -> None:
        """Write the error that ended the run."""
        try:
            self._write("error", run, error=f"{type(error).__name__}: {error}")
        finally:
            self._close()

    def _write(self, event: str, run: Run, **fields: Any) -> None:
        if self._file is None:
            return
        line = json.dumps({"event": event, "seconds": round(run.seconds, 3), **fields})
        with storage_errors(self._path):
            self._file.write(line + "\n")
            self._file.flush()

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
