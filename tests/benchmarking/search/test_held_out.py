from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import hashgnn as hg
from hashgnn.benchmarking import benchmark_search, model_workload
from hashgnn.data import Interactions, generate_interactions
from hashgnn.data import split as splits
from hashgnn.recommender import HashGNN

SMALL = {"n_bits": 32, "optimizer.epochs": 2, "embedding_dim": 16, "teacher.rank": 8, "teacher.k": 10}


@pytest.fixture(scope="module")
def split() -> tuple[Interactions, Interactions]:
    return splits.random(generate_interactions(120, 150, 2400, rng=0), test_size=0.2, rng=0)


@pytest.fixture(scope="module")
def model(split: tuple[Interactions, Interactions]) -> HashGNN:
    return HashGNN(**SMALL).fit(split[0], device="cpu", n_threads=1, rng=0, progress=False)


def test_recall_end_to_end_is_that_of_the_evaluation(
    model: HashGNN, split: tuple[Interactions, Interactions]
) -> None:
    pytest.importorskip("faiss")
    train, test = split
    report = hg.evaluate(
        model, train, test, metrics=["recall@20"], n_bootstrap=0, n_timed=0, rng=0, progress=False
    ).metrics
    rows = benchmark_search(
        workload=model_workload(model, test),
        k=20,
        n_queries=16,
        n_rounds=1,
        peers=["numpy-matmul", "faiss-flat-ip", "faiss-binary-flat-widened"],
    )
    recall = {row["engine"]: row["recall@20"] for row in rows}
    assert recall["hamming"] == pytest.approx(report["hamming"]["recall@20"])
    assert recall["biased"] == pytest.approx(report["biased"]["recall@20"])
    for name in (
        "numpy-matmul",
        "faiss-flat-ip",
    ):  # more items are requested, and seen ones are removed after
        assert recall[name] == pytest.approx(report["float"]["recall@20"])
    # The same scores by another engine; ties at the cut may fall differently.
    assert recall["faiss-binary-flat-widened"] == pytest.approx(recall["biased"], abs=0.03)


def test_the_command_searches_a_saved_model_and_draws(
    model: HashGNN, split: tuple[Interactions, Interactions], tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    model.save(tmp_path / "model")
    test = split[1]
    table = pa.table(
        {"user_id": test.user_ids.ids[test.user_index], "item_id": test.item_ids.ids[test.item_index]}
    )
    pq.write_table(table, tmp_path / "test.parquet")
    command = [
        *(sys.executable, "-m", "hashgnn", "benchmark", "search", "--model", tmp_path / "model"),
        *("--test", tmp_path / "test.parquet", "--k", "20", "--rounds", "1", "--engines", "biased"),
        *("--peers", "numpy-matmul", "--plot", tmp_path / "plot.png", "--json", "--quiet"),
    ]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=True)
    rows = json.loads(done.stdout)["rows"]
    assert [row["engine"] for row in rows] == [
        "hamming",
        "biased",
        "hierarchical-lists",
        "numpy-matmul",
    ]
    assert all(0 < row["recall@20"] <= 1 for row in rows)
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_a_model_without_held_out_interactions_is_refused(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hashgnn", "benchmark", "search", "--model", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "--model and --test must be given together, got one of them" in done.stderr
