"""Moments that a caller names, in the unit of a column of timestamps."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pyarrow as pa

from hashgnn._types import Array
from hashgnn.data import _times
from hashgnn.errors import ParameterError

_MICROSECONDS = 1_000_000
# A time of the years 1973 to 5138 is below the bound of its own unit and above that of the next larger one.
_UNITS = ((10**11, 1), (10**14, 1_000), (10**17, 1_000_000), (2**63, 1_000_000_000))


def moment(name: str, value: Any, times: Array, column: pa.ChunkedArray) -> int:
    """Return a moment as a number that can be compared with ``times``.

    Parameters
    ----------
    name : str
        Of the argument, for messages.
    value : str, date, datetime or number
        ISO 8601 text, without a zone in UTC; or a number in the unit of the column.
    times : ndarray of shape (n,), int64
        The column as :func:`~hashgnn.data._columns.timestamp_column` returns it.
    column : Arrow array
        The column as it was given.

    Raises
    ------
    ParameterError
        If the value is no time, or is a number where the column holds dates or times.
    """
    written = _number(value)
    if not _holds_numbers(column):
        if written is not None:
            raise ParameterError(
                f"{name} must be a date or time like 2024-05-01, as the timestamps are, got {value!r}"
            )
        return math.ceil(_microseconds(name, value))
    if written is not None:
        return math.ceil(written)
    latest = int(times.max()) if len(times) else 0
    return math.ceil(_microseconds(name, value) * per_second(latest) / _MICROSECONDS)


def per_second(time: int) -> int:
    """Return how many units of a time since 1970 make a second: of seconds, milli-, micro- or nanoseconds."""
    return next(scale for bound, scale in _UNITS if time < bound)


def _number(value: Any) -> float | None:
    if isinstance(value, bool | date):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _microseconds(name: str, value: Any) -> int:
    """Return the microseconds since 1970 of a date or time."""
    given = value
    if isinstance(given, np.datetime64):
        given = given.astype("datetime64[us]").item()
    if isinstance(given, str):
        try:
            given = datetime.fromisoformat(given.strip())
        except ValueError:
            raise ParameterError(
                f"{name} must be a number or an ISO 8601 time like 2024-05-01, got {value!r}"
            ) from None
    if isinstance(given, date) and not isinstance(given, datetime):
        given = datetime(given.year, given.month, given.day)
    if not isinstance(given, datetime):
        raise ParameterError(f"{name} must be a number or an ISO 8601 time like 2024-05-01, got {value!r}")
    if given.tzinfo is None:
        given = given.replace(tzinfo=UTC)
    passed = given - datetime(1970, 1, 1, tzinfo=UTC)
    return (passed.days * 86_400 + passed.seconds) * _MICROSECONDS + passed.microseconds


def _holds_numbers(column: pa.ChunkedArray) -> bool:
    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return not isinstance(_times.cast_text(column, (pa.int64(), pa.float64())), int)
    return not (pa.types.is_timestamp(kind) or pa.types.is_date(kind))
