"""``hashgnn interactions``: from a service's store to a file for the next training, and out of the store."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from hashgnn.data import Deletions
from hashgnn.serving.store import InteractionStore
from hashgnn.state import save_state
from hashgnn.testing.states import random_state

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Path]:
    with InteractionStore.open(tmp_path / "events.db") as opened:
        opened.append(["u1", "u2", "u2"], ["i1", "i2", "new"], timestamps=[1, 2, 3])
        yield tmp_path / "events.db"  # a service has it open meanwhile


def model_trained_upto(store: Path, number: int) -> Path:
    """Save a model whose lineage says that it knows the interactions up to a number."""
    with InteractionStore.open(store) as opened:
        training = {"lineage": {"exports": {opened.identity: number}}}
    folder = store.parent / f"upto-{number}"
    save_state(replace(random_state(5, 5), training=training), folder)
    return folder


def test_an_export_holds_what_the_model_does_not_know(store: Path, run: Run) -> None:
    path = store.parent / "new.parquet"
    code, out, err = run("interactions", "export", store, "-o", path, "--json")
    assert (code, err) == (0, "")
    wanted = {"path": str(path), "count": 3, "after": 0, "upto": 3, "deletions": 0, "left_out": 0}
    assert json.loads(out) == wanted
    assert pq.read_table(path)["item_id"].to_pylist() == ["i1", "i2", "new"]

    model = model_trained_upto(store, 2)
    words = ("interactions", "export", store, "-o", path, "--model", model, "--json")
    code, _, err = run(*words)
    assert (code, err) == (2, f"hashgnn: {path}: exists; pass --overwrite to replace it\n")
    assert pq.read_table(path).num_rows == 3
    code, out, _ = run(*words, "--overwrite")
    assert (code, json.loads(out)["after"], json.loads(out)["upto"]) == (0, 2, 3)
    assert pq.read_table(path)["item_id"].to_pylist() == ["new"]


def test_what_the_model_knows_is_forgotten_and_the_rest_stays(store: Path, run: Run) -> None:
    model = model_trained_upto(store, 2)
    code, out, err = run("interactions", "clear", store, "--model", model, "--json")
    assert (code, json.loads(out), err) == (0, {"removed": 2, "kept": 1}, "")
    code, out, err = run("interactions", "clear", store, "--model", model, "--json")
    assert (code, json.loads(out), err) == (0, {"removed": 0, "kept": 1}, "")
    with InteractionStore.open(store) as opened:
        assert (opened.history("u1"), opened.history("u2")) == ([], ["new"])


def test_nothing_new_to_export_is_no_error(store: Path, run: Run) -> None:
    path = store.parent / "new.parquet"
    model = model_trained_upto(store, 3)
    code, out, err = run("interactions", "export", store, "-o", path, "--model", model)
    assert (code, out) == (0, "")
    assert err == f"nothing new to export; {path} was not written\n"
    code, out, err = run("interactions", "export", store, "-o", path, "--model", model, "--json")
    assert (code, json.loads(out)["path"], json.loads(out)["count"], err) == (0, None, 0, "")
    assert not path.exists()


def test_what_a_user_did_is_deleted_and_the_export_says_so(store: Path, run: Run) -> None:
    code, out, err = run("interactions", "delete", store, "--user", "u2", "--item", "new", "--json")
    assert (code, json.loads(out), err) == (0, {"removed": 1, "kept": 2}, "")
    code, out, _ = run("interactions", "delete", store, "--user", "u1", "--json")
    assert (code, json.loads(out)) == (0, {"removed": 1, "kept": 1})
    code, out, _ = run("interactions", "delete", store, "--user", "u1", "--json")
    assert (code, json.loads(out)) == (0, {"removed": 0, "kept": 1})
    path = store.parent / "new.parquet"
    code, out, _ = run("interactions", "export", store, "-o", path, "--json")
    assert (code, json.loads(out)["count"], json.loads(out)["deletions"]) == (0, 1, 2)
    assert Deletions.read(path) == Deletions(users=((6, "u1"),), pairs=((4, "u2", "new"),))


def test_ids_are_read_as_the_store_or_a_model_has_them(tmp_path: Path, run: Run) -> None:
    path, model = tmp_path / "numbers.db", tmp_path / "model"
    save_state(random_state([3, 5, 7], 5), model)
    InteractionStore.open(path).close()
    code, _, _ = run("interactions", "delete", path, "--user", "7", "--model", model)
    assert code == 0
    with InteractionStore.open(path) as opened:
        assert opened.deleted(7).everything
    code, _, err = run("interactions", "delete", path, "--user", "ann")
    assert (code, "--user must be an integer as all user ids of the store, got 'ann'" in err) == (2, True)


def test_a_model_of_another_store_forgets_nothing(store: Path, run: Run) -> None:
    folder = store.parent / "other"
    save_state(random_state(5, 5), folder)
    code, out, _ = run("interactions", "clear", store, "--model", folder, "--json")
    assert (code, json.loads(out)) == (0, {"removed": 0, "kept": 3})


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("clear", "events.db"), "one of --model and --upto must be given, to say what to remove"),
        (("clear", "events.db", "--upto", 9), "upto must be at most 3, got 9"),
        (("clear", "none.db", "--upto", 1), "none.db: there is no such file"),
        (("export", "none.db", "-o", "x.parquet"), "none.db: there is no such file"),
        (("delete", "none.db", "--user", "u1"), "none.db: there is no such file"),
        (("delete", "events.db", "--user", ""), "user must not be empty text"),
        (
            ("delete", "empty.db", "--user", "u1"),
            "--model must say whether user ids are integers or text, the store has seen none yet",
        ),
        (
            ("export", "events.db", "-o", "x.parquet", "--after", 1, "--model", "m"),
            "--model and --after cannot be given together",
        ),
        (("export", "text.db", "-o", "x.parquet"), "not a readable store of interactions"),
    ],
)
def test_wrong_inputs_give_one_sentence_and_change_nothing(
    store: Path, run: Run, monkeypatch: pytest.MonkeyPatch, arguments: tuple[object, ...], sentence: str
) -> None:
    monkeypatch.chdir(store.parent)
    InteractionStore.open("empty.db").close()
    Path("text.db").write_text("this is no store " * 100)
    code, out, err = run("interactions", *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert sentence in err
    assert not Path("x.parquet").exists()
    assert not Path("none.db").exists()
