"""Graphs that several tests of this folder share."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hashgnn.graph import BipartiteGraph

# User 2 and item 3 are isolated; user 1 has seen every item that anyone has seen.
SMALL = np.array([[1, 0, 1, 0], [1, 1, 1, 0], [0, 0, 0, 0]])

matrices = hnp.arrays(np.int8, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 1))


def build(dense: np.ndarray) -> BipartiteGraph:
    return BipartiteGraph(sp.csr_matrix(dense))


def random_graph(
    n_users: int = 60, n_items: int = 40, density: float = 0.15, seed: int = 0
) -> BipartiteGraph:
    return build(np.random.default_rng(seed).random((n_users, n_items)) < density)
