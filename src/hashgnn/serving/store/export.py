"""A store's interactions as a parquet file that ``hashgnn fit`` reads."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hashgnn._files import atomic_file
from hashgnn.data import Deletions

_BLOCK_ROWS = 65536
_TYPES = {"int": pa.int64(), "str": pa.string()}
_USABLE = "user <> '' AND item <> ''"


@dataclass(frozen=True)
class Export:
    """The result of an export.

    Attributes
    ----------
    path : Path
    count : int
        Interactions in the file.
    deletions : int
        Deletions in its metadata.
    left_out : int
        Interactions that training would refuse, because an id is empty; they are not in the file.
    after, upto : int
        The file holds the interactions with numbers in ``(after, upto]``. Numbers ascend in the order of
        arrival and are never used twice.
    """

    path: Path
    count: int
    after: int
    upto: int
    deletions: int = 0
    left_out: int = 0


def export_rows(connection: sqlite3.Connection, path: Path, after: int, about: dict[str, str]) -> Export:
    """Write the interactions and deletions after a number, as one moment shows them.

    The file's metadata names the store and the numbers, so that ``hashgnn update`` can refuse to
    count interactions twice, and holds the deletions. It also has the number of the last deletion that
    it leaves out, so that no model which has not heard of it is trained on the file. Without interactions
    and deletions, nothing is written.
    """
    since = after  # a deletion outlives what is cleared
    connection.execute("BEGIN")  # one moment for all that follows; writers go on
    try:
        (cleared,) = connection.execute("SELECT value FROM totals WHERE name = 'cleared'").fetchone()
        after = max(after, cleared)
        count, upto = connection.execute(
            "SELECT count(*), max(sequence) FROM interactions WHERE sequence > ?", (after,)
        ).fetchone()
        deletions, last_deletion = _deletions_after(connection, since)
        earlier = "SELECT coalesce(max(number), 0) FROM deletions WHERE number <= ?"
        (last_earlier,) = connection.execute(earlier, (since,)).fetchone()
        upto = max(upto or after, last_deletion)
        found = f"FROM interactions WHERE sequence > ? AND {_USABLE}"
        usable, weighted, with_event = connection.execute(
            f"SELECT count(*), count(weight), count(event) {found}", (after,)
        ).fetchone()
        if not usable and not deletions:
            return Export(path, 0, after, upto, 0, count)
        fields = [
            pa.field("user_id", _TYPES[about["users"]]),
            pa.field("item_id", _TYPES[about.get("items", "str")]),
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
            b"hashgnn_store": about["store"].encode(),
            b"hashgnn_after": str(after).encode(),
            b"hashgnn_upto": str(upto).encode(),
            b"hashgnn_earlier_deletion": str(last_earlier).encode(),
            **deletions.to_metadata(),
        }
        schema = pa.schema(fields, metadata=metadata)
        rows = connection.execute(f"SELECT {columns} {found} ORDER BY sequence", (after,))
        with atomic_file(path) as temporary, pq.ParquetWriter(temporary, schema) as writer:
            while block := rows.fetchmany(_BLOCK_ROWS):
                writer.write_table(_table(block, schema))
    finally:
        connection.execute("ROLLBACK")
    return Export(path, usable, after, upto, len(deletions), count - usable)


def _deletions_after(connection: sqlite3.Connection, number: int) -> tuple[Deletions, int]:
    """Return what was deleted after a number, and the largest number of a deletion, 0 without any."""
    rows = connection.execute(
        "SELECT user, item, number FROM deletions WHERE number > ? ORDER BY number", (number,)
    ).fetchall()
    users = tuple((number, user) for user, item, number in rows if item is None)
    pairs = tuple((number, user, item) for user, item, number in rows if item is not None)
    return Deletions(users, pairs), rows[-1][2] if rows else 0


def _table(block: list[tuple[Any, ...]], schema: pa.Schema) -> pa.Table:
    columns = zip(*block, strict=True)
    arrays = [pa.array(values, field.type) for values, field in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)
