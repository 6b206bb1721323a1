"""Argument checks with one message format: ``name must be RULE, got VALUE``."""

from __future__ import annotations

import math
import operator
from collections.abc import Collection, Iterable
from typing import Any

import numpy as np

from hashgnn._types import Array
from hashgnn.errors import ParameterError

MAX_THREADS = 1024  # more than a machine runs at once; OpenMP crashes where it cannot start as many
MAX_BITS = 1024  # the widest code that the kernels search


def check_int(
    name: str, value: Any, *, minimum: int | None = None, maximum: int | None = None, multiple_of: int = 1
) -> int:
    """Return ``value`` as a Python int, or raise :class:`ParameterError`."""
    if (
        type(value) is int
        and multiple_of == 1
        and (minimum is None or value >= minimum)
        and (maximum is None or value <= maximum)
    ):
        return value
    if multiple_of == 1:
        noun = "an integer"
    elif minimum == multiple_of:
        noun = f"a positive multiple of {multiple_of}"
    else:
        noun = f"a multiple of {multiple_of}"
    if isinstance(value, (bool, np.bool_)):
        raise ParameterError(f"{name} must be {noun}, got {value!r}")
    try:
        number = operator.index(value)
    except TypeError:
        raise ParameterError(f"{name} must be {noun}, got {value!r}") from None
    if number % multiple_of or (minimum is not None and number < minimum):
        bound = "" if minimum is None or minimum == multiple_of > 1 else f" >= {minimum}"
        raise ParameterError(f"{name} must be {noun}{bound}, got {shown(number)}")
    if maximum is not None and number > maximum:
        raise ParameterError(f"{name} must be at most {maximum}, got {shown(number)}")
    return number


def check_threads(value: Any, name: str = "n_threads") -> int:
    """Return a number of threads or processes that a machine can start, or raise :class:`ParameterError`."""
    return check_int(name, value, minimum=1, maximum=MAX_THREADS)


def check_bits(value: Any) -> int:
    """Return a valid code width in bits, or raise :class:`ParameterError`."""
    return check_int("n_bits", value, minimum=8, maximum=MAX_BITS, multiple_of=8)


def check_float(
    name: str,
    value: Any,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    open_minimum: bool = False,
    open_maximum: bool = False,
) -> float:
    """Return ``value`` as a finite Python float inside its range, or raise :class:`ParameterError`."""
    bounds = []
    if minimum is not None:
        bounds.append(f"{'>' if open_minimum else '>='} {minimum:g}")
    if maximum is not None:
        bounds.append(f"{'<' if open_maximum else '<='} {maximum:g}")
    rule = "a finite number" + (" " + " and ".join(bounds) if bounds else "")
    if isinstance(value, (bool, np.bool_, str)):
        raise ParameterError(f"{name} must be {rule}, got {value!r}")
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise ParameterError(f"{name} must be {rule}, got {shown(value)}") from None
    too_low = minimum is not None and (number < minimum or (open_minimum and number == minimum))
    too_high = maximum is not None and (number > maximum or (open_maximum and number == maximum))
    if not math.isfinite(number) or too_low or too_high:
        raise ParameterError(f"{name} must be {rule}, got {value!r}")
    return number


def check_choice(name: str, value: Any, options: Iterable[str]) -> str:
    """Return ``value`` if it is one of ``options``, or raise :class:`ParameterError`."""
    known = list(options)
    if not isinstance(value, str) or value not in known:
        raise ParameterError(f"{name} must be one of {quote_some(known, len(known))}, got {value!r}")
    return value


def check_matrix(
    name: str, value: Any, *, dtype: type[np.generic], n_rows: int | None = None, n_columns: int | None = None
) -> Array:
    """Return ``value`` as a C-contiguous 2-d array of ``dtype``; no lossy cast between kinds.

    Floats must be finite. ``n_rows`` and ``n_columns`` fix the shape where they are given.
    """
    array = np.asarray(value)
    wanted = np.dtype(dtype)
    castable = array.dtype == wanted or (wanted.kind == "f" and array.dtype.kind in "fiu")
    if not castable:
        raise ParameterError(f"{name} must have dtype {wanted}, got {array.dtype}")
    if (
        array.ndim != 2
        or (n_rows is not None and array.shape[0] != n_rows)
        or (n_columns is not None and array.shape[1] != n_columns)
    ):
        shape_rule = f"({'n' if n_rows is None else n_rows}, {'m' if n_columns is None else n_columns})"
        raise ParameterError(f"{name} must have shape {shape_rule}, got {array.shape}")
    result = np.ascontiguousarray(array, dtype=wanted)
    if wanted.kind == "f" and not _all_finite(result):
        raise ParameterError(
            f"{name} must be finite, got {int((~np.isfinite(result)).sum())} NaN or infinity"
        )
    return result


def _all_finite(array: Array) -> bool:
    """Say whether all floats are finite, in one pass that makes no second array."""
    flat = array.reshape(-1)
    if flat.dtype.itemsize >= 4:
        with np.errstate(all="ignore"):
            # A sum of squares is finite only where every value is. Where it overflows, each value is looked at.
            if math.isfinite(float(np.dot(flat, flat))):
                return True
    return bool(np.isfinite(flat).all())


def quote_some(values: Collection[Any], limit: int = 5) -> str:
    """Join at most ``limit`` values for a message: ``'a', 'b' and 3 more``."""
    texts = [shown(value) for value in list(values)[:limit]]
    hidden = len(values) - len(texts)
    return ", ".join(texts) + (f" and {hidden} more" if hidden > 0 else "")


def shown(value: Any) -> str:
    """Return the ``repr`` of a value, or its type where Python refuses one, as of integers of 5,000 digits."""
    try:
        return repr(value)
    except (ValueError, RecursionError):
        return f"a very long {type(value).__name__}"
