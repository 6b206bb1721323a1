"""Rows as PostgreSQL's binary COPY format: fixed columns by NumPy, the others value by value."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np

from hashgnn._types import Array
from hashgnn.engines.base import OPEN_END
from hashgnn.engines.rows import ItemRows

HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"
_NULL = b"\xff\xff\xff\xff"
_EPOCH_DAY = date(2000, 1, 1).toordinal()
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

SQL_TYPES = {
    "int": "bigint",
    "float": "double precision",
    "bool": "boolean",
    "text": "text",
    "date": "date",
    "time": "timestamptz",
}
_ENCODERS: dict[str, Callable[[Any], bytes]] = {
    "int": lambda value: struct.pack(">iq", 8, value),
    "float": lambda value: struct.pack(">id", 8, value),
    "bool": lambda value: struct.pack(">i?", 1, value),
    "text": lambda value: _text(value),
    "date": lambda value: struct.pack(">ii", 4, value.toordinal() - _EPOCH_DAY),
    "time": lambda value: struct.pack(">iq", 8, (value - _EPOCH) // _MICROSECOND),
}


def copied(rows: Iterator[ItemRows], since: int, *, digests: bool) -> Iterator[bytes]:
    """Yield the data of a ``COPY … FROM STDIN (FORMAT binary)``, header and trailer included.

    The columns are ``pos, since, until, code``, then ``biased`` and ``embedding`` where the rows have them, then
    ``digest`` where there are attributes, ``item_id``, and the attributes.
    """
    yield HEADER
    for block in rows:
        yield _block(block, since, digests=digests)
    yield TRAILER


def _block(rows: ItemRows, since: int, *, digests: bool) -> bytes:
    n = len(rows)
    fields: list[tuple[str, str, Any]] = []

    def add(name: str, dtype: str, values: Any) -> None:
        fields.append((f"{name}_length", ">i4", np.dtype(dtype).itemsize))
        fields.append((name, dtype, values))

    add("pos", ">i4", rows.positions)
    add("since", ">i4", since)
    add("until", ">i4", OPEN_END)
    _add_bits(fields, "code", rows.codes.packed)
    if rows.biased is not None:
        _add_bits(fields, "biased", rows.biased)
    if rows.floats is not None:
        width = rows.floats.shape[1]
        fields += [
            ("embedding_length", ">i4", 4 + 2 * width),
            ("embedding_dim", ">i2", width),
            ("embedding_unused", ">i2", 0),
            ("embedding", f"({width},)>f2", rows.floats),
        ]
    if digests:
        add("digest", ">i8", 0 if rows.attributes is None else rows.attributes.digests)
    attributes = [] if rows.attributes is None else rows.attributes.columns()
    kinds = [] if rows.attributes is None else list(rows.attributes.kinds.values())
    n_columns = sum(name.endswith("_length") for name, _, _ in fields) + 1 + len(attributes)
    table = np.empty(n, [("n_columns", ">i2"), *((name, dtype) for name, dtype, _ in fields)])
    table["n_columns"] = n_columns
    for name, _, values in fields:
        table[name] = values
    fixed, width = table.tobytes(), table.itemsize
    encoded = [
        [_NULL if value is None else _ENCODERS[kind](value) for value in column]
        for kind, column in zip(kinds, attributes, strict=True)
    ]
    others = zip(*encoded, strict=True) if encoded else iter([()] * n)
    parts: list[bytes] = []
    for row, (item, values) in enumerate(zip(rows.ids, others, strict=True)):
        parts += [fixed[row * width : (row + 1) * width], _text(item), *values]
    return b"".join(parts)


def _add_bits(fields: list[tuple[str, str, Any]], name: str, packed: Array) -> None:
    """A ``bit(n)`` is its width in bits, then its bytes, the first bit the most significant one."""
    n_bytes = packed.shape[1]
    fields += [
        (f"{name}_length", ">i4", 4 + n_bytes),
        (f"{name}_bits", ">i4", 8 * n_bytes),
        (name, f"({n_bytes},)u1", packed),
    ]


def _text(value: str) -> bytes:
    raw = value.encode()
    return struct.pack(">i", len(raw)) + raw
