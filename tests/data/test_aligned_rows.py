"""Tables of users and items in the order of a model's ids: one rule for all of them."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from hashgnn.checking.item_table import ItemTable
from hashgnn.data import IdMap, SideTable
from hashgnn.data.aligned_rows import id_positions, set_rows, take_rows
from hashgnn.errors import DataError
from hashgnn.rules import ItemAttributes

IDS = IdMap(["a", "b", "c", "d"])

Read = Callable[[pa.Table, IdMap], list[Any]]
READERS: dict[str, Read] = {
    "shown": lambda table, ids: ItemTable.of(table, "item_id", ids).table["x"].to_pylist(),
    "ruled": lambda table, ids: ItemAttributes.of(table, ids).to_arrow()["x"].to_pylist(),
    "titles": lambda table, ids: SideTable("item", table, ids, "item_id").values("x"),
}


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
@pytest.mark.parametrize(
    ("column", "ids"),
    [
        (pa.array(["d", "zz", "b", None]), IDS),
        (pa.array(["d", "zz", "b", None]).dictionary_encode(), IDS),
        (pa.array(["d", "zz", "b", None], pa.large_string()), IDS),
        (pa.array(["d", "zz", "b", None], pa.string_view()), IDS),
        (pa.array([4.0, 99.0, 2.0, None]), IdMap([1, 2, 3, 4])),
        (pa.array([4, 99, 2, None], pa.uint8()), IdMap([1, 2, 3, 4])),
        (
            pa.array([str(uuid.UUID(int=n)) for n in (4, 99, 2)] + [None]),
            IdMap([uuid.UUID(int=n) for n in range(1, 5)]),
        ),
    ],
)
def test_every_table_follows_the_same_rule(read: Read, column: pa.Array, ids: IdMap) -> None:
    table = pa.table({"item_id": column, "x": [40, 0, 20, 50]})
    assert read(table, ids) == [None, 20, None, 40]


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ({"item_id": ["a", "b", "a"]}, "the table of items must have one row an item, got several for some"),
        ({"item_id": [[1], [2]]}, "item_id of the table of items: item ids"),
        ({"sku": ["a"]}, "item_id"),
    ],
)
def test_every_table_refuses_the_same(read: Read, table: dict[str, Any], sentence: str) -> None:
    rows = len(next(iter(table.values())))
    with pytest.raises(DataError, match=sentence):
        read(pa.table({**table, "x": list(range(rows))}), IDS)


@pytest.mark.parametrize("name", ["ruled", "titles"])
def test_numbers_are_no_text(name: str) -> None:
    with pytest.raises(DataError, match="item_id of the table of items: item ids .*text"):
        READERS[name](pa.table({"item_id": [1, 2], "x": [1, 2]}), IDS)


def test_rows_that_come_in_parts_are_one_table() -> None:
    rows = np.full(4, -1, np.int64)
    set_rows(rows, np.array([3, 1]), np.array([0, 1]), "user")
    set_rows(rows, np.array([0]), np.array([2]), "user")
    assert rows.tolist() == [2, 1, -1, 0]
    with pytest.raises(DataError, match="the table of users must have one row a user, got several for some"):
        set_rows(rows, np.array([2, 3]), np.array([3, 4]), "user")


def test_no_rows_and_no_ids_make_an_empty_table() -> None:
    assert id_positions(pa.array([], pa.string()), IDS, "item", "item_id").tolist() == []
    assert id_positions(pa.nulls(2, pa.string()), IDS, "item", "item_id").tolist() == [-1, -1]
    taken = take_rows(pa.table({"x": pa.array([], pa.string_view())}), np.full(2, -1))
    assert taken["x"].to_pylist() == [None, None]


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_views_of_text_are_text(read: Read) -> None:
    table = pa.table({"item_id": ["c", "a"], "x": pa.array(["of c", "of a"], pa.string_view())})
    assert read(table, IDS) == ["of a", None, "of c", None]
    side = SideTable("item", table, IDS)
    assert side.take("x", np.array([2, 3])).to_pylist() == ["of c", None]


def test_a_table_of_ids_alone_has_no_columns_for_rules() -> None:
    table = pa.table({"item_id": ["a", "b"]})
    for items in (
        ItemAttributes.of(table, IDS),
        ItemAttributes(ItemTable.of(table, "item_id", IDS).table, IDS),
    ):
        assert (len(items), items.kinds) == (4, {})
