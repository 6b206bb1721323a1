"""Random walks on the bipartite graph, all walks of a batch stepping together."""

from __future__ import annotations

import numpy as np

from hashgnn._checks import check_float, check_int
from hashgnn._rng import RngLike, as_generator
from hashgnn._types import Array
from hashgnn.errors import ParameterError
from hashgnn.graph.bipartite import BipartiteGraph


def random_walks(
    graph: BipartiteGraph,
    starts: Array,
    length: int,
    *,
    p: float = 1.0,
    q: float = 1.0,
    rng: RngLike = None,
) -> Array:
    """Walk from each start; every neighbour of a node is equally likely, except for node2vec's bias.

    Deterministic for one ``rng``. The next node has a probability proportional to ``1/p`` if the walk came from
    it, and to ``1/q`` if not. In a bipartite graph no two neighbours of a node are joined, so node2vec's third
    case does not occur.

    Parameters
    ----------
    graph : BipartiteGraph
    starts : ndarray of shape (n,), integer
        Node numbers in ``[0, n_nodes)``; repeats walk independently.
    length : int >= 1
        Nodes of a walk, the start included.
    p : float > 0, default=1
        Return parameter: large values keep a walk from turning back.
    q : float > 0, default=1
        In-out parameter; in a bipartite graph only ``p / q`` matters.
    rng : int, numpy.random.Generator or None, default=None

    Returns
    -------
    ndarray of shape (n, length), int64
        A walk from an isolated node stays there.

    Raises
    ------
    ParameterError
        If a start is out of range, or a parameter breaks its rule.

    Notes
    -----
    One vectorised step for all walks at a time: O(n * length) draws, and as many again at most on average.

    References
    ----------
    Perozzi et al., KDD 2014 (DeepWalk); Grover, Leskovec, KDD 2016 (node2vec), section 3.2.

    Examples
    --------
    >>> import numpy as np, scipy.sparse as sp
    >>> graph = BipartiteGraph(sp.csr_matrix(np.array([[1, 0], [1, 1]])))
    >>> random_walks(graph, np.array([0, 3]), 3, p=1e9, rng=0)
    array([[0, 2, 1],
           [3, 1, 2]])
    """
    length = check_int("length", length, minimum=1)
    p = check_float("p", p, minimum=0, open_minimum=True)
    q = check_float("q", q, minimum=0, open_minimum=True)
    current = np.asarray(starts)
    if current.ndim != 1 or (current.size and current.dtype.kind not in "iu"):
        raise ParameterError(
            f"starts must be a 1-d integer array, got {current.dtype} of shape {current.shape}"
        )
    outside = (current < 0) | (current >= graph.n_nodes)
    if outside.any():
        raise ParameterError(f"starts must be in [0, {graph.n_nodes}), got {current[outside][0]}")
    generator = as_generator(rng)
    walks = np.empty((len(current), length), np.int64)
    walks[:, 0] = current
    for step in range(1, length):
        now = walks[:, step - 1]
        walks[:, step] = _step(graph, now, generator)
        if step > 1 and p != q:
            before = walks[:, step - 2]
            others = np.maximum(graph.degrees[now] - 1, 0)
            back = generator.random(len(now)) * (1 / p + others / q) < 1 / p
            back |= others == 0
            walks[back, step] = before[back]
            pending = np.flatnonzero(~back & (walks[:, step] == before))
            while len(pending):  # at least half of the draws fall on another neighbour
                walks[pending, step] = _step(graph, now[pending], generator)
                pending = pending[walks[pending, step] == before[pending]]
    return walks


def _step(graph: BipartiteGraph, nodes: Array, rng: np.random.Generator) -> Array:
    """Return a uniform neighbour of each node, or the node itself where it has none."""
    degrees = graph.degrees[nodes]
    offsets = (rng.random(len(nodes)) * degrees).astype(np.int64)
    adjacency = graph.adjacency
    places = np.minimum(adjacency.indptr[nodes].astype(np.int64) + offsets, max(adjacency.nnz - 1, 0))
    if not adjacency.nnz:
        return nodes.copy()
    return np.where(degrees > 0, adjacency.indices[places], nodes).astype(np.int64)
