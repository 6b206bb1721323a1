"""``SQLiteMoment``: a SQLite file as one moment shows it, for an export."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

_USABLE = "user <> '' AND item <> ''"


class SQLiteMoment:
    """Reads by a connection whose transaction is open; see :class:`~hashgnn.serving.store.export.Moment`.

    Parameters
    ----------
    connection : sqlite3.Connection
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def cleared(self) -> int:
        """Return the largest number that was cleared."""
        return int(self._one("SELECT value FROM totals WHERE name = 'cleared'")[0])

    def counts(self, after: int) -> tuple[int, int | None, int, int, int]:
        """Count interactions after a number."""
        found = "FROM interactions WHERE sequence > ?"
        count, last = self._one(f"SELECT count(*), max(sequence) {found}", after)
        usable = self._one(f"SELECT count(*), count(weight), count(event) {found} AND {_USABLE}", after)
        return count, last, *usable

    def deletions(self, after: int) -> list[tuple[int, int | str, int | str | None]]:
        """Return the deletions after a number."""
        query = "SELECT number, user, item FROM deletions WHERE number > ? ORDER BY number"
        return self._connection.execute(query, (after,)).fetchall()

    def last_deletion(self, upto: int) -> int:
        """Return the largest number of a deletion up to a number."""
        query = "SELECT coalesce(max(number), 0) FROM deletions WHERE number <= ?"
        return int(self._one(query, upto)[0])

    def rows(
        self, after: int, n_rows: int, *, weighted: bool, with_event: bool
    ) -> Iterator[list[tuple[Any, ...]]]:
        """Yield the usable interactions after a number."""
        columns = "user, item, time" + weighted * ", coalesce(weight, 1.0)" + with_event * ", event"
        query = f"SELECT {columns} FROM interactions WHERE sequence > ? AND {_USABLE} ORDER BY sequence"
        rows = self._connection.execute(query, (after,))
        while block := rows.fetchmany(n_rows):
            yield block

    def _one(self, query: str, *values: Any) -> Any:
        return self._connection.execute(query, values).fetchone()
