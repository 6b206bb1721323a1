"""The columns and the format of a file, and the line of each of its rows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence, Set
from dataclasses import dataclass

import pyarrow as pa

from hashgnn.errors import DataError

MAX_COLUMNS = 10_000


@dataclass(frozen=True)
class Source:
    """An opened file, or several of one format, whose head was inspected.

    Attributes
    ----------
    name : str
        What messages call it.
    names : sequence of str
        Its columns.
    load : callable
        From names of columns to a table of them.
    line_of : callable or None
        From a row, counted from 0, to its line in a text file, counted from 1; ``None`` where a file has
        no lines. Slow: for messages.
    as_text : bool, default=False
        Whether every column is text, which the caller converts to numbers.
    decimal_comma : bool, default=False
        Whether numbers in text may be written with a comma, as ``4,5``.
    partition : set of str
        Columns that come from the names of folders, as text.
    place_of : callable or None
        From a row to where it stands; ``None`` uses ``line_of``.
    schema : pyarrow.Schema or None
        Types of its columns, where they are known before they are loaded.
    iterate : callable or None
        From names of columns and a number of rows to tables of about so many; ``None`` where a file is loaded whole.
    """

    name: str
    names: Sequence[str]
    load: Callable[[Sequence[str]], pa.Table]
    line_of: Callable[[int], int] | None = None
    as_text: bool = False
    decimal_comma: bool = False
    partition: Set[str] = frozenset()
    place_of: Callable[[int], str] | None = None
    schema: pa.Schema | None = None
    iterate: Callable[[Sequence[str], int], Iterator[pa.Table]] | None = None

    def pieces(self, columns: Sequence[str], n_rows: int) -> Iterator[pa.Table]:
        """Yield the columns in tables of about ``n_rows`` rows; a file that cannot be read in part is one table."""
        if self.iterate is None:
            yield self.load(columns)
        else:
            yield from self.iterate(columns, n_rows)

    def place(self, row: int) -> str:
        """Return the place of a row, for a message."""
        if self.place_of is not None:
            return self.place_of(row)
        if self.line_of is None:
            return f"{self.name}, row {row + 1}"
        return f"{self.name}, line {self.line_of(row)}"


def check_names(place: str, names: Collection[str]) -> None:
    """Refuse the names of columns where one comes twice or there are too many.

    Raises
    ------
    DataError
        With ``place`` as its first words.
    """
    if len(names) > MAX_COLUMNS:
        raise DataError(f"{place}: a table must have at most {MAX_COLUMNS} columns, got {len(names)}")
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise DataError(f"{place}: a column name must come once, got {name!r} twice")
        seen.add(name)
