"""Item metadata: found by id, written into answers, searched."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from hashgnn.checking.item_table import ItemTable
from hashgnn.data import IdMap
from hashgnn.errors import DataError
from hashgnn.rules import ItemAttributes
from hashgnn.serving.models.item_metadata import ItemMetadata
from hashgnn.serving.models.model_version import open_version
from hashgnn.state import save_state
from hashgnn.testing.states import random_state

IDS = IdMap(["c", "a", "b", "d"])


def metadata(**columns: list) -> ItemMetadata:
    return ItemMetadata(ItemTable.of(pa.table(columns), "id", IDS))


def documents(found: ItemMetadata) -> list:
    return [json.loads(text) for text in found.documents(np.arange(len(IDS)))]


def test_rows_are_in_the_order_of_the_model_and_may_be_missing() -> None:
    found = metadata(id=["a", "z", "c"], title=["A", "Z", "C"], year=[1, 2, None])
    assert documents(found) == [{"title": "C"}, {"title": "A", "year": 1}, None, None]
    assert found.columns == ["title", "year"]


def test_values_of_every_type_become_json() -> None:
    found = metadata(
        id=["a"], when=[datetime.date(2026, 1, 2)], share=[float("nan")], tags=[["x", "y"]], raw=[b"\xff"]
    )
    assert documents(found)[1] == {"when": "2026-01-02", "share": None, "tags": ["x", "y"], "raw": "b'\\xff'"}


def test_whole_number_ids_may_be_text_in_the_table_and_the_other_way_round() -> None:
    table = pa.table({"id": ["7", "5"], "title": ["seven", "five"]})
    assert (
        ItemMetadata(ItemTable.of(table, "id", IdMap([5, 7]))).documents(np.array([0]))[0]
        == b'{"title":"five"}'
    )
    table = pa.table({"id": [7, 5], "title": ["seven", "five"]})
    assert (
        ItemMetadata(ItemTable.of(table, "id", IdMap(["5", "7"]))).documents(np.array([1]))[0]
        == b'{"title":"seven"}'
    )


def test_finished_texts_are_kept_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hashgnn.serving.models.item_metadata._CACHED", 2)
    found = metadata(id=["a", "b", "c", "d"], title=["A", "B", "C", "D"])
    for places in ([0, 1, 0], [1, 2, 3], [3, 0, 2, 1]):
        titles = [json.loads(text)["title"] for text in found.documents(np.array(places))]
        assert titles == [IDS.ids[place].upper() for place in places]


def test_a_very_long_field_is_left_out() -> None:
    found = metadata(id=["a"], title=["short"], plot=["x" * 10_000])
    assert documents(found)[1] == {"title": "short"}


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"key": ["a"]}, "the table of items must have the id column 'id', found key"),
        (
            {"id": ["a", "a"], "t": ["1", "2"]},
            "the table of items must have one row an item, got several for some",
        ),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(columns: dict, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        metadata(**columns)


def test_search_finds_any_case_and_tells_what_begins() -> None:
    found = metadata(id=["a", "b", "c"], title=["Evening Sun", "SUNRISE", "Été"], tag=["x", "y", "sun"])
    holds, begins = found.search("sun")
    assert ([IDS.ids[place] for place in holds], [IDS.ids[place] for place in begins]) == (
        ["c", "a", "b"],
        ["b"],
    )
    assert found.search("été")[0].tolist() == [0]


def test_search_finds_the_words_of_a_query_in_any_order() -> None:
    found = metadata(
        id=["a", "b", "c"], title=["Matrix, The", "The Mat", "Matrix"], year=["1999", "1999", None]
    )
    holds, begins = found.search(" the  MATRIX ")
    assert ([IDS.ids[place] for place in holds], begins.tolist()) == (["a"], [])
    holds, begins = found.search("the mat")
    assert ([IDS.ids[place] for place in holds], [IDS.ids[place] for place in begins]) == (["a", "b"], ["b"])
    assert [IDS.ids[place] for place in found.search("1999 matrix")[0]] == ["a"]
    assert [len(part) for part in found.search("matrix evening")] == [0, 0]


def test_metadata_may_lie_in_the_model_folder(tmp_path: Path) -> None:
    save_state(random_state(5, ["a", "b"]), tmp_path / "v1")
    assert open_version(tmp_path / "v1").metadata is None
    table = pa.table({"item_id": ["b"], "title": ["Bee"]})
    pyarrow.parquet.write_table(table, tmp_path / "v1" / "item_metadata.parquet")
    version = open_version(tmp_path / "v1")
    assert version.metadata is not None
    assert version.metadata.documents(np.array([1, 0])) == [b'{"title":"Bee"}', b"null"]
    assert version.find_items("bee", 5).tolist() == [1]


def test_without_metadata_items_are_found_by_id(tmp_path: Path) -> None:
    save_state(random_state(5, ["ab", "b", "c"]), tmp_path / "v1")
    version = open_version(tmp_path / "v1")
    assert version.find_items("B", 5).tolist() == [1, 0]
    popularity = version.fitted.popularity[version.find_items("", 3)]
    assert popularity.tolist() == sorted(popularity, reverse=True)


def test_items_that_changed_are_shown_as_rules_see_them() -> None:
    table = ItemTable.of(pa.table({"id": ["a", "b"], "title": ["A", "B"], "price": [1.0, 2.0]}), "id", IDS)
    attributes = ItemAttributes(table.table, IDS)
    found = ItemMetadata(table, attributes)
    before = documents(found)
    attributes.update({"a": {"price": 9.5}})
    assert documents(found) == before  # nothing has been said of it
    place = int(IDS.index_of(["a"])[0])
    found.note(np.array([place]))
    assert documents(found)[place] == {"title": "A", "price": 9.5}
    assert [row for n, row in enumerate(documents(found)) if n != place] == [
        row for n, row in enumerate(before) if n != place
    ]
    attributes.update({"a": {"price": None}, "d": {"title": "D"}})
    found.note(IDS.index_of(["a", "d"]))
    assert documents(found)[place] == {"title": "A"}
    assert documents(found)[int(IDS.index_of(["d"])[0])] == {"title": "D"}  # it had no row
