from __future__ import annotations

import json

import pyarrow.parquet as pq
import pytest

SMALL = ("--users", "60", "--items", "40", "--events", "600")


def test_a_shop_is_made_that_the_other_commands_read(run, tmp_path):
    code, out, err = run("data", "generate-shop", "-o", tmp_path / "shop", *SMALL)
    assert code == 0, err
    assert "events.parquet" in out
    assert pq.read_table(tmp_path / "shop/events.parquet").num_rows == 600
    assert pq.read_table(tmp_path / "shop/items.parquet").num_rows == 40
    weights = ("--event-weights", "click=1,cart=3,purchase=5")
    code, out, err = run("data", "stats", tmp_path / "shop/events.parquet", *weights, "--json")
    assert code == 0, err
    assert json.loads(out)["n_users"] == 60


def test_the_same_seed_makes_the_same_files(run, tmp_path):
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        assert run("data", "generate-shop", "-o", tmp_path / name, *SMALL, "--seed", seed)[0] == 0
    one, same, other = ((tmp_path / name / "events.parquet").read_bytes() for name in "abc")
    assert one == same
    assert one != other


@pytest.mark.parametrize("taken", ["events.parquet", "items.parquet"])
def test_files_that_are_there_stay_unless_they_may_be_replaced(run, tmp_path, taken):
    (tmp_path / taken).write_text("mine")
    code, _, err = run("data", "generate-shop", "-o", tmp_path, *SMALL)
    assert code == 2
    assert err == f"hashgnn: {tmp_path / taken}: exists; pass --overwrite to replace it\n"
    assert [path.name for path in tmp_path.iterdir()] == [taken]
    code, out, err = run("data", "generate-shop", "-o", tmp_path, *SMALL, "--overwrite", "--json")
    assert code == 0, err
    assert json.loads(out)["files"] == [str(tmp_path / name) for name in ("events.parquet", "items.parquet")]
    assert pq.read_table(tmp_path / "events.parquet").num_rows == 600


def test_a_wrong_number_writes_nothing(run, tmp_path):
    code, _, err = run("data", "generate-shop", "-o", tmp_path / "shop", *SMALL[:4], "--events", "20")
    assert code == 2
    assert "n_events must give from two clicks a user to half of all pairs, 120 to 1200, got 20" in err
    assert not (tmp_path / "shop").exists()
