"""Ids that are neither whole numbers nor text, encoded as text that decodes to the same object."""

from __future__ import annotations

import datetime
import json
import math
import uuid
from typing import Any

from hashgnn.data._id_kinds import MAX_DEPTH
from hashgnn.errors import DataError


def encode(value: Any) -> str:
    """Return JSON that holds the type and the value, for instance ``["uuid", "…"]``."""
    text = json.dumps(_pack(value, 0))
    if decode(text) != value:  # a time finer than microseconds, for instance
        raise _no_written_form(value)
    return text


def decode(text: str) -> Any:
    """Return the object that :func:`encode` wrote."""
    try:
        return _unpack(json.loads(text), 0)
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise DataError(f"not a written id: {text[:80]!r}") from None


def _pack(value: Any, depth: int) -> list[Any]:
    if depth > MAX_DEPTH:
        raise DataError(f"an id may nest {MAX_DEPTH} tuples at most")
    if value is None:
        return ["none", None]
    if isinstance(value, bool):
        return ["bool", value]
    if isinstance(value, int):
        return ["int", str(value)]  # JSON readers elsewhere lose digits of large numbers
    if isinstance(value, float) and math.isfinite(value):
        return ["float", value.hex()]
    if isinstance(value, str):
        return ["str", value]
    if isinstance(value, bytes):
        return ["bytes", value.hex()]
    if isinstance(value, uuid.UUID):
        return ["uuid", str(value)]
    if isinstance(value, datetime.datetime):
        return ["datetime", value.isoformat()]
    if isinstance(value, datetime.date):
        return ["date", value.isoformat()]
    if isinstance(value, tuple):
        return ["tuple", [_pack(part, depth + 1) for part in value]]
    raise _no_written_form(value)


def _no_written_form(value: Any) -> DataError:
    return DataError(
        f"an id of type {type(value).__name__} cannot be saved, got {value!r}; "
        "use whole numbers, text, bytes, dates, UUIDs or tuples of them"
    )


def _unpack(packed: Any, depth: int) -> Any:
    kind, value = packed
    if kind == "tuple":
        if depth > MAX_DEPTH or not isinstance(value, list):
            raise ValueError
        return tuple(_unpack(part, depth + 1) for part in value)
    if kind == "none":
        return None
    if kind == "bool" and isinstance(value, bool):
        return value
    readers: dict[str, Any] = {
        "int": int,
        "float": _finite,
        "str": str,
        "bytes": bytes.fromhex,
        "uuid": uuid.UUID,
        "datetime": datetime.datetime.fromisoformat,
        "date": datetime.date.fromisoformat,
    }
    if kind not in readers or not isinstance(value, str):
        raise ValueError
    return readers[kind](value)


def _finite(text: str) -> float:
    number = float.fromhex(text)
    if not math.isfinite(number):
        raise ValueError
    return number
