"""Measurements on this machine, each with its peers."""

from hashgnn.benchmarking.catalogue import Catalogue, generated_catalogue
from hashgnn.benchmarking.search import ENGINES, PEERS, benchmark_search

__all__ = ["ENGINES", "PEERS", "Catalogue", "benchmark_search", "generated_catalogue"]
