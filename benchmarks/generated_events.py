"""Write generated events as a folder of parquet, part by part, as many as the disk holds.

    python benchmarks/generated_events.py events/100m --events 100e6

Users and items grow with the events: one user for every 20 and one item for every 100. A user has two tastes among
clusters of items; a few users and items have most of the events. Ids are text, as ``u05c1f0a9b3`` and ``i3e0072f1``.
The last part of a twentieth, at most a million events, goes to ``held_out.parquet`` beside the folder.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROWS = 4_000_000  # of a part
MOST_HELD_OUT = 1_000_000
EVENTS_A_USER, EVENTS_AN_ITEM = 20, 100
_USERS, _ITEMS = "u", "i"
_START, _SPAN = 1_577_836_800, 365 * 24 * 3600  # seconds: the year from 2020-01-01
_DIGITS = np.frombuffer(b"0123456789abcdef", np.uint8)


def draw_events(
    rng: np.random.Generator, n: int, n_users: int, n_items: int
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return users and items of ``n`` events, as numbers."""
    n_clusters = max(10, round(n_items**0.5 / 2))
    users = (n_users * rng.random(n) ** 1.6).astype(np.int64)
    # The tastes of a user follow from its number, so that all parts agree on them.
    mixed = (users.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(20)
    first, second = mixed % np.uint64(n_clusters), (mixed >> np.uint64(16)) % np.uint64(n_clusters)
    chance = rng.random(n)
    cluster = np.where(chance < 0.65, first, second).astype(np.int64)
    anywhere = chance > 0.92
    cluster[anywhere] = rng.integers(0, n_clusters, int(anywhere.sum()))
    rank = (rng.random(n) ** 3 * (n_items // n_clusters)).astype(np.int64)
    return users, rank * n_clusters + cluster


def texts(prefix: str, numbers: np.ndarray[Any, Any], n_digits: int) -> pa.Array:
    """Return numbers as text in an order that says nothing: a letter and hexadecimal digits."""
    bits = np.uint64(4 * n_digits)
    mixed = (numbers.astype(np.uint64) * np.uint64(0xD1B54A32D192ED03)) & (
        (np.uint64(1) << bits) - np.uint64(1)
    )
    written = np.empty((len(numbers), 1 + n_digits), np.uint8)
    written[:, 0] = ord(prefix)
    for place in range(n_digits):
        written[:, 1 + place] = _DIGITS[(mixed >> np.uint64(4 * (n_digits - 1 - place))) & np.uint64(15)]
    ends = np.arange(0, written.size + 1, 1 + n_digits, dtype=np.int32)
    return pa.StringArray.from_buffers(len(numbers), pa.py_buffer(ends), pa.py_buffer(written))


def write_events(folder: Path, n_events: int, seed: int = 0) -> None:
    """Write parts of events, and those that are held out."""
    n_users, n_items = max(n_events // EVENTS_A_USER, 100), max(n_events // EVENTS_AN_ITEM, 100)
    folder.mkdir(parents=True)
    n_held = min(n_events // 20, MOST_HELD_OUT)
    starts = range(0, n_events, ROWS)
    for part, start in enumerate([*starts, n_events]):
        n = n_held if start == n_events else min(ROWS, n_events - start)
        rng = np.random.default_rng([seed, part])
        users, items = draw_events(rng, n, n_users, n_items)
        times = _START + (start + np.arange(n)) * _SPAN // (n_events + n_held)
        table = pa.table(
            {"user_id": texts(_USERS, users, 10), "item_id": texts(_ITEMS, items, 8), "timestamp": times}
        )
        path = (
            folder.with_name(f"{folder.name}-held_out.parquet")
            if start == n_events
            else folder / f"part-{part:05}.parquet"
        )
        pq.write_table(table, path, row_group_size=1_000_000, compression="zstd", compression_level=1)


def main() -> None:
    """Write a folder and say how long it took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--events", type=float, default=1e8)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    started = time.perf_counter()
    write_events(args.folder, int(args.events), args.seed)
    size = sum(file.stat().st_size for file in args.folder.iterdir())
    print(
        f"{args.folder}: {args.events:,.0f} events, {size / 1e6:,.0f} MB, {time.perf_counter() - started:.1f} s"
    )


if __name__ == "__main__":
    main()
