"""The items of a model for hierarchical search within a memory budget."""

from __future__ import annotations

from hashgnn.errors import ParameterError
from hashgnn.index import (
    EmbeddedCodes,
    HammingIndex,
    HierarchicalIndex,
    InvertedFile,
    hierarchical_within,
)
from hashgnn.state import ModelState

_SAMPLE_USERS = 8192  # whose floats say which directions count


def items_within(
    state: ModelState, index: HammingIndex | InvertedFile, index_recall: float, bytes_per_item: float
) -> HierarchicalIndex:
    """Return the items ranked by rows of few bits: those of the state where they fit, or new ones.

    Parameters
    ----------
    state : ModelState
        With at least one item.
    index : HammingIndex or InvertedFile
        Over its items.
    index_recall : float
        Share of the best by floats to find.
    bytes_per_item : float

    Raises
    ------
    ParameterError
        If nothing within the budget finds as much.
    """
    saved = state.ranked_items
    if saved is not None and index is state.items.index and bytes_per_item == state.bytes_per_item:
        return saved
    if not state.n_users:
        raise ParameterError(
            f"bytes_per_item must be None for a model without users to tune with, got {bytes_per_item:g}"
        )
    step = max(1, state.n_users // _SAMPLE_USERS)
    return hierarchical_within(
        index,
        state.items.embeddings,
        EmbeddedCodes(state.users.codes[::step], state.users.embeddings[::step]),
        bytes_per_item=bytes_per_item,
        index_recall=index_recall,
    )
