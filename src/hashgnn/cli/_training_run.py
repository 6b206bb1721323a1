"""A training run of a command: its model, its checkpoint while it runs, its log, and how it ends."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hashgnn._addresses import address_of
from hashgnn._files import check_writable
from hashgnn._launched import Launched, is_helper
from hashgnn._locks import check_free, held
from hashgnn.cli._output import Output
from hashgnn.cli._signals import stop_explained
from hashgnn.cli._tracking import FollowedRun
from hashgnn.errors import ParameterError

_OTHERWISE = "name another folder"


@dataclass(frozen=True)
class RunFolder:
    """Where ``hashgnn fit -o DIR`` and ``hashgnn update`` write.

    Attributes
    ----------
    model : Path
        DIR itself, which appears when training has succeeded.
    """

    model: Path

    @property
    def checkpoint(self) -> Path:
        """``.DIR.checkpoint`` next to DIR; removed when DIR is complete."""
        return self._parent / f".{self.model.name}.checkpoint"

    @property
    def log(self) -> Path:
        """``DIR.log.jsonl`` next to DIR; kept."""
        return self._parent / f"{self.model.name}.log.jsonl"

    @property
    def address(self) -> str | None:
        """The address that DIR is, if it is none of this machine's folders."""
        return address_of(self.model)

    @property
    def _parent(self) -> Path:
        """Where checkpoint and log lie: next to DIR, in the working folder where DIR is an address."""
        return self.model.parent if self.address is None else Path()

    @property
    def _local(self) -> Path:
        """DIR; where it is an address, the folder of that name in the working folder, which is not made."""
        return self._parent / self.model.name

    def __str__(self) -> str:
        return self.address or str(self.model)

    def goes_on(self, resume: bool) -> bool:
        """Return whether to go on from the checkpoint: where the user says so, and where ``torchrun`` starts its processes again."""
        launched = Launched.from_environment()
        is_restarted = launched is not None and launched.n_restarts > 0
        return resume or (is_restarted and self.checkpoint.exists())

    def check(self, *, overwrite: bool, resume: bool) -> None:
        """Raise before any work if the model could not be written at the end; a process that only helps never does.

        Raises
        ------
        ParameterError
            If DIR holds something that must not be replaced, or an unfinished run that neither option mentions.
        StorageError
            If another process is training to DIR.
        """
        if is_helper():
            return
        if not self.model.name:
            raise ParameterError(f"--output must name a folder to make, got {str(self.model)!r}")
        check_free(self._local, _OTHERWISE)
        self.check_content(overwrite=overwrite, resume=resume)

    def check_content(self, *, overwrite: bool, resume: bool) -> None:
        """Do what :meth:`check` does, in the process that holds DIR."""
        from hashgnn.state.at_address import check_address, exists_at

        unfinished = self.checkpoint.exists()
        if self.address is not None:
            check_address(self.address, overwrite=True)  # what is no model, or cannot be written at all
            taken = exists_at(self.address)
        else:
            taken = self.model.exists() and not (self.model.is_dir() and not any(self.model.iterdir()))
            if taken and not (self.model / "manifest.json").is_file():
                raise ParameterError(f"{self.model}: exists and is not a saved model; choose another folder")
        if taken and resume and not unfinished:
            raise ParameterError(
                f"{self}: holds a finished model and there is nothing to resume; "
                "pass --overwrite to train anew"
            )
        if taken and not overwrite and not resume:
            raise ParameterError(f"{self}: holds a saved model; pass --overwrite to replace it")
        if unfinished and not overwrite and not resume:
            raise ParameterError(
                f"{self.checkpoint}: an unfinished run is here; pass --resume to go on with it or "
                "--overwrite to start anew"
            )
        check_writable(self._local)

    def held(self) -> AbstractContextManager[None]:
        """Return a context in which no other process trains to DIR."""
        return held(self._local, "training", _OTHERWISE)

    def kept(self) -> str:
        """Return what a run that is stopped leaves, and how to go on."""
        if self.checkpoint.exists():
            return "the last whole epoch is kept; run the same command with --resume to continue"
        return "no epoch had ended, and nothing is kept; run the same command again"

    def clear(self) -> None:
        """Remove the checkpoint and the log of an unfinished run."""
        self.forget_checkpoint()
        self.log.unlink(missing_ok=True)

    def forget_checkpoint(self) -> None:
        """Remove the checkpoint, once the model is saved."""
        shutil.rmtree(self.checkpoint, ignore_errors=True)


def train_and_save(
    folder: RunFolder,
    train: Callable[..., Any],
    out: Output,
    *,
    seed: int,
    device: str,
    threads: int | None,
    resume: bool,
    overwrite: bool,
    followed: FollowedRun,
) -> None:
    """Train a model with a checkpoint and a log, save it, and print what it became.

    Parameters
    ----------
    folder : RunFolder
    train : callable
        Takes the run's options as :meth:`hashgnn.HashGNN.fit` does, and returns the model.
    out : Output
    seed, device, threads, resume, overwrite
        The options of the command.
    followed : FollowedRun
        Who follows the run, and the texts of the card.
    """
    if is_helper():  # the first process keeps checkpoint and log, saves and reports
        train(device=device, n_threads=threads, rng=seed, progress=False)
        return
    with folder.held(), stop_explained(out, folder.kept):
        folder.check_content(overwrite=overwrite, resume=resume)  # another run may have ended since then
        if not resume:
            folder.clear()
        elif not folder.checkpoint.exists():
            out.note(f"{folder.checkpoint}: there is no checkpoint yet; training from the start")
        model = train(
            device=device,
            n_threads=threads,
            rng=seed,
            progress=out.progress,
            checkpoint_dir=folder.checkpoint,
            resume=resume,
            log_path=folder.log,
            callbacks=followed.trackers,
        )
        model.save(folder.model, overwrite=overwrite or resume, **followed.texts)
        followed.log_card(model)
        folder.forget_checkpoint()
    _report(out, folder, model)


def _report(out: Output, folder: RunFolder, model: Any) -> None:
    state = model.state_
    document = {
        "path": str(folder),
        "log": folder.log,
        "n_users": state.n_users,
        "n_items": state.n_items,
        "n_interactions": int(state.seen.nnz),
        "n_bits": state.n_bits,
        "epochs": state.training["epochs"],
        "best_epoch": state.training["best_epoch"],
        "seconds": state.training["seconds"],
        "metrics": dict(state.metrics),
        "lineage": state.training.get("lineage"),
        "config": state.config.to_dict(),
    }
    if out.as_json:
        out.document(document)
        return
    out.note(
        f"{folder}: saved after {document['epochs']} epochs and {document['seconds']:.1f} seconds; "
        f"{state.n_users:,} users and {state.n_items:,} items, codes of {state.n_bits} bits"
    )
    import numpy as np

    first = shlex.quote(state.users.ids.printed(np.zeros(1, np.int64))[0])
    out.note(f"next: hashgnn recommend {folder} --users {first}")
