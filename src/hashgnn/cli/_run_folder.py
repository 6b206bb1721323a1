"""The places of a training run: the model, its checkpoint while it runs, its log."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from hashgnn.errors import ParameterError


@dataclass(frozen=True)
class RunFolder:
    """Where ``hashgnn fit -o DIR`` writes.

    Attributes
    ----------
    model : Path
        DIR itself, which appears when training has ended well.
    """

    model: Path

    @property
    def checkpoint(self) -> Path:
        """``.DIR.checkpoint`` beside DIR; removed when DIR stands."""
        return self.model.parent / f".{self.model.name}.checkpoint"

    @property
    def log(self) -> Path:
        """``DIR.log.jsonl`` beside DIR; kept."""
        return self.model.parent / f"{self.model.name}.log.jsonl"

    def check(self, *, overwrite: bool, resume: bool) -> None:
        """Refuse before any work what could not be written at its end.

        Raises
        ------
        ParameterError
            If something stands at DIR that may not be replaced, or an unfinished run was forgotten.
        """
        if not self.model.name:
            raise ParameterError(f"--output must name a folder to make, got {str(self.model)!r}")
        unfinished = self.checkpoint.exists()
        taken = self.model.exists() and not (self.model.is_dir() and not any(self.model.iterdir()))
        if taken and not (self.model / "manifest.json").is_file():
            raise ParameterError(f"{self.model}: exists and is not a saved model; choose another folder")
        if taken and resume and not unfinished:
            raise ParameterError(
                f"{self.model}: holds a finished model and there is nothing to resume; "
                "pass --overwrite to train anew"
            )
        if taken and not overwrite and not resume:
            raise ParameterError(f"{self.model}: holds a saved model; pass --overwrite to replace it")
        if unfinished and not overwrite and not resume:
            raise ParameterError(
                f"{self.checkpoint}: an unfinished run is here; pass --resume to go on with it or "
                "--overwrite to start anew"
            )
        parent = next(folder for folder in self.model.absolute().parents if folder.exists())
        if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
            raise ParameterError(
                f"{self.model}: cannot be made, {parent} is not a folder that may be written"
            )

    def clear(self) -> None:
        """Forget an unfinished run and its log."""
        self.forget_checkpoint()
        self.log.unlink(missing_ok=True)

    def forget_checkpoint(self) -> None:
        """Remove the checkpoint, once the model stands."""
        shutil.rmtree(self.checkpoint, ignore_errors=True)
