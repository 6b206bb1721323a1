"""Models that were written once, one in each format, and must be readable for ever; their folders are next to this file.

That of format 1 has the settings that a model of its kind needs and no others, as one written before later settings
has. That of format 2 is the same model.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hashgnn.recommender import HashGNN


@pytest.fixture(params=["format-1", "format-2"])
def model(request: pytest.FixtureRequest) -> HashGNN:
    return HashGNN.load(Path(__file__).parent / request.param, verify=True)


def test_codes_ids_and_biases_are_what_was_written(model: HashGNN) -> None:
    state = model.state_
    assert state.users.ids.ids.tolist() == ["ann", "bob", "ćele"]
    assert state.items.ids.ids.tolist() == [30, 10, 20]
    assert state.users.codes.packed.tolist() == [[255, 255], [225, 189], [26, 226]]
    assert state.items.codes.packed.tolist() == [[30, 66], [26, 226], [225, 189]]
    assert state.seen.toarray().tolist() == [[0, 0, 0], [0, 0, 1], [0, 1, 0]]
    assert state.items.bias is not None
    np.testing.assert_allclose(state.items.bias.values(), [-9.265255, 0.7347448, 2.7347448], rtol=1e-6)
    np.testing.assert_allclose(state.items.embeddings[1], [0.64042264, 0.10490011], rtol=1e-6)


def test_every_way_answers_as_when_it_was_written(model: HashGNN) -> None:
    answers = {
        "hamming": ([30, 20], [10.0, -10.0]),
        "biased": ([30, 20], [0.7347, -7.2653]),
        "asymmetric": ([30, 20], [0.4625, -6.9221]),  # what a float query is came later
        "hierarchical": ([30, 20], [0.0667, -0.3051]),
        "float": ([30, 20], [0.0667, -0.3051]),
    }
    assert model.search_ways == tuple(answers)
    for way, (items, scores) in answers.items():
        found = model.recommend(["ćele"], k=3, search=way)
        assert found.lists() == [items], way
        np.testing.assert_allclose(found.scores[0, :2], scores, atol=1e-4, err_msg=way)


def test_new_users_and_items_are_folded_in_as_when_it_was_written(model: HashGNN) -> None:
    assert model.fold_in_users([[30, 10]]).codes.packed.tolist() == [[26, 226]]
    item = model.fold_in_items([["bob"]], item_features=[{"genre": "War", "year": 2000}])
    assert item.codes.packed.tolist() == [[59, 189]]
    np.testing.assert_allclose(item.embeddings, [[0.5606, 2.2698]], atol=1e-4)
