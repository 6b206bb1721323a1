"""Closed-form graph filters: recommenders without training, and teachers of codes."""

from hashgnn.graph.filters.base import GraphFilter
from hashgnn.graph.filters.cheby_cf import ChebyshevFilter
from hashgnn.graph.filters.choice import FilterChoice, choose_filter
from hashgnn.graph.filters.gf_cf import SpectralFilter

__all__ = ["ChebyshevFilter", "FilterChoice", "GraphFilter", "SpectralFilter", "choose_filter"]
