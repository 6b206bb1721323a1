"""From the columns of any data frame to checked NumPy arrays."""

from __future__ import annotations

from typing import Any

import narwhals as nw
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hashgnn._checks import quote_some
from hashgnn.errors import DataError

Array = np.ndarray[Any, Any]


class RowError(DataError):
    """A value of one row breaks its rule; a reader that knows the file says the line instead of the row."""

    def __init__(self, row: int, problem: str) -> None:
        super().__init__(f"{problem} in row {row + 1}")
        self.row, self.problem = row, problem


def as_frame(frame: Any) -> nw.DataFrame[Any]:
    """Wrap a pandas, polars or Arrow frame; a lazy one is collected."""
    try:
        wrapped = nw.from_native(frame)
    except TypeError:
        raise DataError(
            f"frame must be a pandas, polars or Arrow data frame, got {type(frame).__name__}"
        ) from None
    return wrapped.collect() if isinstance(wrapped, nw.LazyFrame) else wrapped


def column(frame: nw.DataFrame[Any], name: str, role: str) -> nw.Series[Any]:
    """Return a column, or say which columns there are and how to name one."""
    if name not in frame.columns:
        raise DataError(
            f"column {name!r} is missing, found {quote_some(frame.columns, 12) or 'none'}; "
            f"name the column of {role} with {role}="
        )
    return frame[name]


def id_column(series: nw.Series[Any], name: str) -> pa.Array | pa.ChunkedArray | Array | list[Any]:
    """Return ids as int64, an Arrow text array, or a list of objects; empty ids are refused by row.

    Whole numbers that a frame keeps as floats (as pandas does beside a missing value) become integers.
    """
    try:
        values = series.to_arrow()
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
        return _objects(series.to_list(), name)
    if isinstance(values, pa.ChunkedArray) and values.num_chunks == 0:
        values = pa.chunked_array([pa.array([], values.type)])
    _refuse_empty(values, name)
    kind = values.type
    if pa.types.is_dictionary(kind):
        values, kind = values.cast(kind.value_type), kind.value_type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or _is_view(kind):
        blank = pc.equal(pc.utf8_length(values), 0)
        if pc.any(blank).as_py():
            raise RowError(int(np.argmax(_numpy(blank))), f"{name} is empty")
        return values
    if pa.types.is_integer(kind):
        return _numpy(values)
    if pa.types.is_floating(kind):
        numbers = _numpy(values)
        whole = np.isfinite(numbers) & (numbers == np.floor(numbers)) & (np.abs(numbers) < 2**53)
        if not whole.all():
            row = int(np.argmin(whole))
            raise RowError(row, f"{name} must be whole numbers or text, got {numbers[row]}")
        return numbers.astype(np.int64)
    return _objects(values.to_pylist(), name)


def weight_column(series: nw.Series[Any], name: str) -> Array:
    """Return weights as float32; each must be a finite number above zero."""
    values = _arrow(series, name)
    _refuse_empty(values, name)
    if not (pa.types.is_integer(values.type) or pa.types.is_floating(values.type)):
        raise DataError(f"{name} must be numbers, got {values.type}")
    return check_weights(_numpy(values), name)


def check_weights(weights: Array, name: str) -> Array:
    """Return weights as float32, or name the first that is not a finite number above zero."""
    numbers = np.asarray(weights, np.float32)
    good = np.isfinite(numbers) & (numbers > 0)
    if not good.all():
        row = int(np.argmin(good))
        raise RowError(row, f"{name} must be finite and > 0, got {numbers[row]}")
    return numbers


def timestamp_column(series: nw.Series[Any], name: str) -> Array:
    """Return timestamps as int64: numbers as given, dates and times as microseconds since 1970 (UTC)."""
    values = _arrow(series, name)
    _refuse_empty(values, name)
    kind = values.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        numbers = _numpy(values.cast(pa.timestamp("us", getattr(kind, "tz", None))).cast(pa.int64()))
    elif pa.types.is_integer(kind) or pa.types.is_floating(kind):
        numbers = _numpy(values)
    else:
        raise DataError(f"{name} must be numbers, dates or times, got {kind}")
    return check_timestamps(numbers, name)


def check_timestamps(timestamps: Array, name: str) -> Array:
    """Return timestamps as int64, or name the first that is negative or no number."""
    numbers = np.asarray(timestamps)
    good = numbers >= 0
    if numbers.dtype.kind == "f":
        good &= np.isfinite(numbers)
    if not good.all():
        row = int(np.argmin(good))
        raise RowError(row, f"{name} must be >= 0, got {numbers[row]}")
    return numbers.astype(np.int64)


def _arrow(series: nw.Series[Any], name: str) -> pa.Array | pa.ChunkedArray:
    try:
        return series.to_arrow()
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
        raise DataError(f"{name} must be numbers, got a column of mixed types") from None


def _refuse_empty(values: pa.Array | pa.ChunkedArray, name: str) -> None:
    if values.null_count:
        row = int(np.argmax(_numpy(values.is_null())))
        raise RowError(row, f"{name} is empty")


def _objects(values: list[Any], name: str) -> list[Any]:
    for row, value in enumerate(values):
        if value is None or value == "" or (isinstance(value, float) and value != value):
            raise RowError(row, f"{name} is empty")
        if isinstance(value, list | dict | set):
            kind = type(value).__name__
            raise RowError(row, f"{name} must be hashable, got a {kind}")
    return values


def _is_view(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string_view(kind))


def _numpy(values: pa.Array | pa.ChunkedArray) -> Array:
    if isinstance(values, pa.ChunkedArray):
        return np.asarray(values.to_numpy())
    return np.asarray(values.to_numpy(zero_copy_only=False))
