"""How far the popularity of the items that are served or recorded is from that of the training."""

from __future__ import annotations

import threading
from typing import Literal

import numpy as np

from hashgnn._types import Array

Kind = Literal["served", "recorded"]

N_GROUPS = 20
LEAST = 512  # items that must have been counted before a distance means anything

_WINDOW = 10_000.0  # counts are halved beyond, so that what is long ago weighs little


class PopularityShift:
    """Compares distributions over groups of items that had equal shares of the training interactions.

    The first group has the most popular items, the last one those with the fewest users, and one more group has the
    items that the model does not know. Groups keep the distance of a few hundred items from being mostly noise: that
    of ``n`` items drawn as in training is about ``sqrt(3.6 / n)``.

    Parameters
    ----------
    popularity : ndarray of shape (n_items,), int64
        Users of each item in training.

    Examples
    --------
    >>> shift = PopularityShift(np.arange(1, 101))
    >>> shift.count("served", np.repeat(np.arange(100), np.arange(1, 101)))
    >>> round(shift.distance("served"), 3)
    0.0
    >>> shift.count("recorded", np.full(600, -1))
    >>> shift.distance("recorded")
    1.0
    """

    def __init__(self, popularity: Array) -> None:
        counts = np.asarray(popularity, np.float64)
        total = counts.sum()
        order = np.argsort(-counts, kind="stable")
        before = np.concatenate([[0.0], np.cumsum(counts[order])[:-1]]) if len(order) else counts
        self._group = np.full(len(counts) + 1, N_GROUPS, np.int64)  # the last one is of position -1
        self._group[order] = np.minimum(before / max(total, 1.0) * N_GROUPS, N_GROUPS - 1)
        mass = np.bincount(self._group[:-1], weights=counts, minlength=N_GROUPS + 1)
        self._expected = mass / max(total, 1.0)
        self._counted: dict[str, Array] = {}
        self._lock = threading.Lock()

    def count(self, kind: Kind, positions: Array) -> None:
        """Count items by their positions, -1 for one that the model does not know."""
        found = np.bincount(self._group[positions], minlength=N_GROUPS + 1).astype(np.float64)
        with self._lock:
            counted = self._counted.get(kind, np.zeros(N_GROUPS + 1)) + found
            self._counted[kind] = counted * 0.5 if counted.sum() > _WINDOW else counted

    def distance(self, kind: Kind) -> float | None:
        """Return the Jensen-Shannon distance from the training, in [0, 1]; None while too few were counted."""
        with self._lock:
            counted = self._counted.get(kind)
        if counted is None or counted.sum() < LEAST:
            return None
        return jensen_shannon(counted / counted.sum(), self._expected)


def jensen_shannon(p: Array, q: Array) -> float:
    """Return the Jensen-Shannon distance of two distributions: the root of the divergence in bits.

    Examples
    --------
    >>> jensen_shannon(np.array([1.0, 0.0]), np.array([0.0, 1.0]))
    1.0
    """
    middle = (p + q) / 2
    divergence = 0.0
    for part in (p, q):
        held = part > 0
        divergence += float((part[held] * np.log2(part[held] / middle[held])).sum()) / 2
    return float(np.sqrt(max(0.0, min(1.0, divergence))))
