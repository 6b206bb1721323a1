"""A table of users or items, aligned to the ids of a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from hashgnn._checks import quote_some
from hashgnn._types import Array, SideName
from hashgnn.data.aligned_rows import id_positions, set_rows, without_views
from hashgnn.data.ids import IdMap
from hashgnn.errors import DataError, ParameterError

_TITLES = ("title", "name")


class SideTable:
    """Columns of users or of items, by the position that each has in a model.

    Parameters
    ----------
    side : {"user", "item"}
    table : pyarrow.Table
        One row for each user or item; others than those of the model are not looked at.
    ids : IdMap
        The ids of the model.
    id_column : str or None, default=None
        ``None`` takes that of ``item_id``, ``item``, ``itemId``, ``movieId`` and ``id`` which names the most
        items of the model, or of the same names with ``user``; the first where several name as many.
    may_miss : bool, default=False
        Take a table in which none of the ids is one of the model.

    Raises
    ------
    DataError
        If the column of ids is missing, none of its ids is one of the model, or one has several rows.
    """

    def __init__(
        self,
        side: SideName,
        table: pa.Table,
        ids: IdMap,
        id_column: str | None = None,
        *,
        may_miss: bool = False,
    ) -> None:
        usual = (f"{side}_id", side, f"{side}Id", *(["movieId"] if side == "item" else []), "id")
        named = [id_column or next((one for one in usual if one in table.column_names), usual[0])]
        if id_column is None:
            named = [one for one in usual if one in table.column_names] or named
        if named[0] not in table.column_names:
            raise DataError(
                f"column {named[0]!r} is missing in the table of {side}s, "
                f"found {quote_some(table.column_names, 12)}"
            )
        found = {one: _positions(side, table[one], one, ids, alone=len(named) == 1) for one in named}
        name = max(found, key=lambda one: len(np.unique(found[one][found[one] >= 0])))
        index = found[name]
        if not may_miss and not (index >= 0).any():
            raise DataError(f"none of the {len(index):,} ids in {name!r} is a {side} of the model")
        self.side = side
        self.ids = ids
        self.id_column = name
        self.table = without_views(table)
        self._row = np.full(len(ids), -1, np.int64)
        kept = np.flatnonzero(index >= 0)
        set_rows(self._row, index[kept], kept, side)

    @property
    def names(self) -> list[str]:
        """Columns other than that of the ids."""
        return [name for name in self.table.column_names if name != self.id_column]

    @property
    def n_known(self) -> int:
        """Users or items of the model that the table has a row for."""
        return int((self._row >= 0).sum())

    def values(self, name: str) -> list[Any]:
        """Return a column by position, ``None`` where there is no row or no value.

        Raises
        ------
        ParameterError
            If there is no such column.
        """
        self._check(name)
        values = self.table[name].to_pylist()
        return [values[row] if row >= 0 else None for row in self._row.tolist()]

    @property
    def has_titles(self) -> bool:
        """Whether there is a column ``title`` or ``name``."""
        return any(name in self.names for name in _TITLES)

    def title_columns(self, names: Sequence[str] | None = None) -> list[str]:
        """Return the columns that are to be shown: those named, else ``title`` or ``name``.

        Raises
        ------
        ParameterError
            If there is no such column.
        """
        if names is None:
            names = [one for one in _TITLES if one in self.names][:1]
        for name in names:
            self._check(name)
        if not names:
            raise ParameterError(
                f"title must name a column of the table of {self.side}s, which has no title and no name; "
                f"it has {quote_some(self.names, 12)}"
            )
        return list(names)

    def take(self, name: str, positions: Array) -> pa.ChunkedArray:
        """Return a column for some positions, (n,) int64, as an Arrow column; null where there is no row."""
        self._check(name)
        rows = self._row[positions] if len(self._row) else np.full(len(positions), -1, np.int64)
        return self.table[name].take(pa.array(rows, mask=rows < 0))

    def titles(self, name: str | None = None) -> list[str]:
        """Return a title by position: the column ``title`` or ``name``, or the one named; else the id."""
        name = name or next((one for one in _TITLES if one in self.names), None)
        ids = self.ids.at(np.arange(len(self.ids))).tolist()
        if name is None:
            return [str(one) for one in ids]
        found = zip(self.values(name), ids, strict=True)
        return [str(one) if value is None or value == "" else str(value) for value, one in found]

    def _check(self, name: str) -> None:
        if name not in self.names:
            raise ParameterError(
                f"{name!r} must be a column of the table of {self.side}s, {quote_some(self.names, 12)}"
            )


def _positions(side: SideName, column: pa.ChunkedArray, name: str, ids: IdMap, *, alone: bool) -> Array:
    """Return the position of each row's id, -1 where the model does not know it."""
    try:
        return id_positions(column, ids, side, name)
    except DataError:
        if alone:
            raise
        return np.full(len(column), -1, np.int64)
