"""Neighbour sampling with fixed fan-outs, for all nodes of a batch at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hashgnn._checks import check_int
from hashgnn._rng import RngLike, as_generator
from hashgnn._types import Array
from hashgnn.errors import ParameterError
from hashgnn.graph.bipartite import BipartiteGraph


@dataclass(frozen=True, eq=False)
class SampledLevel:
    """Neighbours drawn for the nodes of one level of a batch; together they are the next level.

    Attributes
    ----------
    nodes : ndarray of shape (m,), int64
        The next level: every node drawn, once, ascending.
    starts, places : ndarray of shape (n + 1,) and (n_drawn,), int32
        CSR over the level's n nodes: the neighbours of node ``i`` are
        ``nodes[places[starts[i] : starts[i + 1]]]``.
    owner_starts, owners : ndarray of shape (m + 1,) and (n_drawn,), int32
        The transpose: those that drew ``nodes[j]`` are ``owners[owner_starts[j] : owner_starts[j + 1]]``.
    """

    nodes: Array
    starts: Array
    places: Array
    owner_starts: Array
    owners: Array


def sample_levels(
    graph: BipartiteGraph, nodes: Array, fan_outs: Sequence[int], *, rng: RngLike = None
) -> tuple[SampledLevel, ...]:
    """Draw neighbours of a batch level by level: of its nodes, of all that these drew, and so on.

    A node draws once a level, however many have drawn it, and they share what it draws. Between levels
    draws are independent. So one node's neighbourhood is distributed as in a tree of
    :func:`sample_neighbours`; those of two nodes of a batch are not independent where they meet. The cost
    follows the distinct nodes. Deterministic for one ``rng``, on every machine.

    Parameters
    ----------
    graph : BipartiteGraph
    nodes : ndarray of shape (n,), integer
        Node numbers in ``[0, n_nodes)``; each position draws for itself.
    fan_outs : sequence of int
        Neighbours to take at hop 1, 2, ...; each >= 1. They are distinct, and all of them where a node has at
        most as many. Every subset is equally likely, independent of edge weights.
    rng : int, numpy.random.Generator or None, default=None

    Returns
    -------
    tuple of SampledLevel
        One per hop.

    Raises
    ------
    ParameterError
        If a node or a fan-out is out of range.

    Examples
    --------
    >>> import numpy as np, scipy.sparse as sp
    >>> graph = BipartiteGraph(sp.csr_matrix(np.array([[1, 1], [0, 1]])))
    >>> first, second = sample_levels(graph, np.array([0, 1]), [3, 3], rng=0)
    >>> first.nodes.tolist(), first.starts.tolist(), first.places.tolist(), second.nodes.tolist()
    ([2, 3], [0, 2, 3], [0, 1, 1], [0, 1])
    """
    parents = np.asarray(nodes)
    if parents.ndim != 1 or (parents.size and parents.dtype.kind not in "iu"):
        raise ParameterError(
            f"nodes must be a 1-d integer array, got {parents.dtype} of shape {parents.shape}"
        )
    widths = [check_int(f"fan_outs[{place}]", width, minimum=1) for place, width in enumerate(fan_outs)]
    generator = as_generator(rng)
    level = np.ascontiguousarray(parents, np.int64)
    levels: list[SampledLevel] = []
    for width in widths:
        seed = int(generator.integers(2**64, dtype=np.uint64))
        levels.append(SampledLevel(*graph.neighbour_table.draw(level, width, seed)))
        level = levels[-1].nodes
    return tuple(levels)


def sample_neighbours(
    graph: BipartiteGraph,
    nodes: Array,
    fan_outs: Sequence[int],
    *,
    rng: RngLike = None,
    replace: bool = False,
) -> tuple[Array, ...]:
    """Sample a tree of neighbours: some neighbours of each node, some of each of those, and so on.

    Every neighbour of a node is equally likely, independent of edge weights. Deterministic for one ``rng``.

    Parameters
    ----------
    graph : BipartiteGraph
    nodes : ndarray of shape (n,), integer
        Node numbers in ``[0, n_nodes)``, or -1 for none; repeats are sampled independently.
    fan_outs : sequence of int
        Neighbours to take at hop 1, 2, ...; each >= 1.
    rng : int, numpy.random.Generator or None, default=None
    replace : bool, default=False
        ``False`` takes distinct neighbours, and exactly all of them where there are at most as many as
        the fan-out. ``True`` fills every slot with an independent draw.

    Returns
    -------
    tuple of ndarray, int64
        One array per hop. Row ``j`` of hop ``l``, shape (n_parents, fan_outs[l]), holds the neighbours of
        entry ``j`` of the hop before, flattened (of ``nodes`` for the first hop). -1 stands for none and
        comes after the neighbours of a row; the order within a row has no other meaning.

    Raises
    ------
    ParameterError
        If a node or a fan-out is out of range.

    Notes
    -----
    Distinct neighbours are drawn by Floyd's algorithm, run on all rows together: one step for each slot,
    O(n_parents * fan_out**2) comparisons.

    Examples
    --------
    >>> import numpy as np, scipy.sparse as sp
    >>> graph = BipartiteGraph(sp.csr_matrix(np.array([[1, 1], [0, 1]])))
    >>> sample_neighbours(graph, np.array([0, 1]), [3], rng=0)[0]
    array([[ 2,  3, -1],
           [ 3, -1, -1]])
    """
    parents = np.asarray(nodes)
    if parents.ndim != 1 or (parents.size and parents.dtype.kind not in "iu"):
        raise ParameterError(
            f"nodes must be a 1-d integer array, got {parents.dtype} of shape {parents.shape}"
        )
    parents = parents.astype(np.int64)
    outside = (parents < -1) | (parents >= graph.n_nodes)
    if outside.any():
        raise ParameterError(
            f"nodes must be in [0, {graph.n_nodes}) or -1 for none, got {parents[outside][0]}"
        )
    generator = as_generator(rng)
    hops = []
    for position, fan_out in enumerate(fan_outs):
        width = check_int(f"fan_outs[{position}]", fan_out, minimum=1)
        hops.append(_one_hop(graph, parents.ravel(), width, generator, replace))
        parents = hops[-1]
    return tuple(hops)


def _one_hop(
    graph: BipartiteGraph, parents: Array, fan_out: int, rng: np.random.Generator, replace: bool
) -> Array:
    adjacency = graph.adjacency
    start = adjacency.indptr[parents].astype(np.int64)  # of a -1 the value is not used: its degree is 0
    degree = np.where(parents >= 0, graph.degrees[parents], 0)
    if replace:
        offsets = rng.integers(0, np.maximum(degree, 1)[:, None], size=(len(parents), fan_out))
        taken = np.broadcast_to(degree[:, None] > 0, offsets.shape)
    else:
        offsets = np.tile(np.arange(fan_out, dtype=np.int64), (len(parents), 1))
        taken = offsets < degree[:, None]
        crowded = np.flatnonzero(degree > fan_out)
        offsets[crowded] = _distinct_offsets(degree[crowded], fan_out, rng)
    result = np.full(offsets.shape, -1, np.int64)
    result[taken] = adjacency.indices[(start[:, None] + offsets)[taken]]
    return result


def _distinct_offsets(degree: Array, fan_out: int, rng: np.random.Generator) -> Array:
    """Draw for each row a uniform subset of ``range(degree)`` of size ``fan_out`` < degree (Floyd)."""
    chosen = np.empty((len(degree), fan_out), np.int64)
    for slot in range(fan_out):
        last = degree - fan_out + slot
        draw = rng.integers(0, last + 1)
        taken = (chosen[:, :slot] == draw[:, None]).any(axis=1)
        chosen[:, slot] = np.where(taken, last, draw)
    return chosen
