"""Random walks on the bipartite graph, all walks of a batch stepping together."""

from __future__ import annotations

from typing import Any

import numpy as np

from hashgnn._checks import check_float, check_int
from hashgnn._rng import RngLike, as_generator
from hashgnn.errors import ParameterError
from hashgnn.graph.bipartite import BipartiteGraph

Array = np.ndarray[Any, Any]

_MAX_ROUNDS = 50  # of rejection; what is still refused then is taken as it is, with chance below 1e-9


def random_walks(
    graph: BipartiteGraph,
    starts: Array,
    length: int,
    *,
    p: float = 1.0,
    q: float = 1.0,
    rng: RngLike = None,
) -> Array:
    """Walk from each start; every neighbour of a node is equally likely, apart from node2vec's bias.

    Deterministic for one ``rng``. The next node is drawn uniformly and kept with probability ``w / max(w)``,
    where w is ``1/p`` for the node that the walk came from and ``1/q`` for others, else drawn again. In a
    bipartite graph no two neighbours of a node are joined, so w is never 1 (node2vec's distance 1).

    Parameters
    ----------
    graph : BipartiteGraph
    starts : ndarray of shape (n,), integer
        Node numbers in ``[0, n_nodes)``; repeats walk apart.
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
    One vectorised step for all walks at a time: O(n * length) draws, times 1 + |p - q| / min(p, q) at most.

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
    # 1/p over 1/q or the other way round, whichever is the smaller: how often the rarer one is kept.
    keep_back, keep_out = min(1.0, q / p), min(1.0, p / q)
    walks = np.empty((len(current), length), np.int64)
    walks[:, 0] = current
    for step in range(1, length):
        drawn = _step(graph, walks[:, step - 1], generator)
        if step > 1 and p != q:
            before = walks[:, step - 2]
            pending = np.arange(len(drawn))
            for _ in range(_MAX_ROUNDS):
                kept = np.where(drawn[pending] == before[pending], keep_back, keep_out)
                single = graph.degrees[walks[pending, step - 1]] < 2  # nowhere else to go
                pending = pending[(generator.random(len(pending)) >= kept) & ~single]
                if not len(pending):
                    break
                drawn[pending] = _step(graph, walks[pending, step - 1], generator)
        walks[:, step] = drawn
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
