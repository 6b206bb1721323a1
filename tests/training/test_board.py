"""Memory that processes share: real processes, as each holds a lock of its own."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from hashgnn.training.workers.board import Board

PROGRAM = """
import os, sys, time
from pathlib import Path
import torch
from hashgnn.errors import PeerLostError
from hashgnn.training.workers import board as module

rank, size, path = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
module._PROBE = 0.05
board = module.Board(path, rank, size)
marks = [Path(f"{sys.argv[4]}/{number}") for number in range(size)]
marks[rank].touch()
while not all(mark.exists() for mark in marks):  # a group agrees that all have opened it
    time.sleep(0.01)


def own(kind, n, of=rank):
    return torch.randn(n, 3, generator=torch.Generator().manual_seed(10 * n + of)).mul(1000).to(kind)


{}
"""

ADDS = """
for number in range(3):  # the rooms take turns
    for kind in (torch.float32, torch.float64, torch.int64, torch.uint8, torch.bfloat16):
        for n in (1, 7, 1000, 300_000):
            everyone = [own(kind, n, of) for of in range(size)]
            x = own(kind, n)
            board.sum_(x)
            expected = everyone[0].clone()
            for other in everyone[1:]:
                expected += other
            assert torch.equal(x, expected), (kind, n)
            x = own(kind, n)
            board.max_(x)
            assert torch.equal(x, torch.stack(everyone).amax(dim=0))
            found = torch.empty(size, n, 3, dtype=kind) if rank != 1 or number else None
            board.gather(own(kind, n), found)
            assert found is None or torch.equal(found, torch.stack(everyone))
            x = own(kind, n)
            board.broadcast_(x)
            assert torch.equal(x, everyone[0])
x = torch.tensor(float("nan") if rank else 1.0)
board.max_(x)
assert x.isnan()
board.sum_(torch.empty(0))
print("done")
"""


def start(path: Path, rank: int, size: int, body: str, folder: str) -> subprocess.Popen[str]:
    program = [sys.executable, "-c", PROGRAM.replace("{}", body), str(rank), str(size), str(path), folder]
    return subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def run(size: int, *bodies: str) -> list[str]:
    """Return what each of the processes has printed."""
    path = Board.make(size)
    if path is None:
        pytest.skip("needs Linux on x86-64")
    try:
        with tempfile.TemporaryDirectory() as folder:
            processes = [
                start(path, rank, size, bodies[min(rank, len(bodies) - 1)], folder) for rank in range(size)
            ]
            return [process.communicate(timeout=120)[0].strip() for process in processes]
    finally:
        path.unlink()


@pytest.mark.parametrize("size", [2, 3])
def test_processes_add_and_copy_in_one_order(size: int) -> None:
    assert run(size, ADDS) == ["done"] * size


@pytest.mark.parametrize(
    "how",
    ["os.kill(os.getpid(), 9)", "os._exit(0)", "board.close(); time.sleep(2)"],
    ids=["killed", "ended", "closed"],
)
def test_a_process_that_is_gone_is_an_error_in_the_others(how: str) -> None:
    waits = """
board.sum_(torch.ones(3))
try:
    board.sum_(torch.ones(3))
except PeerLostError as error:
    print(error)
"""
    leaves = f"board.sum_(torch.ones(3))\n{how}"
    waiting, _ = run(2, waits, leaves)
    assert waiting == (
        "another process of this training has ended or does not answer; the same run with resume=True goes on from "
        "the last checkpoint"
    )


def test_who_has_told_all_and_left_is_not_missed() -> None:
    late = "time.sleep(0.3)\nx = torch.ones(3)\nboard.sum_(x)\nprint(x.tolist())"
    early = "x = torch.ones(3)\nboard.sum_(x)\nboard.close()"
    assert run(2, late, early)[0] == "[2.0, 2.0, 2.0]"


def test_a_slow_process_is_waited_for() -> None:
    slow = "time.sleep(1.5)\nx = torch.ones(1)\nboard.sum_(x)\nprint(x.item())"
    assert run(2, "x = torch.ones(1)\nboard.sum_(x)\nprint(x.item())", slow) == ["2.0", "2.0"]


def test_no_memory_no_board(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("hashgnn.training.workers.board._FOLDER", tmp_path)

    def full(*values: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    assert Board.make(2) is None
    assert list(tmp_path.iterdir()) == []
