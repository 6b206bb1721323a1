"""Embeddings of nodes from walks and edges, in closed form: DeepWalk, node2vec, LINE, and in the manner of BiNE.

Skip-gram with negative sampling factorises a matrix that can be written down: the entry of a node and a
context is ``log(P(context | node) / P_noise(context)) - log(n_negatives)``. Here that matrix is made, its negative
entries are set to 0 as usual, and its leading singular vectors are the embeddings: no steps to tune, no torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.sparse as sp

from hashgnn._checks import check_float, check_int
from hashgnn._rng import RngLike, as_generator
from hashgnn._types import Array
from hashgnn.baselines.base import EmbeddingBaseline
from hashgnn.data import Interactions
from hashgnn.graph import BipartiteGraph, random_walks, truncated_svd

_PAIRS = 4 << 20  # counted at a time


def deepwalk(
    interactions: Interactions,
    *,
    dim: int,
    rng: RngLike,
    walks_per_node: int = 10,
    walk_length: int = 20,
    window: int = 5,
    n_negatives: float = 1.0,
    noise_exponent: float = 0.5,
) -> EmbeddingBaseline:
    """DeepWalk: skip-gram over uniform random walks, factorised; :func:`node2vec` with p = q.

    References
    ----------
    Perozzi et al., KDD 2014, arXiv 1403.6652; as a factorisation Qiu et al., WSDM 2018, arXiv 1710.02971,
    theorem 2.3, its matrix sampled by walks as in Qiu et al., WWW 2019, arXiv 1906.11156.
    """
    return node2vec(
        interactions,
        dim=dim,
        rng=rng,
        p=1.0,
        q=1.0,
        walks_per_node=walks_per_node,
        walk_length=walk_length,
        window=window,
        n_negatives=n_negatives,
        noise_exponent=noise_exponent,
    )


def node2vec(
    interactions: Interactions,
    *,
    dim: int,
    rng: RngLike,
    p: float = 4.0,
    q: float = 1.0,
    walks_per_node: int = 10,
    walk_length: int = 20,
    window: int = 5,
    n_negatives: float = 1.0,
    noise_exponent: float = 0.5,
) -> EmbeddingBaseline:
    """node2vec: skip-gram over biased random walks, factorised.

    By default walks seldom turn back, which in a bipartite graph is all that p and q can do.

    References
    ----------
    Grover, Leskovec, KDD 2016, arXiv 1607.00653; factorised as :func:`deepwalk`.
    """
    check_int("walks_per_node", walks_per_node, minimum=1)
    check_int("walk_length", walk_length, minimum=2)
    check_int("window", window, minimum=1)
    graph = BipartiteGraph.from_interactions(interactions)
    generator = as_generator(rng)
    starts = np.repeat(np.flatnonzero(graph.degrees), walks_per_node)
    offsets = range(1, min(window, walk_length - 1) + 1)
    n_walks = max(1, _PAIRS // sum(walk_length - offset for offset in offsets))
    walks = (
        random_walks(graph, starts[first : first + n_walks], walk_length, p=p, q=q, rng=generator)
        for first in range(0, len(starts), n_walks)
    )
    counts = _counts(walks, offsets, graph.n_nodes)
    return _embedded(interactions, _log_ratio(counts, n_negatives, noise_exponent), dim, generator)


def line(
    interactions: Interactions,
    *,
    dim: int,
    rng: RngLike,
    n_negatives: float = 1.0,
    noise_exponent: float = 0.5,
) -> EmbeddingBaseline:
    """LINE: the pairs are the edges themselves, factorised.

    In a bipartite graph first- and second-order proximity factorise the same matrix between users and items,
    up to a factor. So there is one embedding for both.

    References
    ----------
    Tang et al., WWW 2015, arXiv 1503.03578; as a factorisation Qiu et al., WSDM 2018, section 2.2.
    """
    graph = BipartiteGraph.from_interactions(interactions)
    counts = _both_ways(graph)
    matrix = _log_ratio(counts, n_negatives, noise_exponent)
    return _embedded(interactions, matrix, dim, as_generator(rng))


def bine(
    interactions: Interactions,
    *,
    dim: int,
    rng: RngLike,
    implicit_weight: float = 0.1,
    walks_per_node: int = 10,
    walk_length: int = 21,
    window: int = 2,
    n_negatives: float = 1.0,
    noise_exponent: float = 0.5,
) -> EmbeddingBaseline:
    """In the manner of BiNE: explicit relations from edges, implicit ones from walks of one side, factorised together.

    Walks take two steps at a time and so stay among users, or among items; a node starts walks in proportion
    to its degree, BiNE's centrality. Their pairs fill the two diagonal blocks, with ``implicit_weight``, and
    the edges the other two. Against the paper: the losses are factorised and not descended, negatives are not
    chosen by locality-sensitive hashing, and walks have one length, where BiNE ends them by chance.

    References
    ----------
    Gao et al., SIGIR 2018.
    """
    check_int("walks_per_node", walks_per_node, minimum=1)
    check_int("walk_length", walk_length, minimum=3)
    check_int("window", window, minimum=1)
    check_float("implicit_weight", implicit_weight, minimum=0)
    graph = BipartiteGraph.from_interactions(interactions)
    generator = as_generator(rng)
    per_walk = (walk_length + 1) // 2
    offsets = range(1, min(window, per_walk - 1) + 1)
    ends = np.cumsum(graph.degrees)
    drawn = generator.integers(0, ends[-1], walks_per_node * int((graph.degrees > 0).sum()))
    starts = np.searchsorted(ends, drawn, side="right")
    n_walks = max(1, _PAIRS // sum(per_walk - offset for offset in offsets))
    walks = (
        random_walks(graph, starts[first : first + n_walks], walk_length, rng=generator)[:, ::2]
        for first in range(0, len(starts), n_walks)
    )
    implicit = _log_ratio(_counts(walks, offsets, graph.n_nodes), n_negatives, noise_exponent)
    explicit = _log_ratio(_both_ways(graph), n_negatives, noise_exponent)
    return _embedded(interactions, explicit + implicit_weight * implicit, dim, generator)


def _both_ways(graph: BipartiteGraph) -> Any:
    """Return the adjacency (n_nodes, n_nodes) of ones."""
    return sp.bmat([[None, graph.user_item], [graph.user_item.T, None]], format="csr", dtype=np.float64)


def _counts(walks: Iterator[Array], offsets: range, n_nodes: int) -> Any:
    """Return how often two nodes occur within the offsets of each other in a walk, symmetric (n_nodes, n_nodes)."""
    total = sp.csr_matrix((n_nodes, n_nodes))
    for block in walks:
        left = np.concatenate([block[:, :-offset].ravel() for offset in offsets])
        right = np.concatenate([block[:, offset:].ravel() for offset in offsets])
        total = total + sp.csr_matrix((np.ones(len(left)), (left, right)), shape=(n_nodes, n_nodes))
    return total + total.T


def _log_ratio(counts: Any, n_negatives: float, noise_exponent: float) -> sp.csr_matrix:
    """Return ``log(P(j | i) / P_noise(j)) - log(n_negatives)`` where it is positive, noise being by count to a power.

    With exponent 1 this is the shifted positive mutual information; the smaller the exponent, the more of the
    popularity of j stays in the entry.
    """
    check_float("n_negatives", n_negatives, minimum=0, open_minimum=True)
    check_float("noise_exponent", noise_exponent, minimum=0)
    matrix = sp.csr_matrix(counts, dtype=np.float64)
    sums = np.asarray(matrix.sum(axis=1)).ravel()
    noise = np.where(sums > 0, np.where(sums > 0, sums, 1) ** noise_exponent, 0)
    rows = np.repeat(np.arange(len(sums)), np.diff(matrix.indptr))
    ratio = matrix.data * noise.sum() / (sums[rows] * noise[matrix.indices] * n_negatives)
    entries = np.log(np.maximum(ratio, 1)).astype(np.float32)
    result = sp.csr_matrix((entries, matrix.indices, matrix.indptr), shape=matrix.shape)
    result.eliminate_zeros()
    return result


def _embedded(
    interactions: Interactions, matrix: sp.csr_matrix, dim: int, rng: np.random.Generator
) -> EmbeddingBaseline:
    """Factorise: users as nodes, items as contexts, so that a score approaches the matrix's entry."""
    left, values, right = truncated_svd(
        sp.csr_matrix(matrix, dtype=np.float32), min(dim, matrix.shape[0]), rng=rng
    )
    root = np.sqrt(values)
    n_users = interactions.n_users
    return EmbeddingBaseline(interactions, (left * root)[:n_users], (right * root)[n_users:])
