"""New items in a store: what each was added with, and who has heard of it."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hashgnn.errors import ParameterError
from hashgnn.serving.store._rows import as_id

# Format 3. A number is never used twice, so a reader that has heard of all up to one asks for those above it.
# 'item_removals' counts what such a reader cannot see: an item or a user of an item that is gone.
ITEM_TABLES = """
CREATE TABLE items (
    number INTEGER PRIMARY KEY AUTOINCREMENT, item NOT NULL UNIQUE, features TEXT, time INTEGER NOT NULL
);
CREATE TABLE item_users (number INTEGER NOT NULL, user NOT NULL, PRIMARY KEY (number, user)) WITHOUT ROWID;
CREATE INDEX items_of_users ON item_users (user);
INSERT INTO totals VALUES ('item_removals', 0);
"""

_MARK = """
SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'items'), 0),
    (SELECT value FROM totals WHERE name = 'item_removals')
"""


@dataclass(frozen=True)
class NewItem:
    """An item that came after the training.

    Attributes
    ----------
    item : int or str
    users : tuple of int or str
        Its first users, each once.
    features : mapping of str to JSON values
        Side features by the names of their columns; empty where there are none.
    """

    item: int | str
    users: tuple[int | str, ...] = ()
    features: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ItemsMark:
    """How far the new items of a store go: another mark means other items.

    Attributes
    ----------
    last : int
        Number of the last item that was ever added.
    removals : int
        How often an item, or a user of one, was removed.
    """

    last: int = 0
    removals: int = 0


def checked_items(items: Sequence[NewItem]) -> list[NewItem]:
    """Return items with plain ids, users each once.

    Raises
    ------
    ParameterError
        If an id is neither integer nor text, an item comes twice, or features have no form in JSON.
    """
    found = []
    for one in items:
        users = dict.fromkeys(as_id("users", user) for user in one.users)
        try:
            json.dumps(dict(one.features), allow_nan=False)
        except (TypeError, ValueError):
            raise ParameterError(f"features of {one.item!r:.80} must be JSON values") from None
        found.append(NewItem(as_id("item", one.item), tuple(users), dict(one.features)))
    if len({one.item for one in found}) < len(found):
        seen: set[Any] = set()
        twice = next(one.item for one in found if one.item in seen or seen.add(one.item))  # type: ignore[func-returns-value]
        raise ParameterError(f"items must differ, got {twice!r:.80} twice")
    return found


def known_of(connection: sqlite3.Connection, items: Sequence[NewItem]) -> set[int | str]:
    """Return the ids of those items that the store has already."""
    query = "SELECT EXISTS (SELECT 1 FROM items WHERE item = ?)"
    return {one.item for one in items if connection.execute(query, (one.item,)).fetchone()[0]}


def insert_items(writer: sqlite3.Connection, items: Sequence[NewItem]) -> int:
    """Keep new items, and that their users interacted with them; return how many interactions that adds."""
    now, n_added = time.time_ns() // 1000, 0
    for one in items:
        features = json.dumps(dict(one.features)) if one.features else None
        number = writer.execute(
            "INSERT INTO items (item, features, time) VALUES (?, ?, ?)", (one.item, features, now)
        ).lastrowid
        writer.executemany("INSERT INTO item_users VALUES (?, ?)", [(number, user) for user in one.users])
        for user in one.users:
            # Whoever told the service of the interaction before does not tell it twice.
            n_added += writer.execute(
                "INSERT INTO interactions (user, item, time) SELECT ?1, ?2, ?3 WHERE NOT EXISTS "
                "(SELECT 1 FROM interactions WHERE user = ?1 AND item = ?2)",
                (user, one.item, now),
            ).rowcount
    writer.execute("UPDATE totals SET value = value + ? WHERE name = 'count'", (n_added,))
    return n_added


def remove_items(writer: sqlite3.Connection, items: Sequence[int | str]) -> int:
    """Remove new items; return how many there were. Interactions with them stay."""
    removed = 0
    for item in items:
        number = writer.execute("SELECT number FROM items WHERE item = ?", (item,)).fetchone()
        if number is not None:
            writer.execute("DELETE FROM item_users WHERE number = ?", number)
            removed += writer.execute("DELETE FROM items WHERE number = ?", number).rowcount
    if removed:
        note_removal(writer)
    return removed


def remove_user(writer: sqlite3.Connection, user: int | str, item: int | str | None) -> None:
    """Remove a user from the first users of all items, or of one."""
    removed = writer.execute(
        "DELETE FROM item_users WHERE user = ?1 AND "
        "(?2 IS NULL OR number = (SELECT number FROM items WHERE item = ?2))",
        (user, item),
    ).rowcount
    if removed:
        note_removal(writer)


def note_removal(writer: sqlite3.Connection) -> None:
    """Tell readers that something is gone."""
    writer.execute("UPDATE totals SET value = value + 1 WHERE name = 'item_removals'")


def mark_of(rows: Sequence[tuple[Any, ...]]) -> ItemsMark:
    """Return the mark from the rows of :data:`MARK_QUERY`."""
    return ItemsMark(*map(int, rows[0]))


MARK_QUERY = _MARK


def items_of(rows: Sequence[tuple[Any, ...]], users: Sequence[tuple[Any, ...]]) -> tuple[list[NewItem], int]:
    """Return items in the order of their numbers, and the largest number, from rows of both tables."""
    audiences: dict[int, list[int | str]] = {}
    for number, user in users:
        audiences.setdefault(number, []).append(user)
    found = [
        NewItem(item, tuple(audiences.get(number, ())), {} if features is None else json.loads(features))
        for number, item, features in rows
    ]
    return found, rows[-1][0] if rows else 0
