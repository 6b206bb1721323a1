"""The function from record batches to record batches, against the verbs for some users."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hashgnn import HashGNN, Interactions
from hashgnn.answering import BatchAnswers
from hashgnn.errors import DataError, ParameterError, UnknownIdError
from hashgnn.testing.states import random_state

Made = Callable[..., pa.Table]


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    """Return a function that runs a verb for all in this process, and reads what it has written."""
    from hashgnn.batch import run

    def in_this_process(writer: Any, numbers: list[int], n_workers: int) -> Any:
        return (writer.write(number) for number in numbers)

    monkeypatch.setattr(run, "run_local", in_this_process)

    def make(model: HashGNN, verb: str = "recommend_all", **options: Any) -> pa.Table:
        out = tmp_path / f"out-{len(list(tmp_path.iterdir()))}"
        getattr(model, verb)(out, part_rows=7, progress=False, **options)
        return pq.read_table(out).replace_schema_metadata(None)

    return make


@pytest.mark.parametrize("search", ["hamming", "biased", "asymmetric", "hierarchical", "float"])
def test_every_search_way(model: HashGNN, made: Made, search: str) -> None:
    found = made(model, k=4, search=search, oversampling=2)
    assert found.equals(model.recommend(model.user_ids, k=4, search=search, oversampling=2).to_arrow())


def test_filters(model: HashGNN, made: Made) -> None:
    options: dict[str, Any] = {
        "k": 3,
        "filter_seen": False,
        "allow": model.item_ids[:20],
        "block": [*model.item_ids[5:9], "nothing"],
    }
    assert made(model, **options).equals(model.recommend(model.user_ids, **options).to_arrow())
    with_unknown = {"allow": ["i1", "i2", "nothing"], "on_unknown": "skip", "k": 2, "filter_seen": False}
    assert made(model, **with_unknown).equals(model.recommend(model.user_ids, **with_unknown).to_arrow())


def test_newer_interactions(model: HashGNN, made: Made, tmp_path: Path) -> None:
    users, items = model.user_ids, model.item_ids
    newer = pa.table(
        {
            "user_id": [users[3], users[3], users[90], "nobody"],
            "item_id": [items[0], items[7], items[9], items[1]],
        }
    )
    pq.write_table(newer, tmp_path / "newer.parquet")
    with pytest.warns(UserWarning, match="left out"):
        found = made(model, k=4, since_training=tmp_path / "newer.parquet")
    known = Interactions.from_frame(newer.slice(0, 3))
    assert found.equals(model.recommend(users, k=4, since_training=known).to_arrow())
    assert not found.equals(model.recommend(users, k=4).to_arrow())


def write_histories(folder: Path, rows: list[list[Any]], users: list[Any] | None, n_files: int = 3) -> Path:
    folder.mkdir()
    (folder / "_SUCCESS").touch()
    for number, places in enumerate(np.array_split(np.arange(len(rows)), n_files)):
        columns = {} if users is None else {"user_id": [users[place] for place in places]}
        table = pa.table({**columns, "history": [rows[place] for place in places]})
        pq.write_table(table, folder / f"{number}.parquet", row_group_size=4)
    return folder


def rows_of(model: HashGNN, n: int = 30) -> list[list[Any]]:
    rng = np.random.default_rng(0)
    return [rng.choice(model.item_ids, rng.integers(1, 6), replace=False).tolist() for _ in range(n)]


def test_histories(model: HashGNN, made: Made, tmp_path: Path) -> None:
    rows = rows_of(model)
    folder = write_histories(tmp_path / "histories", rows, None)
    expected = model.recommend_for_history(rows, k=4).to_arrow()
    assert made(model, histories=folder, k=4).equals(expected)
    users = [f"new {number}" for number in range(len(rows))]
    named = write_histories(tmp_path / "named", rows, users)
    found = made(model, histories=named, k=4)
    assert found.column_names == ["user_id", "item_id", "rank", "score"]
    assert found.select(["item_id", "rank", "score"]).equals(expected.select(["item_id", "rank", "score"]))
    assert found["user_id"].to_pylist() == [users[place] for place in expected["history"].to_pylist()]
    codes = made(model, "encode_all", histories=named)
    folded = model.fold_in_users(rows)
    assert codes["user_id"].to_pylist() == users
    assert codes["code"].to_pylist() == [code.tobytes() for code in folded.codes.packed]
    assert codes["embedding"].to_pylist() == folded.embeddings.tolist()


def test_unknown_items_and_empty_histories(model: HashGNN, made: Made, tmp_path: Path) -> None:
    rows = rows_of(model, 9)
    rows[4], rows[8] = ["nothing"], [*rows[8], "nothing"]
    folder = write_histories(tmp_path / "histories", rows, None)
    with pytest.raises(
        UnknownIdError, match=r"item ids of histories .* are not in the training data: 'nothing'"
    ):
        made(model, histories=folder)
    for on_unknown in ("skip", "popular"):
        expected = model.recommend_for_history(rows, k=3, on_unknown=on_unknown).to_arrow()
        assert made(model, histories=folder, k=3, on_unknown=on_unknown).equals(expected)
    assert made(model, "encode_all", histories=folder, on_unknown="skip")["history"].to_pylist() == [
        *range(4),
        *range(5, 9),
    ]
    rows[4] = []
    empty = write_histories(tmp_path / "empty", [*rows[:8]], None)
    with pytest.raises(ParameterError, match="that of row 4 of histories is empty"):
        made(model, histories=empty)


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        (
            {"items": [["i1"]]},
            r"must have a column 'history' of lists, or 'user_id' and 'item_id' .*, got \['items'\]",
        ),
        ({"history": ["i1"]}, "the column 'history' must hold lists of item ids, got string"),
        ({"history": pa.array([], pa.list_(pa.string()))}, "holds no history"),
        ({"history": [["i1", None]]}, "a history must hold no empty ids, got 1"),
        ({"history": [[1]]}, "item ids of this data are text, got 1 of type int"),
    ],
)
def test_a_wrong_file_of_histories(
    model: HashGNN, made: Made, table: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    pq.write_table(pa.table(table), tmp_path / "wrong.parquet")
    with pytest.raises((DataError, ParameterError), match=sentence):
        made(model, histories=tmp_path / "wrong.parquet")


def test_other_wrong_histories(model: HashGNN, made: Made, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no such file or folder"):
        made(model, histories=tmp_path / "nowhere")
    folder = write_histories(tmp_path / "histories", rows_of(model, 6), None, 2)
    pq.write_table(pa.table({"user_id": [1], "history": [["i1"]]}), folder / "2.parquet")
    with pytest.raises(DataError, match="its columns must be those of the first file, history list"):
        made(model, histories=folder)
    (folder / "2.parquet").write_bytes(b"PAR1")
    with pytest.raises(
        DataError, match=r"2.parquet: histories must be parquet, this file is not or is damaged"
    ):
        made(model, histories=folder)
    with pytest.raises(ParameterError, match="since_training must be None with histories"):
        made(model, histories=folder, since_training=folder)


@pytest.mark.parametrize("side", ["item", "user"])
def test_similar(model: HashGNN, made: Made, side: str) -> None:
    ids = model.item_ids if side == "item" else model.user_ids
    verb = model.similar_items if side == "item" else model.similar_users
    assert made(model, "similar_all", side=side, k=3).equals(verb(ids, k=3).to_arrow())


@pytest.mark.parametrize("side", ["item", "user"])
def test_codes_and_embeddings(model: HashGNN, made: Made, side: str) -> None:
    ids = model.item_ids if side == "item" else model.user_ids
    found, expected = made(model, "encode_all", side=side), model.encode(**{f"{side}_ids": ids})
    assert found[f"{side}_id"].to_pylist() == ids.tolist()
    assert found["code"].to_pylist() == [code.tobytes() for code in expected.codes.packed]
    assert found["embedding"].to_pylist() == expected.embeddings.tolist()
    assert ("bias" in found.column_names) == (side == "item")
    if expected.bias is not None:
        assert found["bias"].to_pylist() == expected.bias.values().tolist()


@pytest.mark.parametrize(
    ("ids", "kind", "read"),
    [
        ([*range(100, 120)], pa.int64(), int),
        ([f"ü{number}" for number in range(20)], pa.string(), str),
        ([datetime.date(2024, 1, 1 + number) for number in range(20)], pa.date32(), lambda value: value),
        ([("a", number) for number in range(20)], pa.string(), lambda one: f'["{one[0]}",{one[1]}]'),
    ],
)
def test_ids_of_every_kind(made: Made, ids: list[Any], kind: pa.DataType, read: Callable[[Any], Any]) -> None:
    model = HashGNN.from_state(random_state(ids, ids))
    found, expected = made(model, k=2), model.recommend(ids, k=2)
    assert (found["user_id"].type, found["item_id"].type) == (kind, kind)
    assert found["user_id"].to_pylist() == [
        read(one) for one in expected.query_ids.tolist() for _ in range(2)
    ]
    assert found["item_id"].to_pylist() == [read(one) for row in expected.lists() for one in row]


def test_the_function_in_a_pipeline_of_your_own(model: HashGNN) -> None:
    answers = BatchAnswers(model.batch_request(k=3))
    batch = pa.record_batch({"user_id": ["u7", "u3"], "more": [1, 2]})
    expected = model.recommend(["u7", "u3"], k=3).to_arrow()
    assert answers(batch).equals(expected)
    assert answers.schema == expected.schema
    both = pa.Table.from_batches(list(answers.over([batch, batch])))
    assert both.equals(pa.concat_tables([expected, expected]))
    by_history = answers(pa.record_batch({"user_id": [9], "history": [["i1", "i2"]]}))
    assert by_history["item_id"].to_pylist() == model.recommend_for_history([["i1", "i2"]], k=3).lists()[0]
    with pytest.raises(UnknownIdError, match="1 of 2 user ids are not in the training data: 'nobody'"):
        answers(pa.record_batch({"user_id": ["u1", "nobody"]}))
    with pytest.raises(DataError, match="a batch must have the column 'user_id' or 'history', got 'who'"):
        answers(pa.record_batch({"who": ["u1"]}))


def test_a_changed_file_of_histories_is_refused(model: HashGNN, tmp_path: Path) -> None:
    from hashgnn.answering.batch_histories import find_histories, read_histories

    folder = write_histories(tmp_path / "histories", rows_of(model, 9), None, 1)
    files = find_histories(folder)
    assert read_histories(files, 3, 9)["history"].to_pylist() == rows_of(model, 9)[3:9]
    pq.write_table(pa.table({"history": [["i1"]]}), folder / "0.parquet")
    with pytest.raises(DataError, match="was changed after the batch had begun"):
        read_histories(files, 3, 9)
