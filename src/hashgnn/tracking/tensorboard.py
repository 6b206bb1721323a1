"""``TensorBoard``: a run as event files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hashgnn._addresses import own_path
from hashgnn._extras import check_extra
from hashgnn.runs import Run
from hashgnn.tracking.tracker import Tracker

_PROGRESS = ("loss", "train_seconds")


class TensorBoard(Tracker):
    """Write a run as event files, by the writer of torch (extra ``tensorboard``).

    ``tensorboard --logdir FOLDER`` shows the run, next to those in other folders below the same one. Scalars
    are ``loss``, ``train_seconds`` and ``validation/…`` of each epoch, then ``final/…`` and ``code_health/…``.
    Texts are ``settings`` and ``model_card``. The step is the epoch, from 1.

    A folder holds one run. A run that is resumed there goes on, without a gap or an epoch twice. One that starts
    anew takes the place of the former one. Each trial of a search has a folder ``trial-0000`` of its own there, and a
    text ``state``.

    Parameters
    ----------
    folder : str or Path
        Made where it is missing.

    Raises
    ------
    ParameterError
        If ``folder`` is an address.
    MissingExtraError
        If the package tensorboard or torch is not installed.

    Examples
    --------
    >>> model.fit(train, callbacks=[TensorBoard("runs/v1")])  # doctest: +SKIP
    """

    def __init__(self, folder: str | Path) -> None:
        super().__init__()
        check_extra("torch", extra="train", purpose="TensorBoard")
        check_extra("tensorboard", extra="tensorboard", purpose="TensorBoard")
        self.folder = own_path("folder", folder)
        self._writer: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_writer": None}

    def _begin_trial(self, study: TensorBoard, name: str) -> None:
        self.folder, self._writer = study.folder / name, None

    def _write_state(self, run: Run, state: str) -> None:
        self._writer.add_text("state", state, run.epoch)

    def _open(self, run: Run, settings: dict[str, Any]) -> None:
        # What was written before is passed over by the reader from here on, and written again: so no epoch is
        # missing that a kill kept from the files, and none is there twice.
        self._writer = self._new_writer(purge_step=0)
        self._writer.add_text("settings", _table(settings), 0)

    def _write_epoch(self, run: Run, epoch: int, figures: dict[str, float]) -> None:
        for name, value in figures.items():
            tag = name if name in _PROGRESS else f"validation/{name}"
            self._writer.add_scalar(tag, value, epoch)

    def _flush(self) -> None:
        self._writer.flush()

    def _write_figures(self, run: Run, figures: dict[str, float]) -> None:
        for name, value in figures.items():
            self._writer.add_scalar(name, value, run.epoch)

    def _write_model(self, run: Run, figures: dict[str, float], card: str) -> None:
        self._writer = self._new_writer()
        self._write_figures(run, figures)
        self._close(run, None)
        self._write_card(card, run.epoch)

    def _write_card(self, card: str, step: int) -> None:
        writer = self._new_writer()
        writer.add_text("model_card", card, step)
        writer.close()

    def _close(self, run: Run, error: BaseException | None) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _new_writer(self, purge_step: int | None = None) -> Any:
        from torch.utils.tensorboard import SummaryWriter

        return SummaryWriter(str(self.folder), purge_step=purge_step)

    def _give_up(self) -> None:
        self._writer = None


def _table(settings: dict[str, Any]) -> str:
    rows = ("| {} | `{}` |".format(name, str(value).replace("|", "\\|")) for name, value in settings.items())
    return "\n".join(["| setting | value |", "|---|---|", *rows])
