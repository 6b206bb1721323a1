from __future__ import annotations

import datetime
import uuid
from typing import Any

import numpy as np
import pandas as pd
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
    ("ids", "requested", "message"),
    [
        ([1, 2], ["1"], "ids of this data are integers, got '1' of type str"),
        ([1, 2], [1.5], "ids of this data are integers, got 1.5 of type float"),
        ([1, 2], [True], "ids of this data are integers, got True of type bool"),
        (["1"], [1], "ids of this data are text, got 1 of type int"),
        (["1"], np.array([1]), "ids of this data are text, got 1 of type int"),
        (["1"], pa.array([1]), "ids of this data are text, got 1 of type int"),
        ([1, 2], pa.array(["1"]), "ids of this data are integers, got '1' of type str"),
        ([1, 2], np.array([1, "x"], object), "ids of this data are integers, got 'x' of type str"),
    ],
)
def test_an_id_of_the_wrong_type_is_refused_and_not_called_unknown(
    ids: list[Any], requested: list[Any], message: str
) -> None:
    with pytest.raises(ParameterError) as caught:
        IdMap(ids).index_of(requested, on_unknown="skip")
    assert str(caught.value) == message


@given(kinds.filter(bool), st.randoms(use_true_random=False))
def test_ids_are_found_equally_in_lists_arrays_and_arrow(ids: list[Any], random: Any) -> None:
    known = ids[: len(ids) // 2 + 1]
    id_map = IdMap(known)
    requested = [random.choice(ids) for _ in range(20)]
    expected = [known.index(value) if value in known else -1 for value in requested]
    objects = np.empty(len(requested), object)
    objects[:] = requested
    forms = [requested, objects, tuple(requested)]
    if id_map.kind in ("int", "str"):
        column = pa.array(requested, pa.int64() if id_map.kind == "int" else pa.string())
        forms += [column, pa.chunked_array([column, column[:0]]), column.to_pandas()]
    for form in forms:
        assert id_map.index_of(form, on_unknown="skip").tolist() == expected


def test_numbers_of_more_than_64_bits_are_unknown_and_do_not_wrap_around() -> None:
    id_map = IdMap([-1, 5])
    assert id_map.index_of(np.array([2**64 - 1, 5], np.uint64), on_unknown="skip").tolist() == [-1, 1]
    assert id_map.index_of([2**70, 5, -(2**70)], on_unknown="skip").tolist() == [-1, 1, -1]
    with pytest.raises(DataError, match=r"integer ids must be below 2\*\*63, got 18446744073709551615"):
        IdMap.factorize(np.array([2**64 - 1], np.uint64))


def test_a_message_can_name_the_ids_and_takes_any_iterable() -> None:
    with pytest.raises(UnknownIdError) as caught:
        IdMap(["u1"]).index_of(iter(["u1", "u7"]), noun="user ids")
    assert str(caught.value) == "1 of 2 user ids are not in the training data: 'u7'"


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


@pytest.mark.parametrize(
    ("value", "kind"), [(frozenset([1]), "frozenset"), (pd.Timestamp(1, unit="ns"), "Timestamp")]
)
def test_an_id_without_a_written_form_is_named(value: Any, kind: str) -> None:
    with pytest.raises(DataError, match=f"an id of type {kind} cannot be saved"):
        IdMap([value]).to_arrow()


def test_text_that_utf_8_cannot_hold_is_not_saved() -> None:
    with pytest.raises(DataError, match="ids must be text that UTF-8 can hold to be saved"):
        IdMap(["a", "\ud800"]).to_arrow()


@pytest.mark.parametrize(
    "text", ['["float", "nan"]', '["float", "0x1p9999"]', '["list", []]', "[]", "{}", "["]
)
def test_text_that_no_id_was_written_as_is_refused(text: str) -> None:
    table = pa.table({"id": [text]}).replace_schema_metadata({"id_kind": "other"})
    with pytest.raises(DataError, match="not a written id"):
        IdMap.from_arrow(table)


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


@given(kinds.filter(bool), st.randoms(use_true_random=False))
def test_ids_are_found_in_a_table_as_in_memory(ids: list[Any], random: Any) -> None:
    known = ids[: len(ids) // 2 + 1]
    stored = IdMap.from_arrow(IdMap(known).to_arrow())
    requested = [random.choice(ids) for _ in range(20)]
    expected = [known.index(value) if value in known else -1 for value in requested]
    assert stored.index_of(requested, on_unknown="skip").tolist() == expected
    assert stored.at(np.array([[0, len(known) - 1]])).tolist() == [[known[0], known[-1]]]
    assert len(stored) == len(known)
    assert "ids" not in vars(stored) or stored.kind != "str"  # no text became an object of its own
    assert stored == IdMap(known)


@pytest.mark.parametrize("n", [10, 10_000])
@pytest.mark.parametrize("in_order", [True, False])
def test_few_and_many_texts_are_found_in_a_table(n: int, in_order: bool) -> None:
    ids = [f"é{number:07d}" for number in range(20_000)]
    if not in_order:
        np.random.default_rng(0).shuffle(ids)
    table = IdMap(ids).to_arrow()
    assert ("order" in table.column_names) == (not in_order)
    stored = IdMap.from_arrow(table)
    index = np.random.default_rng(1).integers(0, len(ids), n)
    assert stored.index_of([ids[place] for place in index]).tolist() == index.tolist()
    assert stored.index_of(["é", "", "zz", "\ud800"], on_unknown="skip").tolist() == [-1] * 4
    assert stored.at(np.array([3, -1])).tolist() == [ids[3], None]


@pytest.mark.parametrize("ids", [[1, 1], [3, 2, 3], ["a", "a"], ["b", "a", "b"]])
def test_a_table_with_an_id_twice_is_no_id_map(ids: list[Any]) -> None:
    kind = "int" if ids[0] in (1, 3) else "str"
    with pytest.raises(DataError, match="must hold each id once"):
        IdMap.from_arrow(pa.table({"id": ids}).replace_schema_metadata({"id_kind": kind}))


def test_a_table_whose_order_is_wrong_is_no_id_map() -> None:
    for order in ([0, 1], [1, 1], [0, 2], [-1, 0]):
        table = pa.table({"id": ["b", "a"], "order": pa.array(order, pa.int32())})
        with pytest.raises(DataError, match="order"):
            IdMap.from_arrow(table.replace_schema_metadata({"id_kind": "str"}))


def test_ids_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        IdMap([1, 2]).ids[0] = 5
    assert np.issubdtype(IdMap([1, 2]).ids.dtype, np.int64)


def test_the_printed_form_counts_what_it_leaves_out() -> None:
    assert repr(IdMap([5, 6, 7, 8, 9])) == "IdMap(5 ids: 5, 6, 7, …)"
    assert repr(IdMap([])) == "IdMap(0 ids)"
