"""The command line with ids that are neither numbers nor text: what it prints and what files hold are the same ids."""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hashgnn.serving.store import InteractionStore
from hashgnn.state import load_state

Run = Callable[..., tuple[int, str, str]]
QUICK = ("--set", "embedding_dim=16", "--set", "teacher.rank=8", "--set", "teacher.k=10")
USERS = [uuid.UUID(int=0xABCDEF000 + n) for n in range(30)]
ITEMS = [datetime.date(2024, 2, 20) + datetime.timedelta(n) for n in range(24)]


@pytest.fixture(scope="module")
def v1(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of users that are UUIDs and of items that are dates."""
    pytest.importorskip("torch")
    folder = tmp_path_factory.mktemp("models")
    users, items = np.nonzero(np.random.default_rng(0).random((30, 24)) > 0.6)
    table = pa.table({"user_id": [USERS[n] for n in users], "item_id": [ITEMS[n] for n in items]})
    pq.write_table(table, folder / "train.parquet")
    command = [sys.executable, "-m", "hashgnn", "fit", folder / "train.parquet", "-o", folder / "v1"]
    subprocess.run(
        [*map(str, command), "--bits", "16", "--epochs", "1", *QUICK, "--threads", "1", "--quiet"],
        check=True,
        capture_output=True,
    )
    return folder / "v1"


def unseen(v1: Path, n: int) -> list[tuple[uuid.UUID, datetime.date]]:
    """Return pairs of known users and items that the model was not trained on."""
    users, items = np.nonzero(load_state(v1).seen.toarray() == 0)
    state = load_state(v1)
    return [
        (state.users.ids.ids[user], state.items.ids.ids[item])
        for user, item in zip(users[:n], items[:n], strict=True)
    ]


def test_ids_are_printed_in_one_form_and_read_in_any(v1: Path, run: Run) -> None:
    code, out, err = run("recommend", v1, "--users", USERS[3], "-k", "4", "--json")
    assert (code, err) == (0, "")
    (row,) = json.loads(out)["results"]
    assert row["user_id"] == str(USERS[3])
    assert [str(datetime.date.fromisoformat(item)) for item in row["item_ids"]] == row["item_ids"]
    assert run("recommend", v1, "--users", str(USERS[3]).upper(), "-k", "4", "--json")[1] == out
    code, blocked, _ = run(
        "recommend", v1, "--users", USERS[3].hex, "-k", "4", "--json", "--block", row["item_ids"][0]
    )
    assert code == 0
    assert json.loads(blocked)["results"][0]["item_ids"][:3] == row["item_ids"][1:]
    code, table, _ = run("recommend", v1, "--history", row["item_ids"][0].replace("-", ""), "-k", "4")
    assert code == 0
    assert row["item_ids"][0] not in table


def test_a_text_file_of_printed_ids_is_evaluated_in_full(v1: Path, tmp_path: Path, run: Run) -> None:
    rows = unseen(v1, 20)
    lines = [f"{user},{item}" for user, item in rows]
    (tmp_path / "test.csv").write_text("\n".join(["user_id,item_id", *lines]))
    code, out, err = run("evaluate", v1, "--test", tmp_path / "test.csv", "--k", "5", "--json")
    assert code == 0, err
    assert json.loads(out)["n_users"] == len({user for user, _ in rows})
    assert "left out" not in err


def test_an_update_with_printed_ids_adds_none_that_is_known(v1: Path, tmp_path: Path, run: Run) -> None:
    rows = unseen(v1, 5)
    lines = [f"{str(user).upper()},{item}" for user, item in rows]
    (tmp_path / "new.csv").write_text(
        "\n".join(["user_id,item_id", *lines, f"{uuid.UUID(int=7).hex},2030-01-01"])
    )
    with InteractionStore.open(tmp_path / "new.db") as store:
        store.append([str(user) for user, _ in rows], [str(item) for _, item in rows])
        store.export(tmp_path / "new.parquet")
    for name, n_new in (("new.csv", 1), ("new.parquet", 0)):
        code, out, err = run(
            "update",
            v1,
            tmp_path / name,
            "-o",
            tmp_path / f"{name}.model",
            "--json",
            "--quiet",
            "--threads",
            "1",
        )
        assert code == 0, err
        lineage = json.loads(out)["lineage"]
        assert (lineage["n_new_users"], lineage["n_new_items"]) == (n_new, n_new)
        assert lineage["n_new_interactions"] == 5 + n_new
    state = load_state(tmp_path / "new.csv.model")
    assert state.users.ids.ids[-1] == uuid.UUID(int=7)
    assert state.items.ids.ids[-1] == datetime.date(2030, 1, 1)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--users", "nobody"), "user ids of this model are UUIDs, got 'nobody'"),
        (
            ("--history", "2024-02-20,yesterday"),
            "item ids of this model are dates (as text: 2024-05-01), got",
        ),
        (
            ("--users", USERS[0], "--block", "7"),
            "item ids of this model are dates (as text: 2024-05-01), got '7'",
        ),
        (("--users", USERS[0], "--allow-file", "ids.txt"), "item ids of this model are dates"),
    ],
)
def test_text_that_is_no_id_of_the_model_is_one_sentence(
    v1: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    run: Run,
    options: tuple[object, ...],
    sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("ids.txt").write_text("2024-02-20\nx\n")
    code, out, err = run("recommend", v1, *options)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert sentence in err


def test_a_file_of_another_kind_of_ids_updates_nothing(v1: Path, tmp_path: Path, run: Run) -> None:
    (tmp_path / "new.csv").write_text(f"user_id,item_id\n{USERS[0]},2024-02-20\nx,2024-02-20\n")
    code, out, err = run("update", v1, tmp_path / "new.csv", "-o", tmp_path / "v2")
    assert (code, out) == (2, "")
    assert "user ids of this data are UUIDs, got 'x'" in err
    assert not (tmp_path / "v2").exists()


def test_a_table_of_features_has_the_kind_of_ids_of_the_interactions(tmp_path: Path, run: Run) -> None:
    (tmp_path / "e.csv").write_text(
        "user_id,item_id\n" + "".join(f"{n % 7},{n % 25}\nu,{n % 25}\n" for n in range(175))
    )
    (tmp_path / "users.csv").write_text("user_id,age\n" + "".join(f"{n},{n}\n" for n in range(7)))
    command = ("fit", tmp_path / "e.csv", "-o", tmp_path / "v1", "--user-features", tmp_path / "users.csv")
    code, _, err = run(
        *command, "--recipe", "paper", "--epochs", "1", "--bits", "8", "--threads", "1", "--quiet"
    )
    assert code == 0, err
    vocabulary = load_state(tmp_path / "v1").users.features
    assert vocabulary is not None
    assert list(vocabulary.numbers) == ["age"]
