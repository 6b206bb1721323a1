"""``FittedBaseline``: the base of fitted baselines, ready for ``hashgnn.evaluate``."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import scipy.sparse as sp

from hashgnn._checks import check_choice, check_matrix
from hashgnn._types import Array
from hashgnn.data import Interactions
from hashgnn.evaluation import Retriever, Scorer
from hashgnn.graph import BipartiteGraph, GraphFilter
from hashgnn.ranking import CandidateFilter, IndexLists, Matches, top_k_in_blocks

SEARCH = "float"


class FittedBaseline(Scorer, Retriever, ABC):
    """A model of users and items, by internal index. One search way, ``float``, where it learns no codes.

    Attributes
    ----------
    user_embeddings, item_embeddings : ndarray of shape (n_users, d) and (n_items, d), float32, or None
        Vectors whose inner product is the score; ``None`` where the model has no such vectors.
    """

    user_embeddings: Array | None = None
    item_embeddings: Array | None = None

    def __init__(self, interactions: Interactions) -> None:
        self._seen: sp.csr_matrix = interactions.csr
        self.n_users, self.n_items = (int(n) for n in self._seen.shape)

    @property
    def search_ways(self) -> tuple[str, ...]:
        """The one search way, ``float``."""
        return (SEARCH,)

    @property
    def has_embeddings(self) -> bool:
        """Whether scores are inner products of stored vectors, as a post-hoc binariser needs."""
        return self.item_embeddings is not None

    @abstractmethod
    def score(self, user_index: Array) -> Array:
        """Return a score of every item for some users, (n, n_items) float32, higher is better.

        Training items are not masked. The array is the caller's.
        """

    def score_block(self, user_index: Array, search: str, k: int, *, oversampling: int) -> Array:
        """Return :meth:`score`; the form that evaluation calls."""
        check_choice("search", search, self.search_ways)
        return self.score(user_index)

    def search_block(self, user_index: Array, search: str, k: int, *, oversampling: int) -> Matches:
        """Return the best ``k`` unseen items of some users, in blocks of bounded memory."""
        check_choice("search", search, self.search_ways)
        seen = IndexLists.from_matrix(self._seen)

        def score(rows: Array) -> Array:
            scores = self.score_block(user_index[rows], search, k, oversampling=oversampling)
            CandidateFilter(block_per_query=seen[user_index[rows]]).mask(scores)
            return scores

        return top_k_in_blocks(score, len(user_index), self.n_items, k)

    @abstractmethod
    def bytes_per_item(self, search: str) -> float:
        """Return how many bytes of each item scoring needs."""


class EmbeddingBaseline(FittedBaseline):
    """A baseline whose score is the inner product of a user's and an item's vector.

    Parameters
    ----------
    interactions : Interactions
        The training interactions.
    users, items : ndarray of shape (n_users, d) and (n_items, d)
        Finite.
    """

    def __init__(self, interactions: Interactions, users: Array, items: Array) -> None:
        super().__init__(interactions)
        self.user_embeddings: Array = check_matrix("users", users, dtype=np.float32, n_rows=self.n_users)
        self.item_embeddings: Array = check_matrix(
            "items", items, dtype=np.float32, n_rows=self.n_items, n_columns=self.user_embeddings.shape[1]
        )

    def score(self, user_index: Array) -> Array:
        """Return inner products, (n, n_items) float32."""
        scores: Array = self.user_embeddings[user_index] @ self.item_embeddings.T
        return scores

    def bytes_per_item(self, search: str) -> float:
        """Return the bytes of one item's vector."""
        return float(self.item_embeddings.itemsize * self.item_embeddings.shape[1])


class FilterBaseline(FittedBaseline):
    """A closed-form graph filter: it scores histories and has no vectors.

    Parameters
    ----------
    interactions : Interactions
        The training interactions.
    graph_filter : GraphFilter
        Over the graph of these interactions.
    """

    def __init__(self, interactions: Interactions, graph_filter: GraphFilter) -> None:
        super().__init__(interactions)
        self.graph_filter = graph_filter

    def score(self, user_index: Array) -> Array:
        """Return the filtered histories, (n, n_items) float32."""
        return self.graph_filter.score(self.graph_filter.graph.user_item[user_index])

    def bytes_per_item(self, search: str) -> float:
        """Return the memory that scoring needs, divided by the number of items."""
        return self.graph_filter.bytes_per_item


class ItemBaseline(FittedBaseline):
    """A linear model of items: a history times a matrix of items by items.

    Parameters
    ----------
    interactions : Interactions
        The training interactions.
    weights : csr_matrix or ndarray of shape (n_items, n_items), float32
        How much an item of the history, the row, adds to the score of each item.
    """

    def __init__(self, interactions: Interactions, weights: sp.csr_matrix | Array) -> None:
        super().__init__(interactions)
        self.weights = weights
        self._histories = BipartiteGraph.from_interactions(interactions).user_item.astype(np.float32)

    def score(self, user_index: Array) -> Array:
        """Return the sum of the rows of each user's items, (n, n_items) float32."""
        scores = self._histories[user_index] @ self.weights
        dense: Array = scores.toarray() if sp.issparse(scores) else scores
        return np.ascontiguousarray(dense, np.float32)

    def bytes_per_item(self, search: str) -> float:
        """Return the bytes of the matrix, divided by the number of items."""
        if sp.issparse(self.weights):
            parts = (self.weights.data, self.weights.indices, self.weights.indptr)
            return sum(part.nbytes for part in parts) / self.n_items
        return self.weights.nbytes / self.n_items


class PopularityBaseline(FittedBaseline):
    """One score an item, the same for every user: how many users it has."""

    def __init__(self, interactions: Interactions) -> None:
        super().__init__(interactions)
        self.counts = BipartiteGraph.from_interactions(interactions).item_degrees.astype(np.float32)

    def score(self, user_index: Array) -> Array:
        """Return the items' counts for each user, (n, n_items) float32."""
        return np.tile(self.counts, (len(user_index), 1))

    def bytes_per_item(self, search: str) -> float:
        """Return the bytes of one count."""
        return float(self.counts.itemsize)
