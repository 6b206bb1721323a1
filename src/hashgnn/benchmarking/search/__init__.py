"""Searches timed side by side, with what they find."""

from hashgnn.benchmarking.search.benchmark import ENGINES, PEERS, benchmark_search
from hashgnn.benchmarking.search.catalogue import Catalogue, generated_catalogue, model_catalogue
from hashgnn.benchmarking.search.machine import machine
from hashgnn.benchmarking.search.plot import check_plot, plot_search

__all__ = [
    "ENGINES",
    "PEERS",
    "Catalogue",
    "benchmark_search",
    "check_plot",
    "generated_catalogue",
    "machine",
    "model_catalogue",
    "plot_search",
]
