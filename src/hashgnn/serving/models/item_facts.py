"""``ItemFacts``: what is known of the items of a version besides the model, and changes while it answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hashgnn.data import IdMap
from hashgnn.errors import ParameterError
from hashgnn.rules import ItemAttributes
from hashgnn.serving.models.item_metadata import ItemMetadata
from hashgnn.serving.wire.json_ids import IdReader

Row = tuple[int, int | str, str, str]
"""A value of the store: its number, the item, the name of the column, and the value as JSON text."""


class ItemFacts:
    """The table of items of a version, as answers show it and as rules look at it.

    A version and those that it becomes with new items share one. It has the items of the one with the most.

    Parameters
    ----------
    metadata : ItemMetadata
    attributes : ItemAttributes
    applied : int, default=0
        Number of the last value of the store that it has.

    Attributes
    ----------
    lock : Lock
        Whoever changes anything holds it.
    """

    def __init__(self, metadata: ItemMetadata, attributes: ItemAttributes, applied: int = 0) -> None:
        self.metadata, self.attributes, self.applied = metadata, attributes, applied
        self.lock = threading.Lock()

    def take_in(self, item_ids: IdMap, rows: Sequence[Row]) -> int:
        """Have more items, with the values that the store has of them; whoever sees the items sees these.

        Returns
        -------
        int
            How many values do not fit the table, and were left out.
        """
        positions, values, shown, n_refused = self._read(item_ids, rows)
        self.metadata.change(shown)
        self.attributes.grow(item_ids, positions, values)
        return n_refused

    def apply(self, rows: Sequence[Row]) -> int:
        """Change values; those of items that are not in the table are left out, and of those that do not fit the number is returned."""
        positions, values, shown, n_refused = self._read(self.attributes.item_ids, rows)
        self.attributes.put(positions, values)
        self.metadata.change(shown)
        self.applied = rows[-1][0]
        return n_refused

    def of_first(self, item_ids: IdMap) -> ItemFacts:
        """Return a copy as of now for the first items alone: those behind them are others from now on."""
        with self.lock:
            return ItemFacts(
                self.metadata.of_first(len(item_ids)), self.attributes.of_size(item_ids), self.applied
            )

    def _read(
        self, item_ids: IdMap, rows: Sequence[Row]
    ) -> tuple[np.ndarray[Any, Any], list[dict[str, Any]], dict[int, Mapping[str, Any]], int]:
        """Return positions, their values, the same values as they are shown, and how many do not fit the table."""
        index = IdReader(item_ids, "item").positions([item for _, item, _, _ in rows], strict=False)
        values: dict[int, dict[str, Any]] = {}
        shown: dict[int, Mapping[str, Any]] = {}
        n_refused = 0
        for position, (_, _, name, text) in zip(index.tolist(), rows, strict=True):
            if position < 0:
                continue
            value = json.loads(text)
            try:
                values.setdefault(position, {}).update(self.attributes.read_values({name: value}))
            except ParameterError:
                n_refused += 1
                continue
            shown[position] = {**shown.get(position, {}), name: value}
        return np.array(list(values), np.int64), list(values.values()), shown, n_refused
