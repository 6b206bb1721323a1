from __future__ import annotations

import numpy as np
import pytest

from hashgnn.codes import BinaryCodes
from hashgnn.errors import ParameterError
from hashgnn.evaluation.distances import sample_distances

RNG = np.random.default_rng(0)
USERS, ITEMS = RNG.choice([-1, 1], (30, 24)), RNG.choice([-1, 1], (40, 24))
USER_CODES, ITEM_CODES = BinaryCodes.from_signs(USERS), BinaryCodes.from_signs(ITEMS)


def test_distances_of_positives_count_differing_signs():
    users, items = RNG.integers(30, size=100), RNG.integers(40, size=100)
    sample = sample_distances(USER_CODES, ITEM_CODES, users, items, n_pairs=5000, rng=0)
    assert sample.positives.tolist() == (USERS[users] != ITEMS[items]).sum(axis=1).tolist()
    assert len(sample.random) == 5000
    every = (USERS[:, None] != ITEMS[None]).sum(axis=2)
    assert sample.random.mean() == pytest.approx(every.mean(), abs=0.2)


def test_the_histogram_holds_shares():
    sample = sample_distances(USER_CODES, ITEM_CODES, np.arange(30), np.arange(30), n_pairs=50, rng=0)
    positives, random = sample.histogram()
    assert positives.shape == random.shape == (25,)
    assert positives.sum() == pytest.approx(1)
    assert random @ np.arange(25) == pytest.approx(sample.random.mean())


def test_of_many_pairs_some_are_drawn_each_once():
    codes = BinaryCodes.from_signs(np.where(np.arange(64)[:, None] >> np.arange(8) & 1, 1, -1))
    zeros = BinaryCodes.from_signs(-np.ones((1, 8)))
    sample = sample_distances(codes, zeros, np.arange(64), np.zeros(64, int), n_pairs=63, rng=0)
    missing = np.bincount(np.bitwise_count(np.arange(64)), minlength=9) - 63 * sample.histogram()[0]
    assert np.round(missing, 9).sum() == 1
    assert (np.round(missing, 9) >= 0).all()


def test_bad_arguments_are_named():
    with pytest.raises(ParameterError, match="item_codes must have the 24 bits of user_codes, got 8"):
        sample_distances(
            USER_CODES, BinaryCodes.from_signs(np.ones((1, 8))), np.zeros(1, int), np.zeros(1, int)
        )
    with pytest.raises(ParameterError, match="must be pairs, got 2 and 1 entries"):
        sample_distances(USER_CODES, ITEM_CODES, np.zeros(2, int), np.zeros(1, int))
    with pytest.raises(ParameterError, match="must be pairs, got 0 and 0 entries"):
        sample_distances(USER_CODES, ITEM_CODES, np.zeros(0, int), np.zeros(0, int))
