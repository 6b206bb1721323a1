"""Interactions in a folder, as rows that are mapped: more events than fit into memory."""

from hashgnn.data.stored.folder import StoredInteractions, StoredPlace, is_stored, open_interactions
from hashgnn.data.stored.prepare import prepare_interactions

__all__ = ["StoredInteractions", "StoredPlace", "is_stored", "open_interactions", "prepare_interactions"]
