"""Folders of parquet whose rows are histories, and checksums of what a batch reads."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from hashgnn._files import sha256_file
from hashgnn.answering.batch_request import HistoryFile
from hashgnn.errors import DataError

HISTORY, USER = "history", "user_id"
_ERRORS = (pa.ArrowException, OSError, ValueError)


def files_of(path: Path) -> list[Path]:
    """Return a file itself, or the files of a folder in the order of their names, hidden ones left out.

    Raises
    ------
    DataError
        If there is none.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise DataError(f"{path}: there is no such file or folder")
    found = [
        file
        for file in sorted(path.rglob("*"))
        if file.is_file() and not any(part.startswith((".", "_")) for part in file.relative_to(path).parts)
    ]
    if not found:
        raise DataError(f"{path}: the folder holds no files")
    return found


def checksum_of(path: Path) -> str:
    """Return the SHA-256 of a file, or of the names and contents of a folder's files."""
    if path.is_file():
        return sha256_file(path)
    lines = [f"{file.relative_to(path).as_posix()} {sha256_file(file)}" for file in files_of(path)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def find_histories(path: Path) -> tuple[HistoryFile, ...]:
    """Return the parquet files of histories, checked to be of one schema.

    Raises
    ------
    DataError
        If a file is no parquet, has no column ``history`` of lists, or its columns differ from the first one's.
    """
    found, first = [], None
    for file in files_of(path):
        try:
            with pq.ParquetFile(file) as opened:
                schema, n_rows = opened.schema_arrow, opened.metadata.num_rows
        except _ERRORS:
            raise DataError(f"{file}: histories must be parquet, this file is not or is damaged") from None
        columns = _columns(file, schema)
        first = columns if first is None else first
        if columns != first:
            raise DataError(
                f"{file}: its columns must be those of the first file, {_named(first)}, got {_named(columns)}"
            )
        found.append(HistoryFile(str(file.absolute()), n_rows, file.stat().st_size))
    if not sum(file.n_rows for file in found):
        raise DataError(f"{path}: holds no history")
    return tuple(found)


def user_type(files: Sequence[HistoryFile]) -> pa.DataType | None:
    """Return the type of the column ``user_id``; ``None`` where there is none."""
    schema = pq.read_schema(files[0].path)
    return schema.field(USER).type if USER in schema.names else None


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
        if Path(file.path).stat().st_size != file.n_bytes:
            raise DataError(f"{file.path}: was changed after the batch had begun; run it into another folder")
        ends = _group_ends(file)
        with pq.ParquetFile(file.path) as opened:
            names = [name for name in (USER, HISTORY) if name in opened.schema_arrow.names]
            first = max(0, sum(end <= start for end in ends))
            chosen = [group for group in range(first, len(ends)) if group == first or ends[group - 1] < stop]
            table = opened.read_row_groups(chosen, columns=names)
        offset = start - (ends[first - 1] if first else 0)
        return table.slice(offset, stop - start)
    except _ERRORS as error:
        raise DataError(
            f"{file.path}: cannot be read, {(str(error).splitlines() or [''])[0][:200]}"
        ) from None


@lru_cache(maxsize=4096)
def _group_ends(file: HistoryFile) -> tuple[int, ...]:
    with pq.ParquetFile(file.path) as opened:
        ends, total = [], 0
        for group in range(opened.metadata.num_row_groups):
            total += opened.metadata.row_group(group).num_rows
            ends.append(total)
    return tuple(ends)


def _columns(file: Path, schema: pa.Schema) -> dict[str, pa.DataType]:
    if HISTORY not in schema.names:
        raise DataError(f"{file}: must have a column {HISTORY!r} of lists of item ids, got {schema.names}")
    kind = schema.field(HISTORY).type
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind)):
        raise DataError(f"{file}: the column {HISTORY!r} must hold lists of item ids, got {kind}")
    return {name: schema.field(name).type for name in (USER, HISTORY) if name in schema.names}


def _named(columns: dict[str, pa.DataType] | None) -> str:
    return ", ".join(f"{name} {kind}" for name, kind in (columns or {}).items())
