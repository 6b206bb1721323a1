"""A run that was stopped goes on with ``--resume``; tests/training has the same for a run that was killed."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hashgnn.recommender import HashGNN

SETTINGS = (
    "n_bits=32",
    "embedding_dim=32",
    "optimizer.epochs=10",
    "optimizer.batch_size=64",
    "teacher.rank=16",
    "teacher.k=20",
    "objective.min_steps=30",
)


def start(folder: Path, *options: str) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-m",
        "hashgnn",
        "fit",
        str(folder / "events.parquet"),
        "-o",
        str(folder / "v1"),
    ]
    command += [part for setting in SETTINGS for part in ("--set", setting)]
    return subprocess.Popen([*command, "--threads", "1", *options], stderr=subprocess.PIPE, text=True)


def stopped(folder: Path) -> tuple[int, str]:
    """Start a run, press Ctrl-C at its first checkpoint, and return its exit code and what it said."""
    with start(folder) as process:
        while process.poll() is None and not list(folder.glob(".v1.checkpoint/*.safetensors")):
            time.sleep(0.005)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate()
    return process.returncode, said


@pytest.mark.slow
def test_a_stopped_run_resumes_to_the_model_of_an_undisturbed_one(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    table = pa.table({"user_id": rng.integers(0, 300, 6000), "item_id": rng.integers(0, 200, 6000)})
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    for folder in (whole, broken):
        folder.mkdir()
        pq.write_table(table, folder / "events.parquet")
    code, said = stopped(broken)
    assert code == 130
    assert said.splitlines()[-2:] == [
        "the last whole epoch is kept; run the same command with --resume to continue",
        "hashgnn: interrupted",
    ]
    assert not (broken / "v1").exists()
    for folder, options, code, sentence in (
        (
            broken,
            (),
            2,
            "an unfinished run is here; pass --resume to go on with it or --overwrite to start anew",
        ),
        (broken, ("--resume",), 0, ""),
        (whole, (), 0, ""),
    ):
        with start(folder, *options) as process:
            _, said = process.communicate()
        assert (process.returncode, sentence in said) == (code, True), said
    one, other = (HashGNN.load(folder / "v1").state_ for folder in (whole, broken))
    assert one.users.codes == other.users.codes
    assert one.items.codes == other.items.codes
    np.testing.assert_array_equal(one.items.embeddings, other.items.embeddings)
    assert sorted(path.name for path in broken.iterdir()) == ["events.parquet", "v1", "v1.log.jsonl"]
