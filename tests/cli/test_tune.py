from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytest.importorskip("optuna")

SMALL = [
    "embedding_dim=8",
    "optimizer.batch_size=16",
    "optimizer.epochs=2",
    "teacher=none",
    "objective.observed_target=all",
    "objective.item_share=1",
    "validation.metric=recall@5",
]


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    same = np.kron(np.eye(2), np.ones((20, 12))) > 0
    users, items = np.nonzero(same & (rng.random(same.shape) < 0.7))
    path = tmp_path_factory.mktemp("events") / "train.parquet"
    pq.write_table(pa.table({"user_id": users, "item_id": items}), path)
    return path


def command(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hashgnn", *map(str, words)], capture_output=True, text=True, check=False
    )


def test_tune_writes_a_recipe_that_fit_takes(events: Path, tmp_path: Path) -> None:
    space = tmp_path / "space.toml"
    space.write_text("optimizer.learning_rate = { low = 0.001, high = 0.1, log = true }\n")
    settings = [word for text in SMALL for word in ("--set", text)]
    recipe = tmp_path / "mine.toml"
    tuned = command(
        "tune", events, "-o", recipe, "--space", space, "--bits", 16, "--trials", 2, "--json", *settings
    )
    assert tuned.returncode == 0, tuned.stderr
    document = json.loads(tuned.stdout)
    assert document["value"] == max(trial["value"] for trial in document["trials"])
    assert document["metric"] == "recall@5"
    assert "trial 0: complete" in tuned.stderr
    fitted = command("fit", events, "-o", tmp_path / "model", "--recipe", recipe, "--json", "--quiet")
    assert fitted.returncode == 0, fitted.stderr
    config = json.loads(fitted.stdout)["config"]
    assert (config["n_bits"], config["embedding_dim"]) == (16, 8)
    assert config["optimizer"]["learning_rate"] == document["settings"]["optimizer.learning_rate"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["-o", "mine.json"], "--output must name a .toml file, got 'mine.json'"),
        (
            ["-o", "mine.toml", "--space", "wide"],
            "space must be one of 'rates', 'default', 'paper' or a .toml file",
        ),
        (
            ["-o", "mine.toml", "--recipe", "best"],
            "recipe must be one of 'default', 'paper', 'authors' or a .toml",
        ),
        (["-o", "mine.toml", "--set", "epoch=2"], "epoch is not a setting; did you mean optimizer.epochs?"),
        (["-o", "mine.toml", "--minutes", "-1"], "minutes must be a finite number > 0, got -1.0"),
    ],
)
def test_bad_input_is_one_sentence_and_writes_nothing(
    events: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = command("tune", events, "--quiet", *more)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_what_is_set_is_not_varied(events: Path, tmp_path: Path) -> None:
    space, recipe = tmp_path / "space.toml", tmp_path / "mine.toml"
    space.write_text("optimizer.learning_rate = [0.01, 0.1]\nembedding_dim = [8, 24]\n")
    words = ["tune", events, "-o", recipe, "--space", space, "--trials", 2, "--json"]
    settings = [word for text in SMALL for word in ("--set", text)]
    tuned = command(*words, *settings)
    assert tuned.returncode == 0, tuned.stderr
    assert "set, and not varied: embedding_dim" in tuned.stderr
    assert set(json.loads(tuned.stdout)["settings"]) == {"optimizer.learning_rate"}
    refused = command(*words, *settings, "--set", "optimizer.learning_rate=0.02", "-o", tmp_path / "b.toml")
    assert refused.returncode == 2
    assert "leaves nothing of the space" in refused.stderr
