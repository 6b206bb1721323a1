"""The columns and the format of a file, and the line of each of its rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa


@dataclass(frozen=True)
class Source:
    """An opened file whose head was inspected.

    Attributes
    ----------
    path : Path
    names : sequence of str
        Its columns.
    load : callable
        From names of columns to a table of them.
    line_of : callable or None
        From a row, counted from 0, to its line in a text file, counted from 1; ``None`` where a file has
        no lines. Slow: for messages.
    as_text : bool, default=False
        Whether every column is text, which the caller converts to numbers.
    """

    path: Path
    names: Sequence[str]
    load: Callable[[Sequence[str]], pa.Table]
    line_of: Callable[[int], int] | None = None
    as_text: bool = False

    def place(self, row: int) -> str:
        """Return the place of a row, for a message."""
        if self.line_of is None:
            return f"{self.path}, row {row + 1}"
        return f"{self.path}, line {self.line_of(row)}"
