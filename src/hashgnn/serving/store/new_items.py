"""``NewItems``: the items of a store that came after the training."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from hashgnn._checks import quote_some
from hashgnn.errors import ParameterError
from hashgnn.serving.store._attributes import AttributeRow
from hashgnn.serving.store._items import ItemsMark, NewItem
from hashgnn.serving.store._rows import as_id
from hashgnn.serving.store._writer import Writer

# Writes, and returns how many entries were accepted, how many there are now, and what else the receipt says.
Work = Callable[[Writer], tuple[int, int, Mapping[str, Any]]]


class Access(Protocol):
    """The part of a store that its new items need."""

    def check_id(self, name: str, value: int | str) -> None:
        """Raise :class:`ParameterError` for an id that the store cannot hold."""

    def write_once(self, work: Work, seconds: float | None, key: Any) -> Any:
        """Do work in one transaction, once for each key; return its :class:`Receipt`."""

    def answered(self, key: Any) -> Any:
        """Return the receipt that a key has got before, None where it is new."""

    def items_mark(self) -> tuple[int, int]:
        """Return the number of the last item ever added, and how often one was removed."""

    def items_after(self, number: int) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
        """Return number, item and features of the items above a number, and number and user of their users."""

    def holds_item(self, item: int | str) -> bool:
        """Say whether an item is one of them."""

    def count_items(self) -> int:
        """Return how many there are."""


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

        def work(writer: Writer) -> tuple[int, int, Mapping[str, Any]]:
            of_kind = {("items", type(one.item)): one.item for one in given}
            of_kind |= {("users", type(user)): user for one in given for user in one.users}
            for (name, _), value in of_kind.items():
                writer.check_kinds({name: value})
            known = writer.known_items([one.item for one in given])
            if known and on_known == "error":
                raise ParameterError(
                    f"{len(known)} of {len(given)} items are known already: {quote_some(sorted(known, key=str))}; "
                    'pass on_known="skip" to leave them as they are'
                )
            new = [one for one in given if one.item not in known]
            writer.insert_items(new)
            rows = [
                AttributeRow(one.item, name, json.dumps(value))
                for one in new
                for name, value in one.attributes.items()
            ]
            if rows:
                writer.insert_attributes(rows)
            more = {**(extra or {})}
            return len(new), writer.count_items(), {**more, "known": more.get("known", 0) + len(known)}

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
        ids = [as_id("items", item) for item in items]
        for item in ids:
            self._store.check_id("items", item)

        def work(writer: Writer) -> tuple[int, int, Mapping[str, Any]]:
            for item in ids:
                writer.check_kinds({"items": item})
            removed = writer.remove_items(ids)
            if attributes and removed:
                writer.forget_attributes(removed)
            return len(removed), 0, {}

        return int(self._store.write_once(work, seconds, None).accepted)

    def mark(self) -> ItemsMark:
        """Return how far the items go; while it is the same, so are they."""
        return ItemsMark(*self._store.items_mark())

    def after(self, number: int) -> tuple[list[NewItem], int]:
        """Return the items with numbers above one, in their order, and the largest number."""
        found, last = _items_of(*self._store.items_after(number))
        return found, max(last, number)

    def holds(self, item: int | str) -> bool:
        """Say whether an item is one of them."""
        return self._store.holds_item(as_id("item", item))

    def __len__(self) -> int:
        return self._store.count_items()

    def _checked(self, items: Sequence[NewItem]) -> list[NewItem]:
        """Return items with plain ids, users each once."""
        found = []
        for one in items:
            users = dict.fromkeys(as_id("users", user) for user in one.users)
            for name, values in (("features", one.features), ("attributes", one.attributes)):
                try:
                    json.dumps(dict(values), allow_nan=False)
                except (TypeError, ValueError):
                    raise ParameterError(f"{name} of {one.item!r:.80} must be JSON values") from None
            item = as_id("item", one.item)
            found.append(NewItem(item, tuple(users), dict(one.features), dict(one.attributes)))
        seen: set[int | str] = set()
        for one in found:
            self._store.check_id("items", one.item)
            for user in one.users:
                self._store.check_id("users", user)
            if one.item in seen:
                raise ParameterError(f"items must differ, got {one.item!r:.80} twice")
            seen.add(one.item)
        return found


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
