"""Histories that are weighed in batches: the lists and codes of the call for some."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from hashgnn import HashGNN
from hashgnn.answering import BatchAnswers
from hashgnn.batch import read_manifest
from hashgnn.data import HistoryWeighting
from hashgnn.errors import DataError, ParameterError

WEIGHTINGS: list[dict[str, Any]] = [
    {"last_n": 2},
    {"position_half_life": 1.5},
    {"age_half_life": "1h"},
    {"session": "30m", "last_n": 3},
]
START = 1_700_000_000


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make parts in this process."""
    from hashgnn.batch import run

    monkeypatch.setattr(run, "run_local", lambda writer, numbers, _: map(writer.write, numbers))


def made(model: HashGNN, out: Path, verb: str = "recommend_all", **options: Any) -> pa.Table:
    getattr(model, verb)(out, part_rows=4, progress=False, **options)
    return pq.read_table(out).replace_schema_metadata(None)


@pytest.fixture(scope="module")
def rows(model: HashGNN) -> tuple[list[list[str]], list[list[int]]]:
    """Eleven histories, and the times of their items in no order."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 7, 11)
    histories = [rng.choice(model.item_ids, n, replace=False).tolist() for n in lengths]
    return histories, [(START + rng.integers(0, 20_000, n)).tolist() for n in lengths]


@pytest.mark.parametrize("weighting", WEIGHTINGS, ids=[" ".join(one) for one in WEIGHTINGS])
def test_histories_of_every_form(
    model: HashGNN, rows: tuple[Any, Any], tmp_path: Path, weighting: dict[str, Any]
) -> None:
    histories, times = rows
    options: dict[str, Any] = {"k": 6, "history_weighting": weighting}
    found = model.recommend_for_history(histories, timestamps=times, **options)
    expected = found.to_arrow()
    pq.write_table(pa.table({"history": histories, "timestamps": times}), tmp_path / "lists.parquet")
    assert made(model, tmp_path / "1", histories=tmp_path / "lists.parquet", **options).equals(expected)
    moments = pa.array(times, pa.list_(pa.timestamp("s", "UTC")))
    pq.write_table(pa.table({"history": histories, "timestamps": moments}), tmp_path / "moments.parquet")
    assert made(model, tmp_path / "2", histories=tmp_path / "moments.parquet", **options).equals(expected)
    pairs = zip(histories, times, strict=True)
    lines = [json.dumps({"history": one, "timestamps": other}) for one, other in pairs]
    (tmp_path / "lists.jsonl").write_text("\n".join(lines))
    assert made(model, tmp_path / "3", histories=tmp_path / "lists.jsonl", **options).equals(expected)
    events = [
        (f"new {place}", item, time * 1000)  # in milliseconds, as interactions may be
        for place, (items, moments_of) in enumerate(zip(histories, times, strict=True))
        for item, time in zip(items, moments_of, strict=True)
    ]
    columns = dict(zip(("user_id", "item_id", "timestamp"), zip(*events, strict=True), strict=True))
    pyarrow.csv.write_csv(
        pa.table({name: list(values) for name, values in columns.items()}), tmp_path / "e.csv"
    )
    named = made(model, tmp_path / "4", histories=tmp_path / "e.csv", **options)
    assert named.drop_columns(["user_id"]).equals(expected.drop_columns(["history"]))
    codes = made(
        model, tmp_path / "5", "encode_all", histories=tmp_path / "lists.parquet", history_weighting=weighting
    )
    folded = model.fold_in_users(histories, timestamps=times, history_weighting=weighting)
    assert codes["code"].to_pylist() == [code.tobytes() for code in folded.codes.packed]
    assert codes["embedding"].to_pylist() == folded.embeddings.tolist()
    plain = made(model, tmp_path / "6", histories=tmp_path / "lists.parquet", k=6)
    assert not plain.equals(expected)


def test_newer_interactions(model: HashGNN, tmp_path: Path) -> None:
    users, items = model.user_ids, model.item_ids
    rng = np.random.default_rng(1)
    newer = pa.table(
        {
            "user_id": rng.choice(users[:40], 160).tolist(),
            "item_id": rng.choice(items, 160).tolist(),
            "timestamp": (START + rng.permutation(160) * 600).tolist(),
        }
    )
    pq.write_table(newer, tmp_path / "newer.parquet")
    for place, weighting in enumerate(WEIGHTINGS):
        options: dict[str, Any] = {"k": 6, "history_weighting": weighting}
        found = made(model, tmp_path / f"{place}", since_training=tmp_path / "newer.parquet", **options)
        assert found.equals(model.recommend(users, since_training=newer, **options).to_arrow())
    plain = made(model, tmp_path / "plain", since_training=tmp_path / "newer.parquet", k=6)
    assert not plain.equals(found)


def test_weights_are_a_part_of_the_request(model: HashGNN, rows: tuple[Any, Any], tmp_path: Path) -> None:
    histories, times = rows
    pq.write_table(pa.table({"history": histories, "timestamps": times}), tmp_path / "h.parquet")
    options: dict[str, Any] = {"histories": tmp_path / "h.parquet", "k": 3, "progress": False}
    model.recommend_all(tmp_path / "out", history_weighting={"session": "30m"}, **options)
    assert read_manifest(tmp_path / "out")["request"]["history_weighting"] == {"session": 1800.0}
    assert model.recommend_all(tmp_path / "out", history_weighting={"session": 1800}, **options).n_made == 0
    for other in ({"session": "31m"}, None):
        with pytest.raises(ParameterError, match="with another history_weighting; name another folder"):
            model.recommend_all(tmp_path / "out", history_weighting=other, **options)


def test_a_batch_of_your_own_has_times(model: HashGNN, rows: tuple[Any, Any]) -> None:
    histories, times = rows
    answers = BatchAnswers(model.batch_request(k=4, history_weighting=HistoryWeighting(session="30m")))
    found = answers(pa.table({"history": histories, "timestamps": times}))
    expected = model.recommend_for_history(
        histories, k=4, timestamps=times, history_weighting={"session": "30m"}
    )
    assert found.equals(expected.to_arrow())


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({}, "must have times for session and age_half_life: a column 'timestamps' of lists"),
        ({"timestamps": [1, 2]}, "the column 'timestamps' must hold lists of times, got int64"),
        ({"timestamps": [["a"], ["b"]]}, "must hold lists of seconds or times, got list"),
        ({"timestamps": [[1], [2, 3]]}, "a finite number for each item, 2 in history 0, got 1"),
        ({"timestamps": [[1, 2], [None]]}, "a finite number for each item, 1 in history 1, got 1"),
    ],
)
def test_wrong_times(model: HashGNN, tmp_path: Path, columns: dict[str, Any], sentence: str) -> None:
    histories = [["i1", "i2"], ["i3"]]
    pq.write_table(pa.table({"history": histories, **columns}), tmp_path / "h.parquet")
    options: dict[str, Any] = {"histories": tmp_path / "h.parquet", "progress": False}
    with pytest.raises((DataError, ParameterError), match=sentence):
        model.recommend_all(tmp_path / "out", history_weighting={"session": "30m"}, **options)
    assert [path.name for path in tmp_path.iterdir()] == ["h.parquet"]


def test_what_weights_need(model: HashGNN, tmp_path: Path) -> None:
    with pytest.raises(
        ParameterError, match="history_weighting needs histories or since_training, got neither"
    ):
        model.recommend_all(tmp_path / "out", history_weighting={"last_n": 2}, progress=False)
    with pytest.raises(ParameterError, match="history_weighting needs histories, got none"):
        model.encode_all(tmp_path / "out", history_weighting={"last_n": 2}, progress=False)
    newer = pa.table({"user_id": model.user_ids[:2].tolist(), "item_id": model.item_ids[:2].tolist()})
    pq.write_table(newer, tmp_path / "newer.parquet")
    with pytest.raises(ParameterError, match="history_weighting needs the times of since_training, got none"):
        model.recommend_all(
            tmp_path / "out",
            since_training=tmp_path / "newer.parquet",
            history_weighting={"last_n": 2},
            progress=False,
        )
    with pytest.raises(ParameterError, match="history_weighting and timestamps need histories, got none"):
        model.fold_in_users(user_features=pa.table({"a": [1]}), timestamps=[[1]])
    assert [path.name for path in tmp_path.iterdir()] == ["newer.parquet"]
