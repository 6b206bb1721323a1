from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashgnn.errors import ParameterError
from hashgnn.ranking import CandidateFilter, IndexLists

N_CODES = 40


@st.composite
def limits(draw):
    n = draw(st.integers(1, 4))
    lists = st.lists(st.lists(st.integers(0, N_CODES - 1), max_size=8), min_size=n, max_size=n)
    mask = st.lists(st.booleans(), min_size=N_CODES, max_size=N_CODES)
    return n, *(draw(st.none() | part) for part in (lists, lists, mask))


def passes(query, code, block, allow, mask):
    """Say by definition whether a query may return a code."""
    return (
        (block is None or code not in block[query])
        and (allow is None or code in allow[query])
        and (mask is None or mask[code])
    )


def make(block, allow, mask):
    return CandidateFilter.from_lists(
        block_per_query=block, allow_per_query=allow, allow_all=None if mask is None else np.array(mask)
    )


@given(limits(), st.data())
def test_a_mask_leaves_what_passes_every_limit(case, data):
    n, block, allow, mask = case
    chosen = data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=5))
    for given_filter, queries in (
        (make(block, allow, mask), list(range(n))),
        (make(block, allow, mask)[np.array(chosen)], chosen),
    ):
        scores = np.random.default_rng(0).normal(size=(len(queries), N_CODES)).astype(np.float32)
        wanted = scores.copy()
        for row, query in enumerate(queries):
            for code in range(N_CODES):
                if not passes(query, code, block, allow, mask):
                    wanted[row, code] = -np.inf
        given_filter.mask(scores)
        assert scores.tolist() == wanted.tolist()


@given(st.lists(st.booleans(), min_size=1, max_size=100))
def test_the_packed_mask_has_one_bit_a_code(mask):
    packed = CandidateFilter(allow_all=np.array(mask)).packed
    assert packed is not None
    length, words = packed
    assert (length, len(words)) == (len(mask), -(-len(mask) // 32))
    assert [bool(words[code // 32] >> (code % 32) & 1) for code in range(length)] == mask


def test_a_choice_of_queries_shares_the_packed_mask():
    whole = make([[1], [2]], None, [True] * N_CODES)
    assert whole[np.array([1])].packed is whole.packed


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            {"allow_all": np.zeros(3)},
            r"allow_all must have shape \(n_codes,\) and dtype bool, got \(3,\) float64",
        ),
        ({"allow_all": np.zeros((2, 2), bool)}, r"got \(2, 2\) bool"),
        (
            {"block_per_query": [[1]]},
            "block_per_query must be IndexLists, got list; use CandidateFilter.from_lists",
        ),
        ({"allow_per_query": np.array([1])}, "allow_per_query must be IndexLists, got ndarray"),
    ],
)
def test_what_is_no_limit_is_named(arguments, said):
    with pytest.raises(ParameterError, match=said):
        CandidateFilter(**arguments)


def test_lists_that_are_none_are_named_with_their_parameter():
    with pytest.raises(
        ParameterError, match="allow_per_query must be IndexLists or one list of positions a query"
    ):
        CandidateFilter.from_lists(allow_per_query={1: 2})
    with pytest.raises(
        ParameterError, match="block_per_query: each row must hold integers, got 'a' for row 0"
    ):
        CandidateFilter.from_lists(block_per_query=["a"])
    assert isinstance(CandidateFilter.from_lists(allow_per_query=[[1]]).allow_per_query, IndexLists)
