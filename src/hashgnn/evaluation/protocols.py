"""The interface of a model in evaluation: scores of every item, or ranked lists, or both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from hashgnn._types import Array
from hashgnn.ranking import Matches


@runtime_checkable
class Scorer(Protocol):
    """A model that scores every item. Users and items go by internal index.

    It is all that :func:`hashgnn.evaluate` needs to measure quality exactly.
    """

    @property
    def search_ways(self) -> Sequence[str]:
        """The search ways that the model has."""

    def score_block(self, user_index: Array, search: str, k: int, *, oversampling: int) -> Array:
        """Return a score of every item for some users, shape (b, n_items), float32 or float64.

        Higher is better; -inf marks an item that is no candidate. Training items are scored like others,
        except where a search way picks candidates: the best ``k * oversampling`` unseen items, all others
        -inf. The caller owns the array and may write into it.
        """

    def bytes_per_item(self, search: str) -> float:
        """Return how many bytes of each item a search way reads."""


@runtime_checkable
class Retriever(Protocol):
    """A model that returns ranked lists as it does in use. Users and items go by internal index.

    :func:`hashgnn.evaluate` needs it to time queries and, with ``served=True``, to measure quality.
    """

    @property
    def search_ways(self) -> Sequence[str]:
        """The search ways that the model has."""

    def search_block(self, user_index: Array, search: str, k: int, *, oversampling: int) -> Matches:
        """Return the best ``k`` unseen items of some users, best first, as the model finds them in use."""
