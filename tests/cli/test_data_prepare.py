"""``hashgnn data prepare``, and the folder in the place of a file."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hashgnn.data import generate_interactions, read_interactions


@pytest.fixture
def events(tmp_path: Path) -> Path:
    """A folder of two parts."""
    rows = generate_interactions(120, 60, 1500, rng=0)
    table = pa.table(
        {
            "customer": [f"u{user}" for user in rows.user_index],
            "item_id": [f"i{item}" for item in rows.item_index],
            "time": rows.timestamp,
        }
    )
    folder = tmp_path / "events"
    folder.mkdir()
    pq.write_table(table[:900], folder / "a.parquet")
    pq.write_table(table[900:], folder / "b.parquet")
    return folder


def run(*arguments: Any, limit: int | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command, with a bound on the size of any file it writes."""

    def bound() -> None:
        if limit is not None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    command = [sys.executable, "-m", "hashgnn", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, preexec_fn=bound, check=False)


def test_a_prepared_folder_takes_the_place_of_a_file(tmp_path: Path, events: Path) -> None:
    made = tmp_path / "made"
    done = run("data", "prepare", events, "-o", made, "--user", "customer", "--user-k", 3, "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    expected = read_interactions(events, user="customer").k_core(3, 1)
    assert document["n_interactions"] == len(expected)
    assert document["bytes"] == sum(file.stat().st_size for file in made.iterdir())

    stats = json.loads(run("data", "stats", made, "--json").stdout)
    assert stats == expected.statistics()

    narrow = ("--bits", 16, "--epochs", 1, "--set", "embedding_dim=8", "--set", "teacher=none")
    pq.write_table(
        pa.table(
            {
                "user_id": pa.array(expected.user_ids.ids[expected.user_index]),
                "item_id": pa.array(expected.item_ids.ids[expected.item_index]),
            }
        ),
        tmp_path / "whole.parquet",
    )
    for source, model in ((made, "one"), (tmp_path / "whole.parquet", "other")):
        fitted = run("fit", source, "-o", tmp_path / model, *narrow)
        assert fitted.returncode == 0, fitted.stderr
    one, other = (
        json.loads(run("recommend", tmp_path / model, "--users", "u1,u2,u3", "--json").stdout)
        for model in ("one", "other")
    )
    assert one == other

    few = run("evaluate", tmp_path / "one", "--test", events, "--user", "customer", "--max-users", 5)
    assert few.returncode == 2  # all of it is in training
    assert few.stderr.count("\n") <= 4

    refused = run("fit", made, "-o", tmp_path / "three", "--user", "customer")
    assert refused.returncode == 2
    assert "prepare the events again to change them" in refused.stderr


def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path: Path, events: Path) -> None:
    for limit in (100, 3_000, 5_500, 9_000):
        full = run("data", "prepare", events, "-o", tmp_path / "made", "--user", "customer", limit=limit)
        assert full.returncode == 2
        assert full.stderr.count("\n") == 1
        assert f"{tmp_path / 'made'}: could not be written" in full.stderr
        assert list(tmp_path.iterdir()) == [events]


def test_a_folder_that_was_replaced_halfway_stays_as_it_was(tmp_path: Path, events: Path) -> None:
    made = tmp_path / "made"
    assert run("data", "prepare", events, "-o", made, "--user", "customer").returncode == 0
    before = {file.name: file.read_bytes() for file in made.iterdir()}
    again = run("data", "prepare", events, "-o", made, "--user", "customer", "--overwrite", limit=5_500)
    assert again.returncode == 2
    assert {file.name: file.read_bytes() for file in made.iterdir()} == before


def test_a_killed_run_leaves_no_folder_and_the_next_one_works(tmp_path: Path, events: Path) -> None:
    code = (
        "import os, signal\n"
        "from hashgnn.data.stored import prepare\n"
        "prepare.write_manifest = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"prepare.prepare_interactions({str(events)!r}, {str(tmp_path / 'made')!r}, user='customer')\n"
    )
    killed = subprocess.run([sys.executable, "-c", code], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "made").exists()
    done = run("data", "prepare", events, "-o", tmp_path / "made", "--user", "customer")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["events", "made"]


def test_every_n_th_user_is_measured(tmp_path: Path) -> None:
    from hashgnn.evaluation import evaluate

    rng = np.random.default_rng(0)

    class Scores:
        search_ways = ("any",)

        def score_block(self, user_index: Any, search: str, k: int, *, oversampling: int) -> Any:
            return np.outer(user_index + 1, np.arange(9)).astype(np.float32)

        def bytes_per_item(self, search: str) -> float:
            return 4

    train, test = (rng.random((20, 9)) < share for share in (0.1, 0.5))
    from scipy.sparse import csr_matrix

    sides = csr_matrix(train), csr_matrix(test & ~train)
    whole = evaluate(Scores(), *sides, metrics=["recall@5"], n_bootstrap=0)
    few = evaluate(Scores(), *sides, metrics=["recall@5"], n_bootstrap=0, max_users=7)
    assert few.user_index.tolist() == whole.user_index[::3].tolist()
    assert few.per_user["any"]["recall@5"].tolist() == whole.per_user["any"]["recall@5"][::3].tolist()
