"""``SQLiteWriter``: one write to a SQLite file."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Sequence

from hashgnn.serving.store import _answers
from hashgnn.serving.store._answers import Receipt, RepeatKey, answer_text, receipt_of
from hashgnn.serving.store._attributes import AttributeRow
from hashgnn.serving.store._items import NewItem
from hashgnn.serving.store._rows import Row
from hashgnn.serving.store._writer import Writer


class SQLiteWriter(Writer):
    """Writes by a connection whose transaction is open.

    Parameters
    ----------
    connection : sqlite3.Connection
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.kinds = about(connection)

    def keep_kind(self, name: str, kind: str) -> None:
        """Keep the type of ids; see :meth:`Writer.keep_kind`."""
        self._connection.execute("INSERT INTO about VALUES (?, ?)", (name, kind))

    @property
    def stored(self) -> int:
        """How many interactions there are; see :attr:`Writer.stored`."""
        return int(self._connection.execute("SELECT value FROM totals WHERE name = 'count'").fetchone()[0])

    def insert(self, rows: Sequence[Row]) -> None:
        """Keep interactions; see :meth:`Writer.insert`."""
        self._connection.executemany(
            "INSERT INTO interactions (user, item, time, weight, event) VALUES (?, ?, ?, ?, ?)", rows
        )
        self._count(len(rows))

    def insert_attributes(self, rows: Sequence[AttributeRow]) -> None:
        """Keep values; see :meth:`Writer.insert_attributes`."""
        now = time.time_ns() // 1000
        self._connection.executemany(
            "INSERT INTO attributes (item, name, value, time) VALUES (?, ?, ?, ?)",
            [(*row, now) for row in rows],
        )

    def forget_attributes(self, items: Sequence[int | str]) -> None:
        """Forget the values of items; see :meth:`Writer.forget_attributes`."""
        self._connection.executemany("DELETE FROM attributes WHERE item = ?", [(item,) for item in items])

    def first_answer(self, key: RepeatKey) -> Receipt | None:
        """Return what a key has got; see :meth:`Writer.first_answer`."""
        return first_answer(self._connection, key)

    def keep_answer(self, key: RepeatKey, receipt: Receipt) -> None:
        """Keep an answer; see :meth:`Writer.keep_answer`."""
        run, now = self._connection.execute, _answers.now()
        run(
            "INSERT OR REPLACE INTO answers (key, digest, time, answer) VALUES (?, ?, ?, ?)",
            (key.text, key.digest, now, answer_text(receipt)),
        )
        (last,) = run("SELECT max(number) FROM answers").fetchone()
        too_old = "SELECT number FROM answers WHERE time <= ? LIMIT ?"
        too_many = "SELECT number FROM answers WHERE number <= ? LIMIT ?"
        for query, value in ((too_old, now - _answers.KEPT_SECONDS), (too_many, last - _answers.MAX_KEYS)):
            numbers = run(query, (value, _answers.REMOVED_AT_ONCE)).fetchall()
            self._connection.executemany("DELETE FROM answers WHERE number = ?", numbers)

    def delete(self, user: int | str, item: int | str | None) -> int:
        """Remove what a user did; see :meth:`Writer.delete`."""
        of_user = "WHERE user = ?1 AND (?2 IS NULL OR item = ?2)"
        run = self._connection.execute
        removed = run(f"DELETE FROM interactions {of_user}", (user, item)).rowcount
        run(f"DELETE FROM deletions {of_user}", (user, item))
        run(
            "INSERT INTO deletions VALUES (?, ?, ?, ?)",
            (self._next_number(), user, item, time.time_ns() // 1000),
        )
        gone = run(
            "DELETE FROM item_users WHERE user = ?1 AND "
            "(?2 IS NULL OR number = (SELECT number FROM items WHERE item = ?2))",
            (user, item),
        ).rowcount
        if gone:  # readers make these items again
            self._count_removal()
        self._count(-removed)
        return removed

    def clear(self, upto: int, at_once: int) -> tuple[int, int]:
        """Remove the first interactions; see :meth:`Writer.clear`."""
        run = self._connection.execute
        first = run("SELECT min(sequence) FROM interactions").fetchone()[0]
        end = min(upto, (upto if first is None else first) + at_once - 1)
        found = run("DELETE FROM interactions WHERE sequence <= ?", (end,)).rowcount
        self._count(-found)
        run("UPDATE totals SET value = max(value, ?) WHERE name = 'cleared'", (end,))
        return found, end

    def known_items(self, items: Sequence[int | str]) -> set[int | str]:
        """Return those that are there; see :meth:`Writer.known_items`."""
        query = "SELECT EXISTS (SELECT 1 FROM items WHERE item = ?)"
        return {item for item in items if self._connection.execute(query, (item,)).fetchone()[0]}

    def insert_items(self, items: Sequence[NewItem]) -> None:
        """Keep new items; see :meth:`Writer.insert_items`."""
        run, now, n_added = self._connection.execute, time.time_ns() // 1000, 0
        for one in items:
            features = json.dumps(dict(one.features)) if one.features else None
            number = run(
                "INSERT INTO items (item, features, time) VALUES (?, ?, ?)", (one.item, features, now)
            ).lastrowid
            self._connection.executemany(
                "INSERT INTO item_users VALUES (?, ?)", [(number, user) for user in one.users]
            )
            for user in one.users:
                # Where the store has the interaction already, it stays one.
                n_added += run(
                    "INSERT INTO interactions (user, item, time) SELECT ?1, ?2, ?3 WHERE NOT EXISTS "
                    "(SELECT 1 FROM interactions WHERE user = ?1 AND item = ?2)",
                    (user, one.item, now),
                ).rowcount
        self._count(n_added)

    def remove_items(self, items: Sequence[int | str]) -> list[int | str]:
        """Remove new items; see :meth:`Writer.remove_items`."""
        run = self._connection.execute
        removed: list[int | str] = []
        for item in items:
            number = run("SELECT number FROM items WHERE item = ?", (item,)).fetchone()
            if number is not None:
                run("DELETE FROM item_users WHERE number = ?", number)
                run("DELETE FROM items WHERE number = ?", number)
                removed.append(item)
        if removed:
            self._count_removal()
        return removed

    def count_items(self) -> int:
        """Return how many new items there are."""
        return int(self._connection.execute("SELECT count(*) FROM items").fetchone()[0])

    def probe(self) -> None:
        """Write something small; see :meth:`Writer.probe`."""
        self._connection.execute("INSERT OR REPLACE INTO totals VALUES ('probe', ?)", (time.time_ns(),))

    def _count(self, n_more: int) -> None:
        self._connection.execute("UPDATE totals SET value = value + ? WHERE name = 'count'", (n_more,))

    def _count_removal(self) -> None:
        self._connection.execute("UPDATE totals SET value = value + 1 WHERE name = 'item_removals'")

    def _next_number(self) -> int:
        """Take the next number of the sequence that interactions have."""
        taken = "UPDATE sqlite_sequence SET seq = seq + 1 WHERE name = 'interactions' RETURNING seq"
        found = self._connection.execute(taken).fetchall()
        if not found:
            self._connection.execute("INSERT INTO sqlite_sequence VALUES ('interactions', 1)")
            return 1
        return int(found[0][0])


def about(connection: sqlite3.Connection) -> dict[str, str]:
    """Return what a store says of itself: its identity, and the types of its ids as far as it has seen some."""
    return dict(connection.execute("SELECT name, value FROM about"))


def first_answer(connection: sqlite3.Connection, key: RepeatKey) -> Receipt | None:
    """Return the answer that a key has got before, None where it is new."""
    query = "SELECT digest, answer FROM answers WHERE key = ? AND time > ?"
    found = connection.execute(query, (key.text, _answers.now() - _answers.KEPT_SECONDS)).fetchone()
    return None if found is None else receipt_of(key, *found)
