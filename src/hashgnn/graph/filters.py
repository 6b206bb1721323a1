"""Spectral filters: closed-form recommenders that serve as teachers of codes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp

from hashgnn._checks import check_float, check_int
from hashgnn._progress import progress
from hashgnn._rng import RngLike
from hashgnn.errors import ParameterError
from hashgnn.graph.bipartite import BipartiteGraph
from hashgnn.graph.spectral import low_spectrum

Array = np.ndarray[Any, Any]

_BLOCK_BYTES = 64 << 20


@dataclass(frozen=True)
class SpectralFilter:
    """GF-CF: a linear graph filter plus ``alpha`` times an ideal low-pass filter.

    A user with history row ``r`` gets the scores ``r (S'S + alpha Di^-1/2 V V' Di^1/2)``, where ``S`` is
    the normalised user-item matrix and ``V`` its leading right singular vectors. There is nothing to
    train. An unseen user is scored like any other, from the history alone.

    Attributes
    ----------
    graph : BipartiteGraph
    alpha : float
        Weight of the low-pass filter; 0 leaves the linear filter.
    history_table, item_table : ndarray of shape (n_items, rank), float32
        ``Di^-1/2 V`` and ``Di^1/2 V``: the low-pass score of item i for history r is
        ``(r @ history_table) @ item_table[i]``. They also warm-start an encoder's tables.

    References
    ----------
    Shen et al., *How powerful is graph convolution for recommendation?*, CIKM 2021, section 4.

    Examples
    --------
    >>> import numpy as np, scipy.sparse as sp
    >>> graph = BipartiteGraph(sp.csr_matrix(np.kron(np.eye(2), np.ones((3, 3))) - np.eye(6)))
    >>> SpectralFilter.fit(graph, rank=2, rng=0).top(1).ravel()
    array([0, 1, 2, 3, 4, 5])
    """

    graph: BipartiteGraph
    alpha: float
    history_table: Array
    item_table: Array

    @classmethod
    def fit(
        cls,
        graph: BipartiteGraph,
        *,
        rank: int = 256,
        alpha: float = 0.3,
        rng: RngLike = None,
        n_iterations: int = 4,
    ) -> SpectralFilter:
        """Compute the filter's singular vectors.

        Parameters
        ----------
        graph : BipartiteGraph
        rank : int, default=256
            Vectors of the ideal low pass, at most ``min(n_users, n_items)``.
        alpha : float >= 0, default=0.3
        rng : int, numpy.random.Generator or None, default=None
        n_iterations : int, default=4
            Power iterations of the randomized SVD.
        """
        alpha = check_float("alpha", alpha, minimum=0)
        vectors = low_spectrum(graph, rank, rng=rng, n_iterations=n_iterations).item_vectors
        root = np.sqrt(graph.item_strengths)[:, None]
        inverse = np.divide(1, root, out=np.zeros_like(root), where=root > 0)
        return cls(graph, alpha, (vectors * inverse).astype(np.float32), (vectors * root).astype(np.float32))

    @cached_property
    def _transposed(self) -> sp.csr_matrix:
        return sp.csr_matrix(self.graph.normalized_user_item.T)

    def score(self, histories: sp.csr_matrix) -> Array:
        """Score every item for each history.

        Parameters
        ----------
        histories : sparse matrix of shape (n, n_items)
            One row a user, of training or not. An empty row scores 0 everywhere.

        Returns
        -------
        ndarray of shape (n, n_items), float32
            Higher is better. Items of the history are not masked.
        """
        if histories.shape[1:] != (self.graph.n_items,):
            raise ParameterError(
                f"histories must have shape (n, {self.graph.n_items}), got {histories.shape}"
            )
        rows = sp.csr_matrix(histories, dtype=np.float32)
        normalised = self.graph.normalized_user_item
        # Two hops from a history reach most of the catalogue: from the first on, dense is faster.
        reached = np.ascontiguousarray((rows @ normalised.T).toarray().T)
        scores: Array = np.ascontiguousarray((self._transposed @ reached).T)
        if self.alpha > 0:
            scores += np.float32(self.alpha) * ((rows @ self.history_table) @ self.item_table.T)
        return scores

    def top(
        self,
        k: int,
        histories: sp.csr_matrix | None = None,
        *,
        filter_seen: bool = True,
        show_progress: bool = False,
    ) -> Array:
        """List the ``k`` best items of each history, in blocks of bounded memory.

        Parameters
        ----------
        k : int
            ``1 <= k <= n_items``.
        histories : sparse matrix of shape (n, n_items) or None, default=None
            ``None`` takes the users of the graph.
        filter_seen : bool, default=True
            Leave out the items of the history.
        show_progress : bool, default=False

        Returns
        -------
        ndarray of shape (n, k), int64
            Item indices, best first, ties to the smaller index; -1 pads a row with fewer items left.
        """
        k = check_int("k", k, minimum=1, maximum=self.graph.n_items)
        rows = self.graph.user_item if histories is None else sp.csr_matrix(histories)
        result = np.empty((rows.shape[0], k), np.int64)
        n_block = max(1, _BLOCK_BYTES // (4 * self.graph.n_items))
        with progress("Filtering the graph", rows.shape[0], enabled=show_progress) as advance:
            for first in range(0, rows.shape[0], n_block):
                block = rows[first : first + n_block]
                scores = self.score(block)
                if filter_seen:
                    scores[
                        np.repeat(np.arange(block.shape[0]), np.diff(block.indptr)), block.indices
                    ] = -np.inf
                result[first : first + n_block] = _best(scores, k)
                advance(block.shape[0])
        return result


def _best(scores: Array, k: int) -> Array:
    """Columns of the ``k`` largest entries of each row, best first, ties to the smaller column."""
    n_rows, n_columns = scores.shape
    threshold = np.partition(scores, n_columns - k, axis=1)[:, n_columns - k, None]
    chosen = scores >= threshold
    crowded = np.flatnonzero(chosen.sum(axis=1) > k)  # ties at the threshold: keep the first of them
    if len(crowded):
        above = scores[crowded] > threshold[crowded]
        level = chosen[crowded] & ~above
        room = k - above.sum(axis=1, keepdims=True)
        chosen[crowded] = above | (level & (np.cumsum(level, axis=1) <= room))
    columns = np.nonzero(chosen)[1].reshape(n_rows, k)
    values = np.take_along_axis(scores, columns, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    best = np.take_along_axis(columns, order, axis=1)
    return np.where(np.take_along_axis(values, order, axis=1) == -np.inf, -1, best).astype(np.int64)
