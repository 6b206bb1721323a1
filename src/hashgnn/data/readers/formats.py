"""The formats of interaction files, the reader of each, and several files as one table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from hashgnn._checks import check_choice, check_int, quote_some
from hashgnn.data.readers import _adjacency, _delimited, _json_lines, _parquet
from hashgnn.data.readers._location import Location, locate, readable
from hashgnn.data.readers._source import Source, check_names
from hashgnn.errors import DataError, ParameterError

_READERS = {
    "parquet": _parquet.open_source,
    "csv": _delimited.open_csv,
    "tsv": _delimited.open_tsv,
    "jsonl": _json_lines.open_source,
    "arrow": _parquet.open_arrow,
    "recbole": _delimited.open_recbole,
    "movielens": _delimited.open_movielens,
    "adjacency": _adjacency.open_source,
}
#: The formats of files that can be read.
FORMATS = tuple(_READERS)
_BY_SUFFIX = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".arrow": "arrow",
    ".arrows": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
    ".inter": "recbole",
    ".item": "recbole",
    ".user": "recbole",
    ".dat": "movielens",
    ".data": "movielens",
    ".txt": "adjacency",
}


_DECIMAL_FORMATS = ("csv", "tsv")


def open_source(
    source: Any,
    format: str | None,
    delimiter: str | None = None,
    decimal: str | None = None,
    max_decompressed: int | None = None,
) -> Source:
    """Inspect the head of a file, or of each file of a folder or pattern, and return a reader of the rest.

    Parameters
    ----------
    source : str, path or binary file object
    format : str or None
        ``None`` decides by the suffix.
    delimiter : str or None
        Of CSV; ``None`` looks at the header.
    decimal : {".", ","} or None
        Of CSV and TSV; ``None`` is a point, with semicolons a comma too.
    max_decompressed : int or None
        Bytes that a file may become; ``None`` is 1 GiB, or 100 times its size where that is more.

    Raises
    ------
    DataError
        If a file is missing, empty, or its head is not of the format.
    """
    name, sources = open_sources(source, format, delimiter, decimal, max_decompressed)
    return sources[0] if len(sources) == 1 else _joined(name, sources)


def open_sources(
    source: Any,
    format: str | None,
    delimiter: str | None = None,
    decimal: str | None = None,
    max_decompressed: int | None = None,
) -> tuple[str, list[Source]]:
    """Return the name of a file, folder or pattern and a reader of each of its files; see :func:`open_source`."""
    if format is not None:
        check_choice("format", format, FORMATS)
    if decimal is not None:
        check_choice("decimal", decimal, (".", ","))
    if max_decompressed is not None:
        max_decompressed = check_int("max_decompressed", max_decompressed, minimum=1)
    name, files = locate(source)
    if format is None:
        files, format = _of_one_format(name, files)
    if delimiter is not None and format != "csv":
        raise ParameterError(f"delimiter must be None for the format {format!r}, got {delimiter!r}")
    if decimal is not None and format not in _DECIMAL_FORMATS:
        raise ParameterError(f"decimal must be None for the format {format!r}, got {decimal!r}")
    if max_decompressed is not None:
        files = [replace(file, max_decompressed=max_decompressed) for file in files]
    sources = []
    for file in files:
        with readable(file):
            with file.open() as opened:
                if not opened.read(1):
                    raise DataError(f"{file}: the file is empty")
            if format == "csv":
                found = _delimited.open_csv(file, delimiter, decimal)
            elif format == "tsv":
                found = _delimited.open_tsv(file, decimal)
            else:
                found = _READERS[format](file)
        sources.append(_with_partition(found, file.partition) if file.partition else found)
    return name, sources


def _of_one_format(name: str, files: list[Location]) -> tuple[list[Location], str]:
    known = [file for file in files if file.suffix in _BY_SUFFIX]
    formats = list(dict.fromkeys(_BY_SUFFIX[file.suffix] for file in known))
    if not formats:
        suffix = repr(files[0].suffix) if len(files) == 1 else "of any file"
        raise DataError(
            f"{name}: the format does not follow from the suffix {suffix}; "
            f"name one of {quote_some(FORMATS, len(FORMATS))} with format="
        )
    if len(formats) > 1:
        raise DataError(
            f"{name}: files must be of one format, got {quote_some(formats)}; "
            f"choose some with a pattern, as *{known[0].suffix}"
        )
    return known, formats[0]


def _with_partition(source: Source, partition: dict[str, str | None]) -> Source:
    """Add the columns that the names of folders hold; a column of the file itself comes first."""
    added = {name: value for name, value in partition.items() if name not in source.names}
    names = [*source.names, *added]
    check_names(source.name, names)

    def inner(columns: Sequence[str]) -> list[str]:
        return [name for name in columns if name not in added] or list(source.names[:1])

    def load(columns: Sequence[str]) -> pa.Table:
        return with_added(source.load(inner(columns)), columns)

    def iterate(columns: Sequence[str], n_rows: int) -> Iterator[pa.Table]:
        for table in source.pieces(inner(columns), n_rows):
            yield with_added(table, columns)

    def with_added(table: pa.Table, columns: Sequence[str]) -> pa.Table:
        for name in columns:
            if name in added:
                constant = pa.array([added[name]], pa.string()).take(
                    pa.array(np.zeros(table.num_rows, np.int64))
                )
                table = table.append_column(name, constant)
        return table.select(list(columns))

    return replace(
        source,
        names=names,
        load=load,
        partition=set(added),
        iterate=None if source.iterate is None else iterate,
    )


def common_names(sources: Sequence[Source]) -> list[str]:
    """Return the columns that all of several files have."""
    return [column for column in sources[0].names if all(column in other.names for other in sources)]


def unlike(name: str, column: str, kinds: Sequence[str]) -> DataError:
    """Return the error of a column whose types in several files cannot be joined."""
    return DataError(f"{name}: {column} must be of one type in all files, got {quote_some(kinds)}")


def _joined(name: str, sources: list[Source]) -> Source:
    """Return several files as one table of the columns that all of them have."""
    names = common_names(sources)
    partition = {column for source in sources for column in source.partition}
    lengths: list[int] = []

    def load(columns: Sequence[str]) -> pa.Table:
        tables = []
        for source in sources:
            with readable(source.name):
                tables.append(source.load(columns))
        lengths[:] = [table.num_rows for table in tables]
        try:
            return pa.concat_tables(tables, promote_options="permissive")
        except pa.ArrowException:
            column = next(
                column for column in columns if len({table.schema.field(column).type for table in tables}) > 1
            )
            kinds = list(dict.fromkeys(str(table.schema.field(column).type) for table in tables))
            raise unlike(name, column, kinds) from None

    def place(row: int) -> str:
        ends = np.cumsum(lengths)
        which = int(np.searchsorted(ends, row, side="right"))
        return sources[which].place(row - int(ends[which] - lengths[which]))

    first = sources[0]
    comma = any(source.decimal_comma for source in sources)
    return Source(name, names, load, None, first.as_text, comma, partition, place)
