from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from hashgnn.data import FeatureVocabulary, IdMap, SideFeatures
from hashgnn.errors import DataError, DataWarning, ParameterError

FILMS = {
    "item_id": ["c", "a", "b"],
    "genres": [["War", "Drama"], [], ["Drama"]],
    "country": ["FR", None, "US"],
    "year": [1990.0, None, 1994.0],
}


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table])
def test_rows_become_known_columns(make: Any) -> None:
    features = SideFeatures.from_frame(
        make(FILMS), id="item_id", categorical=["genres", "country"], numeric=["year"]
    )
    names = ["genres=Drama", "genres=War", "country=FR", "country=US", "year", "year is missing"]
    assert features.vocabulary.column_names == names
    found = features.design_matrix(IdMap(["a", "b", "c", "unknown"])).toarray()
    assert found.tolist() == [
        [0, 0, 0, 0, 0, 1],
        [1, 0, 0, 1, 1, 0],
        [1, 1, 1, 0, -1, 0],
        [0, 0, 0, 0, 0, 0],
    ]


def test_a_vocabulary_survives_json_and_encodes_new_rows() -> None:
    vocabulary = SideFeatures.from_frame(
        pl.DataFrame(FILMS), id="item_id", categorical=["genres"], numeric=["year"]
    ).vocabulary
    again = FeatureVocabulary.from_dict(json.loads(json.dumps(vocabulary.to_dict())))
    new = pl.DataFrame({"genres": [["Drama", "Noir"]], "year": [1996]})
    with pytest.warns(DataWarning, match="1 categories are not in the vocabulary"):
        encoded = again.encode(new)
    assert encoded.toarray().tolist() == [[1, 0, 2, 0]]


def test_new_rows_may_be_dicts() -> None:
    vocabulary = SideFeatures.from_frame(
        pl.DataFrame(FILMS), id="item_id", categorical=["genres"], numeric=["year"]
    ).vocabulary
    rows = [{"genres": ["War"], "year": 1994}, {"genres": "Drama", "other": 1}]
    assert vocabulary.encode(rows).toarray().tolist() == [[0, 1, 1, 0], [1, 0, 0, 1]]
    with pytest.raises(DataError, match="column 'year' is missing, found 'genres'"):
        vocabulary.encode([{"genres": ["War"]}])


def test_features_of_other_items_altogether_are_refused() -> None:
    features = SideFeatures.from_frame(pl.DataFrame(FILMS), id="item_id", numeric=["year"])
    with pytest.raises(
        DataError, match=r"none of the 2 ids has features; the features are of IdMap\(3 ids: 'a', 'b', 'c'\)"
    ):
        features.design_matrix(IdMap(["x", "y"]))


def test_rare_categories_can_be_left_out() -> None:
    features = SideFeatures.from_frame(pl.DataFrame(FILMS), id="item_id", categorical=["genres"], min_count=2)
    assert features.vocabulary.column_names == ["genres=Drama"]


@pytest.mark.parametrize(
    ("change", "arguments", "message"),
    [
        (
            {},
            {"categorical": ["genre"]},
            "column 'genre' is missing, found 'item_id', 'genres', 'country', 'year'",
        ),
        ({"item_id": ["a", "a", "b"]}, {"numeric": ["year"]}, "item_id must be unique"),
        ({"item_id": ["a", None, "b"]}, {"numeric": ["year"]}, "item_id is empty in row 2"),
        ({"year": ["1990", "x", "y"]}, {"numeric": ["year"]}, "year must be numbers, got 'x' in row 2"),
        ({"year": [1.0, float("inf"), 2.0]}, {"numeric": ["year"]}, "year must be finite, got inf in row 2"),
        ({"country": [1.5, 2.0, 3.0]}, {"categorical": ["country"]}, "country must be text, whole numbers"),
    ],
)
def test_bad_tables_are_named(change: dict[str, Any], arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError) as caught:
        SideFeatures.from_frame(pl.DataFrame({**FILMS, **change}), id="item_id", **arguments)
    assert message in str(caught.value)


def test_columns_must_be_named_once() -> None:
    with pytest.raises(ParameterError, match="name each feature column once"):
        SideFeatures.from_frame(pl.DataFrame(FILMS), id="item_id")


def test_ids_of_another_kind_are_noticed() -> None:
    features = SideFeatures.from_frame(pl.DataFrame(FILMS), id="item_id", numeric=["year"])
    with pytest.raises(
        DataError, match="ids of the features are of kind 'str', those of the interactions 'int'"
    ):
        features.design_matrix(IdMap([1, 2]))


@pytest.mark.parametrize("values", [None, {}, {"format": 2}, {"format": 1, "categories": 3, "numbers": {}}])
def test_something_else_is_no_vocabulary(values: Any) -> None:
    with pytest.raises(DataError):
        FeatureVocabulary.from_dict(values)


def test_a_constant_number_says_nothing() -> None:
    features = SideFeatures.from_frame(pl.DataFrame({"i": [1, 2], "x": [3.0, 3.0]}), id="i", numeric=["x"])
    assert np.array_equal(features.matrix.toarray(), np.zeros((2, 2)))


def test_a_feature_that_is_no_column_is_named_without_an_argument_that_does_not_exist() -> None:
    frame = pd.DataFrame({"id": [1, 2], "year": [1990, 1991]})
    with pytest.raises(DataError, match="^column 'nope' is missing, found 'id', 'year'$"):
        SideFeatures.from_frame(frame, id="id", numeric=["nope"])
