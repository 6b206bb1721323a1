"""What a reader returns: a table, and the way back from its rows to the file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc


@dataclass(frozen=True)
class Source:
    """Rows of a file.

    Attributes
    ----------
    path : Path
    table : pyarrow.Table
    line_of : callable or None
        From a row's number to its line in a text file, both counted as people do from 1; ``None`` where a
        file has no lines.
    """

    path: Path
    table: pa.Table
    line_of: Callable[[int], int] | None = None

    def place(self, row: int) -> str:
        """Return where row ``row`` (from 0) stands, for a message."""
        if self.line_of is None:
            return f"{self.path}, row {row + 1}"
        return f"{self.path}, line {self.line_of(row)}"

    def with_whole_numbers(self, *names: str | None) -> pa.Table:
        """Return the table with text columns as integers where every entry is written as one."""
        table = self.table
        if self.line_of is None:
            return table  # a typed file says itself what its columns are
        for name in names:
            place = table.schema.get_field_index(name)
            if place >= 0 and pa.types.is_string(table.schema.field(place).type):
                table = table.set_column(place, name, _whole_numbers(table.column(place)))
        return table


def _whole_numbers(column: pa.ChunkedArray) -> pa.ChunkedArray:
    try:
        numbers = column.cast(pa.int64())
    except pa.ArrowInvalid:
        return column
    # "007" and "+7" read as 7 as well, but are other ids.
    same = pc.all(pc.equal(numbers.cast(pa.string()), column)).as_py()
    return numbers if same else column
