from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hashgnn.errors import ArtifactDamagedError, ArtifactError
from hashgnn.recommender import HashGNN
from hashgnn.testing.states import random_state

USE = """
import sys
from hashgnn import HashGNN

model = HashGNN.load(sys.argv[1])
for way in model.search_ways:
    model.recommend(["u1", "u2"], k=5, search=way)
model.recommend_for_history([["i1", "i2"]])
model.fold_in_items([["u1"]])
model.similar_items("i1")
model.similar_users("u1")
model.recommend(["u1"]).to_frame("polars")
model.save(sys.argv[2])
sys.exit("torch" in sys.modules)
"""


def test_a_saved_model_is_used_without_torch(tmp_path: Path) -> None:
    HashGNN.from_state(random_state()).save(tmp_path / "v1")
    done = subprocess.run(
        [sys.executable, "-c", USE, str(tmp_path / "v1"), str(tmp_path / "v2")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_loaded_model_goes_on_while_its_folder_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "v1"
    first, second = (HashGNN.from_state(random_state(rng=seed)) for seed in (1, 2))
    users = [f"u{n}" for n in range(20)]
    first.save(path)
    loaded = HashGNN.load(path)
    second.save(path, overwrite=True)
    assert loaded.recommend(users).lists() == first.recommend(users).lists()
    assert HashGNN.load(path).recommend(users).lists() == second.recommend(users).lists()


def test_overwriting_a_model_must_be_requested(tmp_path: Path) -> None:
    model = HashGNN.from_state(random_state())
    model.save(str(tmp_path / "v1"))
    with pytest.raises(ArtifactError, match="holds a saved model; pass overwrite=True to replace it"):
        model.save(tmp_path / "v1")


def test_a_damaged_model_is_not_loaded(tmp_path: Path) -> None:
    HashGNN.from_state(random_state()).save(tmp_path / "v1")
    with (tmp_path / "v1" / "embeddings.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x99")
    with pytest.raises(ArtifactDamagedError, match=r"checksum of embeddings\.safetensors does not match"):
        HashGNN.load(tmp_path / "v1", verify=True)
