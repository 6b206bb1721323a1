from __future__ import annotations

import datetime
import uuid
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashgnn.data import IdMap
from hashgnn.errors import DataError, ParameterError, UnknownIdError

kinds = st.one_of(
    st.lists(st.integers(-(2**63), 2**63 - 1), unique=True, max_size=30),
    st.lists(st.text(max_size=8), unique=True, max_size=30),
    st.lists(st.tuples(st.integers(0, 9), st.text(max_size=3)), unique=True, max_size=30),
)


@given(kinds)
def test_every_id_is_found_at_its_place_and_survives_arrow(ids: list[Any]) -> None:
    id_map = IdMap(ids)
    assert id_map.index_of(ids).tolist() == list(range(len(ids)))
    again = IdMap.from_arrow(id_map.to_arrow())
    assert again == id_map or not ids
    assert list(again.ids) == ids


@given(kinds, st.randoms(use_true_random=False))
def test_factorizing_gives_back_the_rows(ids: list[Any], random: Any) -> None:
    rows = [random.choice(ids) for _ in range(3 * len(ids))] if ids else []
    id_map, index = IdMap.factorize(rows)
    assert [id_map.ids[place] for place in index] == rows


@pytest.mark.parametrize("rows", [[3, 1, 2, 1], ["b", "a", "c", "a"]])
def test_integers_and_text_are_sorted_so_the_order_of_rows_does_not_matter(rows: list[Any]) -> None:
    assert IdMap.factorize(rows)[0] == IdMap.factorize(rows[::-1])[0]
    assert list(IdMap.factorize(rows)[0].ids) == sorted(set(rows))


def test_an_arrow_column_of_several_chunks_is_factorized_like_a_list() -> None:
    column = pa.chunked_array([["b", "a"], ["c", "a"]])
    id_map, index = IdMap.factorize(column)
    assert id_map == IdMap(["a", "b", "c"])
    assert index.tolist() == [1, 0, 2, 0]


def test_unknown_ids_are_counted_and_named_or_become_minus_one() -> None:
    id_map = IdMap(["u1", "u2"])
    with pytest.raises(UnknownIdError) as caught:
        id_map.index_of(["u1", "u7", "u9", "u7", "u2"])
    assert str(caught.value) == "3 of 5 ids are not in the training data: 'u7', 'u9'"
    assert id_map.index_of(["u2", "u7"], on_unknown="skip").tolist() == [1, -1]


@pytest.mark.parametrize(
    ("ids", "asked", "message"),
    [
        ([1, 2], ["1"], "ids of this data are integers, got '1' of type str"),
        ([1, 2], [1.5], "ids of this data are integers, got 1.5 of type float"),
        ([1, 2], [True], "ids of this data are integers, got True of type bool"),
        (["1"], [1], "ids of this data are text, got 1 of type int"),
    ],
)
def test_an_id_of_the_wrong_type_is_refused_and_not_called_unknown(
    ids: list[Any], asked: list[Any], message: str
) -> None:
    with pytest.raises(ParameterError) as caught:
        IdMap(ids).index_of(asked, on_unknown="skip")
    assert str(caught.value) == message


@pytest.mark.parametrize("ids", [[1, 2, 1], ["a", "a"], [(1, 2), (1, 2)]])
def test_an_id_that_comes_twice_is_refused(ids: list[Any]) -> None:
    with pytest.raises(DataError, match=r"ids must differ, got .* twice"):
        IdMap(ids)


def test_other_ids_are_saved_with_their_type() -> None:
    ids = [
        uuid.UUID(int=7),
        (1, "1", 2.5, (None, True)),
        b"\x00\xff",
        datetime.date(2020, 1, 2),
        datetime.datetime(2020, 1, 2, 3, tzinfo=datetime.UTC),
    ]
    assert list(IdMap.from_arrow(IdMap(ids).to_arrow()).ids) == ids


def test_an_id_without_a_written_form_is_named() -> None:
    with pytest.raises(DataError, match="an id of type frozenset cannot be saved"):
        IdMap([frozenset([1])]).to_arrow()


@pytest.mark.parametrize(
    "table",
    [
        pa.table({"id": [1]}),
        pa.table({"key": [1]}).replace_schema_metadata({"id_kind": "int"}),
        pa.table({"id": ["a"]}).replace_schema_metadata({"id_kind": "int"}),
        pa.table({"id": pa.array([None], pa.string())}).replace_schema_metadata({"id_kind": "str"}),
        pa.table({"id": ["no json"]}).replace_schema_metadata({"id_kind": "other"}),
        pa.table({"id": ['["tuple", [["tuple", 3]]]']}).replace_schema_metadata({"id_kind": "other"}),
    ],
)
def test_a_foreign_table_is_no_id_map(table: pa.Table) -> None:
    with pytest.raises(DataError):
        IdMap.from_arrow(table)


def test_ids_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        IdMap([1, 2]).ids[0] = 5
    assert np.issubdtype(IdMap([1, 2]).ids.dtype, np.int64)
