"""What a search returns."""

from __future__ import annotations

from dataclasses import dataclass

from hashgnn._types import Array


@dataclass(frozen=True, eq=False)
class Matches:
    """The best codes of each query, best first; ties go to the smaller position.

    Attributes
    ----------
    positions : ndarray of shape (n_queries, k), int64
        In the order the codes were added; -1 where a query has fewer than ``k`` results.
    scores : ndarray of shape (n_queries, k), float32
        Higher is better. In bits, ``n_bits - 2 * distance + item bias``, or an inner product where floats
        decide; -inf where there is no result.
    distances : ndarray of shape (n_queries, k), int32, or None
        Differing bits, without the item bias; -1 where there is no result. None where floats decide.
    counts : ndarray of shape (n_queries,), int64
        Results of each query: fewer than ``k`` where filters leave fewer.
    """

    positions: Array
    scores: Array
    distances: Array | None
    counts: Array

    def __len__(self) -> int:
        return len(self.counts)
