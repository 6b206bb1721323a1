"""How far an approximate search has to look for an asked index recall."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from hashgnn._checks import check_float
from hashgnn._types import Array
from hashgnn.errors import ParameterError

_PRODUCTS = 1 << 22  # held at a time


def check_sample(queries: Any, index_recall: Any) -> float:
    """Return the asked index recall, in ``(0, 1]``; there must be queries to tune with."""
    wanted = check_float("index_recall", index_recall, minimum=0, maximum=1, open_minimum=True)
    if len(queries) == 0:
        raise ParameterError("queries must hold at least one query to tune with, got 0")
    return wanted


def least(reached: Callable[[int], float], wanted: float, largest: int) -> tuple[int, float]:
    """Return the least power of two, or ``largest``, that reaches what is wanted, and what it reaches."""
    value = 1
    while True:
        found = reached(value)
        if found >= wanted or value >= largest:
            return value, found
        value = min(2 * value, largest)


def least_integer(reached: Callable[[int], float], wanted: float, largest: int) -> int:
    """Return the least integer from 1 that reaches what is wanted, or ``largest``; more must reach no less."""
    high, _ = least(reached, wanted, largest)
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reached(middle) >= wanted else (middle, high)
    return high


def last_products(queries: Array, rows: Array, scale: Array | None, alive: Array, k: int) -> Array:
    """Return the ``k``-th best inner product of each query among living rows, shape (n_queries,), float32.

    Rows are taken as they are kept, in blocks. Where fewer than ``k`` live, -inf.
    """
    best = np.full((len(queries), k), -np.inf, np.float32)
    block = max(1, _PRODUCTS // len(queries))
    for start in range(0, len(rows), block):
        part = slice(start, start + block)
        products = queries @ rows[part].astype(np.float32).T
        if scale is not None:
            products *= scale[part]
        products[:, ~alive[part]] = -np.inf
        best = np.partition(np.hstack([best, products]), -k, axis=1)[:, -k:]
    last: Array = best.min(axis=1)
    return last
