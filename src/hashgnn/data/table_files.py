"""Tables to files: parquet, CSV or JSON lines, whole or not at all, never over an existing file unasked."""

from __future__ import annotations

import io
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import IO, Any, TypeAlias, cast

import pyarrow as pa

from hashgnn._addresses import address_errors, address_of, file_system, path_of, put_file
from hashgnn._checks import check_choice, quote_some
from hashgnn._files import atomic_file, check_writable_file, storage_errors
from hashgnn.data.table_text import json_lines, text_table
from hashgnn.errors import DataError, ParameterError, StorageError

TABLE_FORMATS = ("parquet", "csv", "jsonl")
Writable: TypeAlias = str | os.PathLike[str] | IO[bytes]

_BY_SUFFIX = {".parquet": "parquet", ".pq": "parquet", ".csv": "csv"} | {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}
_COMPRESSION = {".gz": "gzip", ".zst": "zstd"}


def is_table_name(target: Writable) -> bool:
    """Return whether the suffix of a name is that of a table: ``.csv``, ``.jsonl.gz``, ``.parquet``.

    Examples
    --------
    >>> is_table_name("all.CSV.gz"), is_table_name("recommendations")
    (True, False)
    """
    return not hasattr(target, "write") and _format_of_suffix(target) is not None


def table_format(target: Writable, format: str | None = None) -> str:
    """Return the format of a file to write, by its suffix unless it is named.

    Raises
    ------
    ParameterError
        If the format is unknown, or does not follow from the suffix.
    """
    if format is not None:
        return check_choice("format", format, TABLE_FORMATS)
    found = None if hasattr(target, "write") else _format_of_suffix(target)
    if found is None:
        shown = "a file object" if hasattr(target, "write") else repr(os.fspath(target))
        raise ParameterError(
            f"output must end in .parquet, .csv or .jsonl, got {shown}; "
            'pass format="csv" for a file of another name'
        )
    return found


def check_table_file(target: Writable, *, format: str | None = None, overwrite: bool = False) -> None:
    """Raise before any work if a table could not be written.

    Raises
    ------
    ParameterError
        If the format is not known, the file exists and may not be replaced, or its folder cannot be written.
    """
    table_format(target, format)
    if hasattr(target, "write"):
        return
    address = address_of(target)
    if address is not None:
        _check_address(address, overwrite=overwrite)
        return
    path = path_of(target)
    if _is_special(path):
        return
    check_writable_file(path)
    if not overwrite and os.path.lexists(path):
        raise ParameterError(f"{path}: exists; pass overwrite=True to replace it")


def write_table(
    tables: pa.Table | Iterable[pa.Table],
    target: Writable,
    *,
    format: str | None = None,
    overwrite: bool = False,
) -> int:
    """Write a table, or tables of one schema one after the other, to a file that appears whole or not at all.

    Parameters
    ----------
    tables : pyarrow.Table or iterable of them
        At least one.
    target : str, Path or binary file object
        A file, an address such as ``s3://bucket/list.csv`` (extra ``cloud``), or an object to write bytes to. Text
        may be compressed: ``list.csv.gz``, ``list.jsonl.zst``.
    format : {"parquet", "csv", "jsonl"}, optional
        ``None`` follows from the suffix.
    overwrite : bool, default=False
        Replace a file that exists.

    Returns
    -------
    int
        Rows that were written.

    Raises
    ------
    ParameterError
        As :func:`check_table_file`.
    DataError
        If the tables are not of one schema.
    StorageError
        If writing failed, as on a full disk; what was at ``target`` is as it was.

    Notes
    -----
    Parquet keeps the types of columns. CSV and JSON lines hold ids in the printed form that every reader of the
    library takes for the same id: hexadecimal digits of bytes, ISO 8601 of dates and times.

    Examples
    --------
    >>> import io
    >>> file = io.BytesIO()
    >>> write_table(pa.table({"item_id": ["a, b", "c"], "rank": [1, 2]}), file, format="csv")
    2
    >>> print(file.getvalue().decode(), end="")
    "item_id","rank"
    "a, b",1
    "c",2
    """
    chosen = table_format(target, format)
    check_table_file(target, format=format, overwrite=overwrite)
    blocks = iter([tables] if isinstance(tables, pa.Table) else tables)
    first = next(blocks)  # whatever makes it may fail, before anything is opened
    n_rows = 0
    with (
        _opened(target, overwrite=overwrite) as file,
        _compressed(file, target) as stream,
        _writer(chosen, stream, first.schema) as write,
    ):
        for block in chain([first], blocks):
            write(_of_schema(block, first.schema))
            n_rows += len(block)
    return n_rows


def _format_of_suffix(target: Any) -> str | None:
    name = PurePosixPath(os.fspath(target).partition("?")[0].lower())
    if name.suffix not in _COMPRESSION:
        return _BY_SUFFIX.get(name.suffix)
    found = _BY_SUFFIX.get(PurePosixPath(name.stem).suffix)
    return None if found == "parquet" else found  # it is compressed inside


def _of_schema(table: pa.Table, schema: pa.Schema) -> pa.Table:
    if table.schema.equals(schema):
        return table
    try:
        return table.cast(schema)
    except (pa.ArrowException, ValueError):
        raise DataError(
            f"tables of one file must have one schema, got {_named(schema)} and then {_named(table.schema)}"
        ) from None


def _named(schema: pa.Schema) -> str:
    return quote_some([f"{field.name} {field.type}" for field in schema], 12)


@contextmanager
def _writer(format: str, stream: Any, schema: pa.Schema) -> Iterator[Any]:
    if format == "parquet":
        import pyarrow.parquet as pq

        with pq.ParquetWriter(stream, schema, compression="zstd") as parquet:
            yield parquet.write_table
    elif format == "jsonl":
        yield lambda table: stream.write(json_lines(table))
    else:
        import pyarrow.csv

        empty = text_table(schema.empty_table())
        with pyarrow.csv.CSVWriter(stream, empty.schema) as text:
            yield lambda table: text.write_table(text_table(table))


@contextmanager
def _compressed(file: IO[bytes], target: Writable) -> Iterator[Any]:
    suffix = "" if hasattr(target, "write") else PurePosixPath(os.fspath(target).lower()).suffix
    if suffix not in _COMPRESSION:
        yield file
        return
    with pa.CompressedOutputStream(pa.PythonFile(file, "w"), _COMPRESSION[suffix]) as stream:
        yield stream


@contextmanager
def _opened(target: Any, *, overwrite: bool) -> Iterator[IO[bytes]]:
    """Yield an open file that takes its place when the block ends well."""
    if hasattr(target, "write"):
        with _Kept(target) as kept:
            yield cast(IO[bytes], kept)
        return
    address = address_of(target)
    if address is not None:
        with _at_address(address, overwrite=overwrite) as file:
            yield file
        return
    path = path_of(target)
    if _is_special(path):  # a device or a pipe keeps its name
        with storage_errors(path), path.open("wb") as file:
            yield file
        return
    with atomic_file(path, replace=overwrite) as temporary, temporary.open("wb") as file:
        yield file


class _Kept(io.RawIOBase):
    """A caller's file object, which is written to and left open."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        self._file.write(bytes(content))
        return len(content)

    def flush(self) -> None:
        if hasattr(self._file, "flush") and not self.closed:
            self._file.flush()


@contextmanager
def _at_address(address: str, *, overwrite: bool) -> Iterator[IO[bytes]]:
    """Write to a local file first: an object store shows an object when all of it is there."""
    with storage_errors(Path(tempfile.gettempdir())), tempfile.TemporaryDirectory() as folder:
        local = Path(folder) / "table"
        with local.open("wb") as file:
            yield file
        _check_address(address, overwrite=overwrite)
        with address_errors(address, "written", StorageError):
            system, path = file_system(address)
            put_file(system, local, path)


def _check_address(address: str, *, overwrite: bool) -> None:
    if address.lower().startswith(("http://", "https://")):
        raise ParameterError(f"{address}: cannot be written, it is a web address; choose an object store")
    with address_errors(address, "written", StorageError):
        system, path = file_system(address)
        system.invalidate_cache()
        if system.isdir(path):
            raise ParameterError(f"{address}: must be a file to write, and is a folder")
        if not overwrite and system.exists(path):
            raise ParameterError(f"{address}: exists; pass overwrite=True to replace it")


def _is_special(path: Path) -> bool:
    """Return whether a device, a pipe or a socket has this name: it must never be replaced by a file."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))
