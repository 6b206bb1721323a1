"""The asymmetric score: float queries of the length of codes, sums that do not depend on their order."""

from __future__ import annotations

import numpy as np

from hashgnn.codes import BinaryCodes, ItemBias
from hashgnn.recommender.dense import asymmetric_scores, code_scores

RNG = np.random.default_rng(5)
N_BITS = 128
SIGNS = RNG.choice([-1, 1], size=(300, N_BITS)).astype(np.int8)
CODES = BinaryCodes.from_signs(SIGNS)
BIAS = ItemBias.from_values(RNG.integers(-20, 1, 300).astype(np.float32))
RELAXATIONS = np.tanh(RNG.standard_normal((40, N_BITS))).astype(np.float32)


def test_signs_as_float_queries_score_as_codes() -> None:
    signs = SIGNS[:7].astype(np.float32)
    np.testing.assert_allclose(
        asymmetric_scores(signs, CODES, BIAS), code_scores(signs, CODES, BIAS), rtol=1e-5, atol=1e-4
    )


def test_the_length_of_a_query_says_nothing() -> None:
    whole, half = (asymmetric_scores(RELAXATIONS * scale, CODES, BIAS) for scale in (1.0, 0.5))
    np.testing.assert_allclose(whole, half, atol=0.1)
    assert np.abs(asymmetric_scores(RELAXATIONS, CODES, None)).max() <= N_BITS


def test_a_query_of_zeros_leaves_the_bias() -> None:
    zeros = np.zeros((1, N_BITS), np.float32)
    np.testing.assert_array_equal(asymmetric_scores(zeros, CODES, BIAS)[0], BIAS.values())


def test_equal_codes_tie_however_many_queries_come_together() -> None:
    twice = BinaryCodes(np.concatenate([CODES.packed, CODES.packed, CODES.packed[:1]]))
    for n in (1, 2, 3, 40):
        scores = asymmetric_scores(RELAXATIONS[:n], twice, None)
        np.testing.assert_array_equal(scores[:, :300], scores[:, 300:600])
        np.testing.assert_array_equal(scores[:, 0], scores[:, 600])
