"""Rows in order of user and item, those of one pair merged."""

from __future__ import annotations

import numpy as np

from hashgnn._types import Array
from hashgnn.errors import DataError


def merge(
    user_index: Array, item_index: Array, n_items: int, weights: Array | None, times: Array | None
) -> tuple[Array, Array, Array | None, Array | None]:
    """Return users, items, weights and times, one row per pair: weights added, the latest time kept.

    Parameters
    ----------
    user_index, item_index : ndarray of shape (n,), integers
    n_items : int
    weights, times : ndarray of shape (n,), or None

    Returns
    -------
    tuple of ndarray of shape (n_pairs,), or None

    Raises
    ------
    DataError
        If the weights of a pair add up to more than float32 holds.
    """
    pairs = user_index.astype(np.int64)
    pairs *= n_items
    pairs += item_index
    if not (pairs[1:] > pairs[:-1]).all():
        if weights is None and times is None:
            pairs.sort()
        else:
            order = _ascending(pairs)
            pairs = pairs[order]
            weights = None if weights is None else weights[order]
            times = None if times is None else times[order]
        is_first = np.ones(len(pairs), bool)
        is_first[1:] = pairs[1:] != pairs[:-1]
        if not is_first.all():
            starts = np.flatnonzero(is_first)
            pairs = pairs[starts]
            weights = None if weights is None else _sums(weights, starts)
            times = None if times is None else np.maximum.reduceat(times, starts)
    users = pairs // n_items
    pairs -= users * n_items
    return users, pairs, weights, times


def _sums(weights: Array, starts: Array) -> Array:
    sums: Array = np.add.reduceat(weights, starts, dtype=np.float64)
    largest = float(sums.max())
    if largest > float(np.finfo(np.float32).max):
        raise DataError(f"the weights of a user and an item must add up to at most 3.4e38, got {largest:.3g}")
    return sums


def _ascending(pairs: Array) -> Array:
    """Return the rows in ascending order of ``pairs``, equal ones in the order they came in."""
    n_bits = len(pairs).bit_length()
    if int(pairs.max()).bit_length() + n_bits > 63:
        return np.argsort(pairs, kind="stable")
    # Sorting values is several times quicker than sorting their places, so each value takes its row along.
    packed = (pairs << n_bits) | np.arange(len(pairs))
    packed.sort()
    packed &= (1 << n_bits) - 1
    return packed
