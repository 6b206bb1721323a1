"""``ProgressReport``: the progress bar of a run."""

from __future__ import annotations

import sys
from contextlib import ExitStack

from hashgnn._progress import Advance
from hashgnn._progress import progress as progress_bar
from hashgnn.runs import Callback, Run


class ProgressReport(Callback):
    """Report to stderr: a bar on a terminal, lines elsewhere.

    Where stderr is no terminal, each epoch is a line. A summary comes at the end.
    """

    def __init__(self) -> None:
        self._bar = ExitStack()
        self._advance: Advance | None = None

    def on_start(self, run: Run) -> None:
        """Show the bar, as far as a resumed run has come."""
        if sys.stderr.isatty():
            self._advance = self._bar.enter_context(progress_bar(run.name, run.n_epochs * run.n_steps))
            self._advance(run.global_step)

    def on_step(self, run: Run) -> None:
        """Move the bar."""
        if self._advance is not None:
            self._advance(1, note=f"loss {run.loss:.4f}")

    def on_epoch_end(self, run: Run) -> None:
        """Show the loss, and the metric where the epoch was validated."""
        if self._advance is not None:
            self._advance(0, note=_figures(run))
        else:
            _print(epoch_line(run))

    def on_end(self, run: Run) -> None:
        """Remove the bar, or print the summary."""
        self._bar.close()
        if self._advance is None:
            _print(end_line(run))

    def on_error(self, run: Run, error: BaseException) -> None:
        """Remove the bar."""
        self._bar.close()


def epoch_line(run: Run) -> str:
    """Return the line of the epoch that has just ended."""
    return f"{run.name}: epoch {run.epoch} of {run.n_epochs}, {_figures(run)}, {run.seconds:.1f} seconds"


def end_line(run: Run) -> str:
    """Return the line of a run that has ended."""
    best = "".join(f", {name} {value:.4f}" for name, value in run.best_metrics.items())
    best = f"; best epoch {run.best_epoch}{best}" if best else ""
    return f"{run.name}: {run.epoch} epochs in {run.seconds:.1f} seconds{best}"


def _figures(run: Run) -> str:
    figures = f"loss {run.metrics['loss']:.4f}"
    if run.metric is not None and run.metric in run.metrics:
        figures += f", {run.metric} {run.metrics[run.metric]:.4f}"
    return figures


def _print(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
