"""The asymmetric score: the one that an index finds the best of, in plain NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from hashgnn.codes import BinaryCodes, ItemBias
from hashgnn.index import HammingIndex
from hashgnn.index.scores import asymmetric_scores, code_scores, rounded_queries, to_code_length
from hashgnn.ranking import top_k

RNG = np.random.default_rng(5)
N_BITS = 128
SIGNS = RNG.choice([-1, 1], size=(300, N_BITS)).astype(np.int8)
CODES = BinaryCodes.from_signs(SIGNS)
BIAS = ItemBias.from_values(RNG.integers(-20, 1, 300).astype(np.float32))
QUERIES = to_code_length(RNG.standard_normal((40, N_BITS), np.float32))


@pytest.mark.parametrize("bias", [BIAS, None])
def test_signs_as_float_queries_score_as_codes(bias: ItemBias | None) -> None:
    signs = SIGNS[:7].astype(np.float32)
    expected = code_scores(signs, CODES, bias)
    np.testing.assert_allclose(asymmetric_scores(signs, CODES, bias), expected, atol=0.3)


@pytest.mark.parametrize("bias", [BIAS, None])
def test_the_score_of_floats_is_met_within_the_stated_error(bias: ItemBias | None) -> None:
    expected = code_scores(QUERIES, CODES, bias)
    steps = np.abs(QUERIES).max(axis=1, keepdims=True) / 15
    found = asymmetric_scores(QUERIES, CODES, bias)
    assert (np.abs(found - expected) <= N_BITS * steps + 2 * steps + 0.1).all()
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.99


@pytest.mark.parametrize("bias", [BIAS, None])
def test_what_an_index_finds_is_what_these_scores_rank_first(bias: ItemBias | None) -> None:
    twice = BinaryCodes(np.concatenate([CODES.packed, CODES.packed]))  # so every score is tied
    both = None if bias is None else ItemBias(np.concatenate([bias.penalty, bias.penalty]), bias.top)
    best = top_k(asymmetric_scores(QUERIES, twice, both), 50)
    found = HammingIndex(twice, both).search(QUERIES, 50)
    np.testing.assert_array_equal(found.positions, best.positions)
    scores = np.take_along_axis(asymmetric_scores(QUERIES, twice, both), best.positions, axis=1)
    np.testing.assert_array_equal(found.scores, scores)


def test_the_length_of_a_query_says_nothing() -> None:
    np.testing.assert_allclose(to_code_length(0.5 * QUERIES), QUERIES, rtol=1e-6)
    assert (to_code_length(np.zeros((2, N_BITS), np.float32)) == 0).all()


def test_a_query_of_zeros_leaves_the_bias() -> None:
    zeros = np.zeros((1, N_BITS), np.float32)
    scores = asymmetric_scores(zeros, BinaryCodes(np.repeat(CODES.packed[:1], 300, axis=0)), BIAS)[0]
    np.testing.assert_allclose(scores - scores.max(), BIAS.values() - BIAS.values().max(), atol=0.02)


def test_equal_codes_tie_however_many_queries_come_together() -> None:
    twice = BinaryCodes(np.concatenate([CODES.packed, CODES.packed, CODES.packed[:1]]))
    for n in (1, 2, 3, 40):
        scores = asymmetric_scores(QUERIES[:n], twice, None)
        np.testing.assert_array_equal(scores[:, :300], scores[:, 300:600])
        np.testing.assert_array_equal(scores[:, 0], scores[:, 600])


@pytest.mark.parametrize("query_bits", [2, 4, 7])
@pytest.mark.parametrize("bias", [BIAS, None])
def test_rounded_queries_are_those_of_the_kernels(query_bits: int, bias: ItemBias | None) -> None:
    """Codes of one bit each, all others 0: the difference to the code of zeros is twice the entry."""
    ones = BinaryCodes(np.packbits(np.vstack([np.eye(N_BITS, dtype=bool), np.zeros(N_BITS, bool)]), axis=1))
    none = None if bias is None else ItemBias(np.zeros(N_BITS + 1, np.uint8), 0.0)
    found = HammingIndex(ones, none, query_bits=query_bits).search(QUERIES, N_BITS + 1)
    scores = np.empty_like(found.scores)
    np.put_along_axis(scores, found.positions, found.scores, axis=1)
    multiples, steps = rounded_queries(QUERIES, query_bits=query_bits, biased=bias is not None)
    np.testing.assert_allclose(
        (scores[:, :-1] - scores[:, -1:]) / 2, multiples * steps[:, None], rtol=1e-4, atol=1e-4
    )
    assert (multiples % 2 == 1).all()
    np.testing.assert_array_equal(np.abs(multiples).max(axis=1), 2**query_bits - 1)
