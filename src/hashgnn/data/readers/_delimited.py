"""Text files with one interaction per line: CSV, TSV, RecBole atomic files, MovieLens."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain, islice
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv

from hashgnn._checks import quote_some
from hashgnn.data.readers._lines import check_start, lines_at_any_end
from hashgnn.data.readers._location import Location
from hashgnn.data.readers._source import Source, check_names
from hashgnn.errors import DataError, ParameterError

_MOVIELENS_COLUMNS = ["user_id", "item_id", "rating", "timestamp"]
_COLONS = b"::"
_NO_MARKS = bytes(set(range(256)) - set(b'"\n\r'))
_DELIMITERS = ",;\t|"
_END = "\0the end"  # a line behind the last one, to see whether it is inside quotes

# From a file to the first line and the fields of each row that is not blank.
Rows = Callable[[Location], Iterator[tuple[int, list[str]]]]


def open_csv(path: Location, delimiter: Any = None, decimal: str | None = None) -> Source:
    """Open a CSV file with a header line; fields may be in double quotes.

    Without a delimiter it is the one of comma, semicolon, tab and bar that splits the header into the most
    columns; the first of these where two are equal. ``decimal`` is what stands before the fraction of a
    number, a point or a comma; with a semicolon it may be either.
    """
    if delimiter is None:
        marks = _DELIMITERS.replace("," if decimal == "," else "", "")
        counts = [_n_columns(path, mark) for mark in marks]
        delimiter = marks[counts.index(max(counts))]
    elif (
        not isinstance(delimiter, str)
        or len(delimiter) != 1
        or not delimiter.isascii()
        or delimiter in '"\r\n\0 '
    ):
        raise ParameterError(f"delimiter must be one ASCII character other than a quote, got {delimiter!r}")
    if delimiter == decimal:
        raise ParameterError(
            f"decimal and delimiter must be different characters, got {delimiter!r} for both"
        )
    comma = delimiter == ";" if decimal is None else decimal == ","
    rows = partial(_quoted_rows, delimiter=delimiter)
    return _open(path, delimiter, rows, quoted=True, decimal_comma=comma)


def open_tsv(path: Location, decimal: str | None = None) -> Source:
    """Open a tab-separated file with a header line."""
    return _open(path, "\t", _rows_of_tabs, decimal_comma=decimal == ",")


def open_recbole(path: Location) -> Source:
    """Open a RecBole atomic file: tabs, and a type behind each column's name, as in ``user_id:token``."""
    line, header = _header(path, _rows_of_tabs)
    for name in header:
        if ":" not in name:
            raise DataError(
                f"{path}, line {line}: a RecBole header names types, as user_id:token, got {name!r}"
            )
    return _open(path, "\t", _rows_of_tabs, names=[name.rpartition(":")[0] for name in header])


def open_movielens(path: Location) -> Source:
    """Open ``ratings.dat`` (``::``) or ``u.data`` (tabs): user, item, rating, time, without a header."""
    with path.open() as file:
        colons = _COLONS in file.readline(1000)
    if not colons:
        return _source(path, "\t", _rows_of_tabs, _MOVIELENS_COLUMNS, header_line=0)
    # pyarrow splits at one character. A tab cannot occur in a file of numbers.
    text = path.read_bytes()
    if b"\t" in text:
        raise DataError(f"{path}: a MovieLens file with :: must hold no tabs")
    content = text.replace(_COLONS, b"\t")
    return _source(path, "\t", _rows_of_colons, _MOVIELENS_COLUMNS, header_line=0, content=content)


def _open(
    path: Location,
    delimiter: str,
    rows: Rows,
    names: list[str] | None = None,
    *,
    quoted: bool = False,
    decimal_comma: bool = False,
) -> Source:
    header_line, header = _header(path, rows)
    names = header if names is None else names
    check_names(f"{path}, line {header_line}", names)
    return _source(
        path, delimiter, rows, names, header_line=header_line, quoted=quoted, decimal_comma=decimal_comma
    )


def _header(path: Location, rows: Rows) -> tuple[int, list[str]]:
    check_start(path)
    for number, fields in rows(path):
        return number, [field.strip() for field in fields]
    raise DataError(f"{path}: the file holds no rows")


def _n_columns(path: Location, delimiter: str) -> int:
    try:
        return len(_header(path, partial(_quoted_rows, delimiter=delimiter))[1])
    except DataError:  # the delimiter that is taken shows it again
        return 0


def _source(
    path: Location,
    delimiter: str,
    rows: Rows,
    names: list[str],
    *,
    header_line: int,
    content: bytes | None = None,
    quoted: bool = False,
    decimal_comma: bool = False,
) -> Source:
    def load(columns: Sequence[str]) -> pa.Table:
        spans_lines, has_blanks = _scan(path, delimiter) if quoted else (False, False)
        whole = _without_blanks(path.read_bytes(), delimiter) if has_blanks else content
        options = {
            "read_options": pyarrow.csv.ReadOptions(column_names=names, skip_rows=header_line),
            "parse_options": pyarrow.csv.ParseOptions(
                delimiter=delimiter,
                quote_char='"' if quoted else False,
                newlines_in_values=spans_lines,
            ),
            "convert_options": pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                include_columns=list(columns),
                strings_can_be_null=False,
            ),
        }
        try:
            with path.open() if whole is None else pa.BufferReader(whole) as file:
                return pyarrow.csv.read_csv(file, **options)
        except pa.ArrowInvalid as error:
            _name_the_line(path, rows, names)
            reason = str(error).splitlines()[0][:200]
            raise DataError(f"{path}: cannot be read as a table, {reason}") from None

    def line_of(row: int) -> int:
        numbers = (number for number, _ in rows(path) if number > header_line)
        return next(islice(numbers, row, None))

    return Source(path.name, names, load, line_of, as_text=True, decimal_comma=decimal_comma)


def _name_the_line(path: Location, rows: Rows, names: list[str]) -> None:
    for number, fields in rows(path):
        if len(fields) != len(names):
            raise DataError(
                f"{path}, line {number}: must have {len(names)} fields ({quote_some(names, 8)}), "
                f"got {len(fields)}"
            )


def _scan(path: Location, delimiter: str) -> tuple[bool, bool]:
    """Return whether a line may end inside quotes, and whether a blank is at an end of a field outside of them.

    Raises
    ------
    DataError
        If a quoted field is still open where the file ends; it would swallow the rows behind it.
    """
    n_quotes, found, has_blanks = 0, False, False
    mark, last = delimiter.encode(), b""
    with path.open() as file:
        while block := file.read(1 << 18):  # small enough for the processor's cache
            n_here = block.count(b'"')
            if (n_here or n_quotes % 2) and not found:
                is_quote = np.frombuffer(block.translate(None, _NO_MARKS), np.uint8) == ord('"')
                is_inside = np.bitwise_xor.accumulate(is_quote.view(np.uint8)) != n_quotes % 2
                found = bool((is_inside & ~is_quote).any())
            joined = last + block
            if not has_blanks and any(pair in joined for pair in (mark + b" ", b" " + mark, b" \n", b" \r")):
                has_blanks = not (n_here or n_quotes % 2) or _has_blanks(joined, mark, n_quotes % 2)
            n_quotes += n_here
            last = block[-1:] if block[-1:] in (mark, b" ") else b""
    has_blanks = has_blanks or (last == b" " and not n_quotes % 2)
    if n_quotes % 2:  # or a quote that is a character of its field, as in 5" disk
        for _ in _quoted_rows(path, delimiter):
            pass
    return found, has_blanks


def _has_blanks(block: bytes, mark: bytes, inside: int) -> bool:
    letters = np.frombuffer(block, np.uint8)
    is_quote = (letters == ord('"')).view(np.uint8)
    is_outside = np.bitwise_xor.accumulate(is_quote) == inside
    follows = (letters[:-1] == mark[0]) & (letters[1:] == ord(" "))
    stands_before = (letters[:-1] == ord(" ")) & np.isin(letters[1:], list(mark + b"\r\n"))
    return bool(((follows | stands_before) & is_outside[:-1]).any())


def _without_blanks(content: bytes, delimiter: str) -> bytes:
    """Leave off the blanks behind a delimiter and at the end of a field, outside of quotes."""
    mark, quoted = re.escape(delimiter.encode()), b'"(?:[^"]|"")*"'
    start = b"(?:\\A|(?<=[\r\n" + mark + b"]))"
    ends = b" +(?=[\r\n" + mark + b"]|\\Z)"
    pattern = b"(" + start + quoted + b")|(" + mark + b") +(" + quoted + b")?|" + ends
    return re.sub(pattern, rb"\1\2\3", content)


def _quoted_rows(path: Location, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    lines = (text + "\n" for _, text in _lines(path))
    reader = csv.reader(chain(lines, [_END]), delimiter=delimiter, skipinitialspace=True)
    while True:
        number = reader.line_num + 1
        try:
            fields = next(reader)
        except csv.Error:
            raise DataError(
                f"{path}, line {number}: a field must have at most {csv.field_size_limit()} characters; "
                "a quote before it may have no end"
            ) from None
        if fields == [_END]:
            return
        if fields and fields[-1].endswith(_END):
            raise DataError(f"{path}, line {number}: a quoted field has no end")
        if fields:
            yield number, fields


def _rows_of_tabs(path: Location) -> Iterator[tuple[int, list[str]]]:
    return ((number, text.split("\t")) for number, text in _lines(path) if text)


def _rows_of_colons(path: Location) -> Iterator[tuple[int, list[str]]]:
    return ((number, text.split(_COLONS.decode())) for number, text in _lines(path) if text)


def _lines(path: Location) -> Iterator[tuple[int, str]]:
    """Yield number and text of every line."""
    for number, line in lines_at_any_end(path):
        try:
            yield number, line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError:
            raise DataError(f"{path}, line {number}: must be UTF-8 text") from None
