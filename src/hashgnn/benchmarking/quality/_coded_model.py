"""``CodedModel``: codes and float embeddings of any origin, scored as a fitted HashGNN is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from hashgnn._types import Array
from hashgnn.benchmarking.quality.quantisers import QuantisedItems
from hashgnn.codes import BinaryCodes
from hashgnn.evaluation import Scorer
from hashgnn.index.scores import code_scores, float_scores
from hashgnn.ranking import CandidateFilter, IndexLists, top_k


@dataclass(frozen=True, eq=False)
class CodedModel(Scorer):
    """Embeddings that were coded after training. It scores, and so is evaluated; it is not timed.

    Attributes
    ----------
    seen : csr_matrix of shape (n_users, n_items)
        Training interactions, which hierarchical search leaves out of its candidates.
    users, items : ndarray of shape (n_users, d) and (n_items, d), float32
    queries : ndarray of shape (n_users, w), float32
        What a float query multiplies: values whose signs are the user codes, or the users themselves.
    code_bytes : float
        What an item's code takes.
    user_codes, item_codes : BinaryCodes or None
        ``None`` where there are no bits to compare, as in product quantisation.
    quantised : QuantisedItems or None
        The items, where their codes are not signs.
    """

    seen: sparse.csr_matrix
    users: Array
    items: Array
    queries: Array
    code_bytes: float
    user_codes: BinaryCodes | None = None
    item_codes: BinaryCodes | None = None
    quantised: QuantisedItems | None = None

    @property
    def search_ways(self) -> tuple[str, ...]:
        """``hamming`` where there are bits; the others in any case."""
        return (*(("hamming",) if self.quantised is None else ()), "asymmetric", "hierarchical", "float")

    def score_block(self, user_index: Array, search: str, k: int, *, oversampling: int) -> Array:
        """Return a score of every item for some users; candidates of hierarchical search are unseen items."""
        if search == "float":
            return float_scores(self.users[user_index], self.items)
        if search == "asymmetric" or self.quantised is not None:
            scores = self._asymmetric(user_index)
        else:
            assert self.user_codes is not None
            assert self.item_codes is not None
            scores = code_scores(self.user_codes[user_index].signs(), self.item_codes, None)
        return scores if search != "hierarchical" else self._reranked(user_index, scores, k * oversampling)

    def _asymmetric(self, user_index: Array) -> Array:
        if self.quantised is not None:
            return self.quantised.scores(self.queries[user_index])
        assert self.item_codes is not None
        return code_scores(self.queries[user_index], self.item_codes, None)

    def _reranked(self, user_index: Array, scores: Array, n_candidates: int) -> Array:
        CandidateFilter(block_per_query=IndexLists.from_matrix(self.seen[user_index])).mask(scores)
        best = top_k(scores, min(n_candidates, scores.shape[1]))
        floats = float_scores(self.users[user_index], self.items)
        chosen = np.zeros(scores.shape, bool)
        rows = np.repeat(np.arange(len(scores)), best.counts)
        chosen[rows, best.positions[best.positions >= 0]] = True
        return np.where(chosen, floats, -np.inf).astype(np.float32)

    def bytes_per_item(self, search: str) -> float:
        """Return the bytes of an item's code, and of its embedding where a search reads it."""
        code = 0.0 if search == "float" else self.code_bytes
        floats = 4 * self.items.shape[1] if search in ("float", "hierarchical") else 0
        return code + floats
