"""One progress bar for every long loop: on a terminal only, silent with ``quiet``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

Advance = Callable[..., None]


@contextmanager
def progress(description: str, total: int | None, *, enabled: bool | None = None) -> Iterator[Advance]:
    """Show a bar on stderr while the block runs and yield ``advance(steps=1, note="")``.

    Parameters
    ----------
    description : str
        Name of the work.
    total : int or None
        Steps in all; ``None`` shows a moving bar.
    enabled : bool or None, default=None
        ``None`` shows the bar only where stderr is a terminal; ``False`` never.
    """
    show = sys.stderr.isatty() if enabled is None else enabled and sys.stderr.isatty()
    if not show:
        yield _silent
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(description, total=total, note="")

        def advance(steps: int = 1, note: str | None = None) -> None:
            if note is None:
                bar.advance(task, steps)
            else:
                bar.update(task, advance=steps, note=note)

        yield advance


def _silent(steps: int = 1, note: str | None = None) -> None:
    return None
