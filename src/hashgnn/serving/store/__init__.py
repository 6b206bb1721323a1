"""New interactions at run time: a store that several processes write and read, in a file or in PostgreSQL."""

from hashgnn.serving.store._answers import Receipt, RepeatKey
from hashgnn.serving.store._deletions import Deleted
from hashgnn.serving.store._items import ItemsMark, NewItem
from hashgnn.serving.store.export import Export
from hashgnn.serving.store.interaction_store import InteractionStore

__all__ = [
    "Deleted",
    "Export",
    "InteractionStore",
    "ItemsMark",
    "NewItem",
    "Receipt",
    "RepeatKey",
]
