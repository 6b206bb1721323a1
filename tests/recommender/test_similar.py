from __future__ import annotations

import numpy as np
import pytest

from hashgnn.errors import ParameterError, UnknownIdError
from hashgnn.recommender import HashGNN
from hashgnn.testing.states import random_state


def test_similar_items_are_the_nearest_by_code_or_cosine() -> None:
    state = random_state(item_ids=25)
    model = HashGNN.from_state(state)
    distances = state.items.codes.distances(state.items.codes)
    lengths = np.linalg.norm(state.items.embeddings, axis=1)
    cosines = state.items.embeddings @ state.items.embeddings.T / np.outer(lengths, lengths)
    for item in range(25):
        others = [other for other in range(25) if other != item]
        by_code = sorted(others, key=lambda other: (distances[item, other], other))
        by_cosine = sorted(others, key=lambda other: -cosines[item, other])
        reranked = sorted(by_code[:6], key=lambda other: -cosines[item, other])
        for way, expected in (("hamming", by_code), ("float", by_cosine), ("hierarchical", reranked)):
            found = model.similar_items([f"i{item}"], k=3, search=way, oversampling=2)
            assert found.lists() == [[f"i{other}" for other in expected[:3]]], way
    found = model.similar_items("i3", k=2, search="float")
    np.testing.assert_allclose(found.scores[0], sorted(np.delete(cosines[3], 3))[:-3:-1], rtol=1e-5)


def test_one_id_and_a_list_of_one_are_the_same() -> None:
    model = HashGNN.from_state(random_state([1, 2, 3], [10, 20, 30]))
    assert model.similar_items(10, k=2).lists() == model.similar_items([10], k=2).lists()
    assert model.similar_items(10, k=2).query_ids.tolist() == [10]
    assert HashGNN.from_state(random_state()).similar_items("i1").query_ids.tolist() == ["i1"]
    pairs = HashGNN.from_state(random_state(2, [("shop", 1), ("shop", 2), ("shop", 3)]))
    both = [("shop", 1), ("shop", 3)]
    assert pairs.similar_items(both[0], k=2).query_ids.tolist() == both[:1]
    assert pairs.similar_items(tuple(both), k=2).query_ids.tolist() == both


def test_similar_users_are_the_nearest_users() -> None:
    state = random_state(user_ids=15)
    distances = state.users.codes.distances(state.users.codes)[4]
    expected = sorted((user for user in range(15) if user != 4), key=lambda user: (distances[user], user))
    found = HashGNN.from_state(state).similar_users("u4", k=5, search="hamming")
    assert found.lists() == [[f"u{user}" for user in expected[:5]]]
    assert found.to_arrow().column_names == ["user_id", "similar_user_id", "rank", "score"]
    assert found.scores[0].tolist() == [32 - 2 * distances[user] for user in expected[:5]]


def test_a_wrong_request_is_an_error() -> None:
    model = HashGNN.from_state(random_state())
    with pytest.raises(
        ParameterError, match="got 'biased'; similar users and items are compared without a bias"
    ):
        model.similar_items("i1", search="biased")
    with pytest.raises(UnknownIdError, match=r"1 of 1 item ids are not in the training data: 'new'"):
        model.similar_items("new")
    with pytest.raises(ParameterError, match="k must be an integer >= 1, got 0"):
        model.similar_items("i1", k=0)
