"""Mutants of parquet files of item metadata, each of which is read and answered from, or refused in one line.

Run as a script it tries so many mutants in this process, whose memory and time a mutant are bounded:

    python tests/data/readers/hostile_parquet.py FOLDER 100000 --first 0

A mutant is made from its number alone, so ``FOLDER 1 --first NUMBER`` tries a failed one again.
"""

from __future__ import annotations

import argparse
import io
import random
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hashgnn.checking.item_table import ItemTable
from hashgnn.data import IdMap, read_interactions
from hashgnn.errors import DataError
from hashgnn.serving.models.item_metadata import ItemMetadata

N = 50
MEMORY = 200_000  # kB
SECONDS = 5.0
_BYTES = (0, 255, 127, 128)
_OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"compression": "zstd", "data_page_version": "2.0"},
    {"compression": "gzip"},
    {"use_dictionary": False, "compression": "none"},
    {"use_dictionary": False, "compression": "none",
     "column_encoding": {"title": "DELTA_BYTE_ARRAY", "year": "DELTA_BINARY_PACKED"}},
    {"row_group_size": 10, "store_schema": False},
)  # fmt: skip


def seeds() -> list[bytes]:
    """Return small files with columns of many types."""
    table = pa.table(
        {
            "item_id": [f"i{n}" for n in range(N)],
            "title": [f"t {n % 7}" for n in range(N)],
            "year": list(range(N)),
            "tags": [["a", "b"], []] * (N // 2),
            "facts": [{"x": "q", "y": 1}] * N,
            "share": [1.5] * N,
            "day": pa.array(range(N), pa.date32()),
            "moment": pa.array(range(N), pa.timestamp("ns")),
            "raw": [b"x"] * N,
            "pairs": pa.array([[("k", "v")], []] * (N // 2), pa.map_(pa.string(), pa.string())),
        }
    )
    files = [io.BytesIO() for _ in _OPTIONS]
    for file, options in zip(files, _OPTIONS, strict=True):
        pq.write_table(table, file, **options)
    return [file.getvalue() for file in files]


def mutate(rng: random.Random, raw: bytes) -> bytes:
    """Change, remove, insert or repeat some bytes."""
    data = bytearray(raw)
    for _ in range(rng.choice((1, 1, 2, 4))):
        way, at = rng.random(), rng.randrange(len(data))
        if way < 0.6:
            data[at] = rng.choice((*_BYTES, rng.randrange(256)))
        elif way < 0.7:
            data[at] ^= 1 << rng.randrange(8)
        elif way < 0.8:
            del data[at : at + rng.choice((1, 8, 100))]
        elif way < 0.9:
            data[at:at] = data[at : at + rng.choice((1, 8, 64))]
        else:
            data[at : at + 5] = b"\xff\xff\xff\xff\x07"
    return bytes(data)


def answer(path: Path) -> bool:
    """Read a file as interactions and as metadata, and take answers; say whether the latter could be read."""
    try:
        read_interactions(path, user="title", item="item_id", timestamp="moment")
    except DataError as error:
        if "\n" in str(error):
            raise AssertionError(str(error)) from error
    ids = IdMap([f"i{n}" for n in range(N)])
    try:
        found = ItemMetadata(ItemTable.read(path, "item_id", ids))
    except DataError as error:
        if "\n" in str(error):
            raise AssertionError(str(error)) from error
        return False
    assert len(found.documents(np.arange(N))) == N
    found.search("t")
    return True


def main() -> None:
    """Try mutants, and print how many could be read."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("count", type=int)
    parser.add_argument("--first", type=int, default=0)
    options = parser.parse_args()
    options.folder.mkdir(exist_ok=True)
    originals, path, n_read = seeds(), options.folder / "items.parquet", 0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(options.first, options.first + options.count):
        rng = random.Random(number)
        path.write_bytes(mutate(rng, rng.choice(originals)))
        (options.folder / "number").write_text(str(number))  # what a crash leaves behind
        started = time.monotonic()
        n_read += answer(path)
        assert time.monotonic() - started < SECONDS, number
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MEMORY, number
    print(n_read)


if __name__ == "__main__":
    main()
