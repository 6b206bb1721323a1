"""Milliseconds a query takes."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from hashgnn._types import Array
from hashgnn.evaluation.recommender_contract import Evaluable


@dataclass(frozen=True)
class QueryTime:
    """How long a query takes, in milliseconds.

    Attributes
    ----------
    alone : float
        Median over queries asked one at a time.
    in_batch : float
        Time of one call for all of them, divided by their number.
    """

    alone: float
    in_batch: float


def time_queries(model: Evaluable, users: Array, search: str, k: int, *, oversampling: int) -> QueryTime:
    """Time ``model.search_block`` for some users. What the model builds on first use is not counted.

    Parameters
    ----------
    model : Evaluable
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
    alone = [seconds(users[row : row + 1]) for row in range(len(users))]
    return QueryTime(1000 * float(np.median(alone)), 1000 * seconds(users) / len(users))
