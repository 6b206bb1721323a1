"""``NewItems``: the items of a store that came after the training."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from hashgnn._checks import quote_some
from hashgnn.errors import ParameterError
from hashgnn.serving.store._answers import Receipt, RepeatKey, first_answer, keep_answer
from hashgnn.serving.store._items import (
    MARK_QUERY,
    ItemsMark,
    NewItem,
    checked_items,
    insert_items,
    items_of,
    known_of,
    mark_of,
    remove_items,
)
from hashgnn.serving.store._rows import as_id

Kinds = Callable[[sqlite3.Connection, Mapping[str, "int | str"]], None]


class Access(Protocol):
    """The part of a store that its new items need."""

    def reading(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""

    def first_answer(self, key: RepeatKey) -> Receipt | None:
        """Return the answer that a key has got before."""

    def writing(self, deadline: float | None) -> AbstractContextManager[sqlite3.Connection]:
        """Yield the writing connection in a transaction, when it is this caller's turn."""

    def check_kinds(self, writer: sqlite3.Connection, named: Mapping[str, int | str]) -> None:
        """Compare the types of ids with those of the store."""


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
        key: RepeatKey | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> Receipt:
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
        given = checked_items(items)
        with self._store.writing(None if seconds is None else time.monotonic() + seconds) as writer:
            repeated = None if key is None else first_answer(writer, key)
            if repeated is not None:
                return repeated
            of_kind = {("items", type(one.item)): one.item for one in given}
            of_kind |= {("users", type(user)): user for one in given for user in one.users}
            for (name, _), value in of_kind.items():
                self._store.check_kinds(writer, {name: value})
            known = known_of(writer, given)
            if known and on_known == "error":
                raise ParameterError(
                    f"{len(known)} of {len(given)} items are known already: {quote_some(sorted(known, key=str))}; "
                    'pass on_known="skip" to leave them as they are'
                )
            new = [one for one in given if one.item not in known]
            insert_items(writer, new)
            stored = int(writer.execute("SELECT count(*) FROM items").fetchone()[0])
            more = {**(extra or {})}
            more["known"] = more.get("known", 0) + len(known)
            receipt = Receipt(len(new), stored, more)
            if key is not None:
                keep_answer(writer, key, receipt)
        return receipt

    def answered(self, key: RepeatKey) -> Receipt | None:
        """Return the receipt that a key has got before, None where it is new.

        Raises
        ------
        ParameterError
            If the key came with other content.
        """
        return self._store.first_answer(key)

    def remove(self, items: Sequence[int | str], *, seconds: float | None = None) -> int:
        """Forget new items, and return how many there were; interactions with them stay."""
        ids = [as_id("items", item) for item in items]
        with self._store.writing(None if seconds is None else time.monotonic() + seconds) as writer:
            for item in ids:
                self._store.check_kinds(writer, {"items": item})
            return remove_items(writer, ids)

    def mark(self) -> ItemsMark:
        """Return how far the items go; while it is the same, so are they."""
        return mark_of(self._store.reading(MARK_QUERY))

    def after(self, number: int) -> tuple[list[NewItem], int]:
        """Return the items with numbers above one, in their order, and the largest number."""
        rows = self._store.reading(
            "SELECT number, item, features FROM items WHERE number > ? ORDER BY number", number
        )
        users = self._store.reading(
            "SELECT number, user FROM item_users WHERE number > ? ORDER BY number", number
        )
        found, last = items_of(rows, users)
        return found, max(last, number)

    def holds(self, item: int | str) -> bool:
        """Say whether an item is one of them."""
        query = "SELECT EXISTS (SELECT 1 FROM items WHERE item = ?)"
        return bool(self._store.reading(query, as_id("item", item))[0][0])

    def __len__(self) -> int:
        return int(self._store.reading("SELECT count(*) FROM items")[0][0])
