"""How the workers of one service tell their supervisor that they answer: an empty file each, named by process."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

_FOLDER = "ready"


def mark_ready(runtime: Path) -> None:
    """Say that this process answers requests, in the folder that the workers share."""
    folder = runtime / _FOLDER
    folder.mkdir(exist_ok=True)
    (folder / str(os.getpid())).touch()


def all_ready(runtime: Path, processes: Iterable[int]) -> bool:
    """Say whether each of some processes answers requests."""
    return all((runtime / _FOLDER / str(process)).exists() for process in processes)
