"""Eight items are fewer than every default: each command gives what there is, and says so."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.cli.conftest import Run

from hashgnn.cli import main
from hashgnn.recommender import HashGNN

N_USERS, N_ITEMS = 30, 8
QUICK = (
    "--set",
    "embedding_dim=8",
    "--set",
    "teacher.rank=2",
    "--set",
    "teacher.k=2",
    "--bits",
    "16",
    "--epochs",
    "2",
)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small")
    rng = np.random.default_rng(0)
    users, items = np.nonzero(rng.random((N_USERS, N_ITEMS)) < 0.5)
    held = rng.random(len(users)) < 0.2
    for name, rows in (("train", ~held), ("test", held)):
        pq.write_table(pa.table({"user_id": users[rows], "item_id": items[rows]}), folder / f"{name}.parquet")
    arguments = ["fit", folder / "train.parquet", "-o", folder / "model", "--quiet", *QUICK]
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
        patch.setattr("sys.argv", ["hashgnn", *map(str, arguments)])
        main()
    assert not ended.value.code
    return folder


@pytest.mark.parametrize("cut", [(), ("-k", "1000")], ids=["default", "explicit"])
def test_recommend_gives_all_there_is(cut: tuple[str, ...], files: Path, run: Run) -> None:
    code, out, err = run("recommend", files / "model", "--users", "0,1", "--no-filter-seen", "--json", *cut)
    assert code == 0
    assert [sorted(row["item_ids"]) for row in json.loads(out)["results"]] == [list(range(N_ITEMS))] * 2
    assert (
        err == f"k is {cut[1] if cut else 10}, and there are 8 to choose from; no list is longer than that\n"
    )
    code, out, err = run("recommend", files / "model", "--users", "0,1", "--quiet", *cut)
    assert (code, err) == (0, "")


def test_a_file_for_all_users_says_it_once(files: Path, run: Run, tmp_path: Path) -> None:
    code, _, err = run("recommend", files / "model", "--all", "-o", tmp_path / "all.parquet")
    assert code == 0
    assert err.count("k is 10") == 1
    assert pq.read_table(tmp_path / "all.parquet")["rank"].to_numpy().max() <= N_ITEMS


@pytest.mark.parametrize(("options", "n_notes"), [((), 1), (("--quiet",), 0)])
def test_a_folder_for_all_users_says_it_once(
    options: tuple[str, ...], n_notes: int, files: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "hashgnn", "recommend", str(files / "model"), "--all"]
    more = ["--part-rows", "10", "--workers", "2", "-o", str(tmp_path / "all"), *options]
    # A process of its own: the workers print to the stream that it has.
    ended = subprocess.run([*command, *more], capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0
    assert ended.stderr.count("k is 10") == n_notes
    assert "Warning" not in ended.stderr


def test_similar_items_are_all_the_others(files: Path, run: Run) -> None:
    code, out, err = run("similar", files / "model", "--item", "3", "--json", "--search", "float")
    assert code == 0
    assert sorted(json.loads(out)["results"][0]["similar_item_ids"]) == [0, 1, 2, 4, 5, 6, 7]
    assert err.startswith("k is 10, and there are 8")


def test_evaluate_measures_whole_lists(files: Path, run: Run) -> None:
    for served in ((), ("--served",)):
        code, out, err = run("evaluate", files / "model", "--test", files / "test.parquet", "--json", *served)
        assert code == 0
        metrics = json.loads(out)["metrics"]["float"]
        assert set(metrics) == {"recall@20", "ndcg@20", "recall@50", "ndcg@50"}
        assert metrics["recall@20"] == metrics["recall@50"] == 1  # all that is not masked is listed
        assert metrics["ndcg@20"] == metrics["ndcg@50"] < 1
        assert err.count("cut beyond the 8 items of the catalogue") == 1


def test_validation_by_the_default_metric_chooses_an_epoch(files: Path, run: Run, tmp_path: Path) -> None:
    code, _, err = run(
        "fit", files / "train.parquet", "-o", tmp_path / "model", "--valid", files / "test.parquet", *QUICK
    )
    assert code == 0
    assert err.count("'recall@20' cut beyond the 8 items of the catalogue") == 1
    assert HashGNN.load(tmp_path / "model").state_.metrics == {"recall@20": 1.0}


def test_tune_takes_the_recipes_metric(files: Path, run: Run, tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    code, out, _ = run(
        "tune", files / "train.parquet", "-o", tmp_path / "mine.toml", "--trials", "1", "--minutes", "2",
        "--set", "embedding_dim=8", "--set", "teacher.rank=2", "--set", "teacher.k=2", "--bits", "16",
        "--set", "optimizer.epochs=1", "--json",
    )  # fmt: skip
    assert code == 0
    assert json.loads(out)["metric"] == "recall@20"
