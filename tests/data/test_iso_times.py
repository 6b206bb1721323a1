"""ISO 8601 times at every door: files of text, parquet, frames and arrays give the same microseconds."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet
import pytest

from hashgnn.data import Interactions, read_interactions
from hashgnn.errors import DataError, DataWarning


def _csv(folder: Path, times: list[str]) -> Interactions:
    rows = "".join(f"1,{row},{time}\n" for row, time in enumerate(times))
    (folder / "e.csv").write_text("user_id,item_id,time\n" + rows)
    return read_interactions(folder / "e.csv")


def _parquet(folder: Path, times: list[str]) -> Interactions:
    pa.parquet.write_table(pa.table(_columns(times)), folder / "e.parquet")
    return read_interactions(folder / "e.parquet")


def _json(folder: Path, times: list[str]) -> Interactions:
    rows = pa.table(_columns(times)).to_pylist()
    (folder / "e.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return read_interactions(folder / "e.jsonl")


def _columns(times: list[str]) -> dict[str, Any]:
    return {"user_id": [1] * len(times), "item_id": list(range(len(times))), "time": times}


DOORS: dict[str, Callable[[Path, list[str]], Interactions]] = {
    "csv": _csv,
    "parquet": _parquet,
    "json lines": _json,
    "pandas": lambda _, times: Interactions.from_frame(pd.DataFrame(_columns(times))),
    "pandas categories": lambda _, times: Interactions.from_frame(
        pd.DataFrame(_columns(times)).astype({"time": "category"})
    ),
    "polars": lambda _, times: Interactions.from_frame(pl.DataFrame(_columns(times))),
    "arrays": lambda _, times: Interactions.from_arrays([1] * len(times), range(len(times)), timestamp=times),
    "numpy": lambda _, times: Interactions.from_arrays(
        [1] * len(times), range(len(times)), timestamp=np.array(times)
    ),
}

SECOND = {
    "1970-01-01T00:00:01Z": 1_000_000,
    "1970-01-01 00:00:01.5Z": 1_500_000,
    "1970-01-01T00:00:01.123456789Z": 1_123_456,
    "1970-01-01T01:00:01+01:00": 1_000_000,
    "1970-01-01T01:00:01+0100": 1_000_000,
    "1970-01-01 01:00:01+01": 1_000_000,
    "1970-01-01 00:00:01 UTC": 1_000_000,
    "1970-01-01 00:00:01 +00:00": 1_000_000,
    "1970-01-02": 86_400_000_000,
    " 1970-01-01T00:01Z": 60_000_000,
}


@pytest.mark.parametrize("door", DOORS)
def test_zoned_times_and_dates_of_any_form(tmp_path: Path, door: str) -> None:
    found = DOORS[door](tmp_path, list(SECOND))
    assert found.timestamp is not None
    assert found.timestamp.tolist() == list(SECOND.values())


@pytest.mark.parametrize("door", DOORS)
def test_times_without_a_zone_are_utc_with_one_warning(tmp_path: Path, door: str) -> None:
    times = [
        "1970-01-01T00:00:03Z",
        "1970-01-01T00:00:01",
        "1970-01-01 00:00:02.000000001",
        "1970-01-01T00:01",
    ]
    with pytest.warns(DataWarning) as caught:
        found = DOORS[door](tmp_path, times)
    assert found.timestamp is not None
    assert found.timestamp.tolist() == [3_000_000, 1_000_000, 2_000_000, 60_000_000]
    [warning] = caught
    assert "has no time zone in 3 of 4 rows, as '1970-01-01T00:00:01'; they are taken as UTC" in str(
        warning.message
    )


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("good", ["1970-01-01T00:00:01Z", "1970-01-01", "12", "1.5"])
@pytest.mark.parametrize("row", [0, 1, 4])
def test_the_time_that_is_wrong_is_named(tmp_path: Path, door: str, good: str, row: int) -> None:
    times = [good] * 5
    times[row] = "oops"
    with pytest.raises(DataError) as caught:
        DOORS[door](tmp_path, times)
    place = (
        f"line {row + 2}"
        if door == "csv"
        else f"line {row + 1}"
        if door == "json lines"
        else f"row {row + 1}"
    )
    assert place in str(caught.value)
    assert "must be a number or an ISO 8601 time, got 'oops'" in str(caught.value)


@pytest.mark.parametrize(
    "time", ["1970-13-01", "1970-01-01T25:00Z", "1970-01-01T00:00:01+01:00:00:00", "01.02.1970"]
)
def test_a_time_that_is_almost_one_is_refused(tmp_path: Path, time: str) -> None:
    with pytest.raises(DataError, match="line 3: time must be a number or an ISO 8601 time, got "):
        _csv(tmp_path, ["1970-01-01T00:00:01Z", time])


def test_blank_times_are_missing_in_frames_too() -> None:
    frame = pa.table(_columns(["1970-01-01", " "]))
    with pytest.warns(DataWarning, match="time is empty in 1 of 2 rows; times are left out"):
        assert Interactions.from_frame(frame).timestamp is None
    with pytest.raises(DataError, match="time is empty in row 2"):
        Interactions.from_frame(frame, timestamp="time")


def test_arrays_of_dates_and_times() -> None:
    for times in (
        [datetime.datetime(1970, 1, 1, 0, 0, 1), datetime.datetime(1970, 1, 1, 0, 0, 2)],
        np.array(["1970-01-01T00:00:01", "1970-01-01T00:00:02"], "M8[ns]"),
    ):
        found = Interactions.from_arrays([1, 1], [1, 2], timestamp=times)
        assert found.timestamp is not None
        assert found.timestamp.tolist() == [1_000_000, 2_000_000]
    with pytest.raises(DataError, match="must be a number or an ISO 8601 time, got 'soon' in row 2"):
        Interactions.from_arrays([1, 1], [1, 2], timestamp=[1, "soon"])
