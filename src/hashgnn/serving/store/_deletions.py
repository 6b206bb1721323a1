"""Deletions of what users did: rows removed, and a mark that keeps older models from using them."""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Deleted:
    """The part of a model's training data that must not be used any more.

    Attributes
    ----------
    everything : bool
        All that the user did.
    items : tuple of int or str
        Else these of the user's items.
    """

    everything: bool
    items: tuple[int | str, ...]

    def __bool__(self) -> bool:
        return self.everything or bool(self.items)


def delete_rows(connection: sqlite3.Connection, user: int | str, item: int | str | None) -> int:
    """Remove what a user did, or did with one item, and mark the deletion; return how many rows there were.

    The mark replaces earlier ones that say less, so that repeating a deletion takes no more room.
    """
    removed = connection.execute(
        "DELETE FROM interactions WHERE user = ?1 AND (?2 IS NULL OR item = ?2)", (user, item)
    ).rowcount
    connection.execute("DELETE FROM deletions WHERE user = ?1 AND (?2 IS NULL OR item = ?2)", (user, item))
    connection.execute(
        "INSERT INTO deletions VALUES (?, ?, ?, ?)",
        (_next_number(connection), user, item, time.time_ns() // 1000),
    )
    _forget_first_user(connection, user, item)
    connection.execute("UPDATE totals SET value = value - ? WHERE name = 'count'", (removed,))
    return removed


def _forget_first_user(connection: sqlite3.Connection, user: int | str, item: int | str | None) -> None:
    """Remove a user from the first users of all new items, or of one; readers make these items again."""
    removed = connection.execute(
        "DELETE FROM item_users WHERE user = ?1 AND "
        "(?2 IS NULL OR number = (SELECT number FROM items WHERE item = ?2))",
        (user, item),
    ).rowcount
    if removed:
        connection.execute("UPDATE totals SET value = value + 1 WHERE name = 'item_removals'")


def _next_number(connection: sqlite3.Connection) -> int:
    """Take the next number of the sequence that interactions have."""
    taken = "UPDATE sqlite_sequence SET seq = seq + 1 WHERE name = 'interactions' RETURNING seq"
    found = connection.execute(taken).fetchall()
    if not found:
        connection.execute("INSERT INTO sqlite_sequence VALUES ('interactions', 1)")
        return 1
    return int(found[0][0])
