"""Measurements on this machine, each with its peers."""

from hashgnn.benchmarking.search.benchmark import ENGINES, PEERS, benchmark_search
from hashgnn.benchmarking.search.catalogue import Catalogue, generated_catalogue

__all__ = ["ENGINES", "PEERS", "Catalogue", "benchmark_search", "generated_catalogue"]
