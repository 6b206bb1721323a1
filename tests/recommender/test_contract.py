from __future__ import annotations

from typing import Any

from hashgnn.recommender import HashGNN
from hashgnn.testing.recommender import RecommenderContract
from hashgnn.testing.states import random_state


class TestWithBias(RecommenderContract):
    def make(self, user_ids: list[Any], item_ids: list[Any]) -> HashGNN:
        return HashGNN.from_state(random_state(user_ids, item_ids))


class TestWithTies(RecommenderContract):
    def make(self, user_ids: list[Any], item_ids: list[Any]) -> HashGNN:
        return HashGNN.from_state(random_state(user_ids, item_ids, n_bits=8, dim=2, coarse=True))


class TestRelaxedWithoutBias(RecommenderContract):
    def make(self, user_ids: list[Any], item_ids: list[Any]) -> HashGNN:
        state = random_state(user_ids, item_ids, item_bias=False, float_embedding="relaxed")
        return HashGNN.from_state(state)
