"""How parts are shared out among the tasks of Spark, without Spark."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.batch.conftest import Fatal

from hashgnn.batch import PartWriter
from hashgnn.batch.spark import parts_of_tasks


@pytest.mark.parametrize("n_slots", [1, 2, 7, 1000])
@pytest.mark.parametrize("n_parts", [1, 2, 49, 500])
def test_every_part_has_one_task_and_the_last_ones_are_small(n_parts: int, n_slots: int) -> None:
    numbers = list(range(3, 3 + n_parts))
    shares = parts_of_tasks(numbers, n_slots)
    assert [number for share in shares for number in share] == numbers
    sizes = [len(share) for share in shares]
    assert sizes == sorted(sizes, reverse=True)
    assert max(sizes) <= 8
    assert sizes[-1] == 1
    assert len(shares) >= min(n_parts, n_slots)  # nobody is left without work


def test_where_executors_may_come_later_each_part_is_a_task() -> None:
    assert parts_of_tasks([4, 5, 9], None) == [[4], [5], [9]]


def test_a_part_that_is_there_is_not_made_again(fatal: Fatal, tmp_path: Path) -> None:
    out = tmp_path / "out"
    job = fatal(out)
    writer = PartWriter(job, str(out))
    made = writer.write_once(3)
    (file,) = out.glob("part-*.parquet")
    before = (file.stat().st_ino, file.read_bytes())
    assert writer.write_once(3) == made
    assert (file.stat().st_ino, file.read_bytes()) == before
    file.write_bytes(before[1][:-100])  # half a file is not that part
    assert writer.write_once(3) == made
    assert file.read_bytes() == before[1]
