"""Conversion of data frame columns to checked NumPy arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import narwhals as nw
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hashgnn._checks import quote_some, shown
from hashgnn._types import Array
from hashgnn.data import _times
from hashgnn.data._id_kinds import MAX_DEPTH, is_missing, is_too_deep, is_utf_8
from hashgnn.data._whole_ids import MAX_DIGITS, as_whole, is_number
from hashgnn.data.id_lists import are_integers, as_list
from hashgnn.errors import DataError

Column: TypeAlias = pa.Array | pa.ChunkedArray

# Names that are taken where a column is not named, the first that is present.
ALIASES = {
    "user": ("user_id", "user", "userId"),
    "item": ("item_id", "item", "itemId", "movieId"),
    "weight": ("weight",),
    "timestamp": ("timestamp", "time"),
    "event": ("event",),
}


# Types of polars that Arrow has not: it would get the addresses of the objects, or nothing.
_WIDE = (nw.Object, nw.Int128, nw.UInt128)


class RowError(DataError):
    """A value of one row breaks its rule; a reader that knows the file says the line instead of the row."""

    def __init__(self, row: int, problem: str) -> None:
        super().__init__(f"{problem} in row {row + 1}")
        self.row, self.problem = row, problem

    def __reduce__(self) -> tuple[Any, ...]:
        return RowError, (self.row, self.problem)


def as_frame(frame: Any) -> nw.DataFrame[Any]:
    """Wrap a data frame, or read an Arrow table, batch, reader, dataset or stream; a lazy frame is collected.

    Raises
    ------
    DataError
        If it is none of these, cannot be read, or two columns have one name.
    """
    try:
        try:
            wrapped = nw.from_native(frame)
        except TypeError:
            frame = _arrow_table(frame)
            wrapped = nw.from_native(frame)
    except nw.exceptions.DuplicateError:
        names = frame.column_names if isinstance(frame, pa.Table) else list(frame.columns)
        repeated = next(name for place, name in enumerate(names) if name in names[:place])
        raise DataError(f"a column name must come once, got {repeated!r} twice") from None
    return wrapped.collect() if isinstance(wrapped, nw.LazyFrame) else wrapped


def _arrow_table(frame: Any) -> pa.Table:
    """Read what Arrow can read: a batch, a reader, a dataset or scanner, an object with the stream interface."""
    kind = type(frame)
    has_stream = hasattr(kind, "__arrow_c_stream__") or hasattr(kind, "__arrow_c_array__")
    is_dataset = kind.__module__.startswith("pyarrow.") and hasattr(kind, "to_table")
    if isinstance(frame, type) or not (has_stream or is_dataset):
        raise DataError(f"frame must be a pandas, polars or Arrow data frame, got {kind.__name__}")
    try:
        table = frame.to_table() if is_dataset else pa.table(frame)
    except (pa.ArrowException, OSError, TypeError, ValueError) as error:
        reason = (
            (str(error) or type(error).__name__)
            .splitlines()[0]
            .partition(". Detail:")[0]
            .removeprefix("Invalid: ")[:200]
        )
        raise DataError(f"frame cannot be read as an Arrow table, {reason}") from None
    if not isinstance(table, pa.Table):
        raise DataError(f"frame must hold columns, got a {type(table).__name__}")
    return table


def resolve(names: Sequence[str], **requested: str | None) -> dict[str, str | None]:
    """Return the column of each role; weights, timestamps and events may have none.

    Raises
    ------
    DataError
        If the column of users or items, or a requested column, is missing, or one has two roles.
    """
    for role, name in requested.items():
        if name is not None and not isinstance(name, str):
            raise DataError(f"{role} must be the name of a column, got {name!r:.80}")
    found: dict[str, str | None] = {}
    for role, name in requested.items():
        # A weight, time or event that nobody named gives way to whoever named its column.
        taken = () if role in ("user", "item") else requested.values()
        usual = next((alias for alias in ALIASES[role] if alias in names and alias not in taken), None)
        if (name is not None and name not in names) or (
            usual is None and role in ("user", "item") and not name
        ):
            raise missing(names, name or ALIASES[role][0], role)
        found[role] = name or usual
        twin = next((other for other in found if other != role and found[other] == found[role]), None)
        if found[role] is not None and twin is not None:
            raise DataError(f"{twin} and {role} must be different columns, got {found[role]!r} for both")
    return found


def missing(names: Sequence[str], name: str, role: str) -> DataError:
    """Return the error of a column that is not there: which there are, and how to name one that has a role."""
    found = quote_some(names, 12) or "none"
    if not role:
        return DataError(f"column {name!r} is missing, found {found}")
    argument = "event_column" if role == "event" else role
    return DataError(f"column {name!r} is missing, found {found}; name the column with {argument}=")


def column(frame: nw.DataFrame[Any], name: str, role: str) -> nw.Series[Any]:
    """Return a column, or say which columns there are."""
    if name not in frame.columns:
        raise missing(frame.columns, name, role)
    return frame[name]


def id_column(series: nw.Series[Any], name: str) -> Column | Array | list[Any]:
    """Return ids as int64, an Arrow text array, or a list of objects; empty ids are refused by row.

    Whole numbers that a frame keeps as floats (as pandas does with a missing value) become integers.
    """
    if series.dtype in _WIDE:
        return _objects(series.to_list(), name)
    try:
        values = series.to_arrow()
    except (pa.ArrowException, OverflowError, UnicodeError):
        return _objects(series.to_list(), name)
    return _arrow_ids(values, name)


def id_values(values: Any, name: str) -> Column | Array | list[Any]:
    """Return ids of an array, series or sequence as :func:`id_column` does those of a frame."""
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return _arrow_ids(values, name)
    if type(values).__module__.startswith("polars.") and not hasattr(values, "columns"):
        return id_column(nw.from_native(values, series_only=True), name)
    if hasattr(values, "to_numpy") and getattr(values, "ndim", 1) == 1 and not hasattr(values, "columns"):
        values = values.to_numpy()
    if are_integers(values):
        return _integers(values)
    if isinstance(values, np.ndarray) and values.dtype.kind == "f" and values.ndim == 1:
        return _whole(np.ma.filled(values, np.nan), name)
    listed = as_list(name, values, in_order=True, error=DataError)
    kinds = set(map(type, listed))
    if kinds == {float}:
        return _whole(np.array(listed, np.float64), name)
    if kinds == {str} or kinds == {int}:  # as nearly always; Arrow and NumPy look at each value sooner
        try:
            return _arrow_ids(pa.array(listed, pa.large_string() if kinds == {str} else pa.int64()), name)
        except (UnicodeEncodeError, OverflowError):
            pass  # the row is named below
    return _objects(listed, name)


def weight_column(series: nw.Series[Any], name: str) -> Array:
    """Return weights as float32; each must be a finite number above zero."""
    values = _plain_kind(_arrow(series, name))
    _refuse_empty(values, name)
    if not (pa.types.is_integer(values.type) or pa.types.is_floating(values.type)):
        raise DataError(f"{name} must be numbers, got {values.type}")
    return check_weights(_numpy(values), name)


def check_weights(weights: Array, name: str) -> Array:
    """Return weights as float32, or name the first that is not a finite number above zero."""
    if weights.dtype.kind not in "biuf":
        raise DataError(f"{name} must be numbers, got {weights.dtype}")
    with np.errstate(over="ignore", under="ignore"):  # what float32 cannot hold is named below
        numbers = weights.astype(np.float32)
    good = np.isfinite(numbers) & (numbers > 0)
    if not good.all():
        row = int(np.argmin(good))
        raise RowError(row, f"{name} must be finite and > 0, got {weights[row]}")
    return numbers


def weight_values(values: Any, name: str) -> Array:
    """Return weights of an array or sequence as :func:`weight_column` does those of a frame."""
    values = _listed_where_wide(values)
    try:
        array = np.asarray(values)
    except ValueError:  # lists of several lengths
        array = np.empty(0, object)
    if array.dtype == object or array.ndim != 1:
        numbers = as_list(name, values, in_order=True, error=DataError)
        for row, value in enumerate(numbers):
            if is_missing(value):
                raise RowError(row, f"{name} is empty")
            if not is_number(value):
                raise RowError(row, f"{name} must be numbers, got {value!r:.80}")
        array = np.array([_as_float(value) for value in numbers], np.float64)
    return check_weights(np.ma.filled(values, np.nan) if np.ma.isMaskedArray(values) else array, name)


def n_empty(series: nw.Series[Any]) -> int:
    """Return how many values are missing, blank or not a number."""
    values = _plain_kind(_arrow(series, series.name))
    missing = _times.trimmed(values).is_null() if _is_text(values.type) else values.is_null(nan_is_null=True)
    return int(pc.sum(missing).as_py() or 0)


def text_column(series: nw.Series[Any], name: str) -> Column:
    """Return a column as Arrow has it, for words such as types of events."""
    return _arrow(series, name, "text")


def text_values(values: Any, name: str) -> Column:
    """Return words of an array or sequence as :func:`text_column` does those of a frame."""
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return values
    if hasattr(values, "to_numpy") and not hasattr(values, "columns"):
        values = values.to_numpy()
    listed = as_list(name, values, in_order=True, error=DataError)
    try:
        return pa.array(listed, from_pandas=True)
    except (pa.ArrowException, OverflowError, UnicodeError):
        raise DataError(f"{name} must be text, got mixed types") from None


def timestamp_column(series: nw.Series[Any], name: str) -> Array:
    """Return timestamps as int64: numbers as given, dates and times as microseconds since 1970 (UTC).

    Text is numbers or ISO 8601; see :func:`~hashgnn.data._times.read_times`.
    """
    return _timestamps(_arrow(series, name), name)


def time_values(values: Any, name: str) -> Array:
    """Return timestamps of an array or sequence as :func:`timestamp_column` does those of a frame."""
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return _timestamps(values, name)
    values = _listed_where_wide(values)
    array = np.asarray(values)
    is_list = array.ndim != 1 or array.dtype.kind in "OU" or np.ma.isMaskedArray(values)
    is_list = is_list or array.dtype == np.dtype("M8")  # of NaT alone, without a unit
    if not is_list and array.dtype.kind != "M":
        return check_timestamps(array, name)
    listed = as_list(name, values, in_order=True, error=DataError) if is_list else []
    listed = array.tolist() if array.dtype.kind == "U" and listed else listed  # numbers among text are text
    for row, value in enumerate(listed):
        if is_missing(value):
            raise RowError(row, f"{name} is empty")
    try:
        return _timestamps(pa.array(listed if is_list else array), name)
    except (pa.ArrowException, OverflowError, UnicodeError):
        if all(is_number(value) for value in listed):  # some of more than 64 bits
            return check_timestamps(np.array([_as_float(value) for value in listed]), name)
        raise DataError(f"{name} must be numbers, dates or times, got mixed types") from None


def _timestamps(values: Column, name: str) -> Array:
    values = _plain_kind(values)
    if _is_text(values.type):
        found = _times.read_times(values, name)
        if isinstance(found, int):
            shown = str(values[found].as_py())[:40]
            raise RowError(found, f"{name} must be a number or an ISO 8601 time, got {shown!r}")
        values = found
    _refuse_empty(values, name)
    kind = values.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        unit = pa.timestamp("us", getattr(kind, "tz", None))
        numbers = _numpy(values.cast(unit, safe=False).cast(pa.int64()))
    elif pa.types.is_integer(kind) or pa.types.is_floating(kind):
        numbers = _numpy(values)
    else:
        raise DataError(f"{name} must be numbers, dates or times, got {kind}")
    return check_timestamps(numbers, name)


def check_timestamps(timestamps: Array, name: str) -> Array:
    """Return timestamps as int64, or name the first that is negative, too large or no number.

    Fractions of the unit are left off.
    """
    if timestamps.dtype.kind not in "iuf":
        raise DataError(f"{name} must be numbers, got {timestamps.dtype}")
    if timestamps.dtype == np.float16:  # it does not reach the bound
        timestamps = timestamps.astype(np.float64)
    good = (timestamps >= 0) & (timestamps < 2**63)
    if not good.all():
        row = int(np.argmin(good))
        rule = ">= 0" if timestamps[row] < 0 else "a number below 2**63"
        raise RowError(row, f"{name} must be {rule}, got {timestamps[row]}")
    return timestamps.astype(np.int64)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _plain_kind(values: Column) -> Column:
    """Return a column without its wrapping: categories as their values, decimals as numbers."""
    kind = values.type
    if pa.types.is_dictionary(kind):
        values, kind = values.cast(kind.value_type), kind.value_type
    if pa.types.is_string_view(kind):
        return values.cast(pa.large_string())
    if pa.types.is_decimal(kind):
        try:
            return values.cast(pa.int64())
        except pa.ArrowInvalid:  # it has a fraction, or more than 64 bits
            return values.cast(pa.float64())
    return values


def _arrow(series: nw.Series[Any], name: str, noun: str = "numbers") -> Column:
    try:
        if series.dtype not in _WIDE:
            return series.to_arrow()
        listed = series.to_list()
        try:
            return pa.array(listed, from_pandas=True)
        except OverflowError:
            if not all(is_number(value) or is_missing(value) for value in listed):
                raise
            return pa.array([None if is_missing(value) else _as_float(value) for value in listed])
    except (pa.ArrowException, OverflowError, UnicodeError):
        raise DataError(f"{name} must be {noun}, got a column of mixed types") from None


def _listed_where_wide(values: Any) -> Any:
    """Return a polars column of a type that NumPy has not as a list, anything else as it is."""
    if not type(values).__module__.startswith("polars.") or hasattr(values, "columns"):
        return values
    series = nw.from_native(values, series_only=True)
    return series.to_list() if series.dtype in _WIDE else values


def _arrow_ids(values: Column, name: str) -> Column | Array | list[Any]:
    if isinstance(values, pa.ChunkedArray) and values.num_chunks == 0:
        values = pa.chunked_array([pa.array([], values.type)])
    kind = values.type
    if pa.types.is_dictionary(kind):
        values, kind = values.cast(kind.value_type), kind.value_type
    _refuse_empty(values, name)
    if pa.types.is_string_view(kind):
        values, kind = values.cast(pa.large_string()), pa.large_string()
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        blank = pc.equal(pc.binary_length(values), 0)
        if pc.any(blank).as_py():
            raise RowError(int(np.argmax(_numpy(blank))), f"{name} is empty")
        return values
    if pa.types.is_integer(kind):
        return _integers(_numpy(values))
    if pa.types.is_floating(kind):
        return _whole(_numpy(values), name)
    if pa.types.is_decimal(kind):
        return _decimals(values, name)
    listed = values.to_pylist()
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        listed = [_as_tuple(value) for value in listed]  # what Arrow makes of a column of tuples
    if pa.types.is_struct(kind) and kind.names == names_of_places(kind.num_fields):
        listed = [_as_tuple(list(value.values())) for value in listed]
    return _objects(listed, name)


def _as_tuple(value: Any) -> Any:
    if is_too_deep(value):
        return tuple(value)  # it is refused as it is
    return tuple(map(_as_tuple, value)) if isinstance(value, list) else value


def names_of_places(n: int) -> list[str]:
    """Return the fields of a struct that holds tuples of several types, which no Arrow list can."""
    return [f"{place}" for place in range(n)]


def _integers(values: Array) -> Column | Array:
    """Return integers, or all of them as text where one has more than 64 bits."""
    if values.dtype.kind == "u" and values.size and int(values.max()) >= 2**63:
        return pa.array(values).cast(pa.large_string())
    return values


def _decimals(values: Column, name: str) -> Column | Array:
    """Return decimals without a fraction as int64, or as text where one has more than 64 bits."""
    try:
        return _numpy(values.cast(pa.int64()))
    except pa.ArrowInvalid:
        whole = [as_whole(value) for value in values.to_pylist()]
    if None in whole:
        row = whole.index(None)
        raise RowError(row, f"{name} must be whole numbers or text, got {values[row].as_py()}")
    return pa.array([str(value) for value in whole], pa.large_string())


def _whole(numbers: Array, name: str) -> Array:
    numbers = numbers.astype(np.float64, copy=False)
    whole = np.isfinite(numbers) & (numbers == np.floor(numbers)) & (np.abs(numbers) < 2**53)
    if not whole.all():
        row = int(np.argmin(whole))
        if np.isnan(numbers[row]):
            raise RowError(row, f"{name} is empty")
        raise RowError(row, f"{name} must be whole numbers or text, got {numbers[row]}")
    return numbers.astype(np.int64)


def _refuse_empty(values: Column, name: str) -> None:
    if values.null_count:
        row = int(np.argmax(_numpy(values.is_null())))
        raise RowError(row, f"{name} is empty")


def _objects(values: list[Any], name: str) -> Column | list[Any]:
    for row, value in enumerate(values):
        if is_missing(value):
            raise RowError(row, f"{name} is empty")
        if isinstance(value, tuple) and is_too_deep(value):
            raise RowError(row, f"{name} must nest at most {MAX_DEPTH} tuples, got {shown(value):.80}")
        try:
            hash(value)
        except TypeError:
            raise RowError(row, f"{name} must be hashable, got a {type(value).__name__}") from None
    if values and all(isinstance(value, str) for value in values):
        try:
            return pa.array(values, pa.large_string())
        except UnicodeEncodeError:
            row = next(row for row, value in enumerate(values) if not is_utf_8(value))
            raise RowError(row, f"{name} must be text that UTF-8 can hold, got {values[row]!r:.80}") from None
    if all(is_number(value) for value in values):
        whole = [as_whole(value) for value in values]
        if None in whole:
            row = whole.index(None)
            raise RowError(row, f"{name} must be whole numbers or text, got {values[row]}")
        if any(not -(2**63) <= value < 2**63 for value in whole if value is not None):
            try:
                return pa.array([str(value) for value in whole], pa.large_string())
            except ValueError:  # Python writes out no more than 4,300 digits
                row = next(row for row, value in enumerate(whole) if abs(value or 0) >= 10**MAX_DIGITS)
                raise RowError(row, f"{name} must have at most {MAX_DIGITS} digits") from None
    return values


def _as_float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        return np.inf


def _numpy(values: Column) -> Array:
    if isinstance(values, pa.ChunkedArray):
        return np.asarray(values.to_numpy())
    return np.asarray(values.to_numpy(zero_copy_only=False))
