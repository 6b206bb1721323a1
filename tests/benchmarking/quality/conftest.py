"""Results by hand are imported by name; pytest's importlib mode does not put this folder on the path."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with train.parquet and test.parquet: two groups of 20 users that like two groups of 12 items."""
    folder = tmp_path_factory.mktemp("events") / "groups"
    folder.mkdir()
    rng = np.random.default_rng(0)
    same = np.kron(np.eye(2), np.ones((20, 12))) > 0
    users, items = np.nonzero(same & (rng.random(same.shape) < 0.8))
    held = rng.random(len(users)) < 0.25
    for name, rows in (("train", ~held), ("test", held)):
        table = pa.table({"user_id": users[rows], "item_id": [f"i{item}" for item in items[rows]]})
        pq.write_table(table, folder / f"{name}.parquet")
    return folder
