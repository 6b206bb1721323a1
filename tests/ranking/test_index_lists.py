from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from hashgnn.errors import ParameterError
from hashgnn.ranking import IndexLists

ROWS = st.lists(st.lists(st.integers(0, 9), max_size=6), max_size=5)


def as_lists(lists: IndexLists) -> list[list[int]]:
    ends = lists.indptr.tolist()
    return [lists.indices[ends[row] : ends[row + 1]].tolist() for row in range(len(lists))]


@given(ROWS)
def test_rows_ascend_without_repetition(rows):
    lists = IndexLists.from_rows(rows)
    assert as_lists(lists) == [sorted(set(row)) for row in rows]
    assert lists.lengths.tolist() == [len(set(row)) for row in rows]
    assert lists.rows.tolist() == [at for at, row in enumerate(rows) for _ in set(row)]
    assert (lists.indptr.dtype, lists.indices.dtype) == (np.int64, np.int32)


@given(ROWS, st.data())
def test_rows_can_be_chosen_and_minus_one_is_empty(rows, data):
    chosen = data.draw(st.lists(st.integers(-1, len(rows) - 1), max_size=6))
    lists = IndexLists.from_rows(rows)[np.array(chosen, np.int64)]
    assert as_lists(lists) == [sorted(set(rows[at])) if at >= 0 else [] for at in chosen]


@given(st.lists(st.tuples(st.lists(st.integers(0, 9)), st.lists(st.integers(0, 9))), min_size=1, max_size=5))
def test_a_union_holds_what_either_holds(pairs):
    one, other = (IndexLists.from_rows([pair[side] for pair in pairs]) for side in (0, 1))
    assert as_lists(one.union(other)) == [sorted({*left, *right}) for left, right in pairs]


def test_a_union_of_no_rows_has_no_rows():
    nothing = IndexLists.from_rows([])
    assert len(nothing.union(nothing)) == 0


def test_a_union_needs_as_many_rows():
    with pytest.raises(ParameterError, match="lists must have as many rows, 1, got 2"):
        IndexLists.from_rows([[1]]).union(IndexLists.from_rows([[1], [2]]))


def test_a_matrix_and_its_lists_are_the_same_pattern():
    matrix = sparse.csr_matrix(np.array([[0, 2.5, 0], [0, 0, 0], [1, 0, 3]], np.float32))
    lists = IndexLists.from_matrix(matrix)
    assert as_lists(lists) == [[1], [], [0, 2]]
    assert np.shares_memory(lists.indices, matrix.indices)
    assert lists.matrix(3).toarray().tolist() == [[0, 1, 0], [0, 0, 0], [1, 0, 1]]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: IndexLists.from_rows([[1], ["a"]]), r"each row must hold integers, got \['a'\] for row 1"),
        (lambda: IndexLists.from_rows([[1.5]]), r"each row must hold integers, got \[1.5\] for row 0"),
        (lambda: IndexLists.from_rows([3]), "each row must hold integers, got 3 for row 0"),
        (lambda: IndexLists.from_rows([[2**31]]), "indices must fit int32, got 2147483648"),
        (
            lambda: IndexLists(np.array([0.0]), np.array([], np.int32)),
            r"indptr must have shape \(n,\) and an integer dtype, got \(1,\) float64",
        ),
        (
            lambda: IndexLists(np.array([0, 1]), np.array([[1]])),
            r"indices must have shape \(n,\) and an integer dtype, got \(1, 1\) int64",
        ),
        (
            lambda: IndexLists(np.array([], np.int64), np.array([], np.int32)),
            "indptr must have one entry more than there are rows, got 0",
        ),
    ],
)
def test_what_is_no_list_is_named(make, said):
    with pytest.raises(ParameterError, match=said):
        make()


@given(st.lists(st.tuples(st.lists(st.integers(0, 9)), st.lists(st.integers(0, 9))), min_size=1, max_size=5))
def test_a_difference_holds_what_only_the_first_holds(pairs):
    one, other = (
        IndexLists.from_rows([left for left, _ in pairs]),
        IndexLists.from_rows([right for _, right in pairs]),
    )
    assert as_lists(one.difference(other)) == [sorted({*left} - {*right}) for left, right in pairs]


def test_a_difference_needs_as_many_rows():
    with pytest.raises(ParameterError, match=r"^lists must have as many rows, 1, got 2$"):
        IndexLists.from_rows([[1]]).difference(IndexLists.from_rows([[1], [2]]))
