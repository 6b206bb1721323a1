"""Engines of other libraries that are built once, saved, and loaded by the next run."""

from __future__ import annotations

import json
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hashgnn._files import atomic_directory
from hashgnn.benchmarking.search.contract import Built, Engine, Threads
from hashgnn.benchmarking.search.timing import timed
from hashgnn.benchmarking.search.workload import Workload

_ABOUT = "built.json"
_SAMPLE = 1024  # rows that tell one catalogue from another


@dataclass(frozen=True)
class Stored:
    """How the index of another library is made, saved and loaded, and what searches it.

    Attributes
    ----------
    make : callable of (Workload, Threads)
        Builds the index; this is what is timed.
    save : callable of (index, Path)
        Writes it into an empty folder. The size of what is written counts as its bytes.
    load : callable of (Path, Threads)
    ready : callable of (index, Workload, int, Threads, float) to Built
        Gets ``k`` and the bytes.
    """

    make: Callable[[Workload, Threads], Any]
    save: Callable[[Any, Path], None]
    load: Callable[[Path, Threads], Any]
    ready: Callable[[Any, Workload, int, Threads, float], Built]


@dataclass(frozen=True)
class StoredEngine(Engine):
    """An engine that can be saved: a run may keep what it built in a folder, and take it from there."""

    stored: Stored | None = field(default=None)


def stored_engine(
    name: str, stored: Stored, *, load: Callable[[], Any], ours: str | None = None
) -> StoredEngine:
    """Return the engine of an index that can be saved."""

    def build(data: Workload, k: int, threads: Threads) -> Built:
        index = stored.make(data, threads)
        return stored.ready(index, data, k, threads, _saved_bytes(stored, index))

    return StoredEngine(name, ours, build, load=load, stored=stored)


def build(
    engine: Engine, data: Workload, k: int, threads: Threads, keep: Path | None
) -> tuple[Built, tuple[float, float]]:
    """Build an engine, or load what an earlier run kept of the same items.

    Parameters
    ----------
    engine : Engine
    data : Workload
    k : int
    threads : Threads
    keep : Path or None
        Folder of kept indexes; ``None`` keeps nothing.

    Returns
    -------
    built : Built
    seconds : tuple of two floats
        Of building, on the wall and of the processor, in the run that built it.
    """
    stored = engine.stored if isinstance(engine, StoredEngine) else None
    made: list[Any] = []
    if stored is None:
        seconds = timed(lambda: made.append(engine.build(data, k, threads)))
        return made[0], seconds
    place = None if keep is None else keep / f"{engine.name}-{_mark(data)}"
    if place is None or not place.exists():
        seconds = timed(lambda: made.append(stored.make(data, threads)))
        if place is None:
            n_bytes = _saved_bytes(stored, made[0])
            return stored.ready(made[0], data, k, threads, n_bytes), seconds
        place.parent.mkdir(parents=True, exist_ok=True)
        with atomic_directory(place) as folder:
            stored.save(made.pop(), folder)
            about = {"build_seconds": seconds[0], "build_processor_seconds": seconds[1]}
            (folder / _ABOUT).write_text(json.dumps(about), encoding="utf-8")
    about = json.loads((place / _ABOUT).read_text(encoding="utf-8"))
    n_bytes = folder_bytes(place) - (place / _ABOUT).stat().st_size
    built = stored.ready(stored.load(place, threads), data, k, threads, n_bytes)
    return built, (about["build_seconds"], about["build_processor_seconds"])


def _saved_bytes(stored: Stored, index: Any) -> float:
    with tempfile.TemporaryDirectory(prefix="hashgnn-benchmark-") as folder:
        stored.save(index, Path(folder))
        return folder_bytes(Path(folder))


def folder_bytes(folder: Path) -> float:
    """Return the bytes of the files in a folder and those below it."""
    return float(sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()))


def _mark(data: Workload) -> str:
    """Return what tells these items from others: their number, and a checksum of an even sample."""
    rows = np.unique(np.linspace(0, len(data.items) - 1, _SAMPLE).astype(np.int64))
    checksum = zlib.crc32(np.ascontiguousarray(data.items[rows]).tobytes())
    return f"{len(data.items)}-{checksum:08x}"
