"""The backend of the large products of spectra and filters: the CPU, or the device of a subclass."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import scipy.linalg
import scipy.sparse as sp

from hashgnn._types import Array
from hashgnn.graph.bipartite import BipartiteGraph
from hashgnn.ranking import CandidateFilter, IndexLists, Matches, rows_per_block, top_k

_COLUMNS = 32  # histories filtered at a time: they stay in the processor's cache


class Filter(Protocol):
    """The parts of a graph filter that a backend needs; see :class:`hashgnn.graph.GraphFilter`."""

    @property
    def graph(self) -> BipartiteGraph: ...
    @property
    def history_table(self) -> Array: ...
    @property
    def item_table(self) -> Array: ...
    @property
    def low_pass_weight(self) -> float: ...
    @property
    def scales(self) -> tuple[Array, Array]: ...
    def spread(self, columns: Any, forward: Any, back: Any) -> Any: ...


class Backend:
    """NumPy and SciPy on the CPU.

    Arrays that its methods return are its own kind; ``@``, ``*``, ``+`` and slices work among them, and
    :meth:`to_numpy` brings one back.
    """

    def sparse(self, matrix: sp.csr_matrix) -> Any:
        """Return a matrix that multiplies dense arrays from the left."""
        return matrix

    def parted_sparse(self, matrix: sp.csr_matrix) -> Any:
        """Return what :meth:`sparse` does; where several processes multiply it together, each makes a part."""
        return self.sparse(matrix)

    def part(self, n_rows: int) -> slice:
        """Return the rows that this process computes: all of them, unless others compute the rest."""
        return slice(0, n_rows)

    def join(self, rows: Array) -> Array:
        """Return the rows of all processes, of which ``rows`` are this one's."""
        return rows

    def add(self, array: Any) -> Any:
        """Return the sum of an array of this kind over all processes; ``array`` may be overwritten."""
        return array

    def dense(self, array: Array) -> Any:
        """Return a NumPy array as an array of this kind."""
        return array

    def to_numpy(self, array: Any) -> Array:
        """Return an array of this kind as a NumPy array."""
        found: Array = array
        return found

    def span(self, columns: Any) -> Any:
        """Return well-conditioned columns with the same span; ``columns`` may be overwritten."""
        # LU keeps the span as well as QR does, for less.
        return scipy.linalg.lu(columns, permute_l=True, overwrite_a=True, check_finite=False)[0]

    def qr(self, columns: Any) -> tuple[Any, Any]:
        """Return an orthonormal basis and the triangle; ``columns`` may be overwritten."""
        # SciPy's was measured ten times faster than NumPy's on tall matrices.
        basis, triangle = scipy.linalg.qr(columns, mode="economic", overwrite_a=True, check_finite=False)
        return basis, triangle

    def block_size(self, n_items: int) -> int:
        """Return how many histories to score at once."""
        return rows_per_block(n_items)

    def spread(self, fitted: Filter, rows: sp.csr_matrix) -> Any:
        """Return histories (n, n_items) propagated over the graph, (n, n_items)."""
        before, after = fitted.scales
        result = np.empty(rows.shape, np.float32)
        # Two hops from a history reach most of the catalogue, so the columns are dense.
        for first in range(0, rows.shape[0], _COLUMNS):
            part = slice(first, first + _COLUMNS)
            columns = np.ascontiguousarray(rows[part].toarray().T)
            columns *= before[:, None]
            result[part] = self.spread_columns(fitted, columns).T
        result *= after
        return result

    def spread_columns(self, fitted: Filter, columns: Array) -> Array:
        """Return ``fitted.spread`` of a few dense columns, (n_items, n)."""
        graph = fitted.graph
        found: Array = fitted.spread(columns, graph.normalized_user_item, graph.normalized_item_user)
        return found

    def low_pass(self, fitted: Filter, rows: sp.csr_matrix) -> Any:
        """Return the ideal low-pass part of the scores of histories, (n, n_items)."""
        queries = np.float32(fitted.low_pass_weight) * (rows @ fitted.history_table)
        return queries @ fitted.item_table.T

    def best(self, scores: Any, seen: sp.csr_matrix | None, k: int) -> Matches:
        """Return the ``k`` best columns of each row that are not ``seen``, ties to the smaller column.

        ``scores`` may be overwritten.
        """
        if seen is not None:
            CandidateFilter(block_per_query=IndexLists.from_matrix(seen)).mask(scores)
        return top_k(scores, k)

    def strongest(self, scores: Any, k: int) -> tuple[Array, Array]:
        """Return columns and values of the ``k`` entries of each row that are furthest from 0, in any order."""
        columns = np.argpartition(-np.abs(scores), k - 1, axis=1)[:, :k]
        return columns, np.take_along_axis(scores, columns, axis=1)


CPU = Backend()
