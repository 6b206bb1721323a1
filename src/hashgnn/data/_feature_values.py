"""Conversion of feature columns of any data frame to categories and numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from hashgnn._types import Array
from hashgnn.data._whole_ids import is_number
from hashgnn.errors import DataError

_LARGEST = 1e30  # squares stay finite in float64, and numbers in float32
_ROUNDING = 1e-12


def categories(values: list[Any], name: str) -> list[list[str]]:
    """Return the categories of each row as text; none where they are missing."""
    result = []
    for row, value in enumerate(values):
        listed = value if isinstance(value, list | tuple | np.ndarray) else [value]
        try:
            result.append([text(one) for one in listed if not _missing(one)])
        except TypeError:
            kind = type(value).__name__
            raise DataError(
                f"{name} must be text, whole numbers or lists, got {kind} in row {row + 1}"
            ) from None
    return result


def text(value: Any) -> str:
    """Return one category as text; a value of an unsupported type is a TypeError."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | np.integer | np.bool_):
        return str(value)
    if (
        isinstance(value, float) and value.is_integer()
    ):  # pandas stores integers with missing values as floats
        return str(int(value))
    raise TypeError


def numbers(values: list[Any], name: str) -> Array:
    """Return a column as float64, NaN where it is missing."""
    result = np.full(len(values), np.nan)
    for row, value in enumerate(values):
        if _missing(value):
            continue
        if not is_number(value):
            row = next((at for at in range(row, len(values)) if _is_no_number(values[at])), row)
            raise DataError(f"{name} must be numbers, got {values[row]!r} in row {row + 1}")
        if not -_LARGEST <= value <= _LARGEST:
            rule = "finite" if value in (np.inf, -np.inf) else "between -1e30 and 1e30"
            raise DataError(f"{name} must be {rule}, got {value} in row {row + 1}")
        result[row] = value
    return result


def mean_and_deviation(column: Array) -> tuple[float, float]:
    """Return mean and standard deviation of the present numbers; 1 as deviation where all are equal."""
    present = column[~np.isnan(column)]
    if len(present) == 0:
        return 0.0, 1.0
    mean, deviation = float(present.mean()), float(present.std())
    # The mean of equal numbers may be off by its rounding, which must not become a score.
    if deviation <= _ROUNDING * np.abs(present).max():
        return float(present[0]), 1.0
    return mean, deviation


def scores(numbers: Array, name: str, mean: float, deviation: float) -> Array:
    """Return standard scores that float32 can hold, NaN where a number is missing."""
    scores: Array = (numbers - mean) / deviation
    far = np.abs(scores) > np.finfo(np.float32).max
    if far.any():
        row = int(far.argmax())
        raise DataError(f"{name} is too far from the training values, got {numbers[row]} in row {row + 1}")
    return scores


def _missing(value: Any) -> bool:
    if value is None or type(value).__name__ == "NAType":  # pandas.NA, which is equal to nothing
        return True
    return bool(value == "" or value != value) if isinstance(value, str | float | np.floating) else False


def _is_no_number(value: Any) -> bool:
    """Return whether a value is neither a number nor the text of one, as in a column that one entry made text."""
    try:
        return not (_missing(value) or is_number(value) or isinstance(float(value), float))
    except (TypeError, ValueError):
        return True
