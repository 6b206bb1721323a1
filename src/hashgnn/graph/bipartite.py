"""``BipartiteGraph``: users and items as nodes, interactions as edges."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Protocol

import numpy as np
import scipy.sparse as sp

from hashgnn._counting import counts
from hashgnn._types import Array
from hashgnn.errors import ParameterError

_USERS = 1 << 16  # whose edges are worked on at a time


class HasUserItemMatrix(Protocol):
    """The interface of interactions as a user-item CSR matrix, such as ``Interactions``."""

    @property
    def csr(self) -> sp.csr_matrix:
        """The weights (or ones), shape (n_users, n_items)."""
        ...


class BipartiteGraph:
    """An undirected graph whose edges join users to items.

    Nodes are numbered users first: user ``u`` is node ``u``, item ``i`` is node ``n_users + i``. A user or
    item without interactions is an isolated node; it is kept, and its row of every matrix is zero. Derived
    matrices are built on first use and kept. The arrays are shared, not copied: do not change them.

    Parameters
    ----------
    user_item : sparse matrix of shape (n_users, n_items)
        Edge weights, finite and > 0; a matrix of ones is the unweighted graph. Each pair at most once.

    Raises
    ------
    ParameterError
        If ``user_item`` is no sparse matrix, holds a pair twice, or a weight breaks its rule.

    Examples
    --------
    >>> import numpy as np, scipy.sparse as sp
    >>> graph = BipartiteGraph(sp.csr_matrix(np.array([[1, 1, 0], [0, 1, 0]])))
    >>> graph
    BipartiteGraph(n_users=2, n_items=3, n_edges=3)
    >>> graph.degrees
    array([2, 1, 1, 2, 0])
    """

    def __init__(self, user_item: Any) -> None:
        is_sparse: bool = sp.issparse(user_item)
        if not is_sparse or len(user_item.shape) != 2:
            raise ParameterError(
                f"user_item must be a 2-d scipy sparse matrix, got {type(user_item).__name__}"
            )
        matrix: sp.csr_matrix = sp.csr_matrix(user_item, dtype=np.float32)
        if not matrix.has_canonical_format:
            n_stored = matrix.nnz
            matrix = matrix.copy()
            matrix.sum_duplicates()
            if matrix.nnz != n_stored:
                raise ParameterError(
                    f"user_item must hold each pair once, got {n_stored - matrix.nnz} duplicates; "
                    "merge them first, as Interactions does"
                )
        n_bad = int((~(np.isfinite(matrix.data) & (matrix.data > 0))).sum())
        if n_bad:
            raise ParameterError(f"edge weights must be finite and > 0, got {n_bad} that are not")
        self._user_item = matrix

    def __reduce__(self) -> tuple[Any, ...]:
        """Send the edges by value; what is derived from them is left behind."""
        return BipartiteGraph, (self.user_item,)

    @classmethod
    def from_interactions(cls, interactions: HasUserItemMatrix, *, weighted: bool = False) -> BipartiteGraph:
        """Build the graph of the observed pairs.

        Parameters
        ----------
        interactions : Interactions
            Only the distinct pairs count; their order does not matter.
        weighted : bool, default=False
            Use the interactions' weights as edge weights, scaled to a mean of 1; by default every edge
            weighs 1. On that scale an interaction of which only the pair is known has the weight 1.
        """
        matrix = interactions.csr
        if weighted and len(matrix.data):
            data = (matrix.data / matrix.data.mean(dtype=np.float64)).astype(np.float32)
            # A weight that float32 cannot tell from 0 still is an edge.
            np.maximum(data, np.finfo(np.float32).tiny, out=data)
            return cls(sp.csr_matrix((data, matrix.indices, matrix.indptr), shape=matrix.shape))
        ones = np.ones(len(matrix.indices), np.float32)
        return cls(sp.csr_matrix((ones, matrix.indices, matrix.indptr), shape=matrix.shape))

    @cached_property
    def is_weighted(self) -> bool:
        """Whether an edge weighs other than 1."""
        return bool((self._user_item.data != 1).any())

    @property
    def user_item(self) -> sp.csr_matrix:
        """Edge weights, CSR of shape (n_users, n_items), float32, sorted indices."""
        return self._user_item

    @cached_property
    def item_user(self) -> sp.csr_matrix:
        """The transpose of :attr:`user_item` as CSR, shape (n_items, n_users), float32."""
        return sp.csr_matrix(self._user_item.T)

    @property
    def n_users(self) -> int:
        return int(self._user_item.shape[0])

    @property
    def n_items(self) -> int:
        return int(self._user_item.shape[1])

    @property
    def n_nodes(self) -> int:
        return self.n_users + self.n_items

    @property
    def n_edges(self) -> int:
        return int(self._user_item.nnz)

    @cached_property
    def user_degrees(self) -> Array:
        """Items of each user, shape (n_users,), int64."""
        return np.diff(self._user_item.indptr).astype(np.int64)

    @cached_property
    def item_degrees(self) -> Array:
        """Users of each item, shape (n_items,), int64."""
        return counts(self._user_item.indices, self.n_items)

    @cached_property
    def degrees(self) -> Array:
        """Neighbours of each node, shape (n_nodes,), int64; weights do not count."""
        return np.concatenate([self.user_degrees, self.item_degrees])

    @cached_property
    def user_strengths(self) -> Array:
        """Sum of the edge weights of each user, shape (n_users,), float64."""
        return np.asarray(self._user_item.sum(axis=1, dtype=np.float64)).ravel()

    @cached_property
    def item_strengths(self) -> Array:
        """Sum of the edge weights of each item, shape (n_items,), float64."""
        return np.asarray(self._user_item.sum(axis=0, dtype=np.float64)).ravel()

    @cached_property
    def normalized_user_item(self) -> sp.csr_matrix:
        """``Du^-1/2 R Di^-1/2``: CSR of shape (n_users, n_items), float32; D sums the weights."""
        matrix = self._user_item
        of_users, of_items = _inverse_root(self.user_strengths), _inverse_root(self.item_strengths)
        data = np.empty(matrix.nnz, np.float32)
        for first in range(0, self.n_users, _USERS):  # in 64 bits, which would be large for all edges at once
            start, end = matrix.indptr[first], matrix.indptr[min(first + _USERS, self.n_users)]
            by_user = np.repeat(of_users[first : first + _USERS], self.user_degrees[first : first + _USERS])
            data[start:end] = matrix.data[start:end] * by_user * of_items[matrix.indices[start:end]]
        return sp.csr_matrix((data, matrix.indices, matrix.indptr), shape=matrix.shape)

    @cached_property
    def normalized_item_user(self) -> sp.csr_matrix:
        """The transpose of :attr:`normalized_user_item`, CSR of shape (n_items, n_users)."""
        return sp.csr_matrix(self.normalized_user_item.T)

    @cached_property
    def adjacency(self) -> sp.csr_matrix:
        """``D^-1/2 A D^-1/2``: symmetric CSR of shape (n_nodes, n_nodes), float32.

        Its eigenvalues lie in [-1, 1]: plus and minus the singular values of
        :attr:`normalized_user_item`.
        """
        upper = self.normalized_user_item
        lower = self.normalized_item_user
        n_stored = upper.nnz + lower.nnz
        index_type = np.int32 if max(n_stored, self.n_nodes) <= np.iinfo(np.int32).max else np.int64
        indices = np.concatenate([upper.indices.astype(index_type) + self.n_users, lower.indices])
        indptr = np.concatenate([upper.indptr.astype(index_type), upper.nnz + lower.indptr[1:]])
        return sp.csr_matrix(
            (
                np.concatenate([upper.data, lower.data]),
                indices.astype(index_type, copy=False),
                indptr.astype(index_type, copy=False),
            ),
            shape=(self.n_nodes, self.n_nodes),
        )

    def has_edges(self, users: Array, items: Array) -> Array:
        """Return for each pair ``(users[j], items[j])`` whether it is an edge, bool of the same shape.

        Both are int arrays of one shape with entries in range. Cost: one binary search per pair.
        """
        users, items = np.broadcast_arrays(users, items)
        if not users.size:
            return np.zeros(users.shape, bool)
        weights = np.asarray(self._user_item[users.ravel(), items.ravel()])
        found: Array = weights.reshape(users.shape) != 0
        return found

    def __repr__(self) -> str:
        return f"BipartiteGraph(n_users={self.n_users}, n_items={self.n_items}, n_edges={self.n_edges})"


def _inverse_root(strengths: Array) -> Array:
    """``x^-1/2``, and 0 for an isolated node."""
    roots: Array = np.sqrt(strengths)
    inverse: Array = np.divide(1, roots, out=np.zeros_like(roots), where=strengths > 0)
    return inverse
