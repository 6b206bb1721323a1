"""Measurements on this machine, each with its peers."""

from hashgnn.benchmarking.search import (
    ENGINES,
    PEERS,
    Catalogue,
    benchmark_search,
    generated_catalogue,
    model_catalogue,
    plot_search,
)

__all__ = [
    "ENGINES",
    "PEERS",
    "Catalogue",
    "benchmark_search",
    "generated_catalogue",
    "model_catalogue",
    "plot_search",
]
