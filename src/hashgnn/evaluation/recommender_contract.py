"""What evaluation asks of a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from hashgnn._types import Array
from hashgnn.ranking import Matches


class Evaluable(Protocol):
    """A recommender that can be evaluated. Users and items go by internal index."""

    @property
    def search_ways(self) -> Sequence[str]:
        """The search ways that the model has."""

    def score_block(self, user_index: Array, search: str, k: int, *, oversampling: int) -> Array:
        """Return a score of every item for some users, (b, n_items), float32 or float64.

        Higher is better; -inf marks what is no candidate. Training items are not masked, except where a
        search way picks candidates: the best ``k * oversampling`` among unseen ones, all others -inf. The
        array is the caller's, who may write into it.
        """

    def search_block(self, user_index: Array, search: str, k: int, *, oversampling: int) -> Matches:
        """Return the best ``k`` unseen items of some users, as the model finds them in use. It is timed."""

    def bytes_per_item(self, search: str) -> float:
        """Return how many bytes of each item a search way needs."""
