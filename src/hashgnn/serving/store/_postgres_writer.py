"""``PostgresWriter``: one write to a store in PostgreSQL."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

from hashgnn.serving.store import _answers
from hashgnn.serving.store._answers import Receipt, RepeatKey, answer_text, receipt_of
from hashgnn.serving.store._attributes import AttributeRow
from hashgnn.serving.store._items import NewItem
from hashgnn.serving.store._postgres_schema import lock_statement
from hashgnn.serving.store._rows import Row
from hashgnn.serving.store._writer import Writer

_STATE = ("count", "last", "cleared", "last_item", "removals", "last_attribute", "last_answer")


def start_of(schema: str, patience: float, timeout: int) -> str:
    """Return the statements that begin a write: the lock of the store, then what the store says of itself.

    The last one gives the transaction its id, by which its outcome is found if the server goes away.
    """
    wait = max(1, round(patience * 1000))
    return (
        f"BEGIN; SET LOCAL lock_timeout = {wait}; SET LOCAL statement_timeout = {wait + timeout * 1000}; "
        f"{lock_statement(schema)}; SET LOCAL statement_timeout = {timeout * 1000}; "
        f"SELECT {', '.join(_STATE)} FROM {schema}.state; SELECT name, value FROM {schema}.about; "
        "SELECT pg_current_xact_id()::text"
    )


class PostgresWriter(Writer):
    """Writes by a connection whose transaction is open and holds the lock of the store.

    Interactions are sent together by :meth:`finish`, with the row of counts.

    Parameters
    ----------
    connection : psycopg.Connection
    schema : str
    found : list of lists of rows
        What the statements of :func:`start_of` found.
    """

    def __init__(self, connection: Any, schema: str, found: list[list[tuple[Any, ...]]]) -> None:
        self._connection, self._schema = connection, schema
        self._state = dict(zip(_STATE, found[-3][0], strict=True))
        self._before = dict(self._state)
        about = dict(found[-2])
        self.identity = about.get("store")
        self.kinds = {name: about[name] for name in ("users", "items") if name in about}
        self._rows: list[tuple[Any, ...]] = []

    def finish(self) -> None:
        """Send what has been gathered."""
        self._send_rows()
        changed = {name: value for name, value in self._state.items() if value != self._before[name]}
        if changed:
            setting = ", ".join(f"{name} = %s" for name in changed)
            self._run(f"UPDATE {{s}}.state SET {setting}", *changed.values())

    def keep_kind(self, name: str, kind: str) -> None:
        """Keep the type of ids; see :meth:`Writer.keep_kind`."""
        self._run("INSERT INTO {s}.about VALUES (%s, %s)", name, kind)

    @property
    def stored(self) -> int:
        """How many interactions there are; see :attr:`Writer.stored`."""
        return int(self._state["count"])

    def insert(self, rows: Sequence[Row]) -> None:
        """Keep interactions; see :meth:`Writer.insert`."""
        for user, item, moment, weight, event in rows:
            self._rows.append((self._next("last"), str(user), str(item), moment, weight, event))
        self._state["count"] += len(rows)

    def insert_attributes(self, rows: Sequence[AttributeRow]) -> None:
        """Keep values; see :meth:`Writer.insert_attributes`."""
        now = time.time_ns() // 1000
        latest = {(str(row.item), row.name): (self._next("last_attribute"), row.value) for row in rows}
        values = [(number, *key, value, now) for key, (number, value) in latest.items()]
        self._insert(
            "attributes",
            "bigint text text text bigint",
            values,
            "ON CONFLICT (item_id, name) DO UPDATE SET number = excluded.number, value = excluded.value, "
            "time = excluded.time",
        )

    def forget_attributes(self, items: Sequence[int | str]) -> None:
        """Forget the values of items; see :meth:`Writer.forget_attributes`."""
        self._run("DELETE FROM {s}.attributes WHERE item_id = ANY(%s)", [str(item) for item in items])

    def first_answer(self, key: RepeatKey) -> Receipt | None:
        """Return what a key has got; see :meth:`Writer.first_answer`."""
        return first_answer(self._connection, self._schema, key)

    def keep_answer(self, key: RepeatKey, receipt: Receipt) -> None:
        """Keep an answer; see :meth:`Writer.keep_answer`."""
        number, now = self._next("last_answer"), _answers.now()
        self._run(
            "INSERT INTO {s}.answers VALUES (%s, %s, %s, %s, %s) ON CONFLICT (key) DO UPDATE SET "
            "number = excluded.number, digest = excluded.digest, time = excluded.time, answer = excluded.answer",
            *(number, key.text, key.digest, now, answer_text(receipt)),
        )
        self._run(
            "DELETE FROM {s}.answers WHERE number IN ("
            "(SELECT number FROM {s}.answers WHERE time <= %s LIMIT %s) UNION ALL "
            "(SELECT number FROM {s}.answers WHERE number <= %s LIMIT %s))",
            *(now - _answers.KEPT_SECONDS, _answers.REMOVED_AT_ONCE),
            *(number - _answers.MAX_KEYS, _answers.REMOVED_AT_ONCE),
        )

    def delete(self, user: int | str, item: int | str | None) -> int:
        """Remove what a user did; see :meth:`Writer.delete`."""
        self._send_rows()
        one = None if item is None else str(item)
        values = (str(user),) if one is None else (str(user), one)
        of_user = "WHERE user_id = %s" + ("" if one is None else " AND item_id = %s")
        removed: int = self._run(f"DELETE FROM {{s}}.interactions {of_user}", *values).rowcount
        self._run(f"DELETE FROM {{s}}.deletions {of_user}", *values)
        mark = (self._next("last"), str(user), one, time.time_ns() // 1000)
        self._run("INSERT INTO {s}.deletions VALUES (%s, %s, %s, %s)", *mark)
        of_item = "" if one is None else " AND number = (SELECT number FROM {s}.items WHERE item_id = %s)"
        gone = self._run(f"DELETE FROM {{s}}.item_users WHERE user_id = %s{of_item}", *values).rowcount
        self._state["removals"] += bool(gone)  # readers make these items again
        self._state["count"] -= removed
        return removed

    def clear(self, upto: int, at_once: int) -> tuple[int, int]:
        """Remove the first interactions; see :meth:`Writer.clear`."""
        (first,) = self._run("SELECT min(number) FROM {s}.interactions").fetchone()
        end = min(upto, (upto if first is None else first) + at_once - 1)
        removed: int = self._run("DELETE FROM {s}.interactions WHERE number <= %s", end).rowcount
        self._state["count"] -= removed
        self._state["cleared"] = max(self._state["cleared"], end)
        return removed, end

    def known_items(self, items: Sequence[int | str]) -> set[int | str]:
        """Return those that are there; see :meth:`Writer.known_items`."""
        by_text = {str(item): item for item in items}
        found = self._run("SELECT item_id FROM {s}.items WHERE item_id = ANY(%s)", list(by_text)).fetchall()
        return {by_text[text] for (text,) in found}

    def insert_items(self, items: Sequence[NewItem]) -> None:
        """Keep new items; see :meth:`Writer.insert_items`."""
        now = time.time_ns() // 1000
        rows, audiences = [], []
        for one in items:
            features = json.dumps(dict(one.features)) if one.features else None
            number = self._next("last_item")
            rows.append((number, str(one.item), features, now))
            audiences += [(number, str(user), str(one.item)) for user in one.users]
        self._insert("items", "bigint text text bigint", rows)
        self._insert("item_users", "bigint text", [pair[:2] for pair in audiences])
        # Where the store has the interaction already, it stays one.
        users, names = [user for _, user, _ in audiences], [item for _, _, item in audiences]
        kept = self._run(
            "SELECT user_id, item_id FROM unnest(%s::text[], %s::text[]) AS given (user_id, item_id) WHERE NOT EXISTS "
            "(SELECT FROM {s}.interactions AS kept WHERE kept.user_id = given.user_id AND kept.item_id = given.item_id)",
            *(users, names),
        ).fetchall()
        self.insert([(user, item, now, None, None) for user, item in kept])

    def remove_items(self, items: Sequence[int | str]) -> list[int | str]:
        """Remove new items; see :meth:`Writer.remove_items`."""
        by_text = {str(item): item for item in items}
        texts = list(by_text)
        self._run(
            "DELETE FROM {s}.item_users WHERE number IN (SELECT number FROM {s}.items WHERE item_id = ANY(%s))",
            texts,
        )
        removed = self._run(
            "DELETE FROM {s}.items WHERE item_id = ANY(%s) RETURNING item_id", texts
        ).fetchall()
        self._state["removals"] += bool(removed)
        return [by_text[text] for (text,) in removed]

    def count_items(self) -> int:
        """Return how many new items there are."""
        return int(self._run("SELECT count(*) FROM {s}.items").fetchone()[0])

    def probe(self) -> None:
        """Write something small; see :meth:`Writer.probe`."""
        self._run("UPDATE {s}.state SET probe = %s", time.time_ns())

    def post_reload(self, text: str) -> int:
        """Keep the last request to open other versions, and return its number."""
        statement = "UPDATE {s}.state SET last_reload = last_reload + 1, reload = %s RETURNING last_reload"
        return int(self._run(statement, text).fetchone()[0])

    def _next(self, name: str) -> int:
        self._state[name] += 1
        return int(self._state[name])

    def _send_rows(self) -> None:
        self._insert("interactions", "bigint text text bigint float8 text", self._rows)
        self._rows = []

    def _insert(self, table: str, types: str, rows: Sequence[tuple[Any, ...]], more: str = "") -> None:
        if rows:
            arrays = ", ".join(f"%s::{kind}[]" for kind in types.split())
            columns = [list(column) for column in zip(*rows, strict=True)]
            self._run(f"INSERT INTO {{s}}.{table} SELECT * FROM unnest({arrays}) {more}", *columns)

    def _run(self, statement: str, *values: Any) -> Any:
        return self._connection.execute(statement.format(s=self._schema), values)


def first_answer(connection: Any, schema: str, key: RepeatKey) -> Receipt | None:
    """Return the answer that a key has got before, None where it is new."""
    query = f"SELECT digest, answer FROM {schema}.answers WHERE key = %s AND time > %s"
    found = connection.execute(query, (key.text, _answers.now() - _answers.KEPT_SECONDS)).fetchone()
    return None if found is None else receipt_of(key, bytes(found[0]), found[1])
