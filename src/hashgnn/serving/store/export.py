"""A store's interactions as a parquet file that ``hashgnn fit`` reads."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hashgnn._files import atomic_file
from hashgnn.errors import DataError

_BLOCK_ROWS = 65536
_TYPES = {"int": pa.int64(), "str": pa.string()}


@dataclass(frozen=True)
class Export:
    """The result of an export.

    Attributes
    ----------
    path : Path
    count : int
        Interactions in the file.
    after, upto : int
        The file holds the interactions with numbers in ``(after, upto]``. Numbers ascend in the order of
        arrival and are never used twice.
    """

    path: Path
    count: int
    after: int
    upto: int


def export_rows(connection: sqlite3.Connection, path: Path, after: int, about: dict[str, str]) -> Export:
    """Write the interactions after a number, as one moment shows them.

    The file's metadata names the store and the numbers, so that ``hashgnn update`` can refuse to
    count interactions twice.
    """
    connection.execute("BEGIN")  # one moment for all that follows; writers go on
    try:
        found = "FROM interactions WHERE sequence > ?"
        count, first, upto, weighted, with_event = connection.execute(
            f"SELECT count(*), min(sequence), max(sequence), count(weight), count(event) {found}",
            (after,),
        ).fetchone()
        if not count:
            raise DataError(f"the store must hold interactions to export, got none after number {after}")
        fields = [
            pa.field("user_id", _TYPES[about["users"]]),
            pa.field("item_id", _TYPES[about["items"]]),
            pa.field("timestamp", pa.timestamp("us", "UTC")),
        ]
        columns = "user, item, time"
        if weighted:
            fields.append(pa.field("weight", pa.float64()))
            columns += ", coalesce(weight, 1.0)"
        if with_event:
            fields.append(pa.field("event", pa.string()))
            columns += ", event"
        metadata = {
            "hashgnn_store": about["store"],
            "hashgnn_after": str(first - 1),
            "hashgnn_upto": str(upto),
        }
        schema = pa.schema(fields, metadata=metadata)
        rows = connection.execute(f"SELECT {columns} {found} ORDER BY sequence", (after,))
        with atomic_file(path) as temporary, pq.ParquetWriter(temporary, schema) as writer:
            while block := rows.fetchmany(_BLOCK_ROWS):
                writer.write_table(_table(block, schema))
    finally:
        connection.execute("ROLLBACK")
    return Export(path, int(count), int(first) - 1, int(upto))


def _table(block: list[tuple[Any, ...]], schema: pa.Schema) -> pa.Table:
    columns = zip(*block, strict=True)
    arrays = [pa.array(values, field.type) for values, field in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)
