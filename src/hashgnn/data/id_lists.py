"""Lists of ids in the containers that they come in: lists, arrays, columns of any data frame."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from typing import Any

import numpy as np

from hashgnn._types import Array
from hashgnn.data._id_kinds import plain
from hashgnn.data._whole_ids import as_whole_numbers
from hashgnn.errors import DataError, HashGNNError, ParameterError


def as_list(
    name: str,
    values: Any,
    *,
    of_lists: bool = False,
    in_order: bool = False,
    error: type[HashGNNError] = ParameterError,
) -> list[Any]:
    """Return a column, array or other iterable as a list.

    Parameters
    ----------
    name : str
        For messages.
    values : iterable
    of_lists : bool, default=False
        Whether the entries are lists themselves, so that an array may have two dimensions.
    in_order : bool, default=False
        Whether the order matters, which a set has not.
    error : exception class

    Raises
    ------
    ParameterError, or ``error``
        If it is something else: text, a number, a dict, a whole data frame, an array of other dimensions.
    """
    shape = getattr(values, "shape", None)
    if hasattr(values, "columns") or (shape is not None and len(shape) not in ((1, 2) if of_lists else (1,))):
        described = f" of shape {tuple(shape)}" if isinstance(shape, tuple) else ""
        raise error(f"{name} must be a list or one column, got a {type(values).__name__}{described}")
    if isinstance(values, str | bytes | bytearray | memoryview | Mapping) or not isinstance(values, Iterable):
        raise error(f"{name} must be a list, got {values!r:.80}")
    if in_order and isinstance(values, Set):
        raise error(f"{name} must be a list, got a {type(values).__name__}, which has no order")
    if isinstance(values, np.ndarray) and values.dtype.kind in "Mm":  # nanoseconds would become numbers
        return list(values)
    for convert in ("tolist", "to_list", "to_pylist"):  # NumPy and pandas, polars, Arrow
        if hasattr(values, convert):
            return list(getattr(values, convert)())
    return list(values)


def as_id_array(values: list[Any]) -> Array:
    """Return int64 for whole numbers, ``7.0`` too, else plain objects; tuples stay single ids."""
    whole = as_whole_numbers(values) if values else None
    if whole is not None:
        try:
            return np.array(whole, np.int64)
        except OverflowError:
            values = whole
    return as_objects([plain(value) for value in values])


def as_objects(values: list[Any]) -> Array:
    """Return an array of Python objects; tuples stay single ones."""
    array = np.empty(len(values), object)
    array[:] = values
    return array


def are_integers(values: Any) -> bool:
    """Return whether values are a 1-d array of integers, of which none has to be looked at."""
    is_array = isinstance(values, np.ndarray) and not isinstance(values, np.ma.MaskedArray)
    return is_array and values.dtype.kind in "iu" and values.ndim == 1


def as_int64(array: Array) -> Array:
    """Return integer ids as int64, or raise :class:`DataError` where one has more bits."""
    if array.dtype.kind == "u" and array.size and int(array.max()) > np.iinfo(np.int64).max:
        raise DataError(f"integer ids must be below 2**63, got {int(array.max())}; pass them as text")
    return np.ascontiguousarray(array, np.int64)
