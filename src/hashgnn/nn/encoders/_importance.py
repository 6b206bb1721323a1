"""Random-walk neighbourhoods: for each item, the items that walks from it visit most."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch

from hashgnn.nn import _sparse
from hashgnn.nn.graph_view import GraphView

_BLOCK_ENTRIES = 4 << 20


@dataclass(frozen=True)
class WalkNeighbourhoods:
    """Which items two-step walks item → user → item visit most, the item itself left out.

    Attributes
    ----------
    matrix, transposed : Tensor of shape (n_items, n_items), CSR
        Shares of the visits: the weights of a row sum to 1, and an item with no such walk has an empty row.
    """

    matrix: torch.Tensor
    transposed: torch.Tensor

    @classmethod
    def of(cls, view: GraphView, n_neighbours: int) -> WalkNeighbourhoods:
        """Compute them from the expected visits, which walks without end would count.

        Steps go along edges with probability proportional to their weights. Nothing is drawn, so the
        result depends on no seed; on the numbering only where there are ties for the last place.
        """
        edges = sp.csr_matrix(
            (
                view.user_item.values().cpu().double().numpy(),
                view.user_item.col_indices().cpu().numpy(),
                view.user_item.crow_indices().cpu().numpy(),
            ),
            shape=(view.n_users, view.n_items),
        )
        found = _most_visited(_transition(sp.csr_matrix(edges.T)), _transition(edges), n_neighbours)
        dtype = view.degrees.dtype
        matrix, transposed = (
            _sparse.move(_sparse.from_scipy(x, dtype), view.device, dtype) for x in (found, found.T)
        )
        return cls(matrix, transposed)

    def gather(self, rows: torch.Tensor) -> torch.Tensor:
        """Return for each item the mean (n_items, width) of its neighbourhood's rows, by importance."""
        return _sparse.product(self.matrix, self.transposed, rows)


def _transition(edges: sp.csr_matrix) -> sp.csr_matrix:
    sums = np.asarray(edges.sum(axis=1)).ravel()
    inverse = np.divide(1, sums, out=np.zeros_like(sums), where=sums > 0)
    return sp.csr_matrix(sp.diags(inverse) @ edges)


def _most_visited(backward: sp.csr_matrix, forward: sp.csr_matrix, n_neighbours: int) -> sp.csr_matrix:
    """Return the ``n_neighbours`` largest entries of each row of ``backward @ forward``, off the diagonal.

    Rows are taken in blocks of bounded memory. Ties go to the smaller column.
    """
    n_items = backward.shape[0]
    pattern = sp.csr_matrix((np.ones_like(backward.data), backward.indices, backward.indptr), backward.shape)
    room = np.minimum(pattern @ np.diff(forward.indptr), n_items).cumsum()
    bounds = np.searchsorted(room, np.arange(_BLOCK_ENTRIES, room[-1], _BLOCK_ENTRIES))
    edges = np.unique([0, *bounds.tolist(), n_items])
    parts = []
    for first, end in itertools.pairwise(edges):
        visits = (backward[first:end] @ forward).tocoo()
        others = visits.row + first != visits.col
        row, column, value = visits.row[others], visits.col[others], visits.data[others]
        order = np.lexsort((column, -value, row))
        counts = np.bincount(row, minlength=end - first)
        place = np.arange(len(order)) - np.repeat(counts.cumsum() - counts, counts)
        kept = order[place < n_neighbours]
        parts.append(
            sp.csr_matrix((value[kept], (row[kept], column[kept])), shape=(int(end - first), n_items))
        )
    return _transition(sp.vstack(parts, format="csr"))
