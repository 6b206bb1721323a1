from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hashgnn._files import sha256_file


@pytest.fixture
def events(tmp_path):
    rng = np.random.default_rng(0)
    table = pa.table(
        {
            "customer": rng.integers(0, 40, 900),
            "sku": rng.integers(0, 30, 900),
            "event": rng.choice(["view", "cart"], 900),
            "time": np.arange(900) + 1_714_521_600,
        }
    )
    pq.write_table(table, tmp_path / "events.parquet")
    return tmp_path / "events.parquet"


COLUMNS = ("--user", "customer", "--item", "sku")


def test_a_file_is_split_and_the_note_says_how(run, events, tmp_path):
    code, out, err = run("data", "split", events, "-o", tmp_path / "parts", "--temporal", "0.1", *COLUMNS)
    assert code == 0, err
    assert "train" in out
    note = json.loads((tmp_path / "parts" / "split.json").read_text())
    assert note["source"] == {"path": str(events), "sha256": sha256_file(events)}
    assert note["columns"] == {"user": "customer", "item": "sku", "timestamp": "time"}
    parts = [pq.read_table(tmp_path / "parts" / f"{name}.parquet") for name in ("train", "valid", "test")]
    assert sum(map(len, parts)) == 900
    assert parts[0].column_names == ["customer", "sku", "event", "time"]


def test_the_command_does_as_the_function(run, events, tmp_path):
    from hashgnn.data import split_table

    arguments = ("--random", "0.2", "--valid", "0", "--events", "cart", "--user-k", "3", "--seed", "4")
    code, out, _ = run("data", "split", events, "-o", tmp_path / "parts", *arguments, *COLUMNS, "--json")
    assert code == 0
    made = split_table(
        pq.read_table(events),
        "random",
        0.2,
        valid_size=0,
        events=["cart"],
        user_k=3,
        user="customer",
        item="sku",
        rng=4,
    )
    assert pq.read_table(tmp_path / "parts" / "test.parquet").equals(made.test)
    document = json.loads(out)
    assert document["filters"] == made.note["filters"]
    assert not (tmp_path / "parts" / "valid.parquet").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "split needs one of --temporal, .* got 0"),
        (("--temporal", "0.1", "--leave-one-out"), "got 2 of them"),
        (("--random", "2"), "--random must be > 0 and < 1, got 2"),
        (("--random", "0.1", "--unknown", "what"), "unknown must be one of"),
        (("--random", "0.1", "--events", "buy"), "events must be among"),
    ],
)
def test_a_wrong_command_is_one_sentence_and_writes_nothing(run, events, tmp_path, arguments, message):
    code, _, err = run("data", "split", events, "-o", tmp_path / "parts", *arguments, *COLUMNS)
    assert code == 2
    assert len(err.strip().splitlines()) == 1
    import re

    assert re.search(message, err)
    assert not (tmp_path / "parts").exists()


def test_an_earlier_split_is_replaced_only_where_asked(run, events, tmp_path):
    arguments = ("data", "split", events, "-o", tmp_path / "parts", "--leave-one-out", *COLUMNS)
    assert run(*arguments)[0] == 0
    before = (tmp_path / "parts" / "test.parquet").read_bytes()
    code, _, err = run(*arguments, "--seed", "9")
    assert code == 2
    assert "pass --overwrite to replace it" in err
    assert (tmp_path / "parts" / "test.parquet").read_bytes() == before
    assert run(*arguments, "--overwrite")[0] == 0
