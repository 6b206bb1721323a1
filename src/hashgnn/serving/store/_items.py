"""``NewItem`` and ``ItemsMark``: items that came after the training, and how far a store has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


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
