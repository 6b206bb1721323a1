"""The one top-k: equal to a stable sort, whatever the ties, the padding and the shape."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hashgnn.errors import DataError
from hashgnn.ranking import Matches, count_ties, rows_per_block, top_k, top_k_in_blocks
from hashgnn.ranking.top_k import BLOCK_BYTES

DOWN_TO_NOTHING = -np.inf


@settings(max_examples=100, deadline=None)
@example(0, 2000, 20, 10_000, 0.0)  # many scores above the first bound
@example(0, 2000, 20, 5, 0.0)
@example(0, 300, 300, 10_000, 0.9)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 400),
    st.integers(1, 150),
    st.sampled_from([1, 4, 10_000]),
    st.sampled_from([0.0, 0.3, 0.95]),
)
def test_ranking_equals_a_stable_sort(seed, n_items, k, n_values, share_out):
    k = min(k, n_items)
    rng = np.random.default_rng(seed)
    scores = rng.integers(-n_values // 2, n_values, (8, n_items)).astype(np.float32)
    scores[rng.random(scores.shape) < share_out] = DOWN_TO_NOTHING
    found = top_k(scores, k)
    for row, line in enumerate(scores):
        candidates = [item for item in np.argsort(-line, kind="stable") if line[item] > DOWN_TO_NOTHING]
        n = min(k, len(candidates))
        assert found.counts[row] == n
        assert found.positions[row].tolist() == candidates[:n] + [-1] * (k - n)
        assert found.scores[row].tolist() == line[candidates[:n]].tolist() + [DOWN_TO_NOTHING] * (k - n)
        assert count_ties(scores, found)[row] == (np.sum(line == line[candidates[n - 1]]) if n else 0)


def test_ranking_refuses_nan_wherever_it_stands():
    full, sparse_row = [1.0, 2.0, np.nan, 3.0], [DOWN_TO_NOTHING, 1.0, np.nan, DOWN_TO_NOTHING]
    for line in (full, sparse_row):
        for k in (1, 2, 4):
            with pytest.raises(DataError, match="scores must be numbers or -inf, got 1 NaN for one user"):
                top_k(np.array([line]), k)


def test_blocks_are_ranked_as_the_whole_is():
    n_columns = BLOCK_BYTES // (4 * 2)  # two rows per block
    blocks = []

    def score(rows):
        blocks.append(rows.tolist())
        scores = np.full((len(rows), n_columns), DOWN_TO_NOTHING, np.float32)
        scores[:, [7, n_columns - 1]] = rows[:, None]
        return scores

    found = top_k_in_blocks(score, 3, n_columns, 3)
    assert blocks == [[0, 1], [2]]
    assert found.lists() == [[7, n_columns - 1]] * 3
    assert found.scores[:, 0].tolist() == [0, 1, 2]


def test_no_rows_give_no_results():
    found = top_k_in_blocks(lambda rows: np.empty((0, 5), np.float32), 0, 5, 3)
    assert isinstance(found, Matches)
    assert (len(found), found.k) == (0, 3)


def test_a_block_holds_64_mib_and_at_least_one_row():
    assert rows_per_block(1024) * 1024 * 4 == BLOCK_BYTES == 64 << 20
    assert rows_per_block(10**9) == 1
    assert rows_per_block(100, 4000) == 10
