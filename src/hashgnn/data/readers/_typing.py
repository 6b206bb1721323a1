"""Conversion of text columns to numbers, where every entry is a number."""

from __future__ import annotations

from collections.abc import Collection

import pyarrow as pa
import pyarrow.compute as pc

from hashgnn.data._id_kinds import MISSING_TEXTS
from hashgnn.data._times import cast_text, read_times

_N_FIRST = 1000
_WHOLE_NUMBER = r"^\s*(0|-?[1-9][0-9]*)([.,]0*)?\s*$"


def whole_numbers(column: pa.ChunkedArray, decimal_comma: bool = False) -> pa.ChunkedArray:
    """Return int64 where every entry is a whole number in canonical form, else the text unchanged.

    Blanks around a number and a fraction of zeros, as in ``7.0``, are no part of it. ``007`` and ``+7`` could
    be read as 7 too, but are other ids.
    """
    text = column
    try:
        numbers = text.cast(pa.int64())
    except pa.ArrowInvalid:
        try:
            for rows in (column[:_N_FIRST], column):  # text is noticed without a pass over all rows
                text = _without_fraction(rows, decimal_comma)
                numbers = text.cast(pa.int64())
        except pa.ArrowInvalid:
            return column
    return numbers if pc.all(pc.equal(numbers.cast(pa.string()), text)).as_py() else column


def _without_fraction(column: pa.ChunkedArray, decimal_comma: bool) -> pa.ChunkedArray:
    sign = "[.,]" if decimal_comma else "[.]"
    return pc.replace_substring_regex(pc.utf8_trim_whitespace(column), rf"^(-?[0-9]+){sign}0*$", r"\1")


def first_missing(column: pa.ChunkedArray, but: Collection[str] = ()) -> int | None:
    """Return the first row that is empty, or holds what other programs write for a missing value.

    The texts of ``but`` are values.
    """
    found = pc.index(_are_missing(column, but), True).as_py()
    return None if found < 0 else int(found)


def without_missing(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column with null for what other programs write for a missing value."""
    return pc.if_else(_are_missing(column), None, column)


def _are_missing(column: pa.ChunkedArray, but: Collection[str] = ()) -> pa.ChunkedArray:
    texts = pa.array([text for text in MISSING_TEXTS if text not in but], column.type)
    return pc.is_in(pc.utf8_trim_whitespace(column), value_set=texts)


def first_among_numbers(column: pa.ChunkedArray) -> int | None:
    """Return the first row that is no whole number where most are; ``None`` where they are not."""
    for rows in (column[:_N_FIRST], column):  # text is noticed without a pass over all rows
        if 2 * (pc.sum(pc.match_substring_regex(rows, _WHOLE_NUMBER)).as_py() or 0) <= len(rows):
            return None
    return first_other(column)


def first_other(column: pa.ChunkedArray) -> int | None:
    """Return the first row that is no whole number; ``None`` where some have more than 64 bits."""
    row = int(pc.index(pc.match_substring_regex(column, _WHOLE_NUMBER), False).as_py())
    return row if row >= 0 else None


def zeros_lead(column: pa.ChunkedArray) -> bool:
    """Return whether an entry starts with zeros that a number would lose, as postal codes do."""
    return bool(pc.any(pc.match_substring_regex(column, "^0[0-9]")).as_py())


def numbers(column: pa.ChunkedArray, decimal_comma: bool = False) -> pa.ChunkedArray | int:
    """Return int64 or float64, null where an entry is empty; or the row of the first that is no number."""
    return cast_text(_with_points(column, decimal_comma), (pa.int64(), pa.float64()))


def times(column: pa.ChunkedArray, name: str, decimal_comma: bool = False) -> pa.ChunkedArray | int:
    """Return numbers or times as :func:`~hashgnn.data._times.read_times` does."""
    found = numbers(column, decimal_comma)
    return read_times(column, name) if isinstance(found, int) else found


def _with_points(column: pa.ChunkedArray, decimal_comma: bool) -> pa.ChunkedArray:
    return pc.replace_substring(column, ",", ".", max_replacements=1) if decimal_comma else column
