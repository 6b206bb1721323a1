"""A model whose scores are a table, for tests with known answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import sparse

from hashgnn.ranking import Matches

Array = np.ndarray[Any, Any]


class TableModel:
    """Scores of each search way as a table (n_users, n_items); records the requests."""

    def __init__(self, tables: Mapping[str, Array]) -> None:
        self.tables = tables
        self.blocks: list[tuple[int, str, int, int]] = []
        self.searches: list[tuple[list[int], str, int, int]] = []

    @property
    def search_ways(self) -> tuple[str, ...]:
        return tuple(self.tables)

    def score_block(self, user_index: Array, search: str, k: int, *, oversampling: int) -> Array:
        self.blocks.append((len(user_index), search, k, oversampling))
        return self.tables[search][user_index].copy()

    def search_block(self, user_index: Array, search: str, k: int, *, oversampling: int) -> Matches:
        self.searches.append((user_index.tolist(), search, k, oversampling))
        return self.found(user_index, search, k)

    def found(self, user_index: Array, search: str, k: int) -> Matches:
        """Return nothing; a test puts lists here."""
        return Matches.empty(len(user_index), k)

    def bytes_per_item(self, search: str) -> float:
        return float(8 * (1 + list(self.tables).index(search)))


def matrix(rows: list[list[int]], n_items: int) -> sparse.csr_matrix:
    """Return a matrix of ones whose rows hold these items."""
    lengths = [len(row) for row in rows]
    indptr = np.concatenate(([0], np.cumsum(lengths)))
    indices = np.array([item for row in rows for item in row], np.int32)
    return sparse.csr_matrix((np.ones(len(indices), np.float32), indices, indptr), (len(rows), n_items))
