"""``ItemRidge``: ridge regression of each item on its strongest neighbours."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.sparse as sp

from hashgnn._checks import check_float, check_int, check_threads
from hashgnn._printing import ShortRepr
from hashgnn._progress import progress
from hashgnn._rng import RngLike, as_generator
from hashgnn._types import Array
from hashgnn.errors import ParameterError
from hashgnn.graph.backend import CPU, Backend
from hashgnn.graph.bipartite import BipartiteGraph
from hashgnn.graph.ridge.co_occurrence import CoOccurrences
from hashgnn.graph.ridge.lists import best_of_dense, best_of_sparse, strongest
from hashgnn.graph.ridge.solving import solve, solve_all, typical_regularisation
from hashgnn.graph.spectral import truncated_svd
from hashgnn.ranking import Matches, rows_per_block

MOST_NEIGHBOURS = 2000  # a system of so many takes 32 MB
MOST_ITEMS = 20_000  # of a neighbourhood that is the whole catalogue
_ENTRIES = 1 << 22  # scores in work at a time


@dataclass(frozen=True, repr=False)
class ItemRidge(ShortRepr):
    """A linear model of items: the score of item j for a history is ``Σ_i x_i B_ij``.

    Column j of B is the ridge regression of item j on its strongest neighbours, over all users. Where every other
    item is a neighbour, B is EASE's. There is nothing to train. An unseen user is scored like any other, from the
    history alone.

    Attributes
    ----------
    graph : BipartiteGraph
    weights : csr_matrix or ndarray of shape (n_items, n_items), float32
        B, with a diagonal of 0. An array where every other item is a neighbour.
    n_shortened : int
        Histories of which a sample was counted.

    Notes
    -----
    ``x`` are the roots of a history's edge weights. The regression weighs users by ``s_u^-user_exponent``, s their
    strength, and the penalty on the weight of a neighbour i is in proportion to ``s_i^item_exponent``. Both keep
    their means, so that a regularisation means the same for all exponents.

    Cost: one pass over pairs of items of a history, and a system of ``n_neighbours`` equations for each item. Time is
    in proportion to ``n_items * n_neighbours^3``, memory to ``n_items * n_neighbours``.

    References
    ----------
    Steck, *Embarrassingly Shallow Autoencoders for Sparse Data*, WWW 2019, arXiv 1905.03375. Steck, *Markov Random
    Fields for Collaborative Filtering*, NeurIPS 2019, arXiv 1910.09645: neighbourhoods.

    Examples
    --------
    >>> import numpy as np, scipy.sparse as sp
    >>> graph = BipartiteGraph(sp.csr_matrix(np.kron(np.eye(2), np.ones((3, 3))) - np.eye(6)))
    >>> ItemRidge.fit(graph, n_neighbours=2, regularisation=1.0).top(1).positions.ravel()
    array([0, 1, 2, 3, 4, 5])
    """

    graph: BipartiteGraph
    weights: Any
    n_shortened: int = field(default=0)

    @classmethod
    def fit(
        cls,
        graph: BipartiteGraph,
        *,
        n_neighbours: int = 200,
        regularisation: float | None = None,
        user_exponent: float = 0.5,
        item_exponent: float = 0.5,
        max_history: int = 1000,
        rng: RngLike = None,
        n_threads: int = 1,
        show_progress: bool = False,
        counted: CoOccurrences | None = None,
    ) -> ItemRidge:
        """Count co-occurrences and solve for the weights.

        Parameters
        ----------
        graph : BipartiteGraph
        n_neighbours : int, default=200
            Of each item, at most 2,000. As many as there are other items, or more, take the whole catalogue,
            which must then have at most 20,000 items.
        regularisation : float > 0 or None, default=None
            Mean penalty of a neighbour's weight, in users; ``None`` takes six times the mean strength of an item.
        user_exponent : float in [0, 1], default=0.5
            How much less users of long histories count.
        item_exponent : float in [0, 1], default=0.5
            How much more the weights of popular neighbours are penalised.
        max_history : int >= 2, default=1000
            Of a longer history a sample of so many items is counted.
        rng : int, numpy.random.Generator or None, default=None
            Draws it.
        n_threads : int >= 1, default=1
            The result does not depend on it.
        show_progress : bool, default=False
        counted : CoOccurrences or None, default=None
            Of this graph and these neighbours, where they are known already.

        Raises
        ------
        ParameterError
            If a setting breaks its rule, or the regularisation is too small for float64.
        """
        n_neighbours = check_int("n_neighbours", n_neighbours, minimum=1)
        if regularisation is None:
            regularisation = typical_regularisation(graph)
        setting = (
            check_float("regularisation", regularisation, minimum=0, open_minimum=True),
            check_float("item_exponent", item_exponent, minimum=0, maximum=1),
        )
        user_exponent = check_float("user_exponent", user_exponent, minimum=0, maximum=1)
        max_history = check_int("max_history", max_history, minimum=2)
        n_threads = check_threads(n_threads)
        whole = check_neighbours(n_neighbours, graph.n_items)
        with progress("Fitting items", 2 * graph.n_items, enabled=show_progress) as advance:
            if counted is None:
                counted = CoOccurrences.count(
                    graph,
                    n_neighbours,
                    user_exponent=user_exponent,
                    max_history=max_history,
                    rng=as_generator(rng),
                    n_threads=n_threads,
                    advance=advance,
                )
            if whole:
                return cls(graph, solve_all(counted, setting), counted.n_shortened)
            items = np.arange(graph.n_items)
            values = solve(counted, items, [setting], n_threads=n_threads, advance=advance)[0]
        return cls(graph, by_history(counted.neighbours, values, items), counted.n_shortened)

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
        found = self._rows(histories) @ self.weights
        dense: Array = found.toarray() if self.is_sparse else found
        return np.ascontiguousarray(dense, np.float32)

    def top(
        self,
        k: int,
        histories: sp.csr_matrix | None = None,
        *,
        filter_seen: bool = True,
        kept: int | None = None,
        n_threads: int = 1,
        show_progress: bool = False,
    ) -> Matches:
        """List the ``k`` best items of each history among those that score above 0, in bounded memory.

        Parameters
        ----------
        k : int
            ``1 <= k <= n_items``.
        histories : sparse matrix of shape (n, n_items) or None, default=None
            ``None`` takes the users of the graph.
        filter_seen : bool, default=True
            Leave out the items of the history.
        kept : int or None, default=None
            A number keeps so many of the strongest weights of each item of a history: cheaper where popular items
            are neighbours of many, and nearly the same lists.
        n_threads : int >= 1, default=1
            The result does not depend on it.
        show_progress : bool, default=False

        Returns
        -------
        Matches of shape (n, k)
            Item indices, best first, ties to the smaller index; rows are shorter where fewer items score.
        """
        n_items = self.graph.n_items
        k = check_int("k", k, minimum=1, maximum=n_items)
        rows = self._rows(self.graph.user_item if histories is None else histories)
        n_threads = check_threads(n_threads)
        weights, is_sparse = self.weights, self.is_sparse
        if kept is not None and is_sparse:
            weights = strongest(weights, check_int("kept", kept, minimum=1))
        # Entries that a history reaches, repeated ones included.
        reached = n_items
        if is_sparse:
            reached = int(np.diff(weights.indptr)[rows.indices].sum() / max(1, rows.shape[0]))
        if reached > n_items / 8:
            best, n_block = best_of_dense, rows_per_block(n_items)
        else:
            best, n_block = best_of_sparse, max(1, _ENTRIES // max(1, reached))
        if filter_seen and is_sparse:
            # Any seen item adds -inf to itself.
            weights = (weights + sp.diags(np.full(n_items, -np.inf, np.float32), format="csr")).tocsr()

        def work(first: int) -> Matches:
            block = rows[first : first + n_block]
            scores = block @ weights
            if filter_seen and not is_sparse:
                scores[block.nonzero()] = -np.inf
            return best(scores, k)

        parts = []
        starts = range(0, rows.shape[0], n_block)
        with (
            progress("Ranking items", rows.shape[0], enabled=show_progress) as advance,
            ThreadPoolExecutor(n_threads) as pool,
        ):
            for part in pool.map(work, starts):
                parts.append(part)
                advance(len(part))
        return Matches.concatenate(parts or [Matches.empty(0, k)])

    def factors(self, rank: int, *, rng: RngLike = None, backend: Backend = CPU) -> tuple[Array, Array]:
        """Factorise the weights: ``B`` is near ``sources @ targets.T``.

        Parameters
        ----------
        rank : int
            ``1 <= rank <= n_items``.
        rng : int, numpy.random.Generator or None, default=None
            Draws the test matrix of the randomized decomposition.
        backend : Backend, default=CPU
            Where the products run.

        Returns
        -------
        sources, targets : ndarray of shape (n_items, rank), float32
            Singular vectors, columns scaled by the roots of the singular values.
        """
        left, values, right = truncated_svd(sp.csr_matrix(self.weights), rank, rng=rng, backend=backend)
        roots = np.sqrt(values)
        return (left * roots).astype(np.float32), (right * roots).astype(np.float32)

    @property
    def is_sparse(self) -> bool:
        """Whether the weights are a sparse matrix."""
        found: bool = sp.issparse(self.weights)
        return found

    @property
    def bytes_per_item(self) -> float:
        """Memory that scoring needs, divided by the number of items."""
        if self.is_sparse:
            parts = (self.weights.data, self.weights.indices, self.weights.indptr)
            return float(sum(part.nbytes for part in parts) / self.graph.n_items)
        return float(self.weights.nbytes / self.graph.n_items)

    def _rows(self, histories: sp.csr_matrix) -> sp.csr_matrix:
        if histories.shape[1:] != (self.graph.n_items,):
            raise ParameterError(
                f"histories must have shape (n, {self.graph.n_items}), got {histories.shape}"
            )
        return sp.csr_matrix(histories, dtype=np.float32).sqrt()


def by_history(neighbours: Array, values: Array, items: Array) -> sp.csr_matrix:
    """Return B from the weights (n, n_neighbours) of some items' neighbours, CSR of n_items by n columns."""
    near = neighbours[items]
    known = near >= 0
    columns = np.repeat(np.arange(len(items)), known.sum(axis=1))
    return sp.csr_matrix((values[known], (near[known], columns)), shape=(len(neighbours), len(items)))


def check_neighbours(n_neighbours: int, n_items: int) -> bool:
    """Return whether all other items are neighbours; raise where that, or their number, is too much."""
    whole = n_neighbours >= n_items - 1
    if whole and n_items > MOST_ITEMS:
        raise ParameterError(
            f"n_neighbours must be {MOST_NEIGHBOURS:,} at most for more than {MOST_ITEMS:,} items, got "
            f"{n_neighbours:,} of {n_items:,}"
        )
    if not whole and n_neighbours > MOST_NEIGHBOURS:
        raise ParameterError(
            f"n_neighbours must be {MOST_NEIGHBOURS:,} at most, or all other items, got {n_neighbours:,} of "
            f"{n_items:,}"
        )
    return whole
