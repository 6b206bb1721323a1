"""Fits that go on where a killed comparison left them, and what all of their pieces cost."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

from hashgnn._files import atomic_file
from hashgnn.recommender import HashGNN
from hashgnn.runs import Callback, Run

_SPENT = "spent.json"


def fit_resumed(model: HashGNN, train: Any, folder: Path, **options: Any) -> float:
    """Fit a model with checkpoints in a folder, which is removed at the end.

    Returns
    -------
    float
        Processor seconds of the fit, the epochs of former pieces included.
    """
    spent = _Spent(folder / _SPENT)
    model.fit(train, progress=False, checkpoint_dir=folder, resume=True, callbacks=[spent], **options)
    shutil.rmtree(folder, ignore_errors=True)
    return spent.seconds


class _Spent(Callback):
    """Write the processor seconds spent so far after each epoch, when the checkpoint is written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._started = time.process_time()
        self._before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else 0.0

    @property
    def seconds(self) -> float:
        """Of this piece and the former ones."""
        return float(self._before) + time.process_time() - self._started

    def on_epoch_end(self, run: Run) -> None:
        with atomic_file(self._path) as temporary:
            temporary.write_text(json.dumps(self.seconds), encoding="utf-8")
