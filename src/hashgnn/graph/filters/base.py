"""``GraphFilter``: what every closed-form filter offers, scores of histories and ranked lists."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp

from hashgnn._checks import check_int
from hashgnn._progress import progress
from hashgnn.errors import ParameterError
from hashgnn.graph.bipartite import BipartiteGraph

Array = np.ndarray[Any, Any]

_BLOCK_BYTES = 64 << 20
_COLUMNS = 32  # histories filtered at a time: they stay in the processor's cache


class GraphFilter(ABC):
    """A recommender without training: a history goes through a filter of the graph, scores come out.

    Attributes
    ----------
    graph : BipartiteGraph
    """

    graph: BipartiteGraph

    @abstractmethod
    def _filtered(self, rows: sp.csr_matrix) -> Array:
        """Return the scores (n, n_items), float32, of histories that were checked."""

    @property
    @abstractmethod
    def bytes_per_item(self) -> float:
        """Memory that scoring needs, divided by the number of items."""

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
        return self._filtered(sp.csr_matrix(histories, dtype=np.float32))

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


def by_columns(rows: Any, function: Callable[[Array], Array], n_items: int) -> Array:
    """Return ``function(rows.T).T`` (n, n_items), float32, a few rows at a time.

    Two hops from a history reach most of the catalogue, so the columns that the function gets are dense.
    """
    result = np.empty((rows.shape[0], n_items), np.float32)
    for first in range(0, rows.shape[0], _COLUMNS):
        part = slice(first, first + _COLUMNS)
        result[part] = function(np.ascontiguousarray(rows[part].toarray().T)).T
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
