"""Baselines without training: popularity, singular vectors, graph filters."""

from __future__ import annotations

import numpy as np

from hashgnn._rng import RngLike
from hashgnn.baselines.base import EmbeddingBaseline, FilterBaseline, PopularityBaseline
from hashgnn.data import Interactions
from hashgnn.graph import BipartiteGraph, ChebyshevFilter, SpectralFilter, truncated_svd


def popularity(interactions: Interactions, *, dim: int, rng: RngLike) -> PopularityBaseline:
    """Score every item by how many users it has; ``dim`` is not looked at."""
    return PopularityBaseline(interactions)


def puresvd(
    interactions: Interactions,
    *,
    dim: int,
    rng: RngLike,
    n_iterations: int = 4,
) -> EmbeddingBaseline:
    """PureSVD: ``u = r V`` and ``v = V``, the leading right singular vectors of the plain interactions.

    References
    ----------
    Cremonesi, Koren, Turrin, RecSys 2010, section 3.3.
    """
    matrix = BipartiteGraph.from_interactions(interactions).user_item
    vectors = truncated_svd(matrix, _rank(matrix.shape, dim), rng=rng, n_iterations=n_iterations)[2]
    return EmbeddingBaseline(interactions, matrix @ vectors, vectors)


def spectral(
    interactions: Interactions,
    *,
    dim: int,
    rng: RngLike,
    n_iterations: int = 4,
) -> EmbeddingBaseline:
    """The ideal low pass of the graph: ``u = r D^-1/2 V`` and ``v = D^1/2 V``, V of the normalised interactions.

    References
    ----------
    Shen et al., CIKM 2021, section 4: the second term of GF-CF, alone.
    """
    graph = BipartiteGraph.from_interactions(interactions)
    rank = _rank(graph.user_item.shape, dim)
    tables = SpectralFilter.fit(graph, rank=rank, rng=rng, n_iterations=n_iterations)
    return EmbeddingBaseline(interactions, graph.user_item @ tables.history_table, tables.item_table)


def gf_cf(
    interactions: Interactions,
    *,
    dim: int,
    rng: RngLike,
    rank: int = 256,
    alpha: float = 0.3,
) -> FilterBaseline:
    """GF-CF; ``dim`` is not looked at, see :class:`hashgnn.graph.SpectralFilter`."""
    graph = BipartiteGraph.from_interactions(interactions)
    rank = _rank(graph.user_item.shape, rank)
    return FilterBaseline(interactions, SpectralFilter.fit(graph, rank=rank, alpha=alpha, rng=rng))


def chebycf(
    interactions: Interactions,
    *,
    dim: int,
    rng: RngLike,
    order: int = 8,
    flatness: float = 1.5,
    rank: int = 512,
    alpha: float = 0.2,
    beta: float = 0.4,
) -> FilterBaseline:
    """ChebyCF; ``dim`` is not looked at, see :class:`hashgnn.graph.ChebyshevFilter`."""
    graph = BipartiteGraph.from_interactions(interactions)
    fitted = ChebyshevFilter.fit(
        graph,
        order=order,
        flatness=flatness,
        rank=_rank(graph.user_item.shape, rank),
        alpha=alpha,
        beta=beta,
        rng=rng,
    )
    return FilterBaseline(interactions, fitted)


def _rank(shape: tuple[int, int], wanted: int) -> int:
    """Return the wanted rank, or the largest that the data has."""
    return int(np.min([*shape, wanted]))
