"""Hamming distances of users to their own items, and to random items."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hashgnn._checks import check_int
from hashgnn._rng import RngLike, as_generator
from hashgnn._types import Array
from hashgnn.codes import BinaryCodes
from hashgnn.errors import ParameterError


@dataclass(frozen=True, eq=False, repr=False)
class DistanceSample:
    """Hamming distances of pairs of a user and an item.

    Attributes
    ----------
    n_bits : int
    positives : ndarray of shape (n,), int64
        Of pairs that interacted.
    random : ndarray of shape (m,), int64
        Of users and items drawn at random.
    """

    n_bits: int
    positives: Array
    random: Array

    def __repr__(self) -> str:
        means = f"mean {self.positives.mean():.4g}, of random pairs {self.random.mean():.4g}"
        return f"DistanceSample(n={len(self.positives)}, {means}, of {self.n_bits} bits)"

    def histogram(self) -> tuple[Array, Array]:
        """Return the share of pairs at each distance, (n_bits + 1,) float64, positives and random ones."""
        positives, random = (
            np.bincount(values, minlength=self.n_bits + 1) / len(values)
            for values in (self.positives, self.random)
        )
        return positives, random


def sample_distances(
    user_codes: BinaryCodes,
    item_codes: BinaryCodes,
    user_index: Array,
    item_index: Array,
    *,
    n_pairs: int = 50_000,
    rng: RngLike = None,
) -> DistanceSample:
    """Measure distances of interacting and of random pairs.

    Parameters
    ----------
    user_codes, item_codes : BinaryCodes
        Of equal width.
    user_index, item_index : ndarray of shape (n,), int
        Pairs that interacted; with more than ``n_pairs``, as many are drawn.
    n_pairs : int, default=50000
        Random pairs.
    rng : int, numpy.random.Generator or None, default=None

    Raises
    ------
    ParameterError
        If there are no pairs or the codes differ in width.
    """
    check_int("n_pairs", n_pairs, minimum=1)
    if user_codes.n_bits != item_codes.n_bits:
        raise ParameterError(
            f"item_codes must have the {user_codes.n_bits} bits of user_codes, got {item_codes.n_bits}"
        )
    if len(user_index) != len(item_index) or not len(user_index):
        raise ParameterError(
            f"user_index and item_index must be pairs, got {len(user_index)} and {len(item_index)} entries"
        )
    generator = as_generator(rng)
    drawn = np.arange(len(user_index))
    if len(user_index) > n_pairs:
        drawn = np.sort(generator.choice(len(user_index), n_pairs, replace=False))
    users = generator.integers(len(user_codes), size=n_pairs)
    items = generator.integers(len(item_codes), size=n_pairs)
    return DistanceSample(
        user_codes.n_bits,
        _distances(user_codes, item_codes, user_index[drawn], item_index[drawn]),
        _distances(user_codes, item_codes, users, items),
    )


def _distances(user_codes: BinaryCodes, item_codes: BinaryCodes, users: Array, items: Array) -> Array:
    differing = user_codes.packed[users] ^ item_codes.packed[items]
    counts: Array = np.bitwise_count(differing).sum(axis=1, dtype=np.int64)
    return counts
