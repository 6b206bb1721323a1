"""``PostgresMoment``: a store in PostgreSQL as one moment shows it, for an export."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

_USABLE = "user_id <> '' AND item_id <> ''"
_Id = Callable[[str], int | str]


class PostgresMoment:
    """Reads by a connection whose transaction is open and repeatable; see :class:`~hashgnn.serving.store.export.Moment`.

    Parameters
    ----------
    connection : psycopg.Connection
    schema : str
    kinds : mapping
        ``"users"`` and ``"items"`` to ``"int"`` or ``"str"``.
    limited : callable
        Returns a block in which a statement, or the fetch of a part, must end in time.
    """

    def __init__(
        self,
        connection: Any,
        schema: str,
        kinds: dict[str, str],
        limited: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._connection, self._schema, self._limited = connection, schema, limited
        self._user, self._item = (int if kinds.get(name) == "int" else str for name in ("users", "items"))

    def cleared(self) -> int:
        """Return the largest number that was cleared."""
        return int(self._one("SELECT cleared FROM {s}.state")[0])

    def counts(self, after: int) -> tuple[int, int | None, int, int, int]:
        """Count interactions after a number."""
        found: tuple[int, int | None, int, int, int] = self._one(
            f"SELECT count(*), max(number), count(*) FILTER (WHERE {_USABLE}), count(weight) FILTER (WHERE {_USABLE}), "
            f"count(event) FILTER (WHERE {_USABLE}) FROM {{s}}.interactions WHERE number > %s",
            after,
        )
        return found

    def deletions(self, after: int) -> list[tuple[int, int | str, int | str | None]]:
        """Return the deletions after a number."""
        query = "SELECT number, user_id, item_id FROM {s}.deletions WHERE number > %s ORDER BY number"
        with self._limited():
            rows = self._connection.execute(query.format(s=self._schema), (after,)).fetchall()
        return [
            (number, self._user(user), None if item is None else self._item(item))
            for number, user, item in rows
        ]

    def last_deletion(self, upto: int) -> int:
        """Return the largest number of a deletion up to a number."""
        return int(
            self._one("SELECT coalesce(max(number), 0) FROM {s}.deletions WHERE number <= %s", upto)[0]
        )

    def rows(
        self, after: int, n_rows: int, *, weighted: bool, with_event: bool
    ) -> Iterator[list[tuple[Any, ...]]]:
        """Yield the usable interactions after a number, which the server keeps until they are fetched."""
        columns = "user_id, item_id, time" + weighted * ", coalesce(weight, 1.0)" + with_event * ", event"
        query = f"SELECT {columns} FROM {{s}}.interactions WHERE number > %s AND {_USABLE} ORDER BY number"
        with self._connection.cursor(name="export") as cursor:
            with self._limited():
                cursor.execute(query.format(s=self._schema), (after,))
            while block := self._part(cursor, n_rows):
                yield [(self._user(user), self._item(item), *others) for user, item, *others in block]

    def _part(self, cursor: Any, n_rows: int) -> list[tuple[Any, ...]]:
        with self._limited():
            found: list[tuple[Any, ...]] = cursor.fetchmany(n_rows)
            return found

    def _one(self, query: str, *values: Any) -> Any:
        with self._limited():
            return self._connection.execute(query.format(s=self._schema), values).fetchone()
