"""NGCF adjacency text: a user and its items on each line, whole numbers, separated by spaces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from hashgnn.data.readers._source import Source
from hashgnn.errors import DataError


def read(path: Path) -> Source:
    """Read the file; a user without items is a line of one number and gives no row."""
    parts: list[np.ndarray[tuple[int], np.dtype[np.int64]]] = []
    lines: list[int] = []
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            fields = line.split()
            if not fields:
                continue
            try:
                parts.append(np.array(fields, np.int64))
            except (ValueError, OverflowError):
                raise DataError(
                    f"{path}, line {number}: must be whole numbers, {_first_bad(fields)}"
                ) from None
            lines.append(number)
    counts = np.array([len(part) - 1 for part in parts], np.int64)
    users = np.array([part[0] for part in parts], np.int64)
    items = np.concatenate([part[1:] for part in parts]) if parts else np.empty(0, np.int64)
    ends = np.cumsum(counts)
    table = pa.table({"user_id": np.repeat(users, counts), "item_id": items})
    return Source(path, table, lambda row: lines[int(np.searchsorted(ends, row, side="right"))])


def _first_bad(fields: list[bytes]) -> str:
    for field in fields:
        if not field.lstrip(b"-").isdigit() or len(field) > 19:
            return f"got {field[:40].decode('utf-8', 'replace')!r}"
    return "got a number that is too large"
