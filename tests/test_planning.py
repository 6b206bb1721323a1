"""The plan on paper: the page holds what its command prints, and the command reckons as it says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def printed(*given: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "benchmarks" / "plan.py"), *given]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)


def test_the_page_holds_what_its_command_prints() -> None:
    page = (ROOT / "docs" / "guide" / "planning.md").read_text(encoding="utf-8")
    assert page.endswith(printed().stdout)


def test_twice_the_memory_holds_the_items_on_half_the_shards() -> None:
    def shards(memory: str) -> int:
        lines = printed("--items", "1e9", "--interactions", "1e9", "--memory", memory).stdout.splitlines()
        (row,) = [line for line in lines if line.startswith("| lists of rows of 64 bytes and")]
        return int(row.split(" | ")[2])

    assert (shards("128"), shards("256")) == (7, 4)


@pytest.mark.parametrize(
    "given", [("--items", "0"), ("--memory", "-1"), ("--requests", "inf"), ("--cores", "0")]
)
def test_what_cannot_be_planned_is_refused(given: tuple[str, str]) -> None:
    found = printed(*given)
    assert found.returncode == 2
    assert f"{given[0]} must be above 0" in found.stderr
