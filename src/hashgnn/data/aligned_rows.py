"""Rows of a table of users or items in the order of a model's ids: what every such table shares."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hashgnn._types import Array, SideName
from hashgnn.data.ids import IdMap
from hashgnn.errors import DataError, ParameterError

_Table = TypeVar("_Table", pa.Table, pa.RecordBatch)


def id_positions(column: pa.Array | pa.ChunkedArray, ids: IdMap, side: SideName, name: str) -> Array:
    """Return the position of the id of each row, -1 for an id that the model does not know and for a missing one.

    Parameters
    ----------
    column : pyarrow.Array or ChunkedArray of n rows
    ids : IdMap
        Of the model.
    side : {"user", "item"}
    name : str
        Of the column.

    Returns
    -------
    ndarray of shape (n,), int64

    Raises
    ------
    DataError
        If the ids are of another kind than those of the model.

    Examples
    --------
    >>> id_positions(pa.array(["b", None, "z"]), IdMap(["a", "b"]), "item", "item_id").tolist()
    [1, -1, -1]
    """
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_string_view(column.type):
        column = column.cast(pa.large_string())
    positions = np.full(len(column), -1, np.int64)
    there = np.asarray(pc.is_valid(column))
    values = column if there.all() else column.filter(pa.array(there))
    try:
        positions[there] = ids.index_of(
            values.to_pylist() if ids.kind == "other" else values, on_unknown="skip", noun=f"{side} ids"
        )
    except ParameterError as error:
        raise DataError(f"{name} of the table of {side}s: {error}") from None
    return positions


def set_rows(rows: Array, positions: Array, numbers: Array, side: SideName) -> None:
    """Note which rows some ids have.

    Parameters
    ----------
    rows : ndarray of shape (n_ids,), int64
        The row of each id, -1 where it has none so far; changed in place.
    positions, numbers : ndarray of shape (n,), int64
        Of ids that the model knows, and their rows.
    side : {"user", "item"}

    Raises
    ------
    DataError
        If an id has more than one row.
    """
    if len(np.unique(positions)) < len(positions) or (rows[positions] >= 0).any():
        article = "an item" if side == "item" else "a user"
        raise DataError(f"the table of {side}s must have one row {article}, got several for some")
    rows[positions] = numbers


def take_rows(table: pa.Table, rows: Array) -> pa.Table:
    """Return some rows of a table in an order; a row of nulls for -1.

    Examples
    --------
    >>> take_rows(pa.table({"x": [1, 2]}), np.array([1, -1])).to_pydict()
    {'x': [2, None]}
    """
    return without_views(table).take(pa.array(rows, pa.int64(), mask=rows < 0))


def without_views(table: _Table) -> _Table:
    """Return a table or batch with plain text in the place of views of text, of which Arrow cannot take rows."""
    for place, field in enumerate(table.schema):
        if pa.types.is_string_view(field.type):
            table = table.set_column(place, field.name, table.column(place).cast(pa.large_string()))
    return table
