"""Times that are written as text: numbers, or ISO 8601."""

from __future__ import annotations

import re
import warnings
from datetime import UTC, datetime
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hashgnn.errors import DataWarning

Column: TypeAlias = pa.Array | pa.ChunkedArray

_UTC = pa.timestamp("us", "UTC")
_DATE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
_TIME = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}[0-9:.]*$"

# Forms that Python and Arrow read in the same way.
_USUAL = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)?", re.ASCII)


def trimmed(column: Column) -> Column:
    """Return text without blanks around it, null where nothing is left."""
    text = pc.utf8_trim_whitespace(column)
    return pc.if_else(pc.equal(pc.binary_length(text), 0), pa.scalar(None, text.type), text)


def cast_text(column: Column, kinds: tuple[pa.DataType, ...]) -> Column | int:
    """Return trimmed text as the first of some types that fits, or the first row that the last does not fit."""
    filled = trimmed(column)
    for kind in kinds:
        try:
            return filled.cast(kind)
        except pa.ArrowInvalid:
            continue
    return _first_that_fails(filled, kinds[-1])


def read_times(column: Column, name: str) -> Column | int:
    """Return numbers or times of text; or the row of the first entry that is neither or of another kind than those before it.

    Times without a zone are taken as UTC, with one warning. Dates are the start of their day in UTC. Digits
    behind the microseconds are left off.

    Parameters
    ----------
    column : Arrow array of text
    name : str
        For the warning.

    Returns
    -------
    Arrow array of int64, float64 or timestamp[us, UTC], null where the text is empty, or int
    """
    numbers = cast_text(column, (pa.int64(), pa.float64()))
    if not isinstance(numbers, int):
        return numbers
    text = pc.replace_substring_regex(column, r"\s*(?:UTC|z)\s*$", "Z")
    text = pc.replace_substring_regex(text, r"(:[0-9]{2})[.,]([0-9]{1,6})[0-9]*", r"\1.\2")
    text = pc.replace_substring_regex(trimmed(text), r"\s+([+-][0-9:]+)$", r"\1")
    is_naive = pc.fill_null(pc.match_substring_regex(text, _TIME), False)
    text = pc.replace_substring_regex(text, f"({_TIME[1:-1]})$", r"\1Z")
    text = pc.replace_substring_regex(text, f"{_DATE[:-1]}$", r"\0T00:00:00Z")
    times = cast_text(text, (_UTC,))
    if isinstance(times, int):
        return max(numbers, times)
    n_naive = int(pc.sum(is_naive).as_py() or 0)
    if n_naive:
        row = int(np.argmax(np.asarray(is_naive)))
        warnings.warn(
            f"{name} has no time zone in {n_naive} of {len(column)} rows, as {column[row].as_py()!r}; "
            "they are taken as UTC",
            DataWarning,
            stacklevel=4,
        )
    return times


def seconds_of_text(text: str) -> float | None:
    """Return one ISO 8601 time as seconds since 1970, by the same rule; ``None`` for anything else.

    Examples
    --------
    >>> seconds_of_text("1970-01-02T00:00:00+01:00"), seconds_of_text("1970-01-01"), seconds_of_text("12")
    (82800.0, 0.0, None)
    """
    if _USUAL.fullmatch(text):  # without Arrow, a hundred times as quick
        try:
            time = datetime.fromisoformat(text)
        except ValueError:
            return None
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # whoever calls says that it is UTC
        found = read_times(pa.array([text], pa.large_string()), "time")
    if isinstance(found, int) or not pa.types.is_timestamp(found.type) or found[0].as_py() is None:
        return None
    return int(found.cast(pa.int64())[0].as_py()) / 1e6


def _first_that_fails(column: Column, kind: pa.DataType) -> int:
    """Return the first row that cannot be cast, by halving."""
    low, high = 0, len(column)  # the first failure lies in [low, high)
    while high - low > 1:
        middle = (low + high) // 2
        try:
            column.slice(low, middle - low).cast(kind)
        except pa.ArrowInvalid:
            high = middle
        else:
            low = middle
    return low
