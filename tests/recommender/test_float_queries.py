"""Float queries: bits of one spread, whatever the scale of a column of the hash layer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hashgnn.codes import BinaryCodes
from hashgnn.fold_in import HashProjection
from hashgnn.index.scores import to_code_length
from hashgnn.recommender.encoded import trained
from hashgnn.recommender.float_queries import FloatQueries
from hashgnn.state import ModelState
from hashgnn.testing.states import random_state


def asked(state: ModelState, side: str) -> np.ndarray:
    return FloatQueries(state, side)(trained(state, side, np.arange(getattr(state, f"n_{side}s"))))


def over_spreads(state: ModelState, side: str) -> np.ndarray:
    table = getattr(state, f"{side}_embeddings")
    if state.config.float_embedding == "relaxed":
        activations = np.arctanh(np.clip(table, 2**-20 - 1, 1 - 2**-20))
    else:
        activations = table @ state.projection.arrays["shared_weight"]
    return activations / np.sqrt((activations**2).mean(axis=0))


@pytest.mark.parametrize("side", ["user", "item"])
@pytest.mark.parametrize("float_embedding", ["encoder", "relaxed"])
def test_bits_are_over_their_spread_and_have_the_signs_of_codes(side: str, float_embedding: str) -> None:
    state = random_state(40, 50, float_embedding=float_embedding)
    queries = asked(state, side)
    np.testing.assert_allclose((queries**2).sum(axis=1), state.n_bits, rtol=1e-5)
    np.testing.assert_allclose(queries, to_code_length(over_spreads(state, side)), rtol=1e-4, atol=1e-5)
    assert BinaryCodes.from_signs(queries) == getattr(state, f"{side}_codes")


def test_the_scale_of_a_column_changes_nothing() -> None:
    state = random_state(40, 50)
    scales = np.geomspace(0.01, 100, state.n_bits).astype(np.float32)
    arrays = state.projection.arrays
    scaled = HashProjection(
        {"shared_weight": arrays["shared_weight"] * scales, "shared_bias": arrays["shared_bias"]}
    )
    np.testing.assert_allclose(
        asked(replace(state, projection=scaled), "user"), asked(state, "user"), rtol=1e-4, atol=1e-5
    )


def test_a_bit_that_says_nothing_weighs_nothing() -> None:
    state = random_state(40, 50)
    weight = state.projection.arrays["shared_weight"].copy()
    weight[:, 3] = 0
    silent = HashProjection({"shared_weight": weight, "shared_bias": np.zeros(state.n_bits, np.float32)})
    queries = asked(replace(state, projection=silent), "user")
    assert (queries[:, 3] == 0).all()
    assert np.isfinite(queries).all()


def test_thresholds_move_activations_as_they_move_signs() -> None:
    rng = np.random.default_rng(3)
    weight, bias = rng.standard_normal((4, 16), np.float32), rng.standard_normal(16, np.float32)
    threshold = rng.uniform(-0.9, 0.9, 16).astype(np.float32)
    layer = HashProjection({"shared_weight": weight, "shared_bias": bias, "shared_threshold": threshold})
    users = rng.standard_normal((30, 4), np.float32)
    activations, relaxed = layer.activations("user", users), layer.users(users)
    far = np.abs(relaxed) > 1e-5
    assert (np.sign(activations) == np.sign(relaxed))[far].all()
    np.testing.assert_allclose(layer.activations_of("user", relaxed), activations, atol=0.02)


def test_a_large_table_is_sampled_evenly() -> None:
    state = random_state(20_000, 30, density=0.1)
    queries, expected = asked(state, "user"), to_code_length(over_spreads(state, "user"))
    np.testing.assert_allclose(queries, expected, atol=0.1)
    assert not np.allclose(queries, expected, atol=1e-4)
