"""Text files with one interaction a line: CSV, TSV, RecBole atomic files, MovieLens."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.csv

from hashgnn.data.readers._source import Source
from hashgnn.errors import DataError

_MOVIELENS_COLUMNS = ["user_id", "item_id", "rating", "timestamp"]
_NUMBER_COLUMNS = ("rating", "weight", "timestamp")


def read_csv(path: Path) -> Source:
    """Read a CSV file with a header line."""
    return _read(path, ",", _header(path, ","))


def read_tsv(path: Path) -> Source:
    """Read a tab-separated file with a header line."""
    return _read(path, "\t", _header(path, "\t"))


def read_recbole(path: Path) -> Source:
    """Read a RecBole atomic file: tabs, and a type behind each column's name, as in ``user_id:token``."""
    header = _header(path, "\t")
    for name in header:
        if ":" not in name:
            raise DataError(f"{path}, line 1: a RecBole header names types, as user_id:token, got {name!r}")
    return _read(path, "\t", [name.rpartition(":")[0] for name in header])


def read_movielens(path: Path) -> Source:
    """Read ``ratings.dat`` (``::``) or ``u.data`` (tabs): user, item, rating, time, without a header."""
    with path.open("rb") as file:
        first = file.readline(1000)
    if b"::" not in first:
        return _read(path, "\t", _MOVIELENS_COLUMNS, skip=0)
    # pyarrow splits at one character. A tab cannot occur in a file of numbers.
    text = path.read_bytes()
    if b"\t" in text:
        raise DataError(f"{path}: a MovieLens file with :: must hold no tabs")
    return _read(path, "\t", _MOVIELENS_COLUMNS, skip=0, content=text.replace(b"::", b"\t"))


def _header(path: Path, delimiter: str) -> list[str]:
    for _, fields in _lines(path, delimiter, None):
        if len(set(fields)) != len(fields):
            raise DataError(f"{path}, line 1: a column name comes twice, got {', '.join(fields)}")
        return [field.strip() for field in fields]
    raise DataError(f"{path}: the file holds no rows")


def _read(
    path: Path, delimiter: str, names: list[str], *, skip: int = 1, content: bytes | None = None
) -> Source:
    """Read all columns as text; numbers are made of those that must be, ids keep the way they are written."""
    try:
        table = pyarrow.csv.read_csv(
            path if content is None else pa.BufferReader(content),
            read_options=pyarrow.csv.ReadOptions(column_names=names, skip_rows=skip),
            parse_options=pyarrow.csv.ParseOptions(
                delimiter=delimiter, quote_char='"' if delimiter == "," else False, newlines_in_values=False
            ),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
            ),
        )
    except pa.ArrowInvalid as error:
        _name_the_line(path, delimiter, names, content)
        raise DataError(f"{path}: cannot be read as a table, {error}") from None

    def line_of(row: int) -> int:
        for place, (line, _) in enumerate(_lines(path, delimiter, content)):
            if place == row + skip:
                return line
        raise AssertionError("a row that was read has a line")

    source = Source(path, table, line_of)
    for name in _NUMBER_COLUMNS:
        if name in names:
            source = Source(path, _as_numbers(source, name), line_of)
    return source


def _as_numbers(source: Source, name: str) -> pa.Table:
    place = source.table.schema.get_field_index(name)
    column = source.table.column(place)
    for kind in (pa.int64(), pa.float64()):
        try:
            return source.table.set_column(place, name, column.cast(kind))
        except pa.ArrowInvalid:
            continue
    for row, value in enumerate(column.to_pylist()):
        try:
            float(value)
        except ValueError:
            problem = f"{name} must be a number, got {value!r}" if value else f"{name} is empty"
            raise DataError(f"{source.place(row)}: {problem}") from None
    return source.table.set_column(place, name, pa.array([float(x) for x in column.to_pylist()]))


def _name_the_line(path: Path, delimiter: str, names: list[str], content: bytes | None) -> None:
    for line, fields in _lines(path, delimiter, content):
        if len(fields) != len(names):
            raise DataError(
                f"{path}, line {line}: must have {len(names)} fields ({', '.join(names)}), got {len(fields)}"
            )


def _lines(path: Path, delimiter: str, content: bytes | None) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and fields of every line that is not blank; slow, for headers and messages."""
    raw = path.open("rb") if content is None else iter(content.splitlines(keepends=True))
    quoting = csv.QUOTE_MINIMAL if delimiter == "," else csv.QUOTE_NONE
    try:
        for number, line in enumerate(raw, start=1):
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
            except UnicodeDecodeError:
                raise DataError(f"{path}, line {number}: not UTF-8 text") from None
            if text:
                yield number, next(csv.reader([text], delimiter=delimiter, quoting=quoting))
    finally:
        if content is None:
            raw.close()  # type: ignore[union-attr]


__all__ = ["read_csv", "read_movielens", "read_recbole", "read_tsv"]
