"""Typed columns of items: what they take, how they change, and that kept filters follow."""

from __future__ import annotations

import threading
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashgnn.data import IdMap
from hashgnn.errors import DataError, ParameterError, UnknownIdError
from hashgnn.rules import ItemAttributes, ItemFilter
from hashgnn.rules.columns import column_of
from hashgnn.rules.filters import FilterCache

IDS = IdMap(["a", "b", "c", "d"])


def items(**columns: Any) -> ItemAttributes:
    return ItemAttributes.of(pa.table({"item_id": ["a", "b", "c", "d"], **columns}), IDS)


def holds(table: ItemAttributes, where: str) -> list[int]:
    return np.flatnonzero(table.filter(where).mask()).tolist()


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        (pa.array([True, None, False, True]), "bool"),
        (pa.array([1, 2, None, 4], pa.uint8()), "int"),
        (pa.array([1, 2, 3, 2**63], pa.uint64()), "float"),
        (pa.array([1, 2, None, 3.5], pa.float32()), "float"),
        (pa.array([Decimal("1.50"), None, None, Decimal("2")]), "float"),
        (pa.array(["x", None, "y", "x"]), "text"),
        (pa.array(["x", None, "y", "x"], pa.string_view()), "text"),
        (pa.array(["x", None, "y", "x"]).dictionary_encode(), "text"),
        (pa.array([7, None, 8, 7]).dictionary_encode(), "int"),
        (pa.array([date(2026, 1, 2), None, None, date(1969, 1, 1)]), "time"),
        (pa.array([1, None, 2, 3], pa.timestamp("ns", "Europe/Paris")), "time"),
        (pa.array([["x"], None, [], ["x", "y"]]), "list"),
        (pa.array([{"x": 1}] * 4), None),
        (pa.array([b"x"] * 4), None),
        (pa.nulls(4), None),
    ],
)
def test_columns_of_these_types_can_be_used(column: pa.Array, kind: str | None) -> None:
    table = items(value=column)
    assert table.kinds.get("value") == kind
    if kind is None:
        with pytest.raises(ParameterError, match="column 'value' holds .*, which rules cannot use"):
            table.filter("value is null")
        return
    missing = [row for row, valid in enumerate(column.is_valid().to_pylist()) if not valid]
    assert holds(table, "value is null") == missing


def test_a_dictionary_may_hold_a_value_twice_or_null() -> None:
    column = pa.DictionaryArray.from_arrays(pa.array([0, 1, 2, None]), pa.array(["x", None, "x"]))
    table = items(brand=column)
    assert holds(table, "brand = 'x'") == [0, 2]
    assert holds(table, "brand is null") == [1, 3]


def test_rows_are_matched_by_id_and_may_be_missing_or_of_others() -> None:
    frame = {"key": ["d", "zz", "b"], "price": [4.0, 9.0, 2.0]}
    for table in (pa.table(frame), pd.DataFrame(frame), pl.DataFrame(frame)):
        found = ItemAttributes.of(table, IDS, id_column="key")
        assert holds(found, "price > 0") == [1, 3]
        assert len(found) == 4
    numbers = ItemAttributes.of(pa.table({"item_id": [7.0, 5.0], "x": [True, True]}), IdMap([5, 6]))
    assert holds(numbers, "x") == [0]


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"id": ["a"], "x": [1]}, "the table of items must have the id column 'item_id', found id, x"),
        ({"item_id": ["a", "a"], "x": [1, 2]}, "must have one row an item, got several for some"),
        ({"item_id": ["q"], "x": [1]}, "must name items of the model in 'item_id', none of 1 rows does"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(columns: dict[str, Any], sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        ItemAttributes.of(pa.table(columns), IDS)


def test_files_are_read_and_text_files_get_types(tmp_path: Path) -> None:
    text = "item_id,price,in_stock,since,brand\na,1.5,true,2026-01-02,x\nb,,FALSE,,true\nc,3,,2026-03-01T10:00:00Z,\n"
    (tmp_path / "items.csv").write_text(text)
    found = ItemAttributes.read(tmp_path / "items.csv", IDS)
    assert found.kinds == {"price": "float", "in_stock": "bool", "since": "time", "brand": "text"}
    assert holds(found, "in_stock = false") == [1]
    assert holds(found, "since > '2026-02-01'") == [2]
    table = pa.table({"item_id": ["a", "b"], "flag": ["true", "false"]})
    for name, write in (("items.parquet", pq.write_table), ("items.arrow", _write_arrow)):
        write(table, tmp_path / name)
        assert ItemAttributes.read(tmp_path / name, IDS).kinds == {"flag": "text"}  # it says that it is text
    with pytest.raises(DataError, match="nothing.csv"):
        ItemAttributes.read(tmp_path / "nothing.csv", IDS)
    with pytest.raises(DataError, match=r"items.csv: the table of items must have the id column 'sku'"):
        ItemAttributes.read(tmp_path / "items.csv", IDS, id_column="sku")


def _write_arrow(table: pa.Table, path: Path) -> None:
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)


def everything() -> ItemAttributes:
    return items(
        price=[1.0, None, 3.0, 4.0],
        stars=[1, 2, None, 4],
        in_stock=[True, None, False, True],
        brand=["x", None, "y", "x"],
        tags=[["p"], None, [], ["p", "q"]],
        since=pa.array([0, None, 10**6, 10**12], pa.timestamp("us")),
    )


@pytest.mark.parametrize(
    ("values", "where"),
    [
        ({"price": 8}, "price = 8.0"),
        ({"price": None}, "price is null"),
        ({"stars": 5.0}, "stars = 5"),
        ({"in_stock": False}, "in_stock = false"),
        ({"brand": "new"}, "brand = 'new'"),
        ({"brand": None}, "brand is null"),
        ({"tags": ["new", "p"]}, "'new' in tags"),
        ({"since": "2026-01-31T00:00:00Z"}, "since = '2026-01-31'"),
        ({"since": 12}, "since = '1970-01-01T00:00:12Z'"),
        ({"since": datetime(2026, 1, 31, tzinfo=UTC)}, "since = '2026-01-31'"),
        ({"since": date(2026, 1, 31)}, "since = '2026-01-31'"),
        ({"brand": "z", "price": 9}, "brand > 'y' and price > 8"),
    ],
)
def test_a_change_is_seen_by_filters_that_are_kept_and_by_new_ones(
    values: dict[str, Any], where: str
) -> None:
    table = everything()
    before = holds(table, where)
    assert table.update({"c": values}) == 1
    assert holds(table, where) == sorted({*before, 2})
    fresh = ItemAttributes(table.to_arrow(), IDS)
    assert holds(fresh, where) == holds(table, where)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"prise": 1}, "attributes: the items have no column 'prise'; did you mean 'price'?"),
        ({"price": "1"}, "price must be a number, got '1'"),
        ({"price": True}, "price must be a number, got True"),
        ({"price": float("nan")}, "price must be a finite number, got nan; null is a missing value"),
        ({"price": 10**400}, "price must be a finite number"),
        ({"stars": 1.5}, "stars must be a whole number, got 1.5"),
        ({"stars": 2**63}, "stars must be a whole number of 64 bits"),
        ({"in_stock": 1}, "in_stock must be true or false, got 1"),
        ({"brand": 1}, "brand must be text of at most 10000 characters, got 1"),
        ({"brand": "x" * 10_001}, "brand must be text of at most 10000 characters"),
        ({"brand": "\ud800"}, "brand must be text that UTF-8 can hold"),
        ({"tags": "p"}, "tags must be a list of at most 1000 texts, got 'p'"),
        ({"tags": [1]}, "tags must be text of at most"),
        ({"since": "soon"}, "since must be seconds since 1970 or ISO 8601 text, got 'soon'"),
        ({"since": float("inf")}, "since must be seconds since 1970"),
        ({"since": True}, "since must be seconds since 1970"),
    ],
)
def test_a_value_that_does_not_fit_changes_nothing(values: dict[str, Any], sentence: str) -> None:
    table = everything()
    before = table.to_arrow()
    with pytest.raises(ParameterError) as error:
        table.update({"a": {"price": 77}, "b": values})
    assert sentence in str(error.value)
    assert table.to_arrow().equals(before)


def test_an_unknown_item_changes_nothing() -> None:
    table = everything()
    with pytest.raises(UnknownIdError, match="1 of 2 item ids are not in the training data: 'zz'"):
        table.update({"a": {"price": 77}, "zz": {"price": 1}})
    assert holds(table, "price = 77") == []


@given(
    changes=st.lists(
        st.lists(
            st.tuples(st.integers(0, 69), st.none() | st.sampled_from([0.0, 1.0, 2.0, 3.0])), max_size=40
        ),
        max_size=12,
    ),
    asked=st.lists(st.booleans(), min_size=12, max_size=12),
)
@settings(max_examples=100, deadline=None)
def test_kept_filters_are_those_of_a_new_table(
    changes: list[list[tuple[int, float | None]]], asked: list[bool]
) -> None:
    values: list[float | None] = [float(n % 4) for n in range(70)]
    table = ItemAttributes(pa.table({"x": values}), IdMap(list(range(70))))
    wheres = ["x >= 2", "not x >= 2", "x is null", "x in (0, 3)"]
    for where in wheres:
        table.filter(where)
    for batch, now in zip(changes, asked, strict=False):
        table.put(np.array([place for place, _ in batch]), [{"x": value} for _, value in batch])
        for place, value in batch:
            values[place] = value
        if not now:
            continue
        fresh = ItemAttributes(pa.table({"x": pa.array(values, pa.float64())}), IdMap(list(range(70))))
        for where in wheres:
            found, expected = table.filter(where), fresh.filter(where)
            assert found.mask().tolist() == expected.mask().tolist()
            assert found.count == expected.count


def test_after_very_many_changes_a_filter_is_made_anew() -> None:
    mask = np.zeros(100, bool)
    cache = FilterCache(100)
    assert cache.get(("x",), lambda: lambda rows: mask[rows].copy()).count == 0
    for _ in range(30):
        mask[:50] = True
        cache.note(np.arange(50))
    assert cache.get(("x",), lambda: pytest.fail("it is kept")).count == 50
    mask[7] = False
    cache.note(np.array([7, 7]))
    found = cache.get(("x",), lambda: pytest.fail("it is kept"))
    assert (found.count, found.mask()[:10].tolist()) == (49, [True] * 7 + [False] + [True] * 2)


def test_a_filter_that_was_handed_out_stays_as_it_was() -> None:
    table = everything()
    before = table.filter("price > 2")
    table.update({"a": {"price": 50}})
    assert (before.count, table.filter("price > 2").count) == (2, 3)
    assert before.mask().tolist() == [False, False, True, True]


def test_moments_move_by_the_minute_and_can_be_given(monkeypatch: pytest.MonkeyPatch) -> None:
    table = items(since=pa.array([0, 30, 60, 90], pa.timestamp("s")))
    monkeypatch.setattr("hashgnn.rules.item_attributes.time.time", lambda: 119.0)
    assert holds(table, "since >= now") == [2, 3]
    assert np.flatnonzero(table.filter("since >= now - 30s", now=91.5).mask()).tolist() == [3]


def test_groups_are_equal_where_values_are() -> None:
    table = everything()
    groups, has_group = table.groups("brand", np.array([0, 1, 2, 3]))
    assert has_group.tolist() == [True, False, True, True]
    assert groups[0] == groups[3] != groups[2]
    assert np.flatnonzero(table.members("brand", groups[:1]).mask()).tolist() == [0, 3]
    assert np.flatnonzero(table.members("stars", np.array([2, 4])).mask()).tolist() == [1, 3]
    for column in ("brand", "stars", "in_stock"):
        table.check_groups(column)
    for column in ("price", "tags", "since"):
        with pytest.raises(
            ParameterError, match=f"max_per: {column} must hold text, whole numbers or true and false"
        ):
            table.check_groups(column)


def test_filters_combine_bit_by_bit() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.random(70) < 0.5, rng.random(70) < 0.3
    one, other = ItemFilter.of_mask(first), ItemFilter.of_mask(second)
    for found, expected in (
        (one.both(other), first & second),
        (one.either(other), first | second),
        (one.without(other), first & ~second),
        (ItemFilter.all_of(70).without(one), ~first),
    ):
        assert found.mask().tolist() == expected.tolist()
        assert found.count == expected.sum()


def test_a_change_is_seen_whole_while_other_threads_filter() -> None:
    n = 20_000
    table = ItemAttributes(pa.table({"x": np.zeros(n), "y": np.zeros(n)}), IdMap(np.arange(n)))
    stop, wrong = threading.Event(), []

    def look() -> None:
        while not stop.is_set():
            count = table.filter("x = y").count
            if count != n:
                wrong.append(count)

    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    for turn in range(200):
        table.put(np.arange(100), [{"x": float(turn), "y": float(turn)}] * 100)
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_table_becomes_that_of_other_items() -> None:
    table = everything()
    table.update({"a": {"brand": "new"}})
    moved = table.of_items(IdMap(["q", "a"]))
    assert holds(moved, "brand = 'new'") == [1]
    assert holds(moved, "brand is null") == [0]


def test_a_change_stays_while_another_thread_uses_the_column_for_the_first_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    table = items(price=[1.0, 2.0, 3.0, 4.0])
    begun, go_on = threading.Event(), threading.Event()
    made: list[Any] = []

    def slowly(array: pa.Array) -> Any:
        column = column_of(array)
        made.append(column)
        if len(made) == 1:
            begun.set()
            go_on.wait(30)
        return column

    monkeypatch.setattr("hashgnn.rules.lazy_columns.column_of", slowly)
    reader = threading.Thread(target=table.read_values, args=({"price": 5},))
    reader.start()
    assert begun.wait(30)
    writer = threading.Thread(target=table.put, args=(np.array([2]), [{"price": 77.0}]))
    writer.start()
    writer.join(0.2)  # it waits for the reader, or has written to another column
    go_on.set()
    for thread in (reader, writer):
        thread.join()
    assert holds(table, "price = 77") == [2]
