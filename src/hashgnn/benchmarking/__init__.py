"""Measurements on this machine, each with its peers."""

from hashgnn.benchmarking.search import (
    ENGINES,
    PEERS,
    Workload,
    benchmark_search,
    generated_workload,
    grown_workload,
    model_workload,
    plot_search,
)

__all__ = [
    "ENGINES",
    "PEERS",
    "Workload",
    "benchmark_search",
    "generated_workload",
    "grown_workload",
    "model_workload",
    "plot_search",
]
