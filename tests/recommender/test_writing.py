"""Lists in files from Python: titles from every form of table, and what is refused."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hashgnn import HashGNN
from hashgnn.batch import read_manifest
from hashgnn.data import IdMap, SideTable, read_table
from hashgnn.errors import DataError, MissingExtraError, ParameterError
from hashgnn.testing.states import random_state

IDS = [*range(100, 130)]
COLUMNS = {"item_id": IDS[1:], "name": [f"n{one}" for one in IDS[1:]], "genre": ["a"] * 29}


@pytest.fixture(scope="module")
def model() -> HashGNN:
    return HashGNN.from_state(random_state(20, IDS))


def test_titles_from_every_form_of_table(model: HashGNN, tmp_path: Path) -> None:
    table = pa.table(COLUMNS)
    pq.write_table(table, tmp_path / "items.parquet")
    (tmp_path / "items.csv").write_bytes(pd.DataFrame(COLUMNS).to_csv(index=False).encode())
    recs = model.recommend(["u1", "u2"], k=25, filter_seen=False)
    expected = [None if item == 100 else f"n{item}" for row in recs.lists() for item in row]
    assert 100 in [item for row in recs.lists() for item in row]
    forms: list[Any] = [
        table,
        pd.DataFrame(COLUMNS),
        pl.DataFrame(COLUMNS),
        tmp_path / "items.parquet",
        str(tmp_path / "items.csv"),
        SideTable("item", table, IdMap(IDS)),
    ]
    for items in forms:
        found = recs.to_arrow(items=items)
        assert found.column_names == ["user_id", "item_id", "name", "rank", "score"]
        assert found["name"].to_pylist() == expected
        assert found.drop_columns(["name"]).equals(recs.to_arrow())
    both = recs.to_frame("polars", items=table, title=["genre", "name"])
    assert both.columns == ["user_id", "item_id", "genre", "name", "rank", "score"]
    similar = model.similar_items([101], k=3).to_arrow(items=table)
    assert similar["name"].to_pylist() == [
        f"n{item}" if item > 100 else None for item in similar["similar_item_id"].to_pylist()
    ]


def test_text_that_looks_like_a_number_stays_text(tmp_path: Path) -> None:
    ids = [f"{number:03}" for number in range(30)]
    recs = HashGNN.from_state(random_state(20, ids)).recommend(["u1"], k=20)
    (tmp_path / "items.csv").write_text("item_id,title\n" + "".join(f"{one},t{one}\n" for one in ids))
    assert recs.to_arrow(items=tmp_path / "items.csv")["title"].to_pylist() == [
        f"t{one}" for one in recs.lists()[0]
    ]


@pytest.mark.parametrize(
    ("items", "title", "kind", "sentence"),
    [
        (
            pa.table(COLUMNS),
            "colour",
            ParameterError,
            "'colour' must be a column of the table of items, 'name', 'genre'",
        ),
        (
            pa.table({"item_id": IDS, "price": IDS}),
            None,
            ParameterError,
            "title must name a column of the table of items",
        ),
        (
            pa.table({"item_id": IDS, "rank": IDS}),
            "rank",
            ParameterError,
            "columns that the list does not have, got 'rank'",
        ),
        (
            pa.table({"sku": IDS}),
            None,
            DataError,
            "column 'item_id' is missing in the table of items, found 'sku'",
        ),
        (
            pa.table({"item_id": ["a"], "title": ["b"]}),
            None,
            DataError,
            "item_id of the table of items: .* integers",
        ),
        ([1, 2], None, ParameterError, "items must be a file, an Arrow table or a data frame, got list"),
        ("gone.csv", None, DataError, "gone.csv: cannot be read"),
        (None, "title", ParameterError, "title needs items, a table to take it from, got 'title' alone"),
    ],
)
def test_a_wrong_table_of_items_is_one_sentence(
    model: HashGNN, items: Any, title: Any, kind: type[Exception], sentence: str, tmp_path: Path
) -> None:
    recs = model.recommend(["u1"], k=3)
    with pytest.raises(kind, match=sentence) as found:
        recs.write(tmp_path / "x.csv", items=items, title=title)
    assert "\n" not in str(found.value)
    assert list(tmp_path.iterdir()) == []


def test_lists_without_results_have_the_columns_of_others(model: HashGNN, tmp_path: Path) -> None:
    with pytest.warns(match="no item left"):
        recs = model.recommend(["u1"], k=3, allow=[101], block=[101])
    recs.write(tmp_path / "x.parquet", items=pa.table(COLUMNS))
    found = pq.read_table(tmp_path / "x.parquet")
    assert (found.num_rows, found.column_names) == (0, ["user_id", "item_id", "name", "rank", "score"])
    assert found.schema.field("name").type == pa.string()


def test_a_file_object_is_written_and_stays_open(model: HashGNN) -> None:
    file = io.BytesIO()
    recs = model.recommend(["u1"], k=3)
    recs.write(file, format="jsonl")
    recs.write(file, format="jsonl")
    assert len(file.getvalue().splitlines()) == 6
    with pytest.raises(ParameterError, match="output must end in .*, got a file object"):
        recs.write(file)


def test_one_file_goes_on_after_a_stop_and_begins_anew_for_another_request(
    model: HashGNN, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model.save(tmp_path / "model")
    loaded = HashGNN.load(tmp_path / "model")
    options: dict[str, Any] = {"part_rows": 5, "n_workers": 1, "progress": False}

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("hashgnn.recommender.batch_target.write_table", stop)
        with pytest.raises(KeyboardInterrupt):
            loaded.recommend_all(tmp_path / "all.csv", k=3, **options)
    hidden = tmp_path / ".all.csv.parts"
    assert sorted(path.name for path in tmp_path.iterdir()) == [".all.csv.parts", "model"]
    assert read_manifest(hidden)["rows"] == 20
    (hidden / "part-00001.parquet").unlink()
    assert loaded.recommend_all(tmp_path / "all.csv", k=3, **options).n_made == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all.csv", "model"]
    expected = loaded.recommend(loaded.user_ids, k=3).to_arrow()
    assert read_table(tmp_path / "all.csv")["item_id"].to_pylist() == expected["item_id"].to_pylist()
    with monkeypatch.context() as patch:
        patch.setattr("hashgnn.recommender.batch_target.write_table", stop)
        with pytest.raises(KeyboardInterrupt):
            loaded.recommend_all(tmp_path / "all.csv", k=3, overwrite=True, **options)
    result = loaded.recommend_all(
        tmp_path / "all.csv", k=4, overwrite=True, **options
    )  # parts of k=3 are there
    assert (result.n_made, result.path) == (4, tmp_path / "all.csv")
    assert result.n_bytes == (tmp_path / "all.csv").stat().st_size
    assert read_table(tmp_path / "all.csv").num_rows == 80


def test_a_missing_engine_takes_no_answers_away(
    model: HashGNN, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model.recommend_all(tmp_path / "all", k=3, n_workers=1, progress=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    before = {path.name: path.read_bytes() for path in (tmp_path / "all").iterdir()}
    with pytest.raises(MissingExtraError, match="needs the package ray"):
        model.recommend_all(tmp_path / "all", k=4, engine="ray", overwrite=True, progress=False)
    assert {path.name: path.read_bytes() for path in (tmp_path / "all").iterdir()} == before
