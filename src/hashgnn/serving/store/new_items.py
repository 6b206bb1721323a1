"""``NewItems``: the items of a store that came after the training."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from hashgnn._checks import quote_some
from hashgnn.errors import ParameterError

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
    attributes : mapping of str to JSON values
        Values by the columns of the table of items. Items that the store gives back have none here: their values
        may change, see :meth:`InteractionStore.attributes_of`.
    """

    item: int | str
    users: tuple[int | str, ...] = ()
    features: Mapping[str, Any] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)


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


# Writes, and returns how many entries were accepted, how many there are now, and what else the receipt says.
Work = Callable[[sqlite3.Connection], tuple[int, int, Mapping[str, Any]]]


class Access(Protocol):
    """The part of a store that its new items need."""

    def as_id(self, name: str, value: Any) -> int | str:
        """Return an id as the store keeps it."""

    def reading(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""

    def write_once(self, work: Work, seconds: float | None, key: Any) -> Any:
        """Do work in one transaction, once for each key; return its :class:`Receipt`."""

    def answered(self, key: Any) -> Any:
        """Return the receipt that a key has got before, None where it is new."""

    def check_kinds(self, writer: sqlite3.Connection, named: Mapping[str, int | str]) -> None:
        """Compare the types of ids with those of the store."""

    def keep_attributes(self, writer: sqlite3.Connection, item: int | str, values: Mapping[str, Any]) -> None:
        """Keep values of an item in the transaction that is open."""

    def forget_attributes(self, writer: sqlite3.Connection, item: int | str) -> None:
        """Forget the values of an item in the transaction that is open."""


class NewItems:
    """The new items of a store; every method may be called from many threads and processes.

    Parameters
    ----------
    store : Access
    """

    def __init__(self, store: Access) -> None:
        self._store = store

    def add(
        self,
        items: Sequence[NewItem],
        *,
        on_known: str = "error",
        seconds: float | None = None,
        key: Any = None,
        extra: Mapping[str, Any] | None = None,
    ) -> Any:
        """Keep new items, and return when they are on the disk; all or none.

        The first users of an item have interacted with it: that is kept too, as an interaction each, where the
        store does not have it already. So the next export has the item.

        Parameters
        ----------
        items : sequence of NewItem
        on_known : {"error", "skip"}, default="error"
            Items that the store has already: raise, or leave them as they are. The receipt counts them as
            ``known``.
        seconds, key, extra
            As for :meth:`InteractionStore.write`.

        Returns
        -------
        Receipt
            Its ``stored`` counts the new items of the store.

        Raises
        ------
        ParameterError
            If an id is of another type than those of the store or comes twice, or an item is known.
        StorageError
            If they could not be written.
        """
        given = self._checked(items)

        def work(writer: sqlite3.Connection) -> tuple[int, int, Mapping[str, Any]]:
            of_kind = {("items", type(one.item)): one.item for one in given}
            of_kind |= {("users", type(user)): user for one in given for user in one.users}
            for (name, _), value in of_kind.items():
                self._store.check_kinds(writer, {name: value})
            known = _known(writer, given)
            if known and on_known == "error":
                raise ParameterError(
                    f"{len(known)} of {len(given)} items are known already: {quote_some(sorted(known, key=str))}; "
                    'pass on_known="skip" to leave them as they are'
                )
            new = [one for one in given if one.item not in known]
            _insert(writer, new)
            for one in new:
                self._store.keep_attributes(writer, one.item, one.attributes)
            stored = int(writer.execute("SELECT count(*) FROM items").fetchone()[0])
            more = {**(extra or {})}
            return len(new), stored, {**more, "known": more.get("known", 0) + len(known)}

        return self._store.write_once(work, seconds, key)

    def answered(self, key: Any) -> Any:
        """Return the receipt that a key has got before, None where it is new.

        Raises
        ------
        ParameterError
            If the key came with other content.
        """
        return self._store.answered(key)

    def remove(
        self, items: Sequence[int | str], *, attributes: bool = False, seconds: float | None = None
    ) -> int:
        """Forget new items, and return how many there were; interactions with them stay.

        Their attributes are forgotten too where ``attributes`` says so, as of items that no version has.
        """
        ids = [self._store.as_id("items", item) for item in items]

        def work(writer: sqlite3.Connection) -> tuple[int, int, Mapping[str, Any]]:
            for item in ids:
                self._store.check_kinds(writer, {"items": item})
            removed = _remove(writer, ids)
            for item in removed if attributes else ():
                self._store.forget_attributes(writer, item)
            return len(removed), 0, {}

        return int(self._store.write_once(work, seconds, None).accepted)

    def mark(self) -> ItemsMark:
        """Return how far the items go; while it is the same, so are they."""
        return ItemsMark(*map(int, self._store.reading(_MARK)[0]))

    def after(self, number: int) -> tuple[list[NewItem], int]:
        """Return the items with numbers above one, in their order, and the largest number."""
        rows = self._store.reading(
            "SELECT number, item, features FROM items WHERE number > ? ORDER BY number", number
        )
        users = self._store.reading(
            "SELECT number, user FROM item_users WHERE number > ? ORDER BY number", number
        )
        found, last = _items_of(rows, users)
        return found, max(last, number)

    def holds(self, item: int | str) -> bool:
        """Say whether an item is one of them."""
        query = "SELECT EXISTS (SELECT 1 FROM items WHERE item = ?)"
        return bool(self._store.reading(query, self._store.as_id("item", item))[0][0])

    def __len__(self) -> int:
        return int(self._store.reading("SELECT count(*) FROM items")[0][0])

    def _checked(self, items: Sequence[NewItem]) -> list[NewItem]:
        """Return items with plain ids, users each once."""
        found = []
        for one in items:
            users = dict.fromkeys(self._store.as_id("users", user) for user in one.users)
            for name, values in (("features", one.features), ("attributes", one.attributes)):
                try:
                    json.dumps(dict(values), allow_nan=False)
                except (TypeError, ValueError):
                    raise ParameterError(f"{name} of {one.item!r:.80} must be JSON values") from None
            item = self._store.as_id("item", one.item)
            found.append(NewItem(item, tuple(users), dict(one.features), dict(one.attributes)))
        seen: set[int | str] = set()
        for one in found:
            if one.item in seen:
                raise ParameterError(f"items must differ, got {one.item!r:.80} twice")
            seen.add(one.item)
        return found


def _known(connection: sqlite3.Connection, items: Sequence[NewItem]) -> set[int | str]:
    """Return the ids of those items that the store has already."""
    query = "SELECT EXISTS (SELECT 1 FROM items WHERE item = ?)"
    return {one.item for one in items if connection.execute(query, (one.item,)).fetchone()[0]}


def _insert(writer: sqlite3.Connection, items: Sequence[NewItem]) -> int:
    """Keep new items, and that their users interacted with them; return how many interactions that adds."""
    now, n_added = time.time_ns() // 1000, 0
    for one in items:
        features = json.dumps(dict(one.features)) if one.features else None
        number = writer.execute(
            "INSERT INTO items (item, features, time) VALUES (?, ?, ?)", (one.item, features, now)
        ).lastrowid
        writer.executemany("INSERT INTO item_users VALUES (?, ?)", [(number, user) for user in one.users])
        for user in one.users:
            # Where the store has the interaction already, it stays one.
            n_added += writer.execute(
                "INSERT INTO interactions (user, item, time) SELECT ?1, ?2, ?3 WHERE NOT EXISTS "
                "(SELECT 1 FROM interactions WHERE user = ?1 AND item = ?2)",
                (user, one.item, now),
            ).rowcount
    writer.execute("UPDATE totals SET value = value + ? WHERE name = 'count'", (n_added,))
    return n_added


def _remove(writer: sqlite3.Connection, items: Sequence[int | str]) -> list[int | str]:
    """Remove new items, and return those that there were. Interactions with them stay."""
    removed = []
    for item in items:
        number = writer.execute("SELECT number FROM items WHERE item = ?", (item,)).fetchone()
        if number is not None:
            writer.execute("DELETE FROM item_users WHERE number = ?", number)
            writer.execute("DELETE FROM items WHERE number = ?", number)
            removed.append(item)
    if removed:
        writer.execute("UPDATE totals SET value = value + 1 WHERE name = 'item_removals'")
    return removed


def _items_of(rows: Sequence[tuple[Any, ...]], users: Sequence[tuple[Any, ...]]) -> tuple[list[NewItem], int]:
    """Return items in the order of their numbers, and the largest number, from rows of both tables."""
    audiences: dict[int, list[int | str]] = {}
    for number, user in users:
        audiences.setdefault(number, []).append(user)
    found = [
        NewItem(item, tuple(audiences.get(number, ())), {} if features is None else json.loads(features))
        for number, item, features in rows
    ]
    return found, rows[-1][0] if rows else 0
