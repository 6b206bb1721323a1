"""``EarlyStopping``: no epochs that validation has stopped rewarding."""

from __future__ import annotations

from hashgnn._checks import check_int
from hashgnn.runs import Callback, Run


class EarlyStopping(Callback):
    """Stop a run after ``patience`` validations in a row without a new best value.

    It keeps nothing of its own: the history of the run says all, so a resumed run stops where it should.

    Parameters
    ----------
    patience : int
    """

    def __init__(self, patience: int) -> None:
        self._patience = check_int("patience", patience, minimum=1)

    def on_start(self, run: Run) -> None:
        """Stop at once where the run that is resumed had stopped."""
        self._check(run)

    def on_epoch_end(self, run: Run) -> None:
        """Count the validations since the best one."""
        self._check(run)

    def _check(self, run: Run) -> None:
        if run.state.best_epoch == 0:
            return
        since = run.history[run.state.best_epoch :]
        if sum(run.metric in entry for entry in since) >= self._patience:
            run.stop()
