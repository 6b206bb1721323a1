"""The process of a trial, and the epochs in its log so far."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from hashgnn.tuning.study_folder import StudyFolder


class TrialProcess:
    """A running trial, a context manager that ends the process on exit.

    Parameters
    ----------
    folder : StudyFolder
    number : int
    n_threads : int
    """

    def __init__(self, folder: StudyFolder, number: int, n_threads: int) -> None:
        self._folder, self._number, self._errors = folder, number, folder.errors_of(number)
        self._n_read = 0
        environment = {**os.environ, "OMP_NUM_THREADS": str(n_threads)}
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter, our own module
                [sys.executable, "-m", "hashgnn.tuning", str(folder.path), str(number)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                env=environment,
                start_new_session=True,  # Ctrl-C is for the study, which ends the trial
            )

    def __enter__(self) -> TrialProcess:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()

    def exit_code(self) -> int | None:
        """Return how the process ended, ``None`` while it runs."""
        return self._process.poll()

    def said(self) -> str:
        """Return the last line of its errors."""
        return last_words(self._errors)

    def new_epochs(self) -> list[dict[str, Any]]:
        """Return the epochs that were logged since the last call."""
        epochs = self._folder.epochs_of(self._number)[self._n_read :]
        self._n_read += len(epochs)
        return epochs


def last_words(errors: Path) -> str:
    """Return the last line of the errors of a trial's process."""
    try:
        lines = errors.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except OSError:
        lines = []
    return lines[-1] if lines else "its process was ended and said nothing"
