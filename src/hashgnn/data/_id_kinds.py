"""The rule of ids: their kinds, the printed form of each, and what a value is in a map of a kind.

Every door goes through it: frames, files, arrays, command line, JSON, updates. So what two doors make of an id
is the same id.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from math import isfinite
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa

from hashgnn._checks import shown
from hashgnn.data._whole_ids import as_whole, is_nan
from hashgnn.errors import DataError

MAX_DEPTH = 16  # of tuples in tuples
UNREADABLE = object()  # what a value is in a map of a kind that it does not belong to

NOUNS = {
    "int": "integers",
    "str": "text",
    "bool": "booleans (as text: true or false)",
    "uuid": "UUIDs",
    "bytes": "bytes (as text: hexadecimal digits)",
    "date": "dates (as text: 2024-05-01)",
    "datetime": "times (as text: 2024-05-01T12:00:00)",
    "datetime_utc": "times in UTC (as text: 2024-05-01T12:00:00+00:00)",
    "tuple": 'tuples (as text: JSON lists such as ["a",1])',
    "other": "hashable objects",
}

# What text files of other programs hold where a value is missing.
MISSING_TEXTS = (
    *("", "NULL", "Null", "null", "NA", "N/A", "n/a", "<NA>", "#N/A", "NaN", "nan", "-nan", "NaT", "None"),
    "\\N",
)

_KINDS: dict[type, str] = {
    **{int: "int", str: "str", bool: "bool", UUID: "uuid", bytes: "bytes", date: "date", tuple: "tuple"},
}
_JSON_KINDS = {"int", "str", "bool", "float", "tuple"}
_INTEGER = re.compile(r"\s*(-?(?:0|[1-9][0-9]*))(?:\.0*)?\s*", re.ASCII)
_UUID = re.compile(
    r"(?:urn:uuid:)?\{?([0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12})\}?", re.IGNORECASE
)
_HEX = re.compile(r"(?:[0-9a-f]{2})+", re.IGNORECASE)
_FINER = re.compile(r"[.,][0-9]{6}0*[1-9]")  # than microseconds


def is_missing(value: Any) -> bool:
    """Return whether a value is no id: ``None``, empty text or bytes, or what a library writes for a missing value."""
    if value is None or value is np.ma.masked or (isinstance(value, str | bytes) and not value):
        return True
    if isinstance(value, pa.Scalar):
        return is_missing(value.as_py())
    if isinstance(value, np.datetime64 | np.timedelta64):
        return bool(np.isnat(value))
    return is_nan(value)


def plain(value: Any) -> Any:
    """Return an id as Python's own object: ``7`` of ``7.0``, a ``datetime`` of pandas's and NumPy's, in UTC.

    A value that has none, such as a time in nanoseconds, stays as it is.
    """
    kind = type(value)
    if kind is int or kind is str or kind is UUID or kind is bytes:
        return value
    if isinstance(value, pa.Scalar):
        return plain(value.as_py())
    if isinstance(value, np.datetime64):
        return _of_numpy(value)
    if isinstance(value, np.generic) and not isinstance(value, np.timedelta64):
        value = value.item()
    if isinstance(value, bool):
        return value
    whole = as_whole(value)
    if whole is not None:
        return whole
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, tuple):
        return value if is_too_deep(value) else tuple(plain(part) for part in value)
    if isinstance(value, datetime):
        return _of_datetime(value)
    return value


def is_too_deep(value: Any) -> bool:
    """Return whether tuples lie in tuples deeper than an id may have them."""
    parts = [value]
    for _ in range(MAX_DEPTH + 1):
        parts = [part for one in parts if isinstance(one, list | tuple) for part in one]
        if not parts:
            return False
    return True


def kind_of(values: Iterable[Any]) -> str:
    """Return the kind of plain ids: ``"other"`` where they are of several, or of none that can be saved."""
    kinds = {kind_of_one(value) for value in values}
    return kinds.pop() if len(kinds) == 1 else "other"


def kind_of_one(value: Any) -> str:
    """Return the kind of one plain id."""
    kind = type(value)
    if kind is datetime:
        return "datetime" if value.tzinfo is None else "datetime_utc"
    if kind is int and not -(2**63) <= value < 2**63:
        return "other"
    return _KINDS.get(kind, "other")


def printed(value: Any) -> str:
    """Return the printed form of a plain id, which every door reads as the same id."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, date):  # and datetime
        return value.isoformat()
    if isinstance(value, tuple):
        return json.dumps(_as_json(value), ensure_ascii=False, separators=(",", ":"))
    return str(value)


def read_text(kind: str, text: str) -> Any:
    """Return the id that a text of the command line or of a file is in a map of a kind, or ``UNREADABLE``.

    Unlike :meth:`Reader.read` it reads integers: where all is text, ``"7"`` is no other id than ``7``.
    """
    if kind == "int":
        match = _INTEGER.fullmatch(text)
        return int(match[1]) if match else UNREADABLE
    return text if kind == "str" else Reader(kind).read(text)


@dataclass(frozen=True)
class Reader:
    """Reads values as ids of a map of one kind.

    Attributes
    ----------
    kind : str
    parts : tuple of Reader or None, default=()
        For tuples: the reader of the ids at each place, ``None`` where they are what JSON says.
    """

    kind: str
    parts: tuple[Reader | None, ...] = ()

    @classmethod
    def of(cls, kind: str, ids: Iterable[Any]) -> Reader:
        """Return the reader of a map of some plain ids."""
        if kind != "tuple":
            return cls(kind)
        parts: list[Reader | None] = []
        for values in _places(ids):
            kinds = set(map(_part_kind, values))
            one = kinds.pop() if len(kinds) == 1 else ""
            parts.append(cls.of(one, values) if one == "tuple" or one not in _JSON_KINDS else None)
        return cls(kind, tuple(parts))

    def read(self, value: Any) -> Any:
        """Return the id that a value is, or ``UNREADABLE`` where the map can hold no such id.

        Text is read as the printed form, save where ids are integers: ``"7"`` is not ``7``.
        """
        value = plain(value)
        if self.kind == "other" or kind_of_one(value) == self.kind != "tuple":
            return value
        if self.kind == "int":
            return value if type(value) is int else UNREADABLE  # one beyond 64 bits is unknown
        convert = _CONVERT.get(self.kind)
        if self.kind == "tuple":
            return self._read_tuple(value)
        try:
            return UNREADABLE if convert is None else convert(value)
        except (ValueError, OverflowError):
            return UNREADABLE

    def _read_tuple(self, value: Any) -> Any:
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except (ValueError, RecursionError):
                return UNREADABLE
        if not isinstance(value, list | tuple) or is_too_deep(value):
            return UNREADABLE
        parts = [self._read_part(place, part) for place, part in enumerate(value)]
        if any(part is UNREADABLE for part in parts):
            return UNREADABLE
        try:
            hash(found := tuple(parts))
            _check_tuples([found], "ids")
        except (TypeError, DataError):  # an object of JSON, or what no model could keep, as NaN
            return UNREADABLE
        return found

    def _read_part(self, place: int, part: Any) -> Any:
        reader = self.parts[place] if place < len(self.parts) else None
        return plain(_as_tuple(part)) if reader is None or part is None else reader.read(part)


def _places(ids: Iterable[tuple[Any, ...]]) -> list[list[Any]]:
    """Return the parts of some tuples at each place, without ``None``."""
    found: list[list[Any]] = []
    for value in ids:
        found += [[] for _ in range(len(value) - len(found))]
        for values, part in zip(found, value, strict=False):
            if part is not None:
                values.append(part)
    return found


def _part_kind(part: Any) -> str:
    return "float" if type(part) is float else kind_of_one(part)


def check_kept(kind: str, ids: Sequence[Any], noun: str) -> None:
    """Refuse plain ids that cannot be saved and served.

    Raises
    ------
    DataError
        If they are of several kinds, or one has no written form.
    """
    if kind == "str":
        for value in ids:
            if not is_utf_8(value):
                raise DataError(f"{noun} must be text that UTF-8 can hold, got {value!r}")
    if kind == "tuple":
        for value in ids:
            if is_too_deep(value):
                raise DataError(f"{noun} must nest at most {MAX_DEPTH} tuples, got {shown(value):.80}")
        _check_tuples(ids, noun)
    if kind == "other" and len(ids):
        examples: dict[str, Any] = {}
        for value in ids:
            if kind_of_one(value) == "other":
                raise _cannot_be_kept(value, noun)
            examples.setdefault(kind_of_one(value), value)
        first, second = list(examples.values())[:2]
        raise DataError(
            f"{noun} must be of one kind to be saved and served, got {first!r:.80} and {second!r:.80}; "
            "convert them to text"
        )


def _check_tuples(ids: Iterable[tuple[Any, ...]], noun: str) -> None:
    for values in _places(ids):
        for part in values:
            if isinstance(part, str) and not is_utf_8(part):
                raise DataError(f"{noun} must be text that UTF-8 can hold, got {part!r}")
            is_infinite = isinstance(part, float) and not isfinite(part)
            if is_nan(part) or is_infinite or _part_kind(part) == "other":
                raise _cannot_be_kept(part, noun)
        kinds = set(map(_part_kind, values))
        if len(kinds) > 1 and not kinds <= _JSON_KINDS:
            raise DataError(
                f"{noun} must be tuples with one kind of value at each place, got {_listed(kinds)}"
            )
        _check_tuples([part for part in values if isinstance(part, tuple)], noun)


def _cannot_be_kept(value: Any, noun: str) -> DataError:
    if isinstance(value, int):
        return DataError(f"{noun} must be integers of 64 bits, got {shown(value):.80}; pass them as text")
    return DataError(
        f"{noun} cannot be saved and served, got {value!r:.80} of type {type(value).__name__}; "
        "use integers, text, UUIDs, bytes, dates, times or tuples of them"
    )


def is_utf_8(text: str) -> bool:
    """Return whether a text can be written, which a lone surrogate cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _listed(kinds: Iterable[str]) -> str:
    return " and ".join(NOUNS.get(kind, kind).partition(" (")[0] for kind in sorted(kinds))


def _of_numpy(value: np.datetime64) -> Any:
    micro = value.astype("datetime64[us]")
    if np.isnat(value) or micro != value:
        return value
    found = value.item() if isinstance(value.item(), date) else micro.item()
    return found if isinstance(found, date) else value


def _of_datetime(value: datetime) -> Any:
    if type(value) is not datetime:  # of pandas, in nanoseconds
        if getattr(value, "nanosecond", 0) or is_nan(value):
            return value
        value = datetime.combine(value.date(), value.time(), value.tzinfo)
    try:
        return value if value.tzinfo is None else value.astimezone(UTC)
    except OverflowError:  # of the first or the last day that there is
        return value


def _as_json(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_as_json(part) for part in value]
    return value if value is None or type(value) in (bool, int, str, float) else printed(value)


def _as_tuple(value: Any) -> Any:
    return tuple(map(_as_tuple, value)) if isinstance(value, list | tuple) else value


def _to_uuid(value: Any) -> Any:
    if isinstance(value, bytes):  # as Arrow and databases hold them
        return UUID(bytes=value) if len(value) == 16 else UNREADABLE
    match = _UUID.fullmatch(value.strip()) if isinstance(value, str) else None
    return UUID(match[1]) if match else UNREADABLE


def _to_bytes(value: Any) -> Any:
    match = _HEX.fullmatch(value.strip()) if isinstance(value, str) else None
    return bytes.fromhex(match[0]) if match else UNREADABLE


def _to_bool(value: Any) -> Any:
    words = {"true": True, "false": False}
    return words.get(value.strip().lower(), UNREADABLE) if isinstance(value, str) else UNREADABLE


def _to_datetime(value: Any) -> Any:
    """Return a time without a zone, which stands for UTC."""
    if isinstance(value, str):
        text = value.strip()
        value = UNREADABLE if _FINER.search(text) else datetime.fromisoformat(text)
    if type(value) is date:
        value = datetime.combine(value, time())
    if type(value) is not datetime:
        return UNREADABLE
    return value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)


def _to_utc(value: Any) -> Any:
    found = _to_datetime(value)
    return found if found is UNREADABLE else found.replace(tzinfo=UTC)


def _to_date(value: Any) -> Any:
    """Return the day of a text, or of a time at its start."""
    found = _to_datetime(value)
    return found.date() if found is not UNREADABLE and found.time() == time() else UNREADABLE


_CONVERT: dict[str, Callable[[Any], Any]] = {
    "uuid": _to_uuid,
    "bytes": _to_bytes,
    "bool": _to_bool,
    "date": _to_date,
    "datetime": _to_datetime,
    "datetime_utc": _to_utc,
}
