"""The low end of the graph's spectrum, by randomized singular value decomposition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from hashgnn._checks import check_int
from hashgnn._printing import ShortRepr
from hashgnn._rng import RngLike, as_generator
from hashgnn._types import Array
from hashgnn.graph.backend import CPU, Backend
from hashgnn.graph.bipartite import BipartiteGraph


def truncated_svd(
    matrix: sp.csr_matrix,
    rank: int,
    *,
    rng: RngLike = None,
    n_iterations: int = 4,
    n_oversamples: int = 10,
    backend: Backend = CPU,
) -> tuple[Array, Array, Array]:
    """Compute the ``rank`` largest singular triplets of a sparse matrix.

    Parameters
    ----------
    matrix : sparse matrix of shape (m, n)
        float32 is decomposed in float32, any other type in float64.
    rank : int
        ``1 <= rank <= min(m, n)``.
    rng : int, numpy.random.Generator or None, default=None
        Draws the test matrix; one seed gives one result.
    n_iterations : int >= 0, default=4
        Power iterations; more are needed where the singular values fall slowly.
    n_oversamples : int >= 0, default=10
        Columns carried in addition to ``rank``.
    backend : Backend, default=CPU
        Where the products run.

    Returns
    -------
    left : ndarray of shape (m, rank)
    values : ndarray of shape (rank,)
        Singular values, falling, >= 0.
    right : ndarray of shape (n, rank)
        Columns, not rows: ``matrix`` is near ``left * values @ right.T``. Both sides have orthonormal
        columns. The entry of each column of ``right`` that is largest in size is positive.

    Notes
    -----
    Cost: ``2 * n_iterations + 2`` products of the matrix with ``rank + n_oversamples`` columns.

    References
    ----------
    Halko, Martinsson, Tropp, *Finding structure with randomness*, SIAM Review 53(2), 2011, algorithms
    4.4 and 5.1.

    Examples
    --------
    >>> import numpy as np, scipy.sparse as sp
    >>> left, values, right = truncated_svd(sp.csr_matrix(np.diag([3.0, 2.0, 1.0])), 2, rng=0)
    >>> values.round(6)
    array([3., 2.])
    """
    m, n = matrix.shape
    rank = check_int("rank", rank, minimum=1, maximum=min(m, n))
    n_iterations = check_int("n_iterations", n_iterations, minimum=0)
    width = min(rank + check_int("n_oversamples", n_oversamples, minimum=0), m, n)
    dtype = np.float32 if matrix.dtype == np.float32 else np.float64
    forward = sp.csr_matrix(matrix, dtype=dtype)
    forward, backward = backend.parted_sparse(forward), backend.parted_sparse(sp.csr_matrix(forward.T))

    sketch = backend.dense(as_generator(rng).standard_normal((n, width), dtype=dtype))
    # Between the products only the span matters.
    for _ in range(n_iterations):
        sketch = backend.span(backward @ backend.span(forward @ sketch))
    basis = backend.qr(forward @ sketch)[0]
    # matrix is near basis (matrix' basis)', and QR leaves a small square matrix to decompose.
    other, small = backend.qr(backward @ basis)
    right_small, values, left_small = np.linalg.svd(backend.to_numpy(small))
    left = backend.to_numpy(basis @ backend.dense(left_small[:rank].T))
    right = backend.to_numpy(other @ backend.dense(right_small[:, :rank]))
    largest = right[np.abs(right).argmax(axis=0), np.arange(rank)]
    signs = np.where(largest < 0, -1, 1).astype(dtype)
    return left * signs, values[:rank], right * signs


@dataclass(frozen=True, repr=False)
class GraphSpectrum(ShortRepr):
    """The smoothest signals on a graph: the low end of its normalised Laplacian's spectrum.

    Attributes
    ----------
    values : ndarray of shape (rank,), float32
        Eigenvalues of the normalised adjacency, falling from 1; a Laplacian eigenvalue is ``1 - value``.
    user_vectors : ndarray of shape (n_users, rank), float32
        Orthonormal columns.
    item_vectors : ndarray of shape (n_items, rank), float32
        Orthonormal columns; ``[user_vectors; item_vectors] / sqrt(2)`` is the eigenvector of the graph.
    """

    values: Array
    user_vectors: Array
    item_vectors: Array

    def first(self, rank: int) -> GraphSpectrum:
        """Return the ``rank`` smoothest of the signals; ``rank`` is at most their number."""
        check_int("rank", rank, minimum=1, maximum=len(self.values))
        return GraphSpectrum(self.values[:rank], self.user_vectors[:, :rank], self.item_vectors[:, :rank])


def low_spectrum(
    graph: BipartiteGraph,
    rank: int,
    *,
    rng: RngLike = None,
    n_iterations: int = 4,
    backend: Backend = CPU,
) -> GraphSpectrum:
    """Compute the ``rank`` smoothest eigenvectors of a graph; see :func:`truncated_svd`.

    They are the leading singular triplets of ``Du^-1/2 R Di^-1/2``. An isolated node has zeros in every
    vector whose value is not zero.
    """
    left, values, right = truncated_svd(
        graph.normalized_user_item, rank, rng=rng, n_iterations=n_iterations, backend=backend
    )
    return GraphSpectrum(values, left, right)


def smooth_item_vectors(
    graph: BipartiteGraph,
    rank: int,
    *,
    rng: RngLike = None,
    n_iterations: int = 4,
    n_oversamples: int = 10,
    users_per_block: int = 1 << 16,
    backend: Backend = CPU,
) -> Array:
    """Compute the items' part of :func:`low_spectrum` in memory that does not grow with the users' part.

    Parameters
    ----------
    graph : BipartiteGraph
    rank : int
        ``1 <= rank <= min(n_users, n_items)``.
    rng : int, numpy.random.Generator or None, default=None
        Draws the test matrix.
    n_iterations, n_oversamples : int, default=4, 10
        As :func:`truncated_svd` takes them.
    users_per_block : int, default=65536
        Users whose part is held at a time.
    backend : Backend, default=CPU
        Where the products run.

    Returns
    -------
    ndarray of shape (n_items, rank), float32
        Orthonormal columns, the smoothest first; the entry of each that is largest in size is positive.
    """
    rank = check_int("rank", rank, minimum=1, maximum=min(graph.n_users, graph.n_items))
    width = min(rank + check_int("n_oversamples", n_oversamples, minimum=0), graph.n_items)
    matrix = graph.normalized_user_item
    blocks = []
    mine = backend.part(graph.n_users)
    for first in range(mine.start, mine.stop, users_per_block):
        block = matrix[first : min(first + users_per_block, mine.stop)]
        blocks.append((backend.sparse(block), backend.sparse(sp.csr_matrix(block.T))))

    def hop(columns: Any) -> Any:
        total = None
        for forward, backward in blocks:
            part = backward @ (forward @ columns)
            if total is None:
                total = part
            else:
                total += part
        return backend.add(total)

    sketch = backend.dense(as_generator(rng).standard_normal((graph.n_items, width), dtype=np.float32))
    for _ in range(check_int("n_iterations", n_iterations, minimum=0)):
        sketch = backend.span(hop(sketch))
    basis = backend.qr(hop(sketch))[0]
    small = backend.to_numpy(basis.T @ hop(basis)).astype(np.float64)
    vectors = np.linalg.eigh((small + small.T) / 2)[1][:, ::-1][:, :rank]
    items = backend.to_numpy(basis @ backend.dense(vectors.astype(np.float32)))
    largest = items[np.abs(items).argmax(axis=0), np.arange(rank)]
    result: Array = items * np.where(largest < 0, -1, 1).astype(np.float32)
    return result
