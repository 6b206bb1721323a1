"""Latency of queries in milliseconds."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from hashgnn._types import Array
from hashgnn.evaluation.protocols import Retriever


@dataclass(frozen=True)
class QueryTime:
    """Latency of a query in milliseconds.

    Attributes
    ----------
    single : float
        Median over queries of one user each.
    in_batch : float
        Time of one call for all users, divided by their number.
    """

    single: float
    in_batch: float


def time_queries(model: Retriever, users: Array, search: str, k: int, *, oversampling: int) -> QueryTime:
    """Time ``model.search_block`` for some users. Structures built on first use are not counted.

    Parameters
    ----------
    model : Retriever
    users : ndarray of shape (n,), int64
        One or more.
    search : str
    k, oversampling : int
    """

    def seconds(index: Array) -> float:
        start = time.perf_counter()
        model.search_block(index, search, k, oversampling=oversampling)
        return time.perf_counter() - start

    seconds(users[:1])
    single = [seconds(users[row : row + 1]) for row in range(len(users))]
    return QueryTime(1000 * float(np.median(single)), 1000 * seconds(users) / len(users))
