"""Latency and index recall of searches, measured side by side."""

from hashgnn.benchmarking.search.benchmark import ENGINES, PEERS, benchmark_search, unusable
from hashgnn.benchmarking.search.grown import grown_workload
from hashgnn.benchmarking.search.machine import machine, versions
from hashgnn.benchmarking.search.plot import check_plot, plot_search
from hashgnn.benchmarking.search.workload import Workload, generated_workload, model_workload

__all__ = [
    "ENGINES",
    "PEERS",
    "Workload",
    "benchmark_search",
    "check_plot",
    "generated_workload",
    "grown_workload",
    "machine",
    "model_workload",
    "plot_search",
    "unusable",
    "versions",
]
