"""``CoOccurrences``: each item's strongest neighbours, and what is shared among them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from threading import local

import numpy as np
import scipy.sparse as sp

from hashgnn._native import LargestTable
from hashgnn._printing import ShortRepr
from hashgnn._types import Array
from hashgnn.graph.bipartite import BipartiteGraph

DENSE_ITEMS = 6000  # up to so many, the whole matrix of items by items is held: 144 MB
_BLOCK_ENTRIES = 1 << 23  # co-occurrences in work at a time, each about 16 bytes
_FEWEST_KEPT = 512  # co-occurrences kept of an item, at least
_KEPT_PER_NEIGHBOUR = 4
_NEARNESS = 0.25  # exponent of a neighbour's own frequency: 0 takes the count, 1 the share of its users


@dataclass(frozen=True, repr=False)
class CoOccurrences(ShortRepr):
    """The matrix ``G = X' W X`` of items by items, as far as neighbourhoods need it.

    ``X`` holds the roots of the edge weights, so an item's own entry is its strength; ``W`` weighs users by their
    strength to a negative power, scaled so that the sum of the diagonal stays.

    Attributes
    ----------
    diagonal : ndarray of shape (n_items,), float64
    neighbours : ndarray of shape (n_items, n_neighbours), int32
        Of each item, by falling ``G_ij / G_jj^(1/4)``, ties to the smaller index; -1 where it shares users with
        fewer.
    shared : ndarray of shape (n_items, n_neighbours), float32
        ``G_ij`` of the neighbours.
    rows : csr_matrix of shape (n_users, n_items), float32
        ``W^1/2 X``, of the longest histories a sample.
    n_shortened : int
        Histories that were sampled.
    dense : ndarray of shape (n_items, n_items), float32, or None
        G, where the catalogue is small.
    columns, values : ndarray of shape (n_items, width), int32 and float32, or None
        Otherwise the largest entries of each row of G, filled up with ``n_items``.
    """

    diagonal: Array
    neighbours: Array
    shared: Array
    rows: sp.csr_matrix
    n_shortened: int
    dense: Array | None
    columns: Array | None
    values: Array | None
    _places: local = field(default_factory=local, compare=False)

    @classmethod
    def count(
        cls,
        graph: BipartiteGraph,
        n_neighbours: int,
        *,
        user_exponent: float,
        max_history: int,
        rng: np.random.Generator,
        n_threads: int = 1,
        advance: Callable[[int], object] | None = None,
    ) -> CoOccurrences:
        """Count in blocks of items.

        Parameters
        ----------
        graph : BipartiteGraph
        n_neighbours : int
            At most ``n_items - 1`` are kept.
        user_exponent : float >= 0
        max_history : int
            Of a longer history so many items are drawn, which then weigh more: the diagonal stays on average.
        rng : numpy.random.Generator
            Draws them.
        n_threads : int, default=1
            Blocks at a time; the result does not depend on it.
        advance : callable or None, default=None
            Called with the number of items done.

        Notes
        -----
        Time is linear in the sum of squared history lengths, at most ``max_history`` for each interaction.
        Memory is ``8 * width`` bytes for each item, with ``width`` the larger of 512 and
        ``4 * n_neighbours``, or 4 bytes for each pair of items up to 6,000.
        """
        rows, n_shortened = _weighted_rows(graph, user_exponent, max_history, rng)
        items = sp.csr_matrix(rows.T)
        n_items = graph.n_items
        n_neighbours = max(1, min(n_neighbours, n_items - 1))
        diagonal = np.bincount(rows.indices, rows.data.astype(np.float64) ** 2, minlength=n_items)
        frequencies = np.where(diagonal > 0, diagonal, 1) ** _NEARNESS
        neighbours = np.full((n_items, n_neighbours), -1, np.int32)
        shared = np.zeros((n_items, n_neighbours), np.float32)
        dense = columns = values = None
        if n_items <= DENSE_ITEMS or n_neighbours >= n_items - 1:
            dense = np.zeros((n_items, n_items), np.float32)
        else:
            width = min(n_items, max(_FEWEST_KEPT, _KEPT_PER_NEIGHBOUR * n_neighbours))
            columns = np.full((n_items, width), n_items, np.int32)
            values = np.zeros((n_items, width), np.float32)

        def work(part: slice) -> None:
            block = items[part] @ rows
            bounds = block.indptr.tolist()
            for item, start, stop in zip(range(part.start, part.stop), bounds[:-1], bounds[1:], strict=True):
                found, weights = block.indices[start:stop], block.data[start:stop]
                if dense is not None:
                    dense[item, found] = weights
                else:
                    assert columns is not None
                    assert values is not None
                    kept = largest(weights, found, columns.shape[1])
                    columns[item, : len(kept)] = found[kept]
                    values[item, : len(kept)] = weights[kept]
                others = found != item
                found, weights = found[others], weights[others]
                nearness = weights / frequencies[found]
                near = largest(nearness, found, n_neighbours)
                near = near[np.lexsort((found[near], -nearness[near]))]
                neighbours[item, : len(near)] = found[near]
                shared[item, : len(near)] = weights[near]

        parts = _parts(items, rows)
        with ThreadPoolExecutor(n_threads) as pool:
            for part, _ in zip(parts, pool.map(work, parts), strict=True):
                if advance is not None:
                    advance(part.stop - part.start)
        return cls(diagonal, neighbours, shared, rows, n_shortened, dense, columns, values)

    @property
    def n_items(self) -> int:
        return len(self.diagonal)

    @property
    def n_stored(self) -> int:
        """Entries of G and of neighbourhoods that are held."""
        held = self.dense.size if self.dense is not None else 0
        if self.columns is not None:
            held += self.columns.size
        return int(held + self.neighbours.size)

    def narrowed(self, n_neighbours: int) -> CoOccurrences:
        """Return the same with the strongest of the neighbours only."""
        return replace(
            self, neighbours=self.neighbours[:, :n_neighbours], shared=self.shared[:, :n_neighbours]
        )

    def among(self, near: Array, room: Array | None = None) -> Array:
        """Return G among some items, (k, k) float64, in ``room`` where it is given; left-out entries are 0."""
        gram = np.empty((len(near), len(near))) if room is None else room
        if self.dense is not None:
            gram[:] = self.dense[near].take(near, axis=1)
        else:
            self._largest.gather(near, self._place(), gram)
        return gram

    def exactly_among(self, near: Array) -> Array:
        """Return G among some items, (k, k) float64, from the histories."""
        part = self._items[near].astype(np.float64)
        exact: Array = (part @ part.T).toarray()
        return exact

    @cached_property
    def _largest(self) -> LargestTable:
        assert self.columns is not None
        assert self.values is not None
        return LargestTable(self.columns, self.values)

    @cached_property
    def _items(self) -> sp.csr_matrix:
        return sp.csr_matrix(self.rows.T)

    def _place(self) -> Array:
        """Return this thread's table of positions: -1 everywhere, one entry more than there are items."""
        found: Array | None = getattr(self._places, "table", None)
        if found is None:
            found = self._places.table = np.full(self.n_items + 1, -1, np.int16)
        return found


def largest(values: Array, labels: Array, k: int) -> Array:
    """Return the positions of the ``k`` largest of some values, ties to the smaller label, in any order."""
    if len(values) <= k:
        return np.arange(len(values))
    bound = np.partition(values, len(values) - k)[len(values) - k]
    above = np.flatnonzero(values > bound)
    level = np.flatnonzero(values == bound)
    missing = k - len(above)
    if missing < len(level):
        level = level[np.argsort(labels[level], kind="stable")[:missing]]
    return np.concatenate((above, level))


def _weighted_rows(
    graph: BipartiteGraph, exponent: float, max_history: int, rng: np.random.Generator
) -> tuple[sp.csr_matrix, int]:
    """Return ``W^1/2 X`` with long histories sampled, and how many those are."""
    matrix = graph.user_item
    strengths = graph.user_strengths
    weights = np.where(strengths > 0, strengths, 1.0) ** -exponent
    total = float((weights * strengths).sum())
    if total > 0:
        weights *= strengths.sum() / total
    lengths = graph.user_degrees
    long = np.flatnonzero(lengths > max_history)
    weights[long] *= lengths[long] / max_history
    data = np.sqrt(matrix.data * np.repeat(weights, lengths)).astype(np.float32)
    rows = sp.csr_matrix((data, matrix.indices, matrix.indptr), shape=matrix.shape)
    if len(long):
        kept = np.ones(len(data), bool)
        for user in long:
            start, stop = matrix.indptr[user : user + 2]
            left_out = rng.choice(stop - start, int(stop - start) - max_history, replace=False)
            kept[start + left_out] = False
        indptr = np.concatenate(([0], np.cumsum(np.minimum(lengths, max_history))))
        rows = sp.csr_matrix((data[kept], matrix.indices[kept], indptr), shape=matrix.shape)
    return rows, len(long)


def _parts(items: sp.csr_matrix, rows: sp.csr_matrix) -> list[slice]:
    """Return runs of items whose co-occurrences fit into a block."""
    lengths = np.diff(rows.indptr).astype(np.float64)
    reached = items.copy()
    reached.data = np.ones_like(reached.data)
    counts = np.minimum(reached @ lengths, items.shape[0])
    group = (np.cumsum(counts) // _BLOCK_ENTRIES).astype(np.int64)
    starts = np.flatnonzero(np.diff(group, prepend=-1)).tolist()
    return [slice(a, b) for a, b in zip(starts, [*starts[1:], items.shape[0]], strict=True)]
