"""How far an approximate search has to look to reach an index recall."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from hashgnn._checks import check_float
from hashgnn._types import Array
from hashgnn.errors import ParameterError

_BLOCK_PRODUCTS = 1 << 22  # 16 MB of float32


def check_sample(queries: Any, index_recall: Any) -> float:
    """Return the requested index recall, in ``(0, 1]``; there must be queries to tune with."""
    requested = check_float("index_recall", index_recall, minimum=0, maximum=1, open_minimum=True)
    if len(queries) == 0:
        raise ParameterError("queries must hold at least one query to tune with, got 0")
    return requested


def smallest_power(reached: Callable[[int], float], requested: float, largest: int) -> tuple[int, float]:
    """Return the smallest power of two, or ``largest``, that reaches what is requested, and what it reaches."""
    value = 1
    while True:
        found = reached(value)
        if found >= requested or value >= largest:
            return value, found
        value = min(2 * value, largest)


def smallest_integer(reached: Callable[[int], float], requested: float, largest: int) -> tuple[int, float]:
    """Return the smallest integer from 1 that reaches what is requested, or ``largest``, and what it reaches.

    A larger integer must reach no less.
    """
    high, found = smallest_power(reached, requested, largest)
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        share = reached(middle)
        if share >= requested:
            high, found = middle, share
        else:
            low = middle
    return high, found


def kth_products(
    queries: Array,
    rows: Array,
    scale: Array | None,
    alive: Array,
    k: int,
    *,
    block_products: int = _BLOCK_PRODUCTS,
) -> Array:
    """Return the ``k``-th best inner product of each query among living rows, shape (n_queries,), float32.

    Rows are read in blocks, in the dtype that they have. Where fewer than ``k`` live, -inf.
    """
    best = np.full((len(queries), k), -np.inf, np.float32)
    block = max(1, block_products // len(queries))
    for start in range(0, len(rows), block):
        part = slice(start, start + block)
        products = queries @ rows[part].astype(np.float32).T
        if scale is not None:
            products *= scale[part]
        products[:, ~alive[part]] = -np.inf
        best = np.partition(np.hstack([best, products]), -k, axis=1)[:, -k:]
    kth: Array = best.min(axis=1)
    return kth
