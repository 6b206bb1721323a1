"""A float query of zeros says nothing: every code scores 0, plus its bias, and the smaller position comes first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hashgnn.codes import BinaryCodes, ItemBias
from hashgnn.index import HammingIndex, InvertedFile
from hashgnn.index.scores import asymmetric_scores
from hashgnn.ranking import CandidateFilter, IndexLists, top_k

RNG = np.random.default_rng(0)
CODES = BinaryCodes.from_signs(RNG.normal(size=(300, 40)).astype(np.float32))
BIAS = ItemBias.from_values(10 * RNG.normal(size=300).astype(np.float32))
QUERIES = RNG.normal(size=(4, 40)).astype(np.float32)
QUERIES[2] = 0

KINDS: list[Callable[[ItemBias | None], Any]] = [
    lambda bias: HammingIndex(CODES, bias),
    lambda bias: InvertedFile(CODES, bias, n_lists=16, n_probe=16),
]


@pytest.mark.parametrize("make", KINDS, ids=["hamming", "lists"])
@pytest.mark.parametrize("zero", [0.0, -0.0])
def test_without_a_bias_the_first_positions_come_with_a_score_of_zero(
    make: Callable[[ItemBias | None], Any], zero: float
) -> None:
    found = make(None).search(np.full((2, 40), zero, np.float32), 3)
    assert found.positions.tolist() == [[0, 1, 2]] * 2
    assert found.scores.tolist() == [[0, 0, 0]] * 2


@pytest.mark.parametrize("make", KINDS, ids=["hamming", "lists"])
@pytest.mark.parametrize("biased", [False, True])
def test_among_other_queries_with_filters_and_removals(
    make: Callable[[ItemBias | None], Any], biased: bool
) -> None:
    index = make(BIAS)
    index.remove([5])
    limits = CandidateFilter(block_per_query=IndexLists.from_rows([[0, 1], [1], [0, 3, 250], []]))
    scores = asymmetric_scores(QUERIES, CODES, BIAS if biased else None)
    scores[:, 5] = -np.inf
    limits.mask(scores)
    expected = top_k(scores, 6)
    found = index.search(QUERIES, 6, candidates=limits, biased=biased)
    np.testing.assert_array_equal(found.positions, expected.positions)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-6)
    if biased:
        assert found.scores[2, 0] == np.delete(BIAS.values(), [0, 3, 5, 250]).max()


def test_a_filter_that_leaves_fewer_than_k_leaves_padding() -> None:
    limits = CandidateFilter(allow_per_query=IndexLists.from_rows([[7, 2]]))
    found = HammingIndex(CODES).search(np.zeros((1, 40), np.float32), 4, candidates=limits)
    assert found.positions.tolist() == [[2, 7, -1, -1]]
    assert found.counts.tolist() == [2]
