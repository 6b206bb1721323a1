"""Tables of items that get more items while filters over them are kept."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashgnn.data import IdMap
from hashgnn.errors import ParameterError
from hashgnn.rules import ItemAttributes, ItemFilter, Rules

WHERES = ["x >= 2", "not x >= 2", "x is null", "brand = 'b1'", "brand is null", "'t' in tags", "flag"]


def table(n: int, values: dict[int, dict[str, Any]] | None = None) -> ItemAttributes:
    rows = [
        {
            "x": float(place % 4),
            "brand": f"b{place % 3}",
            "tags": ["t"] if place % 2 else [],
            "flag": place % 5 == 0,
        }
        for place in range(n)
    ]
    for place, row in (values or {}).items():
        rows += [{"x": None, "brand": None, "tags": None, "flag": None}] * (place + 1 - len(rows))
        rows[place] = {**rows[place], **row}
    return ItemAttributes(pa.Table.from_pylist(rows), IdMap(list(range(len(rows)))))


row = st.fixed_dictionaries(
    {},
    optional={
        "x": st.none() | st.sampled_from([0.0, 2.0]),
        "brand": st.none() | st.sampled_from(["b1", "b9"]),
        "tags": st.sampled_from([["t"], ["u"]]),
        "flag": st.booleans(),
    },
)


@given(
    steps=st.lists(st.lists(row, min_size=1, max_size=40), max_size=5),
    asked=st.lists(st.booleans(), min_size=6),
)
@settings(max_examples=50, deadline=None)
def test_a_table_that_grew_is_one_that_was_made_whole(
    steps: list[list[dict[str, Any]]], asked: list[bool]
) -> None:
    grown, values, n = table(30), {}, 30
    for where in WHERES[::2]:  # half of them are kept from before
        grown.filter(where)
    for rows, look in zip(steps, asked, strict=False):
        read = [grown.read_values(one) for one in rows]
        more = IdMap(list(range(n + len(rows))))
        given_rows = [place for place, one in enumerate(rows) if one]
        grown.grow(
            more,
            np.array([n + place for place in given_rows], np.int64),
            [read[place] for place in given_rows],
        )
        values |= {n + place: one for place, one in enumerate(rows)}
        n += len(rows)
        grown.put(np.array([3]), [{"x": float(n)}])
        values[3] = {"x": float(n)}
        if look:
            fresh = table(30, values)
            for where in WHERES:
                assert grown.filter(where).mask().tolist() == fresh.filter(where).mask().tolist(), where
                assert grown.filter(where).count == fresh.filter(where).count
    assert grown.to_arrow().to_pylist() == table(30, values).to_arrow().to_pylist()


@pytest.mark.parametrize("n_items", [1, 30, 31, 32, 33, 64, 70])
def test_a_filter_of_another_size_pads_or_cuts(n_items: int) -> None:
    mask = np.random.default_rng(0).random(33) < 0.6
    found = ItemFilter.of_mask(mask).of_size(n_items)
    expected = np.zeros(n_items, bool)
    expected[:33] = mask[:n_items]
    assert found.mask().tolist() == expected.tolist()
    assert (found.count, len(found.bits)) == (expected.sum(), -(-n_items // 32))
    assert int(np.bitwise_count(found.bits).sum()) == found.count


def test_rules_see_the_items_of_their_model_alone() -> None:
    items = table(30, {30: {"brand": "b1", "x": 9.0}, 31: {"brand": "b1", "x": 9.0}})
    for n_items, allowed in ((30, 0), (31, 1), (32, 2), (40, 2)):
        bound = Rules.read("x = 9", {"x > 8": 2.0}, {"brand": 1}).bind(items, n_items)
        assert bound.n_allowed == allowed
        full = bound.full_groups(np.array([1]))
        assert full is not None
        assert full.n_items == n_items
        assert np.flatnonzero(full.mask()).tolist() == [*range(1, 30, 3), *range(30, min(n_items, 32))]


def test_a_copy_of_another_size_is_independent() -> None:
    items = table(5)
    longer = items.of_size(IdMap(list(range(7))))
    shorter = items.of_size(IdMap([0, 1]))
    items.put(np.array([0]), [{"brand": "changed"}])
    longer.put(np.array([6]), [{"brand": "b1"}])
    assert longer.filter("brand = 'b1'").mask().tolist() == [False, True, False, False, True, False, True]
    assert longer.filter("brand is null").mask().tolist() == [False] * 5 + [True, False]
    assert (len(shorter), shorter.filter("brand = 'b0'").count) == (2, 1)
    assert (len(items), items.filter("brand = 'changed'").count) == (5, 1)


@pytest.mark.parametrize(
    "column",
    [
        pa.array(["x", "y"]).dictionary_encode(),
        pa.array([{"x": 1}, None]),
        pa.array([b"x", b"y"]),
        pa.array([1, 2], pa.timestamp("ns", "Europe/Paris")),
        pa.array([["a"], None], pa.large_list(pa.large_string())),
        pa.nulls(2),
    ],
)
def test_columns_of_every_type_grow(column: pa.Array, tmp_path: Any) -> None:
    schema = pa.schema([pa.field("value", column.type, nullable=column.null_count > 0)])
    items = ItemAttributes(pa.table([column], schema=schema), IdMap(["a", "b"]))
    items.grow(IdMap(["a", "b", "c"]), np.empty(0, np.int64), [])
    assert items.to_arrow()["value"].to_pylist() == [*column.to_pylist(), None]
    items.save(tmp_path)
    again = ItemAttributes.of_folder(tmp_path, items.item_ids)
    assert again is not None
    assert again.kinds == items.kinds
    if items.kinds:
        assert again.filter("value is null").mask().tolist()[2]


def test_an_item_is_never_seen_without_its_values() -> None:
    items, wrong, stop = table(100), [], threading.Event()

    def look() -> None:
        while not stop.is_set():
            n_items = len(items)
            if items.filter("x is null").of_size(n_items).count:
                wrong.append(n_items)

    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    for n in range(100, 600):
        items.grow(IdMap(np.arange(n + 1)), np.array([n]), [{"x": 1.0}])
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_rows_are_read_from_frames_and_dicts() -> None:
    pd, pl = pytest.importorskip("pandas"), pytest.importorskip("polars")
    items = table(3)
    columns = {"item_id": ["n1", "n2"], "x": [1.0, float("nan")], "brand": ["b1", None]}
    expected = [{"x": 1.0, "brand": "b1"}, {"x": None, "brand": None}]
    for frame in (pd.DataFrame(columns), pl.DataFrame(columns), pa.table(columns)):
        assert items.read_rows(frame, 2) == expected
    assert items.read_rows([{"x": 1, "brand": "b1"}, {}], 2) == [{"x": 1.0, "brand": "b1"}, {}]
    for given_rows, sentence in (
        ([{"x": 1}], "attributes must have one row an item, 2, got 1"),
        ([{}, {"x": "1"}], "attributes of row 1: x must be a number, got '1'"),
        ([{"y": 1}, {}], "attributes of row 0: the items have no column 'y'; there are"),
    ):
        with pytest.raises(ParameterError, match=sentence):
            items.read_rows(given_rows, 2)


def test_columns_that_were_handed_out_stay_as_they_were() -> None:
    items = ItemAttributes(
        pa.table(
            {
                "x": [1.0, 2.0],
                "n": [1, 2],
                "flag": [True, False],
                "at": pa.array([1, 2], pa.timestamp("us", "UTC")),
            }
        ),
        IdMap(["a", "b"]),
    )
    first = {"x": 5.0, "n": 5, "flag": True, "at": 5}
    items.update({"b": first})
    before = items.to_arrow()
    expected = before.to_pylist()
    copied = items.of_size(items.item_ids)
    items.update({"b": {"x": 7.0, "n": 7, "flag": False, "at": 7}})
    assert before.to_pylist() == copied.to_arrow().to_pylist() == expected
    assert copied.filter("x = 5 and n = 5 and flag and at = '1970-01-01T00:00:05Z'").count == 1


def test_changed_columns_keep_the_types_of_the_file_where_these_hold_the_values() -> None:
    columns = {
        "day": pa.array([1, 2], pa.date32()),
        "small": pa.array([1, 2], pa.int8()),
        "short": pa.array([1.5, 2.5], pa.float32()),
        "money": pa.array([1.5, 2.5]).cast(pa.decimal128(6, 2)),
        "kind": pa.array(["x", "y"]).dictionary_encode(),
        "same": pa.array(["x", "y"]),
    }
    items = ItemAttributes(pa.table(columns), IdMap(["a", "b"]))
    assert items.changed_rows(np.array([1])).column_names == []
    items.update({"b": {"day": "2026-01-31", "small": 7, "short": 12.1, "money": 3.25, "kind": "z"}})
    rows = items.changed_rows(np.array([1, 0]))
    assert rows.column_names == ["day", "small", "short", "money", "kind"]
    assert [str(one) for one in rows.to_pylist()[0].values()] == ["2026-01-31", "7", "12.1", "3.25", "z"]
    assert [str(one) for one in rows.to_pylist()[1].values()] == ["1970-01-02", "1", "1.5", "1.50", "x"]
    assert [str(items.to_arrow().schema.field(name).type) for name in ("day", "small", "money", "same")] == [
        "date32[day]",
        "int8",
        "decimal128(6, 2)",
        "string",
    ]
    items.update({"a": {"small": 300}})
    assert items.to_arrow()["small"].to_pylist() == [300, 7]
    assert items.of_size(IdMap(["a"])).changed_rows(np.array([0])).column_names == rows.column_names
