"""Ids of an ``IdMap`` as a column: compared, chosen and passed on without an object for each."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from hashgnn._types import Array
from hashgnn.data._sorted_texts import indices


def column_of(ids: Any) -> Any:
    """Return the ids of a map: an Arrow array of large_string where they lie in one, else the array ``ids``."""
    return ids.ids if ids._texts is None else ids._texts.array


def are_same(one: Any, other: Any) -> bool:
    """Return whether two maps of one kind hold the same ids in the same order."""
    if one._texts is not None and other._texts is not None:
        return bool(one._texts.array.equals(other._texts.array))
    return np.array_equal(one.ids, other.ids)


def chosen(ids: Any, places: Array) -> Any:
    """Return the map of the ids at some places, each once and ascending."""
    if ids._texts is None:
        return type(ids)(ids.ids[places])
    table = pa.table({"id": ids._texts.array.take(indices(places))})
    return type(ids).from_arrow(table.replace_schema_metadata({"id_kind": "str"}))
