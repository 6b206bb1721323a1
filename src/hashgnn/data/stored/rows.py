"""Rows on disk in pieces: columns that grow at their end, and buckets of users that are sorted one by one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from hashgnn._types import Array
from hashgnn.data._merging import merge

#: Columns of rows, and their types on disk.
DTYPES = {"user": np.int32, "item": np.int32, "weight": np.float32, "time": np.int64}
_NAMES = {"int32": "I32", "int64": "I64", "float32": "F32"}
_HEADER = 256  # bytes before the values: of whole pages of memory, and of any type's size
_MOST_BUCKETS = 1000


class ColumnWriter:
    """A safetensors file of one array, ``values``, whose length is known at its end."""

    def __init__(self, path: Path, dtype: Any) -> None:
        self._dtype, self._n = np.dtype(dtype), 0
        self._file = path.open("wb")
        self._file.write(bytes(_HEADER))

    def append(self, values: Array) -> None:
        """Write values behind those before."""
        array = np.ascontiguousarray(values, self._dtype)
        self._file.write(array.tobytes())
        self._n += len(array)

    def __enter__(self) -> ColumnWriter:
        return self

    def __exit__(self, kind: object, *rest: object) -> None:
        try:
            if kind is None:
                entry = {
                    "dtype": _NAMES[self._dtype.name],
                    "shape": [self._n],
                    "data_offsets": [0, self._n * self._dtype.itemsize],
                }
                header = json.dumps({"values": entry}).encode().ljust(_HEADER - 8)
                self._file.seek(0)
                self._file.write(len(header).to_bytes(8, "little") + header)
        finally:
            self._file.close()


class Spool:
    """Columns of rows in one file each, written at the end and read from the start; no file stays open."""

    def __init__(self, folder: Path, name: str, columns: Sequence[str]) -> None:
        self._paths = {column: folder / f"{name}-{column}" for column in columns}
        for path in self._paths.values():
            path.touch()

    def append(self, **rows: Array) -> None:
        """Write rows behind those before: an array for each column."""
        for column, path in self._paths.items():
            with path.open("ab") as file:
                file.write(np.ascontiguousarray(rows[column], DTYPES[column]).tobytes())

    def column(self, name: str, start: int = 0, n: int = -1) -> Array:
        """Return rows of a column, read from the file."""
        dtype = np.dtype(DTYPES[name])
        return np.fromfile(self._paths[name], dtype, n, offset=start * dtype.itemsize)

    def remove(self) -> None:
        """Remove the files."""
        for path in self._paths.values():
            path.unlink()


class Buckets:
    """Rows parted by their user into buckets that are sorted in memory one after the other.

    Parameters
    ----------
    folder : Path
        For the files.
    counts : ndarray of shape (n_users,), int64
        Rows of each user, merged ones included.
    columns : sequence of str
        Those of ``DTYPES`` that the rows have.
    n_rows : int
        Of a bucket, about.
    """

    def __init__(self, folder: Path, counts: Array, columns: Sequence[str], n_rows: int) -> None:
        total = int(counts.sum())
        n_buckets = max(1, min(_MOST_BUCKETS, -(-total // n_rows)))
        before = np.cumsum(counts) - counts
        self._of_user = (before * n_buckets // max(total, 1)).astype(np.int16)
        self._starts = np.searchsorted(self._of_user, np.arange(n_buckets + 1))
        self._spools = [Spool(folder, f"bucket-{number}", columns) for number in range(n_buckets)]
        self._columns = list(columns)

    def __len__(self) -> int:
        return len(self._spools)

    def add(self, **rows: Array) -> None:
        """Part rows by their user; those of one user keep their order."""
        bucket = self._of_user[rows["user"]]
        order = np.argsort(bucket, kind="stable")
        ends = np.cumsum(np.bincount(bucket, minlength=len(self._spools)))
        parted = {name: values[order] for name, values in rows.items()}
        for spool, end, start in zip(self._spools, ends, [0, *ends[:-1]], strict=True):
            if end > start:
                spool.append(**{name: values[start:end] for name, values in parted.items()})

    def merged(
        self, n_items: int, *, n_threads: int
    ) -> Iterator[tuple[Array, Array, Array | None, Array | None]]:
        """Yield the rows of each bucket as :func:`hashgnn.data._merging.merge` returns them, and remove its files.

        ``n_threads`` buckets are in memory at a time.
        """
        with ThreadPoolExecutor(n_threads, thread_name_prefix="buckets") as threads:
            waiting: list[Future[Any]] = []
            for number in range(len(self._spools)):
                waiting.append(threads.submit(self._merge, number, n_items))
                if len(waiting) == n_threads:
                    yield waiting.pop(0).result()
            for one in waiting:
                yield one.result()

    def _merge(self, number: int, n_items: int) -> tuple[Array, Array, Array | None, Array | None]:
        spool, first = self._spools[number], int(self._starts[number])
        columns = {name: spool.column(name) if name in self._columns else None for name in DTYPES}
        spool.remove()
        users, items = columns["user"], columns["item"]
        assert users is not None
        assert items is not None
        users -= first  # small numbers are sorted several times as fast
        users, items, weights, times = merge(users, items, n_items, columns["weight"], columns["time"])
        users += first
        return users, items, weights, times
