"""A writer is killed at random moments; the benchmark of the same name does it a hundred times."""

from __future__ import annotations

import random
from pathlib import Path

from benchmarks.store_durability import kill_while_writing, lost


def test_what_was_acknowledged_survives_sigkill(tmp_path: Path) -> None:
    moments = random.Random(0)
    path = tmp_path / "store.db"
    total = 0
    for run in range(4):
        acknowledged = kill_while_writing(path, run, 3, moments.uniform(0, 0.2))
        assert lost(path, acknowledged) == (0, 0)
        total += sum(acknowledged.values())
    assert total > 20
