"""The rows of a store. They are checked before anything is written, so a bad row writes nothing."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import numpy as np

from hashgnn._checks import check_float
from hashgnn.data._id_kinds import kind_of_one, plain, printed
from hashgnn.data.weighting import MAX_EVENT_NAME
from hashgnn.errors import ParameterError

Row = tuple[int | str, int | str, int, float | None, str | None]

_NOUNS = {"int": "integers", "str": "text"}
_LARGEST_ID = 2**63
_LAST_SECOND = 253_402_300_799  # of the year 9999; what is later was counted in other units
_SMALLEST_WEIGHT, _LARGEST_WEIGHT = 1e-37, 1e38  # what float32 holds


def as_rows(users: Any, items: Any, timestamps: Any, weights: Any, events: Any = None) -> list[Row]:
    """Return rows of user, item, microseconds since 1970, weight and type of event.

    Raises
    ------
    ParameterError
        If a value breaks its rule or the lists differ in length.
    """
    users, items = _ids("users", users), _ids("items", items)
    _check_length("items", items, users)
    if timestamps is None:
        times = [time.time_ns() // 1000] * len(users)
    else:
        values = _as_list("timestamps", timestamps)
        _check_length("timestamps", values, users)
        times = [_microseconds(value) for value in values]
    numbers: list[float | None] = [None] * len(users)
    if weights is not None:
        values = _as_list("weights", weights)
        _check_length("weights", values, users)
        numbers = [_number("weights", value, _SMALLEST_WEIGHT, _LARGEST_WEIGHT) for value in values]
    types: list[str | None] = [None] * len(users)
    if events is not None:
        values = _as_list("events", events)
        _check_length("events", values, users)
        types = [_event(value) for value in values]
    return list(zip(users, items, times, numbers, types, strict=True))


def as_id(name: str, value: Any) -> int | str:
    """Return an id as a plain int or str, its printed form where it is of another kind.

    Raises
    ------
    ParameterError
        If it can be neither.
    """
    value = plain(value)
    if kind_of_one(value) not in ("int", "str", "bool", "other"):
        value = printed(value)
    if isinstance(value, str):
        if not value:
            raise ParameterError(f"{name} must not be empty text")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ParameterError(f"{name} must be text that UTF-8 can hold, got {value!r}") from None
        return str(value)
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer):
        raise ParameterError(f"{name} must be integers or text, got {value!r}")
    if not -_LARGEST_ID <= value < _LARGEST_ID:
        raise ParameterError(f"{name} must be integers of 64 bits, got {value}; pass them as text")
    return int(value)


def kind_of(value: int | str) -> str:
    """Return ``"str"`` or ``"int"``."""
    return "str" if isinstance(value, str) else "int"


def check_kind(name: str, kept: str, value: int | str) -> None:
    """Raise :class:`ParameterError` unless an id is of the kind that the store keeps: ``'1'`` is not ``1``."""
    if kind_of(value) != kept:
        raise ParameterError(f"{name} of this store are {_NOUNS[kept]}, got {value!r}")


def _event(value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not 0 < len(value) <= MAX_EVENT_NAME:
        raise ParameterError(
            f"events must be text of 1 to {MAX_EVENT_NAME} characters or None, got {value!r:.80}"
        )
    return str(as_id("events", value))


def _ids(name: str, values: Any) -> list[int | str]:
    ids = [as_id(name, value) for value in _as_list(name, values)]
    for value in ids:
        if kind_of(value) != kind_of(ids[0]):
            raise ParameterError(f"{name} must be all integers or all text, got {ids[0]!r} and {value!r}")
    return ids


def _as_list(name: str, values: Any) -> list[Any]:
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise ParameterError(f"{name} must be a list, got {values!r}")
    return list(values)


def _microseconds(value: Any) -> int:
    if isinstance(value, int | float) and value > _LAST_SECOND:
        raise ParameterError(
            f"timestamps must be seconds since 1970, up to {_LAST_SECOND}, got {value}; "
            "divide milliseconds by 1000"
        )
    return round(check_float("timestamps", value, minimum=0) * 1e6)


def _number(name: str, value: Any, minimum: float, maximum: float) -> float:
    return check_float(name, value, minimum=minimum, maximum=maximum)


def _check_length(name: str, values: list[Any], users: list[Any]) -> None:
    if len(values) != len(users):
        raise ParameterError(f"{name} must be as long as users, {len(users)}, got {len(values)}")
