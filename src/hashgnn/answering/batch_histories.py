"""Folders of parquet whose rows are histories, and checksums of what a batch reads, here or at addresses."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hashgnn._addresses import address_errors, address_of, file_system, path_of
from hashgnn.answering.batch_request import HistoryFile
from hashgnn.errors import DataError

HISTORY: Final = "history"
USER: Final = "user_id"
TIMES: Final = "timestamps"
_ERRORS = (pa.ArrowException, OSError, ValueError)
_BLOCK = 1 << 20


def input_name(path: str | os.PathLike[str]) -> str:
    """Return the address of an input, or its path from the root, as every process understands it."""
    return address_of(path) or str(path_of(path).absolute())


def files_of(path: str | os.PathLike[str]) -> list[HistoryFile]:
    """Return a file itself, or the files of a folder in the order of their names, hidden ones left out.

    Their rows are not counted yet.

    Raises
    ------
    DataError
        If there is none.
    """
    return [file for _, file in _found(path)]


def checksum_of(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file, or of the names and contents of a folder's files."""
    found = _found(path)
    if [name for name, _ in found] == [""]:
        return _sha256(found[0][1])
    lines = [f"{name} {_sha256(file)}" for name, file in found]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _found(path: str | os.PathLike[str]) -> list[tuple[str, HistoryFile]]:
    """Return each file with its name below the folder; the name of a file itself is empty."""
    address = address_of(path)
    if address is not None:
        with address_errors(address, "read", DataError):
            return _at_address(address)
    local = path_of(path).absolute()
    if local.is_file():
        return [("", HistoryFile(str(local), 0, local.stat().st_size))]
    if not local.is_dir():
        raise DataError(f"{path}: there is no such file or folder")
    names = {file.relative_to(local).as_posix(): file for file in sorted(local.rglob("*")) if file.is_file()}
    return [
        (name, HistoryFile(str(names[name]), 0, names[name].stat().st_size)) for name in _shown(path, names)
    ]


def _at_address(address: str) -> list[tuple[str, HistoryFile]]:
    system, root = file_system(address)
    system.invalidate_cache()
    if system.isfile(root):
        return [("", HistoryFile(root, 0, int(system.size(root)), address))]
    sizes = {
        name[len(root) :].strip("/"): (name, int(about["size"]))
        for name, about in system.find(root, detail=True).items()
    }
    if not sizes:
        raise DataError(f"{address}: there is no such file or folder")
    return [
        (name, HistoryFile(sizes[name][0], 0, sizes[name][1], address)) for name in _shown(address, sizes)
    ]


def _shown(path: Any, names: Any) -> list[str]:
    found = sorted(
        (name for name in names if not any(part.startswith((".", "_")) for part in name.split("/"))),
        key=lambda name: name.split("/"),
    )
    if not found:
        raise DataError(f"{path}: the folder holds no files")
    return found


@contextmanager
def _opened(file: HistoryFile) -> Iterator[IO[bytes]]:
    if file.address is None:
        with open(file.path, "rb") as local:
            yield local
        return
    with address_errors(file.address, "read", DataError, besides=pa.ArrowException):
        system, _ = file_system(file.address)
        with system.open(file.path, "rb") as there:
            yield there


def _sha256(file: HistoryFile) -> str:
    digest = hashlib.sha256()
    with _opened(file) as opened:
        while block := opened.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def find_histories(path: str | os.PathLike[str]) -> tuple[HistoryFile, ...]:
    """Return the parquet files of histories, checked to be of one schema.

    Raises
    ------
    DataError
        If a file is no parquet, has no column ``history`` of lists, or its columns differ from the first one's.
    """
    found, first = [], None
    for file in files_of(path):
        try:
            with _opened(file) as opened, pq.ParquetFile(opened) as parquet:
                schema, n_rows = parquet.schema_arrow, parquet.metadata.num_rows
        except _ERRORS:
            raise DataError(
                f"{file.path}: histories must be parquet, this file is not or is damaged"
            ) from None
        columns = _columns(file.path, schema)
        first = columns if first is None else first
        if columns != first:
            raise DataError(
                f"{file.path}: its columns must be those of the first file, {_named(first)}, got {_named(columns)}"
            )
        found.append(replace(file, n_rows=n_rows))
    if not sum(file.n_rows for file in found):
        raise DataError(f"{path}: holds no history")
    return tuple(found)


def columns_of(files: Sequence[HistoryFile]) -> dict[str, pa.DataType]:
    """Return the columns of the files that are looked at, and their types."""
    with _opened(files[0]) as opened:
        return _columns(files[0].path, pq.read_schema(opened))


def user_type(files: Sequence[HistoryFile]) -> pa.DataType | None:
    """Return the type of the column ``user_id``; ``None`` where there is none."""
    with _opened(files[0]) as opened:
        schema = pq.read_schema(opened)
    return schema.field(USER).type if USER in schema.names else None


def times_in(rows: pa.Table, first: int, name: str) -> list[Any] | None:
    """Return the column ``timestamps`` as a list of seconds for each history; ``None`` where there is none.

    Parameters
    ----------
    rows : Table with ``history``
    first : int
        Place of the first row, for messages.
    name : str
        Of where the rows are from, for messages.

    Raises
    ------
    DataError
        If it holds no lists of numbers or times.
    """
    if TIMES not in rows.column_names:
        return None
    column = rows[TIMES]
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    column = pa.concat_arrays(column.chunks) if isinstance(column, pa.ChunkedArray) else column
    kind = column.type
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind)):
        raise DataError(f"{name}: the column {TIMES!r} must hold lists of times, got {kind}")
    value, flat = kind.value_type, column.flatten()
    if pa.types.is_timestamp(value) or pa.types.is_date(value):
        flat = pc.divide(flat.cast(pa.timestamp("us"), safe=False).cast(pa.int64()).cast(pa.float64()), 1e6)
    elif not (pa.types.is_integer(value) or pa.types.is_floating(value) or pa.types.is_null(value)):
        raise DataError(f"{name}: the column {TIMES!r} must hold lists of seconds or times, got {kind}")
    seconds = flat.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    lengths = column.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
    return np.split(seconds, np.cumsum(lengths)[:-1]) if len(rows) else []


def read_histories(files: Sequence[HistoryFile], start: int, stop: int) -> pa.Table:
    """Return some of the rows of all files, counted in their order.

    Raises
    ------
    DataError
        If a file has changed since the request was made.
    """
    tables, first = [], 0
    for file in files:
        low, high = max(start, first), min(stop, first + file.n_rows)
        if low < high:
            tables.append(_rows(file, low - first, high - first))
        first += file.n_rows
    return pa.concat_tables(tables).combine_chunks()


def _rows(file: HistoryFile, start: int, stop: int) -> pa.Table:
    try:
        if _size(file) != file.n_bytes:
            raise DataError(f"{file.path}: was changed after the batch had begun; run it into another folder")
        ends = _group_ends(file)
        with _opened(file) as content, pq.ParquetFile(content) as opened:
            names = [name for name in (USER, HISTORY, TIMES) if name in opened.schema_arrow.names]
            first = max(0, sum(end <= start for end in ends))
            chosen = [group for group in range(first, len(ends)) if group == first or ends[group - 1] < stop]
            table = opened.read_row_groups(chosen, columns=names)
        offset = start - (ends[first - 1] if first else 0)
        return table.slice(offset, stop - start)
    except _ERRORS as error:
        raise DataError(
            f"{file.path}: cannot be read, {(str(error).splitlines() or [''])[0][:200]}"
        ) from None


def _size(file: HistoryFile) -> int:
    if file.address is None:
        return Path(file.path).stat().st_size
    with address_errors(file.address, "read", DataError):
        return int(file_system(file.address)[0].info(file.path)["size"])


@lru_cache(maxsize=4096)
def _group_ends(file: HistoryFile) -> tuple[int, ...]:
    with _opened(file) as content, pq.ParquetFile(content) as opened:
        ends, total = [], 0
        for group in range(opened.metadata.num_row_groups):
            total += opened.metadata.row_group(group).num_rows
            ends.append(total)
    return tuple(ends)


def _columns(file: str, schema: pa.Schema) -> dict[str, pa.DataType]:
    if HISTORY not in schema.names:
        raise DataError(f"{file}: must have a column {HISTORY!r} of lists of item ids, got {schema.names}")
    kind = schema.field(HISTORY).type
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind)):
        raise DataError(f"{file}: the column {HISTORY!r} must hold lists of item ids, got {kind}")
    return {name: schema.field(name).type for name in (USER, HISTORY, TIMES) if name in schema.names}


def _named(columns: dict[str, pa.DataType] | None) -> str:
    return ", ".join(f"{name} {kind}" for name, kind in (columns or {}).items())
