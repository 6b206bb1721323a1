"""What a user writes as lists of external ids, as index arrays."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from hashgnn._checks import quote_some
from hashgnn._types import Array
from hashgnn.data import IdMap
from hashgnn.errors import ParameterError, UnknownIdError
from hashgnn.ranking import IndexLists

ON_UNKNOWN = ("error", "skip", "popular")


def as_list(name: str, values: Any) -> list[Any]:
    """Return a column, array or other iterable as a list; a bare string or number is refused."""
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise ParameterError(f"{name} must be a list, got {values!r}")
    for convert in ("tolist", "to_list", "to_pylist"):  # NumPy and pandas, polars, Arrow
        if hasattr(values, convert):
            return list(getattr(values, convert)())
    return list(values)


def look_up(ids: IdMap, noun: str, values: list[Any], *, remedy: str | None) -> Array:
    """Return the index of each id, int64, -1 where it is unknown.

    Raises
    ------
    UnknownIdError
        If ids are unknown and a remedy is given; the sentence ends with it.
    """
    index: Array = ids.index_of(values, on_unknown="skip")
    unknown = np.flatnonzero(index < 0)
    if len(unknown) and remedy is not None:
        named = quote_some(list(dict.fromkeys(values[place] for place in unknown)))
        raise UnknownIdError(
            f"{len(unknown)} of {len(values)} {noun} ids are not in the training data: {named}; {remedy}"
        )
    return index


def look_up_lists(ids: IdMap, noun: str, name: str, lists: Any, *, remedy: str | None) -> IndexLists:
    """Return lists of ids as lists of indices; unknown ids are left out, or an error with a remedy."""
    rows = [as_list(f"each of {name}", row) for row in as_list(name, lists)]
    flat = [value for row in rows for value in row]
    index = look_up(ids, noun, flat, remedy=remedy)
    parts = np.split(index, np.cumsum([len(row) for row in rows])[:-1]) if rows else []
    return IndexLists.from_rows([part[part >= 0] for part in parts])


def id_array(values: list[Any], *, like: Array) -> Array:
    """Return ids as the id map keeps them; as objects where one does not fit, as an unknown one may."""
    if like.dtype.kind in "iu" and all(type(value) is int for value in values):
        return np.array(values, np.int64)
    result = np.empty(len(values), object)
    result[:] = values
    return result
