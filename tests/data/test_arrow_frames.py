"""Tables that reach the library through Arrow: every form gives the same interactions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet
import pytest

from hashgnn.data import Interactions, SideFeatures, as_interactions
from hashgnn.errors import DataError

TABLE = pa.table({"user_id": [2, 1, 2], "item_id": ["b", "b", "a"]})


class Stream:
    """A table of another library."""

    def __init__(self, table: Any) -> None:
        self.table = table

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self.table.__arrow_c_stream__(requested_schema)


class Batch:
    """One batch of another library."""

    def __arrow_c_array__(self, requested_schema: object | None = None) -> Any:
        return TABLE.to_batches()[0].__arrow_c_array__(requested_schema)


MAKE = {
    "table": lambda _: TABLE,
    "record batch": lambda _: TABLE.to_batches()[0],
    "reader": lambda _: TABLE.to_reader(max_chunksize=2),
    "dataset in memory": lambda _: pyarrow.dataset.dataset(TABLE),
    "dataset of files": lambda folder: pyarrow.dataset.dataset(folder, format="parquet"),
    "scanner": lambda _: pyarrow.dataset.dataset(TABLE).scanner(),
    "stream": lambda _: Stream(TABLE),
    "stream of polars": lambda _: Stream(pl.from_arrow(TABLE)),
    "array of structs": lambda _: Batch(),
}


@pytest.mark.parametrize("kind", MAKE)
@pytest.mark.parametrize("door", [Interactions.from_frame, as_interactions])
def test_every_arrow_form_is_a_frame(tmp_path: Path, kind: str, door: Any) -> None:
    pa.parquet.write_table(TABLE, tmp_path / "part.parquet")
    found = door(MAKE[kind](tmp_path))
    assert found.user_ids.ids.tolist() == [1, 2]
    assert found.item_ids.ids.tolist() == ["a", "b"]
    assert found.csr.toarray().tolist() == [[0, 1], [1, 1]]


def test_side_features_come_from_a_reader_too() -> None:
    table = pa.table({"item_id": [1, 2], "genre": ["x", "y"]})
    features = SideFeatures.from_frame(table.to_reader(), id="item_id", categorical=["genre"])
    assert features.ids.ids.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (Stream(pl.Series([1, 2])), "frame cannot be read as an Arrow table, "),
        (Stream(pa.table({"user_id": pa.array([], pa.int64()), "item_id": []})), "must not be empty, got 0"),
        (7, "frame must be a pandas, polars or Arrow data frame, got int"),
        (pa.Table, "frame must be a pandas, polars or Arrow data frame"),
        (None, "got NoneType"),
    ],
)
def test_what_is_no_table_is_refused_in_one_sentence(frame: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Interactions.from_frame(frame)


def test_a_stream_that_fails_on_the_way_is_refused() -> None:
    def batches() -> Any:
        yield TABLE.to_batches()[0]
        raise ValueError("the connection was lost")

    reader = pa.RecordBatchReader.from_batches(TABLE.schema, batches())
    with pytest.raises(DataError, match="frame cannot be read as an Arrow table, the connection was lost"):
        Interactions.from_frame(reader)


@pytest.mark.parametrize(
    "frame",
    [
        pa.Table.from_arrays([pa.array([1])] * 3, ["user_id", "item_id", "item_id"]),
        pa.RecordBatch.from_arrays([pa.array([1])] * 3, ["user_id", "item_id", "item_id"]),
        pd.DataFrame([[1, 2, 3]], columns=["user_id", "item_id", "item_id"]),
    ],
)
def test_two_columns_of_one_name_are_refused(frame: Any) -> None:
    with pytest.raises(DataError) as caught:
        Interactions.from_frame(frame)
    assert str(caught.value) == "a column name must come once, got 'item_id' twice"
