"""Changes of items' attributes in a store: the latest value of each, numbered, so that workers follow one another."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable
from typing import NamedTuple


class AttributeRow(NamedTuple):
    """A value of an item: its id and the name of the column, and the value as JSON text."""

    item: int | str
    name: str
    value: str


def insert_attributes(writer: sqlite3.Connection, rows: Iterable[AttributeRow]) -> None:
    """Keep values in the transaction that is open; the last of several for one column of an item counts."""
    now = time.time_ns() // 1000
    writer.executemany(
        "INSERT INTO attributes (item, name, value, time) VALUES (?, ?, ?, ?)", [(*row, now) for row in rows]
    )


def forget_attributes(writer: sqlite3.Connection, item: int | str) -> None:
    """Forget the values of an item in the transaction that is open."""
    writer.execute("DELETE FROM attributes WHERE item = ?", (item,))


LAST_ATTRIBUTE = "SELECT seq FROM sqlite_sequence WHERE name = 'attributes'"
ATTRIBUTES_SINCE = "SELECT number, item, name, value FROM attributes WHERE number > ? ORDER BY number LIMIT ?"
# The ids are a JSON list, so that one query takes any number of them; numbers stay numbers, and text text.
ATTRIBUTES_OF = """
SELECT number, item, name, value FROM attributes WHERE item IN (SELECT value FROM json_each(?)) ORDER BY number
"""
