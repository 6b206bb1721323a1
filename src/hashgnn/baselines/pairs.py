"""``PairBaseline``: a score of pairs that is no inner product, a small network over each user and item."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hashgnn._types import Array
from hashgnn.baselines.base import FittedBaseline
from hashgnn.data import Interactions

_BLOCK_FLOATS = 1 << 24  # of the first hidden layer, 64 MiB


@dataclass(frozen=True, eq=False)
class PairNetwork:
    """NeuMF's score: ``p_u · q_i + w · tower(a_u + c_i)``, the tower's layers with a ReLU before each.

    Attributes
    ----------
    user_factors, item_factors : ndarray of shape (n_users, f) and (n_items, f), float32
        p, already weighed, and q.
    user_hidden, item_hidden : ndarray of shape (n_users, h) and (n_items, h), float32
        What each side adds to the tower's first hidden layer.
    layers : sequence of (ndarray, ndarray)
        Weights (inputs, outputs) and bias of each layer after the first.
    output : ndarray of shape (outputs,), float32
        w.
    """

    user_factors: Array
    item_factors: Array
    user_hidden: Array
    item_hidden: Array
    layers: Sequence[tuple[Array, Array]]
    output: Array

    @property
    def search_ways(self) -> tuple[str, ...]:
        """The one search way, ``float``."""
        return ("float",)

    def score_block(self, user_index: Array, search: str, k: int, *, oversampling: int) -> Array:
        """Return a score of every item for some users, (n, n_items) float32, in blocks of bounded memory."""
        scores: Array = self.user_factors[user_index] @ self.item_factors.T
        n_items, width = self.item_hidden.shape
        step = max(1, _BLOCK_FLOATS // (n_items * width))
        for start in range(0, len(user_index), step):
            rows = slice(start, start + step)
            hidden = self.user_hidden[user_index[rows], None] + self.item_hidden
            hidden = np.maximum(hidden, 0, out=hidden).reshape(-1, width)
            for weights, bias in self.layers:
                hidden = hidden @ weights
                hidden += bias
                np.maximum(hidden, 0, out=hidden)
            scores[rows] += (hidden @ self.output).reshape(-1, n_items)
        return scores

    def bytes_per_item(self, search: str) -> float:
        """Return the bytes of what is kept of an item."""
        return float(4 * (self.item_factors.shape[1] + self.item_hidden.shape[1]))


class PairBaseline(FittedBaseline):
    """A baseline that scores pairs of a user and an item by a network.

    Parameters
    ----------
    interactions : Interactions
        The training interactions.
    network : PairNetwork
        Of these users and items.
    """

    def __init__(self, interactions: Interactions, network: PairNetwork) -> None:
        super().__init__(interactions)
        self.network = network

    def score(self, user_index: Array) -> Array:
        """Return the network's scores, (n, n_items) float32."""
        return self.network.score_block(user_index, "float", self.n_items, oversampling=1)

    def bytes_per_item(self, search: str) -> float:
        """Return the bytes of what is kept of an item."""
        return self.network.bytes_per_item(search)
