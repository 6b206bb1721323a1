"""New interactions at run time: an embedded store that several processes write and read."""

from hashgnn.serving.store.export import Export
from hashgnn.serving.store.interaction_store import InteractionStore

__all__ = ["Export", "InteractionStore"]
