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
from hashgnn.graph.ridge import ItemRidge
from hashgnn.graph.sampling import SampledLevel, sample_levels, sample_neighbours
from hashgnn.graph.spectral import GraphSpectrum, low_spectrum, smooth_item_vectors, truncated_svd
from hashgnn.graph.teachers import TeacherChoice, choose_teacher
from hashgnn.graph.walks import random_walks

__all__ = [
    "Backend",
    "BipartiteGraph",
    "ChebyshevFilter",
    "FilterChoice",
    "GraphFilter",
    "GraphSpectrum",
    "ItemRidge",
    "NegativeSampler",
    "SampledLevel",
    "SpectralFilter",
    "TeacherChoice",
    "choose_filter",
    "choose_teacher",
    "low_spectrum",
    "random_walks",
    "sample_levels",
    "sample_neighbours",
    "smooth_item_vectors",
    "truncated_svd",
]
