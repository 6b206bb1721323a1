"""``hashgnn interactions`` and ``hashgnn items`` on a store in PostgreSQL: the same words as on a file."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tests.servers import store_url

from hashgnn.data import Deletions
from hashgnn.serving.store import InteractionStore, NewItem
from hashgnn.state import save_state
from hashgnn.testing.states import random_state

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def store() -> str:
    url = store_url()
    with InteractionStore.open(url) as opened:
        opened.append(["u1", "u2", "u2"], ["i1", "i2", "new"], timestamps=[1, 2, 3])
    return url


def test_interactions_go_from_the_store_to_the_next_training(store: str, tmp_path: Path, run: Run) -> None:
    with InteractionStore.open(store) as opened:
        training = {"lineage": {"exports": {opened.identity: 2}}}
    save_state(replace(random_state(5, 5), training=training), tmp_path / "v2")
    path = tmp_path / "new.parquet"
    code, out, err = run("interactions", "export", store, "-o", path, "--model", tmp_path / "v2", "--json")
    assert (code, json.loads(out)["after"], json.loads(out)["upto"], err) == (0, 2, 3, "")
    assert pq.read_table(path)["item_id"].to_pylist() == ["new"]
    code, out, _ = run("interactions", "delete", store, "--user", "u1", "--json")
    assert (code, json.loads(out)) == (0, {"removed": 1, "kept": 2})
    code, out, _ = run("interactions", "clear", store, "--model", tmp_path / "v2", "--json")
    assert (code, json.loads(out)) == (0, {"removed": 1, "kept": 1})
    assert run("interactions", "export", store, "-o", tmp_path / "rest.parquet")[0] == 0
    assert Deletions.read(tmp_path / "rest.parquet") == Deletions(users=((4, "u1"),))


def test_new_items_are_exported_deleted_and_cleared(store: str, tmp_path: Path, run: Run) -> None:
    with InteractionStore.open(store) as opened:
        opened.items.add([NewItem("a", ("u1",), {"genre": "War"}), NewItem("b"), NewItem("i3")])
    code, said, _ = run("items", "export", store, "-o", tmp_path / "out.parquet", "--json")
    assert (code, json.loads(said)["count"]) == (0, 3)
    assert pq.read_table(tmp_path / "out.parquet")["first_users"].to_pylist() == [["u1"], [], []]
    code, said, _ = run("items", "delete", store, "--item", "b", "--json")
    assert json.loads(said) == {"removed": 1, "kept": 2}
    save_state(random_state(5, 5), tmp_path / "model")
    code, said, _ = run("items", "clear", store, "--model", tmp_path / "model", "--json")
    assert json.loads(said) == {"removed": 1, "kept": 1}


def test_a_store_that_is_not_there_is_not_made(tmp_path: Path, run: Run) -> None:
    url = store_url()
    for words in (("clear", url, "--upto", 1), ("export", url, "-o", tmp_path / "x.parquet")):
        code, out, err = run("interactions", *words)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert err.endswith(": there is no store of interactions\n")
    assert not (tmp_path / "x.parquet").exists()


def test_a_server_that_is_not_there_is_one_line_without_the_password(run: Run) -> None:
    code, out, err = run("interactions", "clear", "postgresql://shop:a-secret@127.0.0.1:1/db", "--upto", 1)
    assert (code > 0, out, err.count("\n")) == (True, "", 1)
    assert err.startswith(
        "hashgnn: postgresql://shop:***@127.0.0.1:1/db: could not be written or read, its server"
    )
    assert "a-secret" not in err
