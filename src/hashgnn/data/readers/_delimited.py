"""Text files with one interaction a line: CSV, TSV, RecBole atomic files, MovieLens."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.csv

from hashgnn._checks import quote_some
from hashgnn.data.readers._source import Source
from hashgnn.errors import DataError

_MOVIELENS_COLUMNS = ["user_id", "item_id", "rating", "timestamp"]
_COLONS = b"::"

Split = Callable[[str], list[str]]


def open_csv(path: Path) -> Source:
    """Open a CSV file with a header line; fields may be in double quotes."""
    return _open(path, ",", _split_quoted)


def open_tsv(path: Path) -> Source:
    """Open a tab-separated file with a header line."""
    return _open(path, "\t", _split_tabs)


def open_recbole(path: Path) -> Source:
    """Open a RecBole atomic file: tabs, and a type behind each column's name, as in ``user_id:token``."""
    line, header = _header(path, _split_tabs)
    for name in header:
        if ":" not in name:
            raise DataError(
                f"{path}, line {line}: a RecBole header names types, as user_id:token, got {name!r}"
            )
    return _open(path, "\t", _split_tabs, names=[name.rpartition(":")[0] for name in header])


def open_movielens(path: Path) -> Source:
    """Open ``ratings.dat`` (``::``) or ``u.data`` (tabs): user, item, rating, time, without a header."""
    with path.open("rb") as file:
        colons = _COLONS in file.readline(1000)
    if not colons:
        return _source(path, "\t", _split_tabs, _MOVIELENS_COLUMNS, header_line=0)
    # pyarrow splits at one character. A tab cannot occur in a file of numbers.
    text = path.read_bytes()
    if b"\t" in text:
        raise DataError(f"{path}: a MovieLens file with :: must hold no tabs")
    content = text.replace(_COLONS, b"\t")
    return _source(path, "\t", _split_colons, _MOVIELENS_COLUMNS, header_line=0, content=content)


def _open(path: Path, delimiter: str, split: Split, names: list[str] | None = None) -> Source:
    header_line, header = _header(path, split)
    names = header if names is None else names
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise DataError(f"{path}, line {header_line}: a column name must come once, got {repeated!r} twice")
    return _source(path, delimiter, split, names, header_line=header_line)


def _header(path: Path, split: Split) -> tuple[int, list[str]]:
    for number, text in _lines(path):
        return number, [field.strip() for field in split(text)]
    raise DataError(f"{path}: the file holds no rows")


def _source(
    path: Path,
    delimiter: str,
    split: Split,
    names: list[str],
    *,
    header_line: int,
    content: bytes | None = None,
) -> Source:
    def load(columns: Sequence[str]) -> pa.Table:
        try:
            return pyarrow.csv.read_csv(
                path if content is None else pa.BufferReader(content),
                read_options=pyarrow.csv.ReadOptions(column_names=names, skip_rows=header_line),
                parse_options=pyarrow.csv.ParseOptions(
                    delimiter=delimiter, quote_char='"' if delimiter == "," else False
                ),
                convert_options=pyarrow.csv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.string()),
                    include_columns=list(columns),
                    strings_can_be_null=False,
                ),
            )
        except pa.ArrowInvalid as error:
            _name_the_line(path, split, names)
            reason = str(error).splitlines()[0][:200]
            raise DataError(f"{path}: cannot be read as a table, {reason}") from None

    def line_of(row: int) -> int:
        rows = (number for number, _ in _lines(path) if number > header_line)
        return next(number for place, number in enumerate(rows) if place == row)

    return Source(path, names, load, line_of, as_text=True)


def _name_the_line(path: Path, split: Split, names: list[str]) -> None:
    for number, text in _lines(path):
        fields = split(text)
        if len(fields) != len(names):
            raise DataError(
                f"{path}, line {number}: must have {len(names)} fields ({quote_some(names, 8)}), "
                f"got {len(fields)}"
            )


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield number and text of every line that is not blank, as the reader counts rows."""
    with path.open("rb") as file:
        # bytes.splitlines knows the line ends that pyarrow knows: LF, CR LF, and CR alone.
        pieces = (piece for line in file for piece in line.splitlines())
        for number, piece in enumerate(pieces, start=1):
            try:
                text = piece.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError:
                raise DataError(f"{path}, line {number}: must be UTF-8 text") from None
            if text:
                yield number, text


def _split_quoted(text: str) -> list[str]:
    try:
        return next(csv.reader([text]))
    except csv.Error:
        return [text]  # a field beyond the limit of the csv module


def _split_tabs(text: str) -> list[str]:
    return text.split("\t")


def _split_colons(text: str) -> list[str]:
    return text.split(_COLONS.decode())
