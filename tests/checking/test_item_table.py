"""Metadata of items: aligned with a model, bounded in memory, and any value of it as Python values."""

from __future__ import annotations

import datetime
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hashgnn.checking.item_table import ItemTable
from hashgnn.data import IdMap
from hashgnn.errors import DataError

IDS = IdMap(["c", "a", "b", "d"])


def table(**columns: Any) -> ItemTable:
    return ItemTable.of(pa.table(columns), "id", IDS)


def test_coverage_is_the_share_of_items_with_a_row() -> None:
    assert table(id=["a", "z", "c"], title=["A", "Z", "C"]).coverage == 0.5
    assert table(id=["z"], title=["Z"]).coverage == 0


@pytest.mark.parametrize(
    ("columns", "titles"),
    [
        ({"tag": ["x", "y"], "title": ["A", "B"]}, ["A", "B", None]),
        ({"tag": ["x", "y"], "name": ["A", "B"]}, ["A", "B", None]),
        ({"year": [1, 2], "tag": ["x", "y"]}, ["x", "y", None]),
        ({"year": [1, 2]}, [None, None, None]),
        ({"title": [1, 2]}, ["1", "2", None]),
    ],
)
def test_a_title_is_that_column_or_the_first_text(columns: dict[str, Any], titles: list[str | None]) -> None:
    assert table(id=["a", "b"], **columns).titles(np.array([1, 2, 3])) == titles


def test_values_that_python_cannot_hold_are_text_or_none() -> None:
    found = table(
        id=["a", "b"],
        day=pa.array([10_000_000, 3], pa.date32()),  # the first lies in the year 29349
        moment=pa.array([1, 10**9], pa.timestamp("ns")),
        zoned=pa.array([0, 1], pa.timestamp("s", "Nowhere/Atall")),
    )
    first, second = found.rows([1, 2])
    assert first["day"] == "29349-01-26"
    assert str(first["moment"]).startswith("1970-01-01 00:00:00.000000001")
    assert second["day"] == datetime.date(1970, 1, 4)
    assert set(first) == {"day", "moment", "zoned"}


def test_text_that_is_no_utf8_is_refused() -> None:
    broken = pa.Array.from_buffers(
        pa.string(), 1, [None, pa.py_buffer(np.array([0, 2], np.int32).tobytes()), pa.py_buffer(b"\xff\xff")]
    )
    with pytest.raises(DataError, match="the table of items cannot be read, .*Invalid UTF8"):
        table(id=["a"], title=broken)


def test_two_columns_of_one_name_and_rows_of_one_item_in_two_batches_are_refused(tmp_path: Path) -> None:
    twice = pa.Table.from_arrays([pa.array(["a"])] * 3, ["id", "t", "t"])
    with pytest.raises(DataError, match="the table of items must have columns of different names"):
        ItemTable.of(twice, "id", IDS)
    pq.write_table(pa.table({"id": ["a", "b", "a"]}), tmp_path / "i.parquet", row_group_size=1)
    with pytest.raises(DataError, match="the table of items must have one row an item, got several for some"):
        ItemTable.read(tmp_path / "i.parquet", "id", IDS)


def test_reading_stops_at_a_check_that_raises(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": ["a", "b", "c"]}), tmp_path / "i.parquet", row_group_size=1)
    calls = []

    def stop() -> None:
        calls.append(1)
        if len(calls) == 2:
            raise KeyError("stop")

    with pytest.raises(KeyError):
        ItemTable.read(tmp_path / "i.parquet", "id", IDS, check=stop)
    assert len(calls) == 2


def test_ids_of_other_kinds_are_found_by_how_they_print() -> None:
    ids = IdMap([uuid.UUID(int=1), uuid.UUID(int=2)])
    made = pa.table({"id": [str(uuid.UUID(int=2)), str(uuid.UUID(int=3))], "title": ["two", "?"]})
    assert ItemTable.of(made, "id", ids).titles(np.array([0, 1])) == [None, "two"]
    days = IdMap([datetime.date(2026, 1, 2)])
    made = pa.table({"id": [datetime.date(2026, 1, 2)], "title": ["day"]})
    assert ItemTable.of(made, "id", days).titles(np.array([0])) == ["day"]


def test_a_file_is_read_as_a_table_is(tmp_path: Path) -> None:
    made = pa.table({"id": ["b", "a", "z"], "title": ["B", "A", "Z"], "tags": [["x"], None, ["y"]]})
    pq.write_table(made, tmp_path / "i.parquet")
    found = ItemTable.read(tmp_path / "i.parquet", "id", IDS)
    assert found.table == ItemTable.of(made, "id", IDS).table
    assert found.rows([0, 1, 2])[1:] == [{"title": "A", "tags": None}, {"title": "B", "tags": ["x"]}]
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(DataError, match="cannot be read as parquet"):
            ItemTable.read(path, "id", IDS)
