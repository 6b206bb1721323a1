from __future__ import annotations

import dataclasses
import datetime
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from hashgnn.data import IdMap, Interactions
from hashgnn.data._merging import _ascending
from hashgnn.errors import DataError, DataWarning, ParameterError, UnknownIdError

ROWS = {
    "user_id": ["u2", "u1", "u2", "u2"],
    "item_id": [7, 9, 9, 7],
    "weight": [1.0, 2.0, 3.0, 0.5],
    "timestamp": [5, 6, 7, 8],
}


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pl.LazyFrame, pa.table])
def test_any_frame_gives_the_same_interactions(make: Any) -> None:
    found = Interactions.from_frame(make(ROWS))
    assert list(found.user_ids.ids) == ["u1", "u2"]
    assert list(found.item_ids.ids) == [7, 9]
    assert found.user_index.tolist() == [0, 1, 1]
    assert found.item_index.tolist() == [1, 0, 1]
    assert found.weight is not None
    assert found.timestamp is not None
    assert found.weight.tolist() == [2.0, 1.5, 3.0]  # of a pair that comes twice: added
    assert found.timestamp.tolist() == [6, 8, 7]  # of a pair that comes twice: the latest
    assert found.n_merged == 1


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=40))
def test_rows_become_the_matrix_whatever_their_order(pairs: list[tuple[int, int]]) -> None:
    users, items = zip(*pairs, strict=True)
    found = Interactions.from_arrays(users, items)
    assert len(found) + found.n_merged == len(pairs)
    decoded = {
        (int(found.user_ids.ids[u]), int(found.item_ids.ids[i]))
        for u, i in zip(found.user_index, found.item_index, strict=True)
    }
    assert decoded == set(pairs)
    turned = Interactions.from_arrays(users[::-1], items[::-1])
    assert (turned.csr != found.csr).nnz == 0
    assert (Interactions.from_csr(found.csr).csr != found.csr).nnz == 0


def test_ids_of_any_hashable_kind_are_kept() -> None:
    users = [("shop", 1), ("shop", 2), ("shop", 1)]
    found = Interactions.from_arrays(users, [b"x", b"y", b"y"])
    assert list(found.user_ids.ids) == [("shop", 1), ("shop", 2)]
    assert found.csr.toarray().tolist() == [[1, 1], [0, 1]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"item_id": None}, "column 'item_id' is missing, found 'user_id', 'weight', 'timestamp'"),
        ({"user_id": ["a", None, "b", "c"]}, "user_id is empty in row 2"),
        ({"user_id": ["a", "b", "", "c"]}, "user_id is empty in row 3"),
        ({"item_id": [1.0, 2.5, 3.0, 4.0]}, "item_id must be whole numbers or text, got 2.5 in row 2"),
        ({"weight": [1.0, float("nan"), 1.0, 1.0]}, "weight must be finite and > 0, got nan in row 2"),
        ({"weight": [1.0, 1.0, -1.0, 1.0]}, "weight must be finite and > 0, got -1.0 in row 3"),
        ({"weight": ["a", "b", "c", "d"]}, "weight must be numbers, got"),
        ({"timestamp": [1, 2, 3, -4]}, "timestamp must be >= 0, got -4 in row 4"),
        (
            {"timestamp": ["a", "b", "c", "d"]},
            "timestamp must be a number or an ISO 8601 time, got 'a' in row 1",
        ),
    ],
)
@pytest.mark.parametrize("make", [pl.DataFrame, pa.table])
def test_bad_columns_are_named_with_their_row(make: Any, change: dict[str, Any], message: str) -> None:
    rows = {name: values for name, values in {**ROWS, **change}.items() if values is not None}
    with pytest.raises(DataError) as caught:
        Interactions.from_frame(make(rows))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"users": ["a", None]}, "users is empty in row 2"),
        ({"users": [1.0, float("nan")]}, "users is empty in row 2"),
        ({"users": np.array([1.0, 2.5])}, "users must be whole numbers or text, got 2.5 in row 2"),
        ({"items": [[1], [2]]}, "items must be hashable, got a list in row 1"),
        ({"items": [1]}, "items must be as long as users, 2, got 1"),
        ({"weight": [1.0, -1.0]}, "weight must be finite and > 0, got -1.0 in row 2"),
        ({"weight": ["a", "b"]}, "weight must be numbers, got <U1"),
        ({"timestamp": [1, -1]}, "timestamp must be >= 0, got -1 in row 2"),
        ({"timestamp": [1, float("nan")]}, "timestamp must be a number below 2**63, got nan in row 2"),
    ],
)
def test_bad_arrays_are_named_with_their_row(columns: dict[str, Any], message: str) -> None:
    arrays = {"users": ["a", "b"], "items": [1, 2], **columns}
    with pytest.raises(DataError) as caught:
        Interactions.from_arrays(arrays.pop("users"), arrays.pop("items"), **arrays)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "users",
    [
        ["b", "a", "b"],
        np.array(["b", "a", "b"]),
        pa.array(["b", "a", "b"]),
        pa.chunked_array([["b"], ["a", "b"]], pa.string_view()),
        pd.Series(["b", "a", "b"]),
        pl.Series(["b", "a", "b"]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_any_column_of_text_gives_the_same_ids(users: Any) -> None:
    found = Interactions.from_arrays(users, [1, 1, 2])
    assert found.user_ids == IdMap(["a", "b"])
    assert found.user_index.tolist() == [0, 1, 1]


weighted_rows = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(1, 8), st.integers(0, 9)), min_size=1
)


@given(weighted_rows, st.sampled_from([1, 2**40]))
def test_merged_rows_have_the_sum_of_weights_and_the_latest_time(
    rows: list[tuple[int, int, int, int]], spread: int
) -> None:
    users, items, weights, times = (np.array(column) for column in zip(*rows, strict=True))
    known = IdMap(np.arange(4) * spread)
    found = Interactions.from_arrays(
        users * spread, items * spread, weight=weights, timestamp=times, user_ids=known, item_ids=known
    )
    expected: dict[tuple[int, int], tuple[float, int]] = {}
    for user, item, weight, time in rows:
        total, latest = expected.get((user, item), (0.0, 0))
        expected[user, item] = (total + weight, max(latest, time))
    assert found.weight is not None
    assert found.timestamp is not None
    pairs = zip(found.user_index.tolist(), found.item_index.tolist(), strict=True)
    values = zip(found.weight.tolist(), found.timestamp.tolist(), strict=True)
    assert list(zip(pairs, values, strict=True)) == sorted(expected.items())
    assert found.n_merged == len(rows) - len(expected)


def test_pairs_too_large_to_be_packed_are_sorted_all_the_same() -> None:
    order = _ascending(np.array([2**62, 3, 2**62 - 1, 3]))
    assert order.tolist() == [1, 3, 2, 0]


def test_an_empty_frame_is_refused() -> None:
    with pytest.raises(DataError, match="interactions must not be empty, got 0 rows"):
        Interactions.from_frame(pl.DataFrame({"user_id": [], "item_id": []}))


def test_something_else_than_a_frame_is_refused() -> None:
    with pytest.raises(DataError, match="must be a pandas, polars or Arrow data frame, got dict"):
        Interactions.from_frame(ROWS)


def test_whole_numbers_kept_as_floats_become_integers() -> None:
    frame = pd.DataFrame({"user_id": [1.0, 2.0], "item_id": [3.0, 4.0]})
    assert Interactions.from_frame(frame).user_ids.kind == "int"


def test_categories_are_text() -> None:
    frame = pd.DataFrame({"user_id": pd.Categorical(["b", "a"]), "item_id": pd.Categorical(["x", "y"])})
    assert list(Interactions.from_frame(frame).user_ids.ids) == ["a", "b"]


def test_times_become_microseconds() -> None:
    frame = pl.DataFrame({"u": [1, 2], "i": [1, 2], "t": [datetime.datetime(1970, 1, 1, 0, 0, 1)] * 2})
    found = Interactions.from_frame(frame, user="u", item="i", timestamp="t")
    assert found.timestamp is not None
    assert found.timestamp.tolist() == [1_000_000, 1_000_000]


def test_aligning_to_known_ids_drops_and_counts_or_raises() -> None:
    train = Interactions.from_frame(pl.DataFrame(ROWS))
    later = pl.DataFrame({"user_id": ["u1", "u9"], "item_id": [7, 7]})
    with pytest.raises(
        UnknownIdError, match="1 of 2 user ids are not in the training data: 'u9'; pass on_unknown=\"skip\""
    ):
        Interactions.from_frame(later, user_ids=train.user_ids, item_ids=train.item_ids)
    with pytest.warns(DataWarning, match="1 of 2 rows have a user or item that is not in the training data"):
        test = Interactions.from_frame(
            later, user_ids=train.user_ids, item_ids=train.item_ids, on_unknown="skip"
        )
    assert (test.n_users, test.n_items, len(test)) == (2, 2, 1)
    with pytest.raises(DataError, match="none of the 1 rows has a user and an item of the training data"):
        Interactions.from_frame(
            later[1:], user_ids=train.user_ids, item_ids=train.item_ids, on_unknown="skip"
        )


def test_a_transposed_matrix_is_noticed_where_ids_are_given() -> None:
    with pytest.raises(DataError, match="is it transposed"):
        Interactions.from_csr(
            sp.csr_matrix(np.ones((2, 3))), user_ids=IdMap([1, 2, 3]), item_ids=IdMap([1, 2])
        )


def test_entries_of_a_matrix_are_merged_and_counted_and_bad_ones_named() -> None:
    twice = sp.coo_matrix(([1.0, 1.0, 2.0], ([0, 0, 1], [1, 1, 0])))
    found = Interactions.from_csr(twice)
    assert found.n_merged == 1
    assert found.csr.toarray().tolist() == [[0, 2], [2, 0]]
    with pytest.raises(DataError) as caught:
        Interactions.from_csr(sp.csr_matrix([[1.0, 0.0], [0.0, np.nan]]))
    assert str(caught.value) == "an entry of the matrix must be finite and > 0, got nan at (1, 1)"
    with pytest.raises(DataError, match="matrix must be a 2-d SciPy sparse matrix, got ndarray"):
        Interactions.from_csr(np.eye(2))


def test_interactions_are_frozen_and_can_be_copied_with_a_change() -> None:
    found = Interactions.from_frame(pl.DataFrame(ROWS))
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.weight = None  # type: ignore[misc]
    with pytest.raises(ValueError, match="read-only"):
        found.user_index[0] = 1
    plain = dataclasses.replace(found, weight=None)
    assert plain.csr.toarray().tolist() == [[0, 1], [1, 1]]
    assert plain.timestamp is not None


def test_columns_go_by_their_usual_names_and_the_first_is_taken() -> None:
    rows = {"user": [1], "movieId": [2], "item_id": [3], "time": [4]}
    found = Interactions.from_frame(pl.DataFrame(rows))
    assert found.item_ids.ids.tolist() == [3]
    assert found.timestamp is not None


def test_times_finer_than_microseconds_are_cut() -> None:
    frame = pd.DataFrame({"user_id": [1], "item_id": [1], "time": pd.to_datetime([1_999], unit="ns")})
    found = Interactions.from_frame(frame)
    assert found.timestamp is not None
    assert found.timestamp.tolist() == [1]


@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(1, 4))
def test_the_core_is_what_is_left_when_nothing_can_be_taken_away(seed: int, user_k: int, item_k: int) -> None:
    matrix = np.random.default_rng(seed).random((9, 8)) < 0.35
    matrix[0, 0] = True
    left = matrix.copy()
    for _ in range(20):
        left[left.sum(axis=1) < user_k] = False
        left[:, left.sum(axis=0) < item_k] = False
    whole = Interactions.from_csr(sp.csr_matrix(matrix))
    if not left.any():
        with pytest.raises(DataError, match="no interactions are left"):
            whole.k_core(user_k, item_k)
        return
    core = whole.k_core(user_k, item_k)
    assert core.user_ids.ids.tolist() == np.flatnonzero(left.any(axis=1)).tolist()
    assert core.item_ids.ids.tolist() == np.flatnonzero(left.any(axis=0)).tolist()
    assert np.array_equal(core.csr.toarray(), left[left.any(axis=1)][:, left.any(axis=0)])


def test_k_core_is_the_fixed_point() -> None:
    # Item 3 has one user; without it user 2 has one item; without user 2 the rest is a 2-core.
    matrix = np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 1, 0, 1]])
    core = Interactions.from_csr(sp.csr_matrix(matrix)).k_core(2)
    assert core.user_ids.ids.tolist() == [0, 1]
    assert core.item_ids.ids.tolist() == [0, 1]
    assert core.csr.toarray().tolist() == [[1, 1], [1, 1]]
    with pytest.raises(DataError, match="no interactions are left in the core with user_k=3, item_k=3"):
        core.k_core(3)


def test_a_subset_keeps_ids_and_needs_a_mask_of_its_length() -> None:
    found = Interactions.from_frame(pl.DataFrame(ROWS))
    part = found.subset(found.user_index == 1)
    assert part.n_users == 2
    assert part.csr.toarray().tolist() == [[0, 0], [1.5, 3.0]]
    with pytest.raises(ParameterError, match=r"mask must be bool of shape \(3,\)"):
        found.subset(np.array([True]))


def test_statistics_of_a_known_matrix() -> None:
    statistics = Interactions.from_frame(pl.DataFrame(ROWS)).statistics()
    assert statistics["n_interactions"] == 3
    assert statistics["density"] == pytest.approx(0.75)
    assert (statistics["first_timestamp"], statistics["last_timestamp"]) == (6, 8)
    assert statistics["interactions_per_user"]["mean"] == pytest.approx(1.5)
