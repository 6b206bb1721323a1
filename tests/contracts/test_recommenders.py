"""Recommenders in each of their forms pass the contract suite."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hashgnn.answering import EncodedEntities
from hashgnn.data import Interactions
from hashgnn.ranking import Matches
from hashgnn.recommender import HashGNN, Recommendations, Recommender
from hashgnn.testing.recommender import RecommenderContract, SavedRecommenderContract
from hashgnn.testing.states import random_state


def model_of(interactions: Interactions, **settings: Any) -> HashGNN:
    users, items = interactions.user_ids.ids.tolist(), interactions.item_ids.ids.tolist()
    return HashGNN.from_state(random_state(users, items, seen=interactions.csr, **settings))


class TestWithBias(SavedRecommenderContract):
    def make(self, interactions: Interactions) -> HashGNN:
        return model_of(interactions)

    def save(self, model: HashGNN, path: Path) -> None:
        model.save(path)

    def load(self, path: Path) -> HashGNN:
        return HashGNN.load(path)


class TestReadIntoMemory(TestWithBias):
    def load(self, path: Path) -> HashGNN:
        return HashGNN.load(path, mmap=False, verify=True)


class TestWithTies(TestWithBias):
    def make(self, interactions: Interactions) -> HashGNN:
        return model_of(interactions, n_bits=8, dim=2, coarse=True)


class TestRelaxedWithoutBias(TestWithBias):
    def make(self, interactions: Interactions) -> HashGNN:
        return model_of(interactions, item_bias=False, float_embedding="relaxed")


class Engine(Recommender):
    """A recommender of another kind: it has the public verbs and nothing else."""

    def __init__(self, behind: HashGNN) -> None:
        self._behind = behind

    @property
    def search_ways(self) -> tuple[str, ...]:
        return ("biased", "hierarchical")

    @property
    def user_ids(self) -> np.ndarray:
        return self._behind.user_ids

    @property
    def item_ids(self) -> np.ndarray:
        return self._behind.item_ids

    def recommend(self, user_ids: Any, k: int = 10, **options: Any) -> Recommendations:
        return self._behind.recommend(user_ids, k, **options)

    def recommend_for_history(self, histories: Any, k: int = 10, **options: Any) -> Recommendations:
        return self._behind.recommend_for_history(histories, k, **options)

    def similar_items(self, item_ids: Any, k: int = 10, **options: Any) -> Recommendations:
        return self._behind.similar_items(item_ids, k, **options)

    def similar_users(self, user_ids: Any, k: int = 10, **options: Any) -> Recommendations:
        return self._behind.similar_users(user_ids, k, **options)

    def encode(self, **ids: Any) -> EncodedEntities:
        return self._behind.encode(**ids)

    def fold_in_users(self, histories: Any = None, **features: Any) -> EncodedEntities:
        return self._behind.fold_in_users(histories, **features)

    def fold_in_items(self, audiences: Any = None, **features: Any) -> EncodedEntities:
        return self._behind.fold_in_items(audiences, **features)

    def search_block(self, user_index: Any, search: str, k: int = 10, **options: Any) -> Matches:
        return self._behind.search_block(user_index, search, k, **options)

    def bytes_per_item(self, search: str) -> float:
        return self._behind.bytes_per_item(search)


class TestOfAnotherKind(RecommenderContract):
    def make(self, interactions: Interactions) -> Engine:
        return Engine(model_of(interactions))
