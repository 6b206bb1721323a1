"""NGCF adjacency text: a user and its items on each line, whole numbers, separated by spaces."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from hashgnn.data.readers._location import Location
from hashgnn.data.readers._source import Source
from hashgnn.errors import DataError

_ALLOWED = b"0123456789 \t\n"
_MAX_DIGITS = 18  # every such number fits into 64 bits


def open_source(path: Location) -> Source:
    """Read the file; a user without items is a line of one number and gives no row."""
    content = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    if b"\r" in content:
        content = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if content.translate(None, _ALLOWED):
        raise _bad_number(path, content)
    letters = np.frombuffer(content, np.uint8)
    edges = np.diff((letters > ord(" ")).view(np.int8), prepend=0, append=0)
    starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    if len(starts) and (ends - starts).max() > _MAX_DIGITS:
        raise _bad_number(path, content)
    line = np.searchsorted(np.flatnonzero(letters == ord("\n")), starts).astype(np.int64)
    numbers = np.fromstring(content, np.int64, sep=" ") if len(starts) else np.empty(0, np.int64)
    is_user = np.diff(line, prepend=-1) > 0
    users = np.repeat(numbers[is_user], np.diff(np.flatnonzero(is_user), append=len(numbers)) - 1)
    line = line[~is_user]
    columns = {"user_id": users, "item_id": numbers[~is_user]}

    def load(names: Sequence[str]) -> pa.Table:
        return pa.table({name: columns[name] for name in names})

    return Source(path.name, list(columns), load, line_of=lambda row: int(line[row]) + 1)


def _bad_number(path: Location, content: bytes) -> DataError:
    for number, line in enumerate(content.split(b"\n"), start=1):
        for field in line.split():
            if not field.isdigit() or len(field) > _MAX_DIGITS:
                shown = field[:40].decode("utf-8", "replace")
                return DataError(
                    f"{path}, line {number}: an adjacency file holds whole numbers of at most {_MAX_DIGITS} "
                    f"digits, got {shown!r}; name the format with format= if it is another one"
                )
    return DataError(f"{path}: an adjacency file holds whole numbers, got other characters")
