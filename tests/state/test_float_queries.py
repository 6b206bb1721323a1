"""Float queries: bits of one spread, whatever the scale of a column of the hash layer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hashgnn.codes import BinaryCodes
from hashgnn.fold_in import HashProjection
from hashgnn.index.scores import to_code_length
from hashgnn.state import ModelState, Side
from hashgnn.state.float_queries import FloatQueries
from hashgnn.testing.states import random_state


def user_queries(state: ModelState) -> np.ndarray:
    return FloatQueries.of_users(state)(np.asarray(state.users.embeddings))


def item_queries(state: ModelState) -> np.ndarray:
    return FloatQueries.of_items(state)(np.asarray(state.items.embeddings))


def over_spreads(state: ModelState, side: Side) -> np.ndarray:
    table = side.embeddings
    if state.config.float_embedding == "relaxed":
        activations = np.arctanh(np.clip(table, 2**-20 - 1, 1 - 2**-20))
    else:
        activations = table @ state.projection.arrays["shared_weight"]
    return activations / np.sqrt((activations**2).mean(axis=0))


@pytest.mark.parametrize("float_embedding", ["encoder", "relaxed"])
def test_bits_are_over_their_spread_and_have_the_signs_of_codes(float_embedding: str) -> None:
    state = random_state(40, 50, float_embedding=float_embedding)
    for side, queries in ((state.users, user_queries(state)), (state.items, item_queries(state))):
        np.testing.assert_allclose((queries**2).sum(axis=1), state.n_bits, rtol=1e-5)
        np.testing.assert_allclose(queries, to_code_length(over_spreads(state, side)), rtol=1e-4, atol=1e-5)
        assert BinaryCodes.from_signs(queries) == side.codes


def test_the_scale_of_a_column_changes_nothing() -> None:
    state = random_state(40, 50)
    scales = np.geomspace(0.01, 100, state.n_bits).astype(np.float32)
    arrays = state.projection.arrays
    scaled = HashProjection(
        {"shared_weight": arrays["shared_weight"] * scales, "shared_bias": arrays["shared_bias"]}
    )
    np.testing.assert_allclose(
        user_queries(replace(state, projection=scaled)), user_queries(state), rtol=1e-4, atol=1e-5
    )


def test_a_bit_that_says_nothing_weighs_nothing() -> None:
    state = random_state(40, 50)
    weight = state.projection.arrays["shared_weight"].copy()
    weight[:, 3] = 0
    silent = HashProjection({"shared_weight": weight, "shared_bias": np.zeros(state.n_bits, np.float32)})
    queries = user_queries(replace(state, projection=silent))
    assert (queries[:, 3] == 0).all()
    assert np.isfinite(queries).all()


def test_thresholds_move_activations_as_they_move_signs() -> None:
    rng = np.random.default_rng(3)
    weight, bias = rng.standard_normal((4, 16), np.float32), rng.standard_normal(16, np.float32)
    threshold = rng.uniform(-0.9, 0.9, 16).astype(np.float32)
    layer = HashProjection({"shared_weight": weight, "shared_bias": bias, "shared_threshold": threshold})
    users = rng.standard_normal((30, 4), np.float32)
    activations, relaxed = layer.users.activations(users), layer.users(users)
    far = np.abs(relaxed) > 1e-5
    assert (np.sign(activations) == np.sign(relaxed))[far].all()
    np.testing.assert_allclose(layer.users.activations_of_relaxed(relaxed), activations, atol=0.02)


def test_a_large_table_is_sampled_evenly() -> None:
    state = random_state(20_000, 30, density=0.1)
    queries, expected = user_queries(state), to_code_length(over_spreads(state, state.users))
    np.testing.assert_allclose(queries, expected, atol=0.1)
    assert not np.allclose(queries, expected, atol=1e-4)
