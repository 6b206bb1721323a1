"""The bipartite graph: adjacency, neighbour and negative sampling, spectral filters."""

from hashgnn.graph.backend import Backend
from hashgnn.graph.bipartite import BipartiteGraph
from hashgnn.graph.filters import (
    ChebyshevFilter,
    FilterChoice,
    GraphFilter,
    SpectralFilter,
    choose_filter,
)
from hashgnn.graph.negatives import NegativeSampler
from hashgnn.graph.sampling import sample_neighbours
from hashgnn.graph.spectral import GraphSpectrum, low_spectrum, truncated_svd
from hashgnn.graph.walks import random_walks

__all__ = [
    "Backend",
    "BipartiteGraph",
    "ChebyshevFilter",
    "FilterChoice",
    "GraphFilter",
    "GraphSpectrum",
    "NegativeSampler",
    "SpectralFilter",
    "choose_filter",
    "low_spectrum",
    "random_walks",
    "sample_neighbours",
    "truncated_svd",
]
