"""Whole numbers that arrive as floats or decimals: the rule for ids, for columns and for queries."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np

MAX_DIGITS = 77  # of an id; Arrow's widest decimals have 76


def is_number(value: Any) -> bool:
    """Return whether a value is a number that could be an id; truth values are none."""
    if isinstance(value, bool | np.timedelta64):
        return False
    return isinstance(value, int | float | Decimal | np.integer | np.floating)


def is_nan(value: Any) -> bool:
    """Return whether a value is what a library writes for a missing number or time."""
    if isinstance(value, Decimal):
        return value.is_nan()
    if isinstance(value, float | np.floating):
        return bool(value != value)
    return type(value).__name__ in ("NAType", "NaTType")  # of pandas


def as_whole(value: Any) -> int | None:
    """Return the whole number that a value is: 7 of ``7.0`` and of ``Decimal("7.00")``; else ``None``.

    A float from 2**53 on may have been another number before it was rounded.
    """
    if not is_number(value):
        return None
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, Decimal):
        if not value.is_finite() or value.adjusted() >= MAX_DIGITS:
            return None  # before a small text such as 1e999999 becomes a large number
        return int(value) if value == value.to_integral_value() else None
    number = float(value)
    return int(number) if number.is_integer() and abs(number) < 2**53 else None


def as_whole_numbers(values: list[Any]) -> list[int] | None:
    """Return whole numbers where every value is one, else ``None``; see :func:`as_whole`."""
    found = []
    for value in values:
        whole = value if type(value) is int else as_whole(value)
        if whole is None:
            return None
        found.append(whole)
    return found
