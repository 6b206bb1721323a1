"""Output of the commands: results to stdout or a file; notes, warnings and progress to stderr."""

from __future__ import annotations

import json
import math
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TextIO

from hashgnn._extras import require
from hashgnn._json_text import plain
from hashgnn.errors import HashGNNWarning, MissingExtraError

_WIDE = 1000  # columns of a file or pipe: a table there is never cut


@dataclass(frozen=True)
class Output:
    """Where a command's words go.

    Attributes
    ----------
    as_json : bool
        The result is one JSON document instead of tables.
    quiet : bool
        No notes and no progress.
    prefix : str
        Begins every line that is printed, JSON aside.
    """

    as_json: bool
    quiet: bool
    prefix: str = ""

    @property
    def progress(self) -> bool | None:
        """The library's ``progress=`` argument: ``None`` reports on stderr, ``False`` is silent.

        Lines of the library have no prefix. Where every line must have one, only a bar on a terminal is shown.
        """
        silent = self.quiet or (self.prefix != "" and not sys.stderr.isatty())
        return False if silent else None

    def with_prefix(self, prefix: str) -> Output:
        """Return the same output with another prefix."""
        return replace(self, prefix=prefix)

    def note(self, text: str) -> None:
        """Say on stderr what happens."""
        if not self.quiet:
            self._print(text, sys.stderr)

    def can_plot(self, otherwise: str) -> bool:
        """Say whether matplotlib is there; where it is not, a note begins with what happens instead."""
        try:
            # Imported and not only looked for: one that is broken must not end the command after its work.
            require("matplotlib", extra="plots", purpose="a plot")
        except MissingExtraError as error:
            self.note(f"{otherwise}: {error}")
            return False
        return True

    def document(self, value: Mapping[str, Any]) -> None:
        """Print one JSON document to stdout; NaN and infinity become null."""
        print(json.dumps(plain(value), allow_nan=False))

    def line(self, text: str = "") -> None:
        """Print a line of the result to stdout."""
        self._print(text, sys.stdout)

    def table(
        self, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str | None = None
    ) -> None:
        """Print a table to stdout; numbers are aligned to the right, floats are rounded."""
        from rich import box
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        body = [list(row) for row in rows]
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for number, name in enumerate(columns):
            numeric = any(isinstance(row[number], int | float) for row in body)
            table.add_column(Text(name), justify="right" if numeric else "left", overflow="fold")
        for row in body:
            table.add_row(*(Text(_cell(value)) for value in row))
        width = None if sys.stdout.isatty() else _WIDE
        console = Console(file=sys.stdout, width=width, highlight=False, markup=False, emoji=False)
        if self.prefix and console.width > 4 * len(self.prefix):
            console.width -= len(self.prefix)
        with console.capture() as printed:
            console.print(table)
        lines = [line.rstrip() for line in printed.get().strip("\n").splitlines()]
        for line in ([title] if title else []) + [line for line in lines if line]:
            self._print(line, sys.stdout)

    @contextmanager
    def warnings_as_notes(self) -> Iterator[None]:
        """Print the library's warnings as notes while the block runs."""
        with warnings.catch_warnings():
            warnings.simplefilter("always", HashGNNWarning)
            show = warnings.showwarning

            def as_note(
                message: Warning | str,
                category: type[Warning],
                filename: str,
                lineno: int,
                file: TextIO | None = None,
                line: str | None = None,
            ) -> None:
                if issubclass(category, HashGNNWarning):
                    self.note(str(message))
                else:
                    show(message, category, filename, lineno, file, line)

            warnings.showwarning = as_note
            yield

    def _print(self, text: str, stream: TextIO) -> None:
        for line in text.split("\n"):
            print((self.prefix + line).rstrip(), file=stream)
        stream.flush()


def size(n_bytes: float) -> str:
    """Return a number of bytes for people.

    Examples
    --------
    >>> size(17), size(70_000), size(2_500_000)
    ('17 bytes', '70.0 kB', '2.5 MB')
    """
    if n_bytes < 1000:
        return f"{n_bytes:.0f} bytes"
    power = min(int(math.log10(n_bytes)) // 3, 3)
    return f"{n_bytes / 1000**power:.1f} {('', 'kB', 'MB', 'GB')[power]}"


def json_id(value: Any) -> int | str:
    """Return an id as JSON writes it: an integer, else text."""
    from hashgnn.data._id_kinds import printed

    return value if isinstance(value, int) and not isinstance(value, bool) else printed(value)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4f}" if abs(value) < 10 else f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
