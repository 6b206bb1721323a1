"""A killed run goes on and ends as an undisturbed one."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from tests.training.quick import quick, run_options

from hashgnn.codes import BinaryCodes
from hashgnn.data import Interactions, split
from hashgnn.errors import ArtifactDamagedError, ParameterError
from hashgnn.training import train
from hashgnn.training.callbacks.checkpoint import FILE_NAME

SCRIPT = """
import sys
from pathlib import Path
import numpy as np
from hashgnn.config import load_recipe
from hashgnn.data import Interactions
from hashgnn.training import RunOptions, train

folder, recipe, resume = Path(sys.argv[1]), sys.argv[2], sys.argv[3] == "resume"
rng = np.random.default_rng(0)
interactions = Interactions.from_arrays(rng.integers(0, 300, 6000), rng.integers(0, 200, 6000))
config = load_recipe(recipe, n_bits=32, embedding_dim=32, **{"optimizer.epochs": 12, "optimizer.batch_size": 64, "validation.share": 0.1, "validation.patience": 99})
options = RunOptions(seed=7, n_threads=1, progress=False, checkpoint_dir=folder, resume=resume)
state = train(interactions, config, options=options)
state.users.codes.save(folder / "users.safetensors")
state.items.codes.save(folder / "items.safetensors")
"""


def start(folder: Path, recipe: str, how: str) -> subprocess.Popen[bytes]:
    folder.mkdir(exist_ok=True)
    return subprocess.Popen([sys.executable, "-c", SCRIPT, str(folder), recipe, how])


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["default", "paper"])
def test_a_run_killed_twice_ends_with_the_codes_of_an_undisturbed_one(recipe: str, tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert start(whole, recipe, "anew").wait(300) == 0
    checkpoint, last_change = killed / FILE_NAME, 0
    for _ in range(2):
        process = start(killed, recipe, "resume")
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            if checkpoint.exists() and checkpoint.stat().st_mtime_ns != last_change:
                break
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait(60)
        assert not (killed / "users.safetensors").exists(), "the run ended before it could be killed"
        last_change = checkpoint.stat().st_mtime_ns
    assert start(killed, recipe, "resume").wait(300) == 0
    for name in ("users", "items"):
        one, other = (BinaryCodes.load(folder / f"{name}.safetensors") for folder in (whole, killed))
        assert one == other


def test_a_finished_run_that_is_resumed_trains_no_further(blocks: Interactions, tmp_path: Path) -> None:
    config = quick("default")
    first = train(blocks, config, options=run_options(0, checkpoint_dir=tmp_path))
    again = train(blocks, config, options=run_options(0, checkpoint_dir=tmp_path, resume=True))
    assert again.training["history"] == first.training["history"]
    assert np.array_equal(again.users.embeddings, first.users.embeddings)


def test_a_checkpoint_of_another_run_is_refused(blocks: Interactions, tmp_path: Path) -> None:
    train(
        blocks, quick("default", **{"optimizer.epochs": 1}), options=run_options(0, checkpoint_dir=tmp_path)
    )
    other, _ = split.random(blocks, 0.2, rng=0)
    for data, seed, epochs in ((blocks, 1, 1), (blocks, 0, 2), (other, 0, 1)):
        with pytest.raises(
            ParameterError, match="the checkpoint is of a run with other data, settings or seed"
        ):
            train(
                data,
                quick("default", **{"optimizer.epochs": epochs}),
                options=run_options(seed, checkpoint_dir=tmp_path, resume=True),
            )


def test_a_truncated_checkpoint_is_named(blocks: Interactions, tmp_path: Path) -> None:
    train(
        blocks, quick("default", **{"optimizer.epochs": 1}), options=run_options(0, checkpoint_dir=tmp_path)
    )
    path = tmp_path / FILE_NAME
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ArtifactDamagedError, match=FILE_NAME):
        train(
            blocks,
            quick("default", **{"optimizer.epochs": 1}),
            options=run_options(0, checkpoint_dir=tmp_path, resume=True),
        )
