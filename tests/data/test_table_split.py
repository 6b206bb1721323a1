from __future__ import annotations

import json
from datetime import UTC, date, datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hashgnn._files import sha256_file
from hashgnn.data import Interactions, split, split_table, write_split
from hashgnn.errors import DataError, ParameterError

DAY = 86_400


def events(n: int = 3000, **columns: object) -> pa.Table:
    rng = np.random.default_rng(1)
    made: dict[str, object] = {
        "user_id": rng.integers(0, 60, n),
        "item_id": [f"i{one}" for one in rng.integers(0, 40, n)],
        "timestamp": 1_700_000_000 + rng.permutation(n) * 100,
        "event": rng.choice(["view", "cart", "purchase"], n, p=[0.7, 0.2, 0.1]),
        "weight": rng.integers(1, 5, n).astype(np.float32),
        "page": np.arange(n),
    }
    return pa.table({**made, **columns})


def pairs(table: pa.Table) -> set[tuple[object, object]]:
    return set(zip(table["user_id"].to_pylist(), table["item_id"].to_pylist(), strict=True))


@pytest.mark.parametrize("method", split.METHODS)
def test_every_row_is_in_one_part_and_no_pair_in_two(method):
    table = events()
    made = split_table(table, method, 0.2, rng=3)
    assert list(made.parts) == ["train", "valid", "test"]
    assert sorted(pa.concat_tables(made.parts.values())["page"].to_pylist()) == list(range(len(table)))
    assert all(part.schema == table.schema for part in made.parts.values())
    sets = [pairs(part) for part in made.parts.values()]
    assert not sets[0] & (sets[1] | sets[2])
    assert not sets[1] & sets[2]
    for name, part in made.parts.items():
        assert made.note["parts"][name]["rows"] == len(part)
        assert made.note["parts"][name]["interactions"] == len(pairs(part))


@pytest.mark.parametrize("method", split.METHODS)
def test_the_parts_are_those_of_the_interactions(method):
    table = events()
    whole = Interactions.from_frame(table)
    parts = split.train_valid_test(whole, method, 0.1, valid_size=0.2, rng=5)
    made = split_table(table, method, 0.1, valid_size=0.2, rng=5)
    for part, of_table in zip(parts, made.parts.values(), strict=True):
        ids = (part.user_ids.ids[part.user_index].tolist(), part.item_ids.ids[part.item_index].tolist())
        assert pairs(of_table) == set(zip(*ids, strict=True))


def test_shares_are_of_the_whole():
    whole = Interactions.from_arrays(np.repeat(np.arange(100), 100), np.tile(np.arange(100), 100))
    train, valid, test = split.train_valid_test(whole, "random", 0.2, valid_size=0.1, rng=0)
    assert valid is not None
    assert (len(train), len(valid), len(test)) == (7000, 1000, 2000)
    train, valid, test = split.train_valid_test(whole, "users", 0.2, valid_size=0.1, rng=0)
    assert valid is not None
    assert [len(np.unique(part.user_index)) for part in (train, valid, test)] == [70, 10, 20]
    assert split.train_valid_test(whole, "random", 0.2, valid_size=0, rng=0)[1] is None


def test_leave_one_out_holds_out_the_last_two():
    whole = Interactions.from_arrays([1] * 4, [10, 11, 12, 13], timestamp=[4, 3, 2, 1])
    train, valid, test = split.train_valid_test(whole, "leave_one_out", rng=0)
    assert valid is not None
    ids = [part.item_ids.ids[part.item_index].tolist() for part in (train, valid, test)]
    assert ids == [[12, 13], [11], [10]]


def test_time_orders_the_parts_of_a_temporal_split():
    made = split_table(events(), "temporal", 0.1)
    train, valid, test = (made.note["parts"][name] for name in ("train", "valid", "test"))
    assert train["last_time"] < valid["first_time"] <= valid["last_time"] < test["first_time"]


def test_a_repeated_pair_goes_with_its_latest_row():
    table = pa.table({"user": [1, 1, 2, 2], "item": [5, 6, 6, 5], "time": [1, 2, 3, 4]})
    repeated = pa.concat_tables([table, pa.table({"user": [1], "item": [5], "time": [9]})])
    made = split_table(repeated, "temporal", 0.25, valid_size=0)
    assert made.test.to_pylist() == [{"user": 1, "item": 5, "time": 1}, {"user": 1, "item": 5, "time": 9}]
    assert made.valid is None


def test_new_users_and_items_are_counted_and_dropped_where_asked():
    rows = {
        "user": [1, 1, 2, 2, 1, 3, 2, 3],
        "item": [1, 2, 1, 2, 3, 1, 9, 9],
        "time": [1, 1, 1, 1, 5, 5, 5, 5],
    }
    kept = split_table(pa.table(rows), "temporal", 0.5, valid_size=0)
    facts = kept.note["parts"]["test"]
    assert (facts["new_users"], facts["new_items"]) == (1, 2)
    assert (facts["interactions_of_new_users"], facts["interactions_of_new_items"]) == (2, 3)
    assert facts["interactions_dropped"] == 0
    with pytest.raises(DataError, match='test part has no interaction .* pass unknown="keep"'):
        split_table(pa.table(rows), "temporal", 0.5, valid_size=0, unknown="drop")
    rows["user"].append(4), rows["item"].append(1), rows["time"].append(1)
    rows["user"].append(4), rows["item"].append(2), rows["time"].append(5)
    dropped = split_table(pa.table(rows), "temporal", 0.5, valid_size=0, unknown="drop")
    assert dropped.test.to_pylist() == [{"user": 4, "item": 2, "time": 5}]
    assert dropped.note["parts"]["test"]["interactions_dropped"] == 4


def test_users_that_are_held_out_on_purpose_stay():
    made = split_table(events(), "users", 0.2, unknown="drop", rng=0)
    assert made.note["parts"]["test"]["new_users"] == 12
    assert made.note["parts"]["test"]["interactions_dropped"] == 0


def test_filters_come_before_the_split_and_are_counted():
    table = events()
    made = split_table(
        table, "random", 0.2, events=["cart", "purchase"], since="2023-11-15", user_k=3, item_k=2, rng=0
    )
    steps = made.note["filters"]
    assert [step["filter"] for step in steps] == ["events", "period", "k_core"]
    kinds = table["event"].to_pylist()
    assert steps[0]["rows"] == sum(kind != "view" for kind in kinds)
    assert steps[0]["rows"] > steps[1]["rows"] >= steps[2]["rows"] == made.note["rows"]
    whole = pa.concat_tables(list(made.parts.values()))
    assert "view" not in whole["event"].to_pylist()
    assert min(whole["timestamp"].to_pylist()) >= datetime(2023, 11, 15, tzinfo=UTC).timestamp()
    core = Interactions.from_frame(whole)
    assert min(np.bincount(core.user_index)) >= 3
    assert min(np.bincount(core.item_index)) >= 2


@pytest.mark.parametrize("scale", [1, 10**3, 10**6, 10**9])
def test_a_date_means_the_same_in_every_unit(scale):
    days = np.arange(10)
    start = int(datetime(2024, 5, 1, tzinfo=UTC).timestamp())
    table = pa.table({"user": days % 2, "item": days, "time": (start + days * DAY) * scale})
    made = split_table(table, "random", 0.3, valid_size=0, since="2024-05-03", until=date(2024, 5, 9), rng=0)
    left = sorted(made.train["item"].to_pylist() + made.test["item"].to_pylist())
    assert left == [2, 3, 4, 5, 6, 7]  # until is left out


def test_a_date_is_compared_with_times_and_with_text():
    days = np.arange("2024-05-01", "2024-05-11", dtype="datetime64[D]")
    for column in (pa.array(days), pa.array([f"{day}T00:00:00Z" for day in days])):
        table = pa.table({"user": np.arange(10) % 2, "item": np.arange(10), "time": column})
        made = split_table(table, "random", 0.3, valid_size=0, since="2024-05-03T00:00:00+00:00", rng=0)
        assert len(made.train) + len(made.test) == 8
        with pytest.raises(ParameterError, match="since must be a date or time"):
            split_table(table, since=17)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"events": ["view", "buy"]}, r"events must be among .*cart \(.*view \(.*got 'buy'"),
        ({"events": "view"}, "events must be a list"),
        ({"events": []}, "events must be a list"),
        ({"event_column": "event"}, "needs events"),
        ({"events": ["view"], "event_column": "kind"}, "column 'kind' is missing"),
        ({"since": "yesterday"}, "since must be a number or an ISO 8601 time"),
        ({"since": "2030-01-01"}, "no row is left"),
        ({"user_k": 1000}, "no interactions are left in the core"),
        ({"user_k": 0}, "user_k must be"),
        ({"method": "tomorrow"}, "method must be one of"),
        ({"test_size": 0.6}, "add up to less than 1"),
        ({"test_size": 1.0}, "test_size must be"),
        ({"valid_size": -0.1}, "valid_size must be"),
        ({"unknown": "skip"}, "unknown must be one of"),
        ({"user": "customer"}, "column 'customer' is missing"),
    ],
)
def test_a_wrong_argument_is_one_sentence(settings, message):
    with pytest.raises((ParameterError, DataError), match=message):
        split_table(events(), **settings)


def test_what_a_part_needs_is_said():
    table = events().drop_columns("timestamp")
    with pytest.raises(DataError, match="temporal split needs timestamps"):
        split_table(table)
    with pytest.raises(DataError, match="since and until need timestamps"):
        split_table(table, "random", since="2024-01-01")
    with pytest.raises(DataError, match="the test part is empty"):
        split_table(pa.table({"user": [1, 2], "item": [1, 2]}), "leave_one_out")
    with pytest.raises(DataError, match="0 rows"):
        split_table(events().slice(0, 0))


def test_the_folder_holds_the_parts_and_says_how(tmp_path):
    made = split_table(events(), "random", 0.2, rng=3)
    note = write_split(tmp_path / "parts", made)
    assert sorted(file.name for file in (tmp_path / "parts").iterdir()) == [
        "split.json",
        "test.parquet",
        "train.parquet",
        "valid.parquet",
    ]
    assert json.loads((tmp_path / "parts" / "split.json").read_text()) == note
    for name, part in made.parts.items():
        path = tmp_path / "parts" / note["parts"][name]["file"]
        assert pq.read_table(path).equals(part)
        assert note["parts"][name]["sha256"] == sha256_file(path)
    assert (note["method"], note["seed"], note["test_size"], note["valid_size"]) == ("random", 3, 0.2, 0.2)
    again = write_split(tmp_path / "again", split_table(events(), "random", 0.2, rng=3))
    assert again == note


def test_a_folder_is_replaced_only_where_asked_and_only_that_of_a_split(tmp_path):
    made, folder = split_table(events(), "random", 0.2, rng=0), tmp_path / "parts"
    folder.mkdir()
    write_split(folder, made)  # an empty folder holds nothing to lose
    with pytest.raises(ParameterError, match="exists; pass overwrite=True"):
        write_split(folder, made)
    other = split_table(events(), "random", 0.2, valid_size=0, rng=1)
    write_split(folder, other, overwrite=True)
    assert not (folder / "valid.parquet").exists()
    (folder / "thesis.tex").write_text("years of work")
    with pytest.raises(ParameterError, match=r"holds other files .*thesis\.tex"):
        write_split(folder, made, overwrite=True)
    assert (folder / "thesis.tex").read_text() == "years of work"
    (tmp_path / "file").write_text("")
    with pytest.raises(ParameterError, match="must be a folder, got a file"):
        write_split(tmp_path / "file", made, overwrite=True)


def test_a_write_that_fails_leaves_nothing(tmp_path, monkeypatch):
    made = split_table(events(), "random", 0.2, rng=0)
    written = []

    def failing(table, path):
        written.append(path)
        if len(written) == 3:
            raise RuntimeError("power cut")

    monkeypatch.setattr(pq, "write_table", failing)
    with pytest.raises((RuntimeError, OSError)):
        write_split(tmp_path / "parts", made)
    assert list(tmp_path.iterdir()) == []
