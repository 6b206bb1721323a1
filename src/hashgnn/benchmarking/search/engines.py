"""Our searches as engines of a measurement."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from hashgnn.benchmarking.search.catalogue import Catalogue
from hashgnn.index import HammingIndex, HierarchicalIndex, InvertedFile

Array = np.ndarray[Any, Any]

# Positions found for the queries of a slice, shape (n, k), int64.
Search = Callable[[slice], Array]

N_CANDIDATES = 500  # re-ranked by a hierarchical search
INDEX_RECALL = 0.95  # asked of approximate searches


@dataclass(frozen=True)
class Built:
    """An engine that is ready to search.

    Attributes
    ----------
    search : callable
    n_bytes : float
        What the engine keeps for all items.
    """

    search: Search
    n_bytes: float


@dataclass(frozen=True)
class Engine:
    """An engine by name.

    Attributes
    ----------
    name : str
    compares : {"codes", "biased codes", "floats"}
        What its results are the best by; its index recall is taken against the exact best by that.
    ours : str
        The engine of ours that it is compared with.
    build : callable of (Catalogue, k, n_threads) to Built
    """

    name: str
    compares: str
    ours: str
    build: Callable[[Catalogue, int, int], Built]


def _hamming(data: Catalogue, k: int, n_threads: int) -> Built:
    index = HammingIndex(data.item_codes)
    codes = data.query_codes
    return Built(lambda rows: index.search(codes[rows], k, n_threads=n_threads).positions, index.nbytes)


def _biased(data: Catalogue, k: int, n_threads: int) -> Built:
    index = HammingIndex(data.item_codes, data.item_bias)
    codes = data.query_codes
    return Built(lambda rows: index.search(codes[rows], k, n_threads=n_threads).positions, index.nbytes)


def _asymmetric(data: Catalogue, k: int, n_threads: int) -> Built:
    index = HammingIndex(data.item_codes)
    signs = data.query_codes.signs().astype(np.float32)
    # Relaxed codes: signs of differing certainty, as a hash layer gives before it takes the sign.
    relaxed = signs * np.random.default_rng(0).random(signs.shape, np.float32)
    return Built(lambda rows: index.search(relaxed[rows], k, n_threads=n_threads).positions, index.nbytes)


def _hierarchical(data: Catalogue, k: int, n_threads: int) -> Built:
    index = HierarchicalIndex(HammingIndex(data.item_codes), data.items, dtype="float16")
    codes, vectors = data.query_codes, data.queries
    oversampling = max(1, N_CANDIDATES // k)
    return Built(
        lambda rows: (
            index.search(
                codes[rows], vectors[rows], k, oversampling=oversampling, n_threads=n_threads
            ).positions
        ),
        index.nbytes,
    )


def _inverted(data: Catalogue, k: int, n_threads: int) -> Built:
    index = InvertedFile(data.item_codes, n_threads=n_threads)
    codes = data.query_codes
    index.tune(codes, k, index_recall=INDEX_RECALL, n_threads=n_threads)
    return Built(lambda rows: index.search(codes[rows], k, n_threads=n_threads).positions, index.nbytes)


OURS = (
    Engine("hamming", "codes", "hamming", _hamming),
    Engine("biased", "biased codes", "hamming", _biased),
    Engine("asymmetric", "relaxed codes", "hamming", _asymmetric),
    Engine("hierarchical", "floats", "hierarchical", _hierarchical),
    Engine("inverted-file", "codes", "inverted-file", _inverted),
)
