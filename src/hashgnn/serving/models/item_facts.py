"""``ItemFacts``: what is known of the items of a version besides the model, and changes while it answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from typing import Any, Generic, Protocol, Self, TypeAlias, TypeVar

import numpy as np

from hashgnn._types import Array
from hashgnn.data import IdMap
from hashgnn.errors import ParameterError
from hashgnn.rules import ItemAttributes

Row: TypeAlias = tuple[int, int | str, str, str]
"""A value of the store: its number, the item, the name of the column, and the value as JSON text."""


class Items(Protocol):
    """Finds items by the ids that the store keeps."""

    def positions(self, values: Sequence[Any], *, strict: bool = True) -> Array:
        """Return the position of each, -1 where it is unknown."""


class Shown(Protocol):
    """The table of items as answers show it."""

    def note(self, positions: Array) -> None:
        """Note that the attributes of some items have changed."""

    def of_first(self, n_items: int, attributes: ItemAttributes) -> Self:
        """Return a copy that knows the changes of the first items alone, and shows other attributes."""


M = TypeVar("M", bound=Shown)


class ItemFacts(Generic[M]):
    """The table of items of a version, as answers show it and as rules look at it.

    A version and those that it becomes with new items share one. It has the items of the one with the most.

    Parameters
    ----------
    metadata : ItemMetadata
    attributes : ItemAttributes
    items : IdReader
        Finds the items of the table.
    applied : int, default=0
        Number of the last value of the store that it has.

    Attributes
    ----------
    lock : Lock
        Whoever changes anything holds it.
    """

    def __init__(self, metadata: M, attributes: ItemAttributes, items: Items, applied: int = 0) -> None:
        self.metadata, self.attributes, self.applied = metadata, attributes, applied
        self._items = items
        self.lock = threading.Lock()

    def take_in(self, item_ids: IdMap, items: Items, rows: Sequence[Row]) -> int:
        """Have more items, with the values that the store has of them; whoever sees the items sees these.

        Returns
        -------
        int
            How many values do not fit the table, and were left out.
        """
        self._items = items
        positions, values, n_refused = self._read(rows)
        self.attributes.grow(item_ids, positions, values)
        self.metadata.note(positions)
        return n_refused

    def apply(self, rows: Sequence[Row]) -> int:
        """Change values, those of items that are not in the table left out; return how many do not fit it."""
        positions, values, n_refused = self._read(rows)
        self.attributes.put(positions, values)
        self.metadata.note(positions)
        self.applied = rows[-1][0]
        return n_refused

    def of_first(self, item_ids: IdMap, items: Items) -> ItemFacts[M]:
        """Return a copy as of now for the first items alone: those behind them are others from now on."""
        with self.lock:
            attributes = self.attributes.of_size(item_ids)
            metadata = self.metadata.of_first(len(item_ids), attributes)
            return ItemFacts(metadata, attributes, items, self.applied)

    def _read(self, rows: Sequence[Row]) -> tuple[Array, list[dict[str, Any]], int]:
        """Return positions and the new values at each, and how many values do not fit the table."""
        index = self._items.positions([item for _, item, _, _ in rows], strict=False)
        values: dict[int, dict[str, Any]] = {}
        n_refused = 0
        for position, (_, _, name, text) in zip(index.tolist(), rows, strict=True):
            if position < 0:
                continue
            try:
                read = self.attributes.read_values({name: json.loads(text)})
            except ParameterError:
                n_refused += 1
                continue
            values.setdefault(position, {}).update(read)
        return np.array(list(values), np.int64), list(values.values()), n_refused
