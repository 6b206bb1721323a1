"""``HeldOut``: interactions kept back from a graph, by which closed-form models are judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from hashgnn._types import Array
from hashgnn.data import Interactions, split
from hashgnn.graph.bipartite import BipartiteGraph

JUDGED_AT = 20
_SHARE = 0.2


@dataclass(frozen=True)
class Judged:
    """Recall and NDCG of a model on held-out interactions, for each judged user.

    Attributes
    ----------
    recall, ndcg : ndarray of shape (n_judged,), float64
        At 20.
    """

    recall: Array
    ndcg: Array

    @property
    def means(self) -> tuple[float | None, float | None]:
        """Mean recall and NDCG; ``None`` where nobody is judged."""
        if not len(self.recall):
            return None, None
        return float(self.recall.mean()), float(self.ndcg.mean())

    @classmethod
    def concatenate(cls, parts: Sequence[Judged]) -> Judged:
        """Return the users of all parts, one after another."""
        empty = np.empty(0)
        return cls(
            np.concatenate([empty, *(part.recall for part in parts)]),
            np.concatenate([empty, *(part.ndcg for part in parts)]),
        )

    @property
    def worth(self) -> float:
        """Mean of recall and NDCG over the users; 0 where nobody is judged."""
        return float((self.recall.mean() + self.ndcg.mean()) / 2) if len(self.recall) else 0.0


@dataclass(frozen=True)
class HeldOut:
    """A graph without some interactions, and the users who are judged by these.

    Attributes
    ----------
    graph : BipartiteGraph
        What is left.
    users : ndarray of shape (n_judged,), int
        Users with held-out items, spread evenly over all.
    answers : csr_matrix of shape (n_judged, n_items)
        Their held-out items.
    """

    graph: BipartiteGraph
    users: Array
    answers: sp.csr_matrix

    @classmethod
    def draw(cls, graph: BipartiteGraph, n_judged: int, rng: np.random.Generator) -> HeldOut:
        """Hold out a fifth of each user's interactions."""
        kept, held = split.random(Interactions.from_csr(graph.user_item), _SHARE, rng=rng)
        users = np.flatnonzero(np.diff(held.csr.indptr))
        users = users[:: max(1, -(-len(users) // n_judged))]
        return cls(BipartiteGraph(kept.csr), users, held.csr[users])

    @property
    def histories(self) -> sp.csr_matrix:
        """The rest of the judged users' histories, (n_judged, n_items), float32."""
        return self.graph.user_item[self.users].astype(np.float32, copy=False)

    def judge(self, part: slice, found: Array, items: Array | None = None) -> Judged:
        """Measure ranked lists of some of the judged users.

        Parameters
        ----------
        part : slice
            Of the judged users.
        found : ndarray of shape (n, k), int
            Their best unseen items, best first, -1 where there are no more; positions in ``items``, where those
            are given.
        items : ndarray or None, default=None
            Items among which was ranked; the others are no answers.

        Returns
        -------
        Judged
            Of those of the users who have held-out items among these.
        """
        answers = self.answers[part]
        wanted = (answers if items is None else answers[:, items]).toarray() > 0
        judged = wanted.any(axis=1)
        return Judged(*_measure(found[judged], wanted[judged]))


def _measure(found: Array, held_out: Array) -> tuple[Array, Array]:
    """Return recall and NDCG of ranked positions (n, k), of which -1 is none, for bool (n, n_items)."""
    hits = np.take_along_axis(held_out, np.maximum(found, 0), axis=1) & (found >= 0)
    counts = held_out.sum(axis=1)
    discounts = 1 / np.log2(np.arange(2, found.shape[1] + 2))
    ideal = np.cumsum(discounts)[np.clip(counts, 1, found.shape[1]) - 1]
    return hits.sum(axis=1) / np.maximum(counts, 1), (hits * discounts).sum(axis=1) / ideal
