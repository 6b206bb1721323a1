"""Data frame values other than plain text and numbers, and the limits of a vocabulary."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashgnn.data import FeatureVocabulary, IdMap, SideFeatures
from hashgnn.errors import DataError, DataWarning, ParameterError

VOCABULARY = FeatureVocabulary({"tag": ("a", "b")}, {"x": (1.0, 0.5)})

numbers = st.none() | st.integers(-(10**6), 10**6).map(lambda eighths: eighths / 8)
tags = st.none() | st.lists(st.sampled_from(["a", "b", "c", "d e"]), max_size=4)
tables = st.lists(st.tuples(tags, numbers), min_size=1, max_size=12).filter(
    lambda rows: any(listed for listed, _ in rows)
)


def by_hand(rows: list[tuple[Any, Any]], known: list[str]) -> list[list[float]]:
    """Encode rows one number at a time."""
    present = [x for _, x in rows if x is not None]
    mean = math.fsum(present) / len(present) if present else 0.0
    deviation = math.sqrt(math.fsum((x - mean) ** 2 for x in present) / len(present)) if present else 0.0
    return [
        [float(tag in (listed or ())) for tag in known]
        + ([0.0, 1.0] if x is None else [(x - mean) / (deviation or 1.0), 0.0])
        for listed, x in rows
    ]


@given(rows=tables)
def test_encoding_is_that_of_a_loop_over_rows(rows: list[tuple[Any, Any]]) -> None:
    frame = pl.DataFrame(
        {"id": range(len(rows)), "tag": [t for t, _ in rows], "x": [x for _, x in rows]},
        schema={"id": pl.Int64, "tag": pl.List(pl.String), "x": pl.Float64},
    )
    features = SideFeatures.from_frame(frame, id="id", categorical=["tag"], numeric=["x"])
    known = sorted({tag for listed, _ in rows for tag in listed or ()})
    found = features.design_matrix(IdMap(range(len(rows))))
    assert np.allclose(found.toarray(), by_hand(rows, known), rtol=1e-4, atol=1e-4)


@given(rows=tables)
def test_a_vocabulary_read_back_from_json_encodes_the_same(rows: list[tuple[Any, Any]]) -> None:
    frame = pl.DataFrame(
        {"id": range(len(rows)), "tag": [t for t, _ in rows], "x": [x for _, x in rows]},
        schema={"id": pl.Int64, "tag": pl.List(pl.String), "x": pl.Float64},
    )
    first = SideFeatures.from_frame(frame, id="id", categorical=["tag"], numeric=["x"]).vocabulary
    again = FeatureVocabulary.from_dict(json.loads(json.dumps(first.to_dict(), allow_nan=False)))
    assert again == first
    assert np.array_equal(again.encode(frame).toarray(), first.encode(frame).toarray())


def test_a_category_listed_twice_in_a_row_is_one() -> None:
    assert VOCABULARY.encode([{"tag": ["a", "a", "b"], "x": 1}]).toarray().tolist() == [[1, 1, 0, 0]]


def test_an_unknown_category_is_counted_once_a_row() -> None:
    with pytest.warns(DataWarning, match="2 categories are not in the vocabulary"):
        VOCABULARY.encode([{"tag": ["q", "q"], "x": 1}, {"tag": "q", "x": 1}])


@pytest.mark.parametrize("none", [None, float("nan"), np.float32("nan"), pd.NA, ""])
def test_every_way_to_write_a_missing_value_is_one(none: Any) -> None:
    assert VOCABULARY.encode([{"tag": none, "x": none}]).toarray().tolist() == [[0, 0, 0, 1]]


def test_nullable_columns_of_pandas_are_read() -> None:
    frame = pd.DataFrame(
        {"tag": pd.array(["b", None], dtype="string"), "x": pd.array([None, 2], dtype="Int64")}
    )
    assert VOCABULARY.encode(frame).toarray().tolist() == [[0, 1, 0, 1], [0, 0, 2, 0]]


def test_equal_numbers_whose_mean_is_rounded_say_nothing() -> None:
    assert np.mean([0.1] * 3) != 0.1
    frame = pl.DataFrame({"id": [1, 2, 3], "x": [0.1] * 3})
    features = SideFeatures.from_frame(frame, id="id", numeric=["x"])
    assert features.vocabulary.numbers == {"x": (0.1, 1.0)}
    assert features.matrix.nnz == 0


def test_no_rows_and_no_columns_are_allowed() -> None:
    assert VOCABULARY.encode([]).shape == (0, 4)
    assert FeatureVocabulary({}, {}).encode([{}, {}]).shape == (2, 0)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (float("-inf"), "x must be finite, got -inf in row 2"),
        (10**400, f"x must be between -1e30 and 1e30, got {10**400} in row 2"),
        (1e31, "x must be between -1e30 and 1e30, got 1e+31 in row 2"),
        (True, "x must be numbers, got True in row 2"),
    ],
)
def test_numbers_that_cannot_be_encoded_are_named(value: Any, message: str) -> None:
    with pytest.raises(DataError) as caught:
        VOCABULARY.encode([{"tag": "a", "x": 1}, {"tag": "a", "x": value}])
    assert str(caught.value) == message


def test_a_score_beyond_float32_is_named_and_not_zero() -> None:
    narrow = FeatureVocabulary({}, {"x": (0.0, 1e-12)})
    with pytest.raises(DataError) as caught:
        narrow.encode([{"x": 1e28}])
    message = "x is too far from the training values, got 1e+28 in row 1"
    assert str(caught.value) == message


def test_a_column_that_is_all_but_an_id_is_refused_where_a_limit_is_set() -> None:
    frame = pl.DataFrame({"id": [1, 2, 3, 4], "city": ["P", "P", "Q", "R"]})
    with pytest.raises(DataError) as caught:
        SideFeatures.from_frame(frame, id="id", categorical=["city"], max_categories=2)
    assert str(caught.value) == (
        "city must have at most max_categories=2 categories, got 3; raise min_count to leave out rare ones"
    )
    kept = SideFeatures.from_frame(frame, id="id", categorical=["city"], max_categories=2, min_count=2)
    assert kept.vocabulary.column_names == ["city=P"]


@pytest.mark.parametrize(("column", "min_count"), [(["a", "b"], 2), ([None, None], 1)])
def test_a_column_without_any_category_left_is_refused(column: list[Any], min_count: int) -> None:
    with pytest.raises(DataError) as caught:
        SideFeatures.from_frame(
            pl.DataFrame({"id": [1, 2], "g": column}), id="id", categorical=["g"], min_count=min_count
        )
    assert str(caught.value) == (
        f"g has no category in {min_count} or more rows; leave the column out or lower min_count"
    )


def test_a_name_where_a_list_of_names_belongs_is_refused() -> None:
    with pytest.raises(ParameterError) as caught:
        SideFeatures.from_frame(pl.DataFrame({"id": [1], "g": ["a"]}), id="id", categorical="g")
    assert str(caught.value) == "categorical must be a list of columns, got the text 'g'"


def test_the_entry_that_made_a_column_of_numbers_text_is_named() -> None:
    table = pa.table({"item_id": [1, 2, 3], "price": ["0.5", "2", "-"]})
    with pytest.raises(DataError, match="price must be numbers, got '-' in row 3"):
        SideFeatures.from_frame(table, id="item_id", numeric=["price"])
    table = pa.table({"item_id": [1, 2], "price": ["0.5", "2"]})
    with pytest.raises(DataError, match=r"price must be numbers, got '0\.5' in row 1"):
        SideFeatures.from_frame(table, id="item_id", numeric=["price"])


def test_decimals_are_numbers() -> None:
    table = pa.table({"item_id": [1, 2], "price": [Decimal("1.50"), Decimal("2.50")]})
    features = SideFeatures.from_frame(table, id="item_id", numeric=["price"])
    assert features.design_matrix(features.ids).toarray()[:, 0].tolist() == [-1, 1]
