"""The lines of a text file, none of them longer than a bound."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import IO

from hashgnn.data.readers._location import Location
from hashgnn.errors import DataError

MAX_LINE = 1 << 24  # bytes
MAX_BLANK = 10_000  # lines before the first row


def check_start(path: Location) -> None:
    """Refuse a file that starts with blank lines alone, as a small file that decompresses to a billion of them.

    Raises
    ------
    DataError
        If none of the first ``MAX_BLANK`` lines holds anything.
    """
    n_lines = 0
    for n_lines, line in islice(lines_at_any_end(path), MAX_BLANK):  # noqa: B007
        if line.strip():
            return
    where = f" in its first {n_lines} lines" if n_lines == MAX_BLANK else ""
    raise DataError(f"{path}: the file holds no rows{where}")


def lines_at_feeds(path: Location) -> Iterator[tuple[int, bytes]]:
    """Yield number and bytes of every line that ends with a line feed.

    Raises
    ------
    DataError
        If a line is longer than ``MAX_LINE``.
    """
    with path.open() as file:
        number = 1
        while line := file.readline(MAX_LINE + 1):
            if len(line) > MAX_LINE:
                raise _too_long(path, number)
            yield number, line
            number += 1


def lines_at_any_end(path: Location) -> Iterator[tuple[int, bytes]]:
    """Yield number and bytes of every line, without its end: LF, CR LF, or CR alone, as pyarrow knows them."""
    with path.open() as file:
        yield from enumerate((line for part in _parts(path, file) for line in part.splitlines()), start=1)


def _parts(path: Location, file: IO[bytes]) -> Iterator[bytes]:
    """Yield whole lines, several at a time where only CR ends them."""
    number, rest = 0, b""
    while block := file.readline(MAX_LINE + 1):
        part = rest + block
        cut = len(part)
        if len(block) > MAX_LINE and not block.endswith(b"\n"):
            cut = part.rfind(b"\r", 0, len(part) - 1) + 1  # a CR at the end may belong to a CR LF
            if not cut:
                raise _too_long(path, number + 1)
        yield part[:cut]
        number += part.count(b"\r", 0, cut) + part.count(b"\n", 0, cut) - part.count(b"\r\n", 0, cut)
        rest = part[cut:]
    if rest:
        yield rest


def _too_long(path: Location, number: int) -> DataError:
    return DataError(f"{path}, line {number}: must have at most {MAX_LINE} bytes, got a longer line")
