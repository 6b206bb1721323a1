"""Whole ties, and filters too long to be sent, for engines that return some nearest rows in the order of distance."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hashgnn._types import Array
from hashgnn.engines.base import Limits, Near

LONGEST_LIST = 20_000  # positions in a condition; a longer list is applied here


def nearest(fetch: Callable[[int], Near], k: int, n_rows: int, keep: Array | None = None) -> Near:
    """Return the ``k`` nearest rows that are kept, ties at the end to the smaller positions.

    More rows are requested until the last one is farther than the last result.

    Parameters
    ----------
    fetch : callable
        Returns the nearest rows, at most as many as requested, and fewer only if there are no more. A row
        may be there twice.
    k : int
    n_rows : int
        Rows that there are at most.
    keep : ndarray of shape (n_items,), bool, or None
        Which positions may be results.

    Examples
    --------
    >>> positions, distances = np.arange(6)[::-1], np.array([1, 2, 2, 2, 2, 3])
    >>> [part.tolist() for part in nearest(lambda n: (positions[:n], distances[:n]), 2, 6)]
    [[5, 1], [1, 2]]
    """
    share = 1.0 if keep is None else max(float(keep.mean()), 1 / max(1, n_rows))
    limit = min(n_rows, int(1.2 * k / share) + 16)
    while True:
        positions, distances = fetch(limit)
        is_all = len(positions) < limit or limit >= n_rows
        last = distances.max(initial=-1)
        if keep is not None:
            kept = keep[positions]
            positions, distances = positions[kept], distances[kept]
        order = np.lexsort((positions, distances))
        positions, distances = positions[order], distances[order]
        is_first = np.ones(len(positions), bool)
        is_first[1:] = positions[1:] != positions[:-1]
        positions, distances = positions[is_first][:k], distances[is_first][:k]
        if is_all or (len(positions) == k and distances[-1] < last):
            return positions, distances
        limit = min(n_rows, 4 * limit)


def sent_and_kept(limits: Limits, n_items: int) -> tuple[Limits, Array | None]:
    """Return the limits that fit a condition, and a mask of the others."""
    for positions in (limits.allow, limits.block):
        if positions is not None and len(positions) > LONGEST_LIST:
            return Limits(where=limits.where), limits.mask(n_items)
    return limits, None


def listed(limits: Limits, brackets: str = "()") -> str:
    """Return the positions of limits as a condition, lists in such brackets; empty where there are none."""
    positions = limits.block if limits.allow is None else limits.allow
    if positions is None:
        return ""
    word = "in" if limits.allow is not None else "not in"
    return f"pos {word} {brackets[0]}{','.join(map(str, positions.tolist()))}{brackets[1]}"
