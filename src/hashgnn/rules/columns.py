"""Columns of one type each, with room for missing values, that may change entry by entry."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from datetime import UTC, date, datetime
from functools import cached_property
from typing import Any, ClassVar, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hashgnn._checks import shown
from hashgnn._types import Array
from hashgnn.data._times import seconds_of_text
from hashgnn.data._whole_ids import as_whole
from hashgnn.errors import ParameterError

Rows: TypeAlias = Array | slice
"""Which rows to look at: positions, or a slice."""

ALL = slice(None)

MAX_TEXT = 10_000  # characters of a value
MAX_LIST = 1_000  # entries of a value
_INT64 = 2**63
_LAST_MICROSECOND = 253_402_300_800 * 10**6  # the end of the year 9999


class TypedColumn(ABC):
    """The values of one column for all items.

    Attributes
    ----------
    kind : {"bool", "int", "float", "time", "text", "list"}
    makes_groups : bool
        Whether a cap may count its values: equal entries have equal ``values``.
    noun : str
        What a value is, for messages.
    values : ndarray of shape (n_items,)
        A missing value has any.
    valid : ndarray of shape (n_items,), bool
    """

    kind: ClassVar[str]
    noun: ClassVar[str]
    makes_groups: ClassVar[bool] = False

    def __init__(self, values: Array, valid: Array) -> None:
        self.values, self.valid = values, valid
        self._rooms: dict[str, Array] = {}

    @abstractmethod
    def read(self, value: Any) -> Any:
        """Return a value as the column keeps it, or raise :class:`ParameterError` with a rule after "must"."""

    def put(self, position: int, value: Any) -> None:
        """Change an entry; ``value`` is of :meth:`read`, or None for a missing one."""
        self.valid[position] = value is not None
        if value is not None:
            self.values[position] = value

    def grow(self, n_rows: int) -> None:
        """Have so many rows; those at the end are new and have no value."""
        self.values = self._lengthened("values", self.values, n_rows, 0)
        self.valid = self._lengthened("valid", self.valid, n_rows, False)

    def _lengthened(self, name: str, array: Array, n_rows: int, fill: int) -> Array:
        """Return an array with more entries, in memory with room for some, so that few of many calls copy it."""
        room = self._rooms.get(name)
        if room is None or len(room) < n_rows:
            room = self._rooms[name] = np.empty(n_rows + n_rows // 8, array.dtype)
            room[: len(array)] = array
        room[len(array) : n_rows] = fill
        return room[:n_rows]

    @abstractmethod
    def to_arrow(self, rows: Rows = ALL) -> pa.Array:
        """Return the column as it is now, or some rows of it."""

    def _copied(self, rows: Rows) -> pa.Array:
        # Arrow would share the memory of the values, which may change.
        return pa.array(self.values[rows].copy(), mask=~self.valid[rows])

    def has_value(self, rows: Rows) -> Array:
        """Return which of some rows have a value, bool."""
        return np.asarray(self.valid[rows])


class BoolColumn(TypedColumn):
    """True or false."""

    kind, noun = "bool", "true or false"
    makes_groups = True

    def read(self, value: Any) -> bool:
        if not isinstance(value, bool | np.bool_):
            raise ParameterError(f"be true or false, got {shown(value):.80}")
        return bool(value)

    def to_arrow(self, rows: Rows = ALL) -> pa.Array:
        return self._copied(rows)


class IntColumn(TypedColumn):
    """Whole numbers of 64 bits."""

    kind, noun = "int", "a number"
    makes_groups = True

    def read(self, value: Any) -> int:
        whole = as_whole(value) if isinstance(value, float) else value
        if isinstance(whole, bool | np.bool_) or not isinstance(whole, int | np.integer):
            raise ParameterError(f"be a whole number, got {shown(value):.80}")
        if not -_INT64 <= int(whole) < _INT64:
            raise ParameterError(f"be a whole number of 64 bits, got {shown(value):.80}")
        return int(whole)

    def to_arrow(self, rows: Rows = ALL) -> pa.Array:
        return self._copied(rows)


class FloatColumn(TypedColumn):
    """Numbers; NaN is a missing value."""

    kind, noun = "float", "a number"

    def read(self, value: Any) -> float:
        if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.number):
            raise ParameterError(f"be a number, got {shown(value):.80}")
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise ParameterError(f"be a finite number, got {shown(value):.80}; null is a missing value")
        return number

    def to_arrow(self, rows: Rows = ALL) -> pa.Array:
        return self._copied(rows)


class TimeColumn(TypedColumn):
    """Microseconds since 1970, UTC."""

    kind, noun = "time", "a time such as '2026-01-31' or now - 30d"

    def read(self, value: Any) -> int:
        return round(self.seconds(value) * 1e6)

    @staticmethod
    def seconds(value: Any) -> float:
        """Return seconds since 1970, or raise :class:`ParameterError` with a rule after "must"."""
        seconds: float | None = None
        if isinstance(value, str):
            seconds = seconds_of_text(value) if len(value) <= 64 else None
        elif isinstance(value, datetime):
            seconds = (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
        elif isinstance(value, date):
            seconds = datetime(value.year, value.month, value.day, tzinfo=UTC).timestamp()
        elif isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            seconds = float(value)
        if seconds is None or not abs(seconds) * 1e6 < _LAST_MICROSECOND:
            raise ParameterError(f"be seconds since 1970 or ISO 8601 text, got {shown(value):.80}")
        return seconds

    def to_arrow(self, rows: Rows = ALL) -> pa.Array:
        return self._copied(rows).cast(pa.timestamp("us", "UTC"))


class DictionaryColumn(TypedColumn):
    """Values that are kept once each; ``values`` are their places, -1 for a missing one.

    Attributes
    ----------
    words : list
        Every value that the column has or has had.
    """

    def __init__(self, places: Array, words: list[Any]) -> None:
        super().__init__(places, np.empty(0, bool))
        self.words = words

    @cached_property
    def index(self) -> dict[Any, int]:
        """The place of each value."""
        return {word: place for place, word in enumerate(self.words)}

    def put(self, position: int, value: Any) -> None:
        place = -1
        if value is not None:
            place = self.index.setdefault(value, len(self.words))
            if place == len(self.words):
                self.words.append(value)
        self.values[position] = place

    def grow(self, n_rows: int) -> None:
        self.values = self._lengthened("values", self.values, n_rows, -1)

    def _taken(self, rows: Rows, kind: pa.DataType) -> pa.Array:
        places = self.values[rows]
        if not isinstance(rows, slice):  # of few rows, the other values are not looked at
            return pa.array([None if place < 0 else self.words[place] for place in places.tolist()], kind)
        return pa.array(self.words, kind).take(pa.array(places, mask=places < 0))

    def has_value(self, rows: Rows) -> Array:
        return np.asarray(self.values[rows] >= 0)


class TextColumn(DictionaryColumn):
    """Text: categories, brands, titles."""

    kind, noun = "text", "text in single quotes"
    makes_groups = True

    def read(self, value: Any) -> str:
        return _text(value)

    def to_arrow(self, rows: Rows = ALL) -> pa.Array:
        return self._taken(rows, pa.large_string())


class ListColumn(DictionaryColumn):
    """Lists of text, such as tags."""

    kind, noun = "list", "text in single quotes"

    def read(self, value: Any) -> tuple[str, ...]:
        if not isinstance(value, list | tuple) or len(value) > MAX_LIST:
            raise ParameterError(f"be a list of at most {MAX_LIST} texts, got {shown(value):.80}")
        return tuple(_text(entry) for entry in value)

    def to_arrow(self, rows: Rows = ALL) -> pa.Array:
        return self._taken(rows, pa.large_list(pa.large_string()))


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise ParameterError(f"be text of at most {MAX_TEXT} characters, got {shown(value):.80}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ParameterError(f"be text that UTF-8 can hold, got {value!r:.80}") from None
    return value


def kind_of_type(kind: pa.DataType) -> str | None:
    """Return the kind of column that an Arrow type becomes; None where rules cannot use it."""
    types = pa.types
    if types.is_dictionary(kind):
        return kind_of_type(kind.value_type)
    if types.is_boolean(kind):
        return "bool"
    if types.is_integer(kind):
        return "int"
    if types.is_floating(kind) or types.is_decimal(kind):
        return "float"
    if types.is_timestamp(kind) or types.is_date(kind):
        return "time"
    if _is_text(kind):
        return "text"
    is_list = types.is_list(kind) or types.is_large_list(kind)
    return "list" if is_list and kind_of_type(kind.value_type) == "text" else None


def with_signs(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column of unsigned numbers that 64 bits with a sign do not hold as floats, others as they are."""
    if not pa.types.is_uint64(column.type):
        return column
    try:
        return column.cast(pa.int64())
    except pa.ArrowInvalid:
        return column.cast(pa.float64(), safe=False)


def column_of(array: pa.Array) -> TypedColumn:
    """Return an Arrow array as a column; its type is one of those that have a kind."""
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode() if kind_of_type(array.type) != "text" else array
    kind = kind_of_type(array.type)
    if kind == "text":
        return _text_column(array)
    if kind == "list":
        return _list_column(array)
    valid = np.array(array.is_valid().to_numpy(zero_copy_only=False), bool)
    if kind == "bool":
        return BoolColumn(_numpy(pc.fill_null(array, False)), valid)
    if kind == "time":
        micros = array.cast(pa.timestamp("us", getattr(array.type, "tz", None)), safe=False)
        return TimeColumn(_numpy(pc.fill_null(micros.cast(pa.int64()), 0)), valid)
    if kind == "int":
        return IntColumn(_numpy(pc.fill_null(array.cast(pa.int64()), 0)), valid)
    numbers = _numpy(pc.fill_null(array.cast(pa.float64()), 0.0))
    return FloatColumn(numbers, valid & ~np.isnan(numbers))


def _text_column(array: pa.Array) -> TextColumn:
    encoded = (
        array if pa.types.is_dictionary(array.type) else array.cast(pa.large_string()).dictionary_encode()
    )
    words = encoded.dictionary.to_pylist()
    places = _numpy(pc.fill_null(encoded.indices.cast(pa.int32()), -1))
    known = [place for place, word in enumerate(words) if word is not None]
    if len(known) < len(words) or len(set(words)) < len(words):  # of files that other programs wrote
        distinct = {word: place for place, word in enumerate(dict.fromkeys(words[place] for place in known))}
        lookup = np.array([-1 if word is None else distinct[word] for word in words] + [-1], np.int32)
        places, words = lookup[places], list(distinct)
    return TextColumn(places, words)


def _list_column(array: pa.Array) -> ListColumn:
    words: dict[tuple[str, ...], int] = {}
    places = np.full(len(array), -1, np.int32)
    for row, value in enumerate(array.to_pylist()):
        if value is not None:
            entry = tuple(text for text in value if text is not None)
            places[row] = words.setdefault(entry, len(words))
    return ListColumn(places, list(words))


def _numpy(array: pa.Array) -> Array:
    return np.array(array.to_numpy(zero_copy_only=False))


def _is_text(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))
