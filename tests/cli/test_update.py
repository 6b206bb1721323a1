"""``hashgnn update``: the next version of a model, from what its store of new interactions exported."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hashgnn._locks import held
from hashgnn.cli import main
from hashgnn.cli.update import next_version
from hashgnn.recommender import HashGNN
from hashgnn.serving.store import InteractionStore
from hashgnn.state.artifact import open_artifact

Run = Callable[..., tuple[int, str, str]]
QUICK = ("--set", "embedding_dim=16", "--set", "teacher.rank=8", "--set", "teacher.k=10")
ALONE = ("--threads", "1", "--quiet")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    def command(*args: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["hashgnn", *map(str, args)])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return command


@pytest.fixture(scope="module")
def v1(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of 40 users in two groups."""
    folder = tmp_path_factory.mktemp("models")
    rng = np.random.default_rng(0)
    users, items = np.nonzero(np.kron(np.eye(2), np.ones((20, 12))) * rng.random((40, 24)) > 0.3)
    table = pa.table({"user_id": users + 1, "item_id": [f"i{item}" for item in items]})
    pq.write_table(table, folder / "train.parquet")
    command = [sys.executable, "-m", "hashgnn", "fit", folder / "train.parquet", "-o", folder / "v1"]
    subprocess.run(
        [*map(str, command), "--bits", "16", "--epochs", "6", *QUICK, *ALONE], check=True, capture_output=True
    )
    return folder / "v1"


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_the_cycle_from_store_to_next_version_counts_everything_once(
    v1: Path, tmp_path: Path, run: Run
) -> None:
    before = digests(v1)
    with InteractionStore.open(tmp_path / "new.db") as store:
        store.append([100, 100, 100, 3], ["i0", "i1", "fresh", "fresh"])
        first = store.export(tmp_path / "1.parquet")
        code, out, err = run("update", v1, tmp_path / "1.parquet", "--json", *ALONE)
        assert (code, err) == (0, "")
        document = json.loads(out)
        v2 = v1.with_name("v2")
        assert document["path"] == str(v2)
        assert document["epochs"] == 2
        identity = pq.read_schema(tmp_path / "1.parquet").metadata[b"hashgnn_store"].decode()
        assert document["lineage"] == {
            "parent": open_artifact(v1).checksum,
            "generation": 1,
            "n_new_users": 1,
            "n_new_items": 1,
            "n_new_interactions": 4,
            "exports": {identity: first.upto},
        }
        assert digests(v1) == before
        model = HashGNN.load(v2)
        assert "fresh" in model.state_.items.ids
        assert model.state_.training["lineage"] == document["lineage"]
        assert {
            item[1:].isdigit() and int(item[1:]) < 12 for item in model.recommend([100], k=5).lists()[0]
        } == {True}

        store.append([101, 102], ["i13", "i14"])
        store.export(tmp_path / "both.parquet")
        code, _, err = run("update", v2, tmp_path / "both.parquet", *ALONE)
        assert code != 0
        assert f"holds interactions 1 to 6 of a store, and {v2} was trained on those up to 4" in err
        assert f"export it with --model {v2}" in err

        store.clear(first.upto)
        second = store.export(tmp_path / "2.parquet")
        assert (second.after, second.upto) == (4, 6)
        code, out, _ = run("update", v2, tmp_path / "2.parquet", "-o", tmp_path / "v3", "--json", *ALONE)
        assert code == 0
        lineage = json.loads(out)["lineage"]
        assert (lineage["generation"], lineage["exports"]) == (2, {identity: 6})


def test_what_was_deleted_is_left_out_of_the_next_version(v1: Path, tmp_path: Path, run: Run) -> None:
    before = HashGNN.load(v1)
    kept, *_ = seen = before.state_.items.ids.ids[
        before.state_.seen[before.state_.users.ids.index_of([2])[0]].indices
    ]
    with InteractionStore.open(tmp_path / "new.db") as store:
        store.delete(1)
        for item in seen[1:]:
            store.delete(2, item)
        store.append([1, 50], ["i3", "i20"])  # user 1 comes back
        store.export(tmp_path / "1.parquet")
        first = tmp_path / "first"
        code, out, err = run("update", v1, tmp_path / "1.parquet", "-o", first, "--json", *ALONE)
        assert (code, err) == (0, "")
        document = json.loads(out)
        n_deleted = document["lineage"]["n_deleted_interactions"]
        old = before.state_.seen
        assert n_deleted == old[before.state_.users.ids.index_of([1])[0]].nnz + len(seen) - 1
        assert document["n_interactions"] == old.nnz - n_deleted + 2
        model = HashGNN.load(first)
        history = dict(zip(model.state_.users.ids.ids.tolist(), model.state_.seen, strict=True))
        names = model.state_.items.ids.ids
        assert names[history[1].indices].tolist() == ["i3"]
        assert names[history[2].indices].tolist() == [kept]

        # What came after a deletion is not deleted again, and what is deleted later needs no new interaction.
        store.delete(50)
        code, _, err = run("interactions", "export", tmp_path / "new.db", "-o", tmp_path / "2.parquet",
                           "--model", first)  # fmt: skip
        assert (code, pq.read_table(tmp_path / "2.parquet").num_rows) == (0, 0)
        second = tmp_path / "second"
        code, _, err = run("update", first, tmp_path / "2.parquet", "-o", second, "--threads", "1")
        assert code == 0
        assert "1 deletions; their interactions are left out of the training data" in err
        ids = HashGNN.load(second).state_.users.ids
        assert (1 in ids, 50 in ids) == (True, False)


def test_an_export_that_leaves_out_deletions_is_for_no_older_model(
    v1: Path, tmp_path: Path, run: Run
) -> None:
    with InteractionStore.open(tmp_path / "new.db") as store:
        store.delete(1)
        first = store.export(tmp_path / "1.parquet")
        store.append([2], ["i3"])
        store.export(tmp_path / "2.parquet", after=first.upto)
        store.clear(store.last)
        store.append([2], ["i4"])
        store.export(tmp_path / "3.parquet")
    code, _, err = run("update", v1, tmp_path / "2.parquet", "-o", tmp_path / "v2", *ALONE)
    assert (code, (tmp_path / "v2").exists()) == (2, False)
    assert "2.parquet: leaves out deletions of its store up to number 1, and" in err
    assert f"has heard of those up to 0; export it with --model {v1}" in err
    # What was cleared is no deletion, and an export for the older model has them all.
    code, _, err = run("update", v1, tmp_path / "3.parquet", "-o", tmp_path / "v2", *ALONE)
    assert (code, err) == (0, "")
    assert 1 not in HashGNN.load(tmp_path / "v2").state_.users.ids


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--bits", 32), "No such option: --bits"),
        (("--set", "margin=1"), "No such option: --set"),
        (("--seed", -1), "--seed must be an integer >= 0, got -1"),
        (("--epochs", 0), "epochs must be an integer >= 1, got 0"),
        ((), "interactions must hold something new"),
    ],
)
def test_wrong_inputs_give_one_sentence(
    v1: Path, tmp_path: Path, run: Run, arguments: tuple[object, ...], sentence: str
) -> None:
    train = v1.parent / "train.parquet"
    code, out, err = run("update", v1, train, "-o", tmp_path / "next", *arguments, *ALONE)
    assert (code != 0, out) == (True, "")
    assert sentence in err
    assert err.count("\n") == 1
    assert not (tmp_path / "next").exists()


def test_a_model_that_is_not_there_and_ids_of_another_type_give_one_sentence(
    v1: Path, tmp_path: Path, run: Run
) -> None:
    code, _, err = run("update", tmp_path / "none", v1.parent / "train.parquet", *ALONE)
    assert (code != 0, "there is no such folder" in err) == (True, True)
    pq.write_table(pa.table({"user_id": ["ann"], "item_id": ["i1"]}), tmp_path / "text.parquet")
    code, _, err = run("update", v1, tmp_path / "text.parquet", "-o", tmp_path / "next", *ALONE)
    assert (code != 0, "user ids of this data are integers, got 'ann' of type str" in err) == (True, True)


def test_the_next_version_is_the_next_free_name(tmp_path: Path) -> None:
    for name in ("v1", "v2", "movies"):
        (tmp_path / name).mkdir()
    (tmp_path / "current").symlink_to("v1")
    assert next_version(tmp_path / "v1") == tmp_path / "v3"
    assert next_version(tmp_path / "current") == tmp_path / "v3"
    assert next_version(tmp_path / "movies") == tmp_path / "movies-2"


def test_a_folder_to_which_another_process_trains_is_left_alone(v1: Path, tmp_path: Path, run: Run) -> None:
    with held(tmp_path / "v2", "training", "wait"):
        code, out, err = run("update", v1, v1.parent / "train.parquet", "-o", tmp_path / "v2", *ALONE)
    assert (code, out) == (2, "")
    assert f"v2: process {os.getpid()} on " in err
    assert err.endswith("; wait until it has ended, or name another folder\n")
    assert list(tmp_path.iterdir()) == []
