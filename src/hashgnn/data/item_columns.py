"""``with_item_columns``: titles and other columns of a table of items, next to the ids in a list."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, TypeAlias

import narwhals as nw
import numpy as np
import pyarrow as pa

from hashgnn._types import Array
from hashgnn.data.ids import IdMap
from hashgnn.data.readers import read_table
from hashgnn.data.side_table import SideTable
from hashgnn.errors import DataError, ParameterError

ItemTable: TypeAlias = Any
"""A table of items: a file, an Arrow table, a data frame, or a :class:`SideTable`."""


def open_items(
    items: ItemTable, ids: IdMap, *, id_column: str | None = None, may_miss: bool = False
) -> SideTable:
    """Return a table of items, aligned to ids.

    Parameters
    ----------
    items : str, Path, pyarrow.Table, data frame or SideTable
        A file is of any format that :func:`hashgnn.data.read_table` reads.
    ids : IdMap
    id_column : str, optional
        ``None`` looks for the usual names.
    may_miss : bool, default=False
        Take a table that has none of the ids.

    Raises
    ------
    DataError
        If the file cannot be read, the column of ids is missing, or its ids are of another kind.
    ParameterError
        If it is no table.
    """
    if isinstance(items, SideTable):
        return items
    if isinstance(items, str | os.PathLike):
        try:
            # Text stays text where ids are text: 007 is no 7.
            usual = ("item_id", "item", "itemId", "movieId", "id") if id_column is None else (id_column,)
            table = read_table(items, text=() if ids.kind == "int" else usual)
            return SideTable("item", table, ids, id_column, may_miss=may_miss)
        except DataError as error:
            message, name = str(error), os.fspath(items)
            raise DataError(message if message.startswith(name) else f"{name}: {message}") from None
    if isinstance(items, pa.Table):
        return SideTable("item", items, ids, id_column, may_miss=may_miss)
    try:
        table = nw.from_native(items, eager_only=True).to_arrow()
    except TypeError:
        raise ParameterError(
            f"items must be a file, an Arrow table or a data frame, got {type(items).__name__}"
        ) from None
    return SideTable("item", table, ids, id_column, may_miss=may_miss)


def title_names(title: str | Sequence[str] | None) -> list[str] | None:
    """Return the names of columns, one or several."""
    return [title] if isinstance(title, str) else None if title is None else list(title)


def with_item_columns(
    table: pa.Table, after: str, items: SideTable, positions: Array, title: str | Sequence[str] | None = None
) -> pa.Table:
    """Return a list with columns of the items, to the right of the column ``after``.

    Parameters
    ----------
    table : pyarrow.Table of n rows
    after : str
    items : SideTable
    positions : ndarray of shape (n,), int64
        Of the items of each row, in the ids that ``items`` is aligned to.
    title : str or list of str, optional
        Columns of ``items``; ``None`` takes ``title`` or ``name``.

    Raises
    ------
    ParameterError
        If there is no such column, or the list has one of that name.
    """
    names = items.title_columns(title_names(title))
    taken = [name for name in names if name in table.column_names]
    if taken:
        raise ParameterError(f"title must name columns that the list does not have, got {taken[0]!r}")
    place = table.column_names.index(after) + 1
    for offset, name in enumerate(names):
        table = table.add_column(place + offset, name, items.take(name, positions))
    return table


def of_ids(table: pa.Table, after: str, values: Array, items: ItemTable, title: Any) -> pa.Table:
    """Return a list with columns of the items, which are known by their ids alone."""
    if isinstance(items, SideTable):
        places = items.ids.index_of(_listed(values), on_unknown="skip")
        return with_item_columns(table, after, items, places, title)
    unique, places = _distinct(values)
    return with_item_columns(table, after, open_items(items, unique, may_miss=True), places, title)


def _distinct(values: Array) -> tuple[IdMap, Array]:
    if not len(values):
        return IdMap([]), np.empty(0, np.int64)
    return IdMap.factorize(_listed(values))


def _listed(values: Array) -> Array | list[Any]:
    return values.tolist() if values.dtype == object else values
