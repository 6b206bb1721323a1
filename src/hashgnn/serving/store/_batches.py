"""The rows that one caller writes to a store, and the types of ids that the store takes."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any

from hashgnn.errors import HashGNNError
from hashgnn.serving.store._answers import Receipt, RepeatKey
from hashgnn.serving.store._attributes import AttributeRow
from hashgnn.serving.store._rows import Row, check_kind, kind_of


class Batch:
    """One caller's rows on their way to the disk.

    A batch is in the queue until the transaction that writes it has begun. Until then its caller may give it up,
    and then nobody writes it.
    """

    def __init__(
        self, rows: list[Row], deadline: float | None, key: RepeatKey | None, extra: Mapping[str, Any]
    ) -> None:
        self.rows, self.deadline, self.key, self.extra = rows, deadline, key, extra
        self.attributes: list[AttributeRow] = []
        self.done = False
        self.receipt = Receipt(0, 0)
        self.error: HashGNNError | None = None


def about_store(connection: sqlite3.Connection) -> dict[str, str]:
    return dict(connection.execute("SELECT name, value FROM about"))


def check_kinds(writer: sqlite3.Connection, about: dict[str, str], named: Mapping[str, int | str]) -> None:
    """Compare the types of ids with those of the store, which keeps the first that it sees.

    Raises
    ------
    ParameterError
        If one differs.
    """
    for name in sorted(named.keys() & about.keys()):
        check_kind(name, about[name], named[name])
    for name in sorted(named.keys() - about.keys()):
        about[name] = kind_of(named[name])
        writer.execute("INSERT INTO about VALUES (?, ?)", (name, about[name]))
