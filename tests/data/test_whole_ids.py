"""Whole numbers as floats and decimals: one rule for files, frames, arrays and queries."""

from __future__ import annotations

import json
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet
import pytest

from hashgnn.data import IdMap, Interactions, read_interactions
from hashgnn.errors import DataError, ParameterError

DECIMALS = pa.array([Decimal(7), Decimal(2)], pa.decimal128(38, 0))
FRACTIONS = pa.array([Decimal("7.00"), Decimal("2.00")], pa.decimal128(12, 2))
FORMS: dict[str, Any] = {
    "integers": [7, 2],
    "floats": [7.0, 2.0],
    "mixed": [7, 2.0],
    "decimals": [Decimal("7"), Decimal("2.00")],
    "float32": np.array([7, 2], np.float32),
    "objects": np.array([7.0, 2], object),
    "pandas": pd.Series([7.0, 2.0]),
    "pandas decimals": pd.Series([Decimal("7.0"), Decimal(2)]),
    "polars": pl.Series([7.0, 2.0]),
    "polars decimals": pl.Series([Decimal("7.0"), Decimal("2.0")]),
    "Arrow": pa.array([7.0, 2.0]),
    "Arrow decimals": DECIMALS,
    "Arrow decimals with places": FRACTIONS,
}


@pytest.mark.parametrize("form", FORMS)
def test_sequences_and_queries_agree(form: str) -> None:
    found = Interactions.from_arrays(FORMS[form], ["a", "b"])
    assert found.user_ids.kind == "int"
    assert found.user_ids.ids.tolist() == [2, 7]
    assert found.user_ids.index_of(FORMS[form]).tolist() == [1, 0]
    assert IdMap(list(FORMS["integers"])) == IdMap([7.0, Decimal(2)])


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"user_id": [7.0, 2.0], "item_id": [Decimal(7), Decimal(2)]}),
        pl.DataFrame({"user_id": [7.0, 2.0], "item_id": [Decimal(7), Decimal(2)]}),
        pa.table({"user_id": DECIMALS, "item_id": FRACTIONS}),
        pa.table(
            {"user_id": pa.array([7, 2], pa.decimal256(60, 0)), "item_id": pa.array([7, 2], pa.float32())}
        ),
    ],
)
def test_frames_and_files_agree(tmp_path: Path, frame: Any) -> None:
    found = [Interactions.from_frame(frame)]
    if isinstance(frame, pa.Table):
        pa.parquet.write_table(frame, tmp_path / "e.parquet")
        found.append(read_interactions(tmp_path / "e.parquet"))
    for one in found:
        assert one.user_ids.ids.tolist() == [2, 7]
        assert one.item_ids.ids.tolist() == [2, 7]
        assert {one.user_ids.kind, one.item_ids.kind} == {"int"}


@pytest.mark.parametrize(
    ("fields", "ids"),
    [
        (["7.0", "2.0"], [2, 7]),
        (["7.", "2"], [2, 7]),
        (["-7.00", "2"], [-7, 2]),
        (["9007199254740993.0", "2.0"], [2, 9007199254740993]),
        (["7.0", "2.5"], ["2.5", "7.0"]),
        (["007.0", "2.0"], ["007.0", "2.0"]),
        (["v1.0", "v2.0"], ["v1.0", "v2.0"]),
    ],
)
def test_text_files_agree(tmp_path: Path, fields: list[str], ids: list[Any]) -> None:
    (tmp_path / "e.csv").write_text("user_id,item_id\n" + "".join(f"{field},1\n" for field in fields))
    assert read_interactions(tmp_path / "e.csv").user_ids.ids.tolist() == ids


def test_json_lines_agree(tmp_path: Path) -> None:
    (tmp_path / "e.jsonl").write_text("\n".join(json.dumps({"user_id": u, "item_id": 1}) for u in (7.0, 2)))
    assert read_interactions(tmp_path / "e.jsonl").user_ids.ids.tolist() == [2, 7]


def test_decimals_beyond_64_bits_are_text() -> None:
    users = pa.array([Decimal(10**30), Decimal(2)], pa.decimal128(38, 0))
    assert Interactions.from_frame(pa.table({"user_id": users, "item_id": [1, 2]})).user_ids.ids.tolist() == [
        "1" + "0" * 30,
        "2",
    ]


@pytest.mark.parametrize(
    "users", [[7, 2.5], [Decimal(7), Decimal("2.5")], pa.array([Decimal("7.0"), Decimal("2.5")])]
)
def test_a_fraction_is_no_id(users: Any) -> None:
    with pytest.raises(DataError, match=r"must be whole numbers or text, got 2\.5 in row 2"):
        Interactions.from_arrays(users, [1, 2])
    with pytest.raises(ParameterError, match=r"are integers, got (2\.5|Decimal\('2\.5'\)) of type"):
        IdMap([7, 2]).index_of(users)


@pytest.mark.parametrize(
    "empty", [None, "", b"", float("nan"), np.float64("nan"), Decimal("nan"), Decimal("sNaN"), pd.NA, pd.NaT]
)
@pytest.mark.parametrize("other", [1, "a", (1, 2)])
def test_an_empty_id_is_named_by_its_row(empty: Any, other: Any) -> None:
    with pytest.raises(DataError, match="users is empty in row 2"):
        Interactions.from_arrays([other, empty], [1, 2])
    frame = pd.DataFrame({"user_id": pd.Series([other, empty], dtype=object), "item_id": [1, 2]})
    with pytest.raises(DataError, match="user_id is empty in row 2"):
        Interactions.from_frame(frame)


def test_weights_and_times_may_be_decimals() -> None:
    table = pa.table({"user_id": [1, 2], "item_id": [1, 2], "weight": FRACTIONS, "time": DECIMALS})
    found = Interactions.from_frame(table)
    assert found.weight is not None
    assert found.timestamp is not None
    assert (found.weight.tolist(), found.timestamp.tolist()) == ([7, 2], [7, 2])


def test_objects_of_a_polars_frame_are_the_ids() -> None:
    ids = [uuid.UUID(int=1), uuid.UUID(int=2)]
    assert (
        Interactions.from_frame(pl.DataFrame({"user_id": ids, "item_id": [1, 2]})).user_ids.ids.tolist()
        == ids
    )
