"""Negative sampling: items that stand for the choices that a user did not make."""

from __future__ import annotations

import numpy as np

from hashgnn._checks import check_choice, check_float, check_int
from hashgnn._rng import RngLike, as_generator
from hashgnn._types import Array
from hashgnn.errors import ParameterError
from hashgnn.graph.bipartite import BipartiteGraph

KINDS = ("uniform", "popularity", "in_batch")
_MAX_ROUNDS = 8
_BLOCK_ENTRIES = 1 << 21


class NegativeSampler:
    """Draw items for users, in one vectorised call per batch.

    Draws are independent, so an item may come twice for one row. The row's own positive, where given, is
    never drawn; with ``exclude_seen`` neither is any item the user has an edge to. A slot for which no
    permitted item exists (the user has seen everything that can be drawn) holds -1: skip it in the loss.

    Parameters
    ----------
    graph : BipartiteGraph
        The seen items of each user, and the popularity of each item.
    kind : {"uniform", "popularity", "in_batch"}, default="uniform"
        Every item equally often; in proportion to ``degree ** exponent``; or the positives of the same batch,
        each as often as it occurs there.
    exponent : float >= 0, default=0.75
        Only for ``popularity``. An item without interactions is never drawn unless the exponent is 0.
    exclude_seen : bool, default=True

    Notes
    -----
    Forbidden draws are drawn again, at most 8 times. Draws that are still forbidden then belong to users who
    have seen nearly everything; it is drawn from the exact list of permitted items, in blocks of bounded
    memory. So the distribution is that of the permitted items, exactly, and the cost is bounded.

    Examples
    --------
    >>> import numpy as np, scipy.sparse as sp
    >>> graph = BipartiteGraph(sp.csr_matrix(np.array([[1, 1, 0], [1, 1, 1]])))
    >>> NegativeSampler(graph).sample(np.array([0, 1]), n_negatives=2, rng=0)
    array([[ 2,  2],
           [-1, -1]])
    """

    def __init__(
        self,
        graph: BipartiteGraph,
        kind: str = "uniform",
        *,
        exponent: float = 0.75,
        exclude_seen: bool = True,
    ) -> None:
        self.graph = graph
        self.kind = check_choice("kind", kind, KINDS)
        self.exponent = check_float("exponent", exponent, minimum=0)
        self.exclude_seen = bool(exclude_seen)
        self._weights = (
            graph.item_degrees.astype(np.float64) ** self.exponent
            if kind == "popularity"
            else np.ones(graph.n_items)
        )
        self._cumulative = np.cumsum(self._weights)

    def sample(
        self, users: Array, items: Array | None = None, *, n_negatives: int, rng: RngLike = None
    ) -> Array:
        """Draw ``n_negatives`` items for each row of a batch.

        Parameters
        ----------
        users : ndarray of shape (n,), integer
            User indices; repeats are drawn independently.
        items : ndarray of shape (n,), integer, or None, default=None
            The positive of each row; required for ``in_batch``.
        n_negatives : int >= 1
        rng : int, numpy.random.Generator or None, default=None

        Returns
        -------
        ndarray of shape (n, n_negatives), int64
            Item indices, or -1 where nothing may be drawn.

        Raises
        ------
        ParameterError
            If an index is out of range, or ``in_batch`` gets no positives.
        """
        n_negatives = check_int("n_negatives", n_negatives, minimum=1)
        rows = _check_index("users", users, self.graph.n_users)
        positives = None if items is None else _check_index("items", items, self.graph.n_items)
        if positives is not None and len(positives) != len(rows):
            raise ParameterError(
                f"items must have one entry for each of {len(rows)} users, got {len(positives)}"
            )
        if self.kind == "in_batch":
            if positives is None:
                raise ParameterError("items must be given for kind='in_batch', got None")
            population, counts = np.unique(positives, return_counts=True)
            weights = counts.astype(np.float64)
            cumulative = np.cumsum(weights)
        else:
            population, weights, cumulative = np.arange(self.graph.n_items), self._weights, self._cumulative
        total = float(cumulative[-1]) if len(cumulative) else 0.0
        slots = np.repeat(np.arange(len(rows)), n_negatives)
        drawn = np.full(len(slots), -1, np.int64)
        if total == 0 or not len(slots):
            return drawn.reshape(len(rows), n_negatives)

        generator = as_generator(rng)
        pending = np.arange(len(slots))
        for _ in range(_MAX_ROUNDS):
            at = np.searchsorted(cumulative, generator.random(len(pending)) * total, side="right")
            drawn[pending] = population[np.minimum(at, len(population) - 1)]
            pending = pending[self._forbidden(rows, positives, slots[pending], drawn[pending])]
            if not len(pending):
                break
        # Rows of the exact draw are sized so that one block stays near 16 MB whatever the catalogue.
        n_block = max(1, _BLOCK_ENTRIES // len(population))
        for first in range(0, len(pending), n_block):
            block = pending[first : first + n_block]
            at_rows = np.repeat(slots[block], len(population))
            candidates = np.tile(population, len(block))
            forbidden = self._forbidden(rows, positives, at_rows, candidates).reshape(len(block), -1)
            permitted = np.cumsum(np.where(forbidden, 0.0, weights), axis=1)
            mark = generator.random(len(block)) * permitted[:, -1]
            at = (permitted <= mark[:, None]).sum(axis=1)
            possible = permitted[:, -1] > 0
            drawn[block] = np.where(possible, population[np.minimum(at, len(population) - 1)], -1)
        return drawn.reshape(len(rows), n_negatives)

    def _forbidden(self, users: Array, positives: Array | None, rows: Array, items: Array) -> Array:
        """Return for each drawn item whether it is forbidden in its row."""
        result = np.zeros(len(items), bool) if positives is None else items == positives[rows]
        if self.exclude_seen:
            result |= self.graph.has_edges(users[rows], items)
        return result


def _check_index(name: str, values: Array, limit: int) -> Array:
    array = np.asarray(values)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise ParameterError(f"{name} must be a 1-d integer array, got {array.dtype} of shape {array.shape}")
    if array.size and (array.min() < 0 or array.max() >= limit):
        wrong = array[(array < 0) | (array >= limit)][0]
        raise ParameterError(f"{name} must be in [0, {limit}), got {wrong}")
    return array.astype(np.int64)
