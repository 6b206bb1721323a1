"""``GraphFilter``: the base of closed-form filters, with scores of histories and ranked lists."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp

from hashgnn._checks import check_int
from hashgnn._progress import progress
from hashgnn._types import Array
from hashgnn.errors import ParameterError
from hashgnn.graph.backend import CPU, Backend
from hashgnn.graph.bipartite import BipartiteGraph
from hashgnn.ranking import Matches


class GraphFilter(ABC):
    """A recommender without training: it scores items by a graph filter of the user's history.

    The scores of a history row ``r`` have two parts. One is ``r`` propagated over the graph: :meth:`spread`
    between two :attr:`scales`. The other is an ideal low pass,
    ``low_pass_weight · (r @ history_table) @ item_table.T``.

    Attributes
    ----------
    graph : BipartiteGraph
    history_table, item_table : ndarray of shape (n_items, rank), float32
    """

    graph: BipartiteGraph
    history_table: Array
    item_table: Array

    @property
    def low_pass_weight(self) -> float:
        """Factor on the low pass, where the tables do not hold it."""
        return 1.0

    @property
    @abstractmethod
    def scales(self) -> tuple[Array, Array]:
        """Factors of the items before and after :meth:`spread`, both (n_items,), float32."""

    @abstractmethod
    def spread(self, columns: Any, forward: Any, back: Any) -> Any:
        """Return filtered signals on the items, (n_items, n).

        Parameters
        ----------
        columns : array of shape (n_items, n)
            Of any kind that ``forward`` multiplies.
        forward, back
            The graph's normalised user-item matrix and its transpose.
        """

    @property
    @abstractmethod
    def bytes_per_item(self) -> float:
        """Memory that scoring needs, divided by the number of items."""

    def score(self, histories: sp.csr_matrix) -> Array:
        """Score every item for each history.

        Parameters
        ----------
        histories : sparse matrix of shape (n, n_items)
            One row per user, of training or not. An empty row scores 0 everywhere.

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
        scores: Array = CPU.spread(self, rows)
        scores += CPU.low_pass(self, rows)
        return scores

    def top(
        self,
        k: int,
        histories: sp.csr_matrix | None = None,
        *,
        filter_seen: bool = True,
        kept: int | None = None,
        show_progress: bool = False,
        backend: Backend = CPU,
    ) -> Matches:
        """List the ``k`` best items of each history, in blocks of bounded memory.

        Parameters
        ----------
        k : int
            ``1 <= k <= n_items``.
        histories : sparse matrix of shape (n, n_items) or None, default=None
            ``None`` takes the users of the graph.
        filter_seen : bool, default=True
            Leave out the items of the history.
        kept : int or None, default=None
            ``None`` filters each history. A number filters each item of the graph once instead and keeps so
            many of the items it reaches: cheaper where there are many more histories than items, and nearly
            the same lists.
        show_progress : bool, default=False
        backend : Backend, default=CPU
            Where the products run.

        Returns
        -------
        Matches of shape (n, k)
            Item indices, best first, ties to the smaller index; rows are shorter where fewer items are left.
        """
        k = check_int("k", k, minimum=1, maximum=self.graph.n_items)
        rows = self.graph.user_item if histories is None else sp.csr_matrix(histories)
        rows = rows.astype(np.float32, copy=False)
        parts = []
        n_items = self.graph.n_items
        n_block = backend.block_size(n_items)
        n_steps = rows.shape[0] + (0 if kept is None else n_items)
        with progress("Filtering the graph", n_steps, enabled=show_progress) as advance:
            reached = None
            if kept is not None:
                reached = self._reached(check_int("kept", kept, minimum=1), backend, advance)
            mine = backend.part(rows.shape[0])
            for first in range(mine.start, mine.stop, n_block):
                block = rows[first : min(first + n_block, mine.stop)]
                if reached is None:
                    scores = backend.spread(self, block)
                else:
                    scores = backend.dense((block @ reached).toarray())
                scores += backend.low_pass(self, block)
                parts.append(backend.best(scores, block if filter_seen else None, k))
                advance(block.shape[0])
        found = Matches.concatenate(parts or [Matches.empty(0, k)])
        return Matches(*(backend.join(x) for x in (found.positions, found.scores, found.counts)))

    def _reached(self, kept: int, backend: Backend, advance: Callable[[int], object]) -> sp.csr_matrix:
        """Return the filtered history of each single item; only the strongest entries are kept."""
        n_items = self.graph.n_items
        kept, n_block = min(kept, n_items), backend.block_size(n_items)
        columns = np.empty((n_items, kept), np.int32)
        values = np.empty((n_items, kept), np.float32)
        items = sp.identity(n_items, np.float32, format="csr")
        mine = backend.part(n_items)
        for first in range(mine.start, mine.stop, n_block):
            part = slice(first, min(first + n_block, mine.stop))
            columns[part], values[part] = backend.strongest(backend.spread(self, items[part]), kept)
            advance(part.stop - part.start)
        columns, values = backend.join(columns[mine]), backend.join(values[mine])
        indptr = np.arange(n_items + 1, dtype=np.int64) * kept
        return sp.csr_matrix((values.ravel(), columns.ravel(), indptr), shape=(n_items, n_items))
