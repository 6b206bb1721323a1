"""Commands that take a model's folder take its address too; fsspec's memory stands for an object store."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

Run = Callable[..., tuple[int, str, str]]
QUICK = (
    "--bits",
    "16",
    "--epochs",
    "1",
    "--set",
    "embedding_dim=16",
    "--set",
    "teacher.rank=8",
    "--set",
    "teacher.k=5",
)
ALONE = ("--threads", "1", "--device", "cpu", "--quiet")


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("HASHGNN_CACHE", str(tmp_path / "cache"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    system = fsspec.filesystem("memory")
    system.store.clear()
    yield system
    system.store.clear()


@pytest.fixture
def train(tmp_path: Path) -> Path:
    users, items = np.nonzero(np.random.default_rng(0).random((30, 20)) < 0.3)
    pq.write_table(pa.table({"user_id": users, "item_id": items}), tmp_path / "train.parquet")
    return tmp_path / "train.parquet"


def test_the_cycle_of_a_model_at_an_address(store: Any, train: Path, tmp_path: Path, run: Run) -> None:
    address = "memory://shop/models/v1"
    code, out, err = run("fit", train, "-o", address, *QUICK, *ALONE, "--json")
    assert (code, err) == (0, "")
    document = json.loads(out)
    assert document["path"] == address
    assert sorted(path.name for path in Path().iterdir()) == ["v1.log.jsonl"]  # no checkpoint is left

    assert run("fit", train, "-o", address, *QUICK, *ALONE)[2] == (
        f"hashgnn: {address}: holds a saved model; pass --overwrite to replace it\n"
    )
    assert run("fit", train, "-o", address, *QUICK, *ALONE, "--overwrite")[0] == 0

    code, out, _ = run("recommend", address, "--users", "3", "-k", "4", "--json")
    assert (code, len(json.loads(out)["results"])) == (0, 1)
    code, out, _ = run("inspect", address, "--json")
    assert json.loads(out)["n_users"] == 29
    assert run("similar", address, "--item", "3")[0] == 0

    pq.write_table(pa.table({"user_id": [3, 77], "item_id": [19, 19]}), tmp_path / "new.parquet")
    code, out, err = run("update", address, tmp_path / "new.parquet", *ALONE, "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["path"] == "memory://shop/models/v2"
    code, out, _ = run("inspect", "memory://shop/models/v2", "--json")
    assert json.loads(out)["n_users"] == 30
    assert store.exists("/shop/models/v1/manifest.json")


@pytest.mark.parametrize(
    ("address", "message"),
    [
        (
            "memory://shop/notes",
            "memory://shop/notes: exists and is not a saved hashgnn model; save to another",
        ),
        ("https://shop.example/v1", "a model cannot be saved at a web address; choose an object store"),
        ("nosuch://shop/v1", "nosuch://shop/v1: cannot be read, Protocol not known: nosuch"),
    ],
)
def test_where_no_model_can_be_saved_is_said_before_training(
    store: Any, train: Path, run: Run, address: str, message: str
) -> None:
    store.pipe("/shop/notes/todo.txt", b"buy milk")
    code, _, err = run("fit", train, "-o", address, *QUICK, *ALONE)
    assert code == 2
    assert message in err
    assert list(Path().iterdir()) == []


def test_where_no_model_is_one_sentence_says_so(run: Run) -> None:
    for command in (("recommend", "--users", "1"), ("inspect",), ("serve",)):
        code, _, err = run(command[0], "memory://shop/v9", *command[1:])
        assert (code, err) == (
            2,
            "hashgnn: memory://shop/v9: not a saved hashgnn model, it has no manifest.json\n",
        )
