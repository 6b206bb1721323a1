"""``LazyColumns``: the columns of a table, each brought into its form when it is first used."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import pyarrow as pa

from hashgnn._types import Array
from hashgnn.rules.columns import ALL, Rows, TypedColumn, column_of, kind_of_type, with_signs
from hashgnn.rules.evaluation import Columns


class LazyColumns(Columns):
    """Columns that are brought into their form when they are first used.

    Parameters
    ----------
    table : pyarrow.Table
    changed : collection of str
        Columns that differ from the file that they came from.
    """

    def __init__(self, table: pa.Table, changed: Collection[str] = ()) -> None:
        for place, name in enumerate(table.column_names):
            table = table.set_column(place, name, with_signs(table.column(place)))
        self._table, self._n_rows = table, len(table)
        self._made: dict[str, TypedColumn] = {}
        self.changed = set(changed)
        self._kinds = {field.name: kind_of_type(field.type) for field in table.schema}

    def __getitem__(self, name: str) -> TypedColumn:
        if self._kinds.get(name) is None:
            raise KeyError(name)
        if name not in self._made:
            column = self._table[name].combine_chunks()
            made = column_of(column if isinstance(column, pa.Array) else pa.concat_arrays(column.chunks))
            if self._n_rows > len(self._table):
                made.grow(self._n_rows)
            self._made[name] = made
        return self._made[name]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._kinds.get(name) is not None

    def __iter__(self) -> Iterator[str]:
        return (name for name, kind in self._kinds.items() if kind is not None)

    def __len__(self) -> int:
        return sum(kind is not None for kind in self._kinds.values())

    @property
    def kinds(self) -> dict[str, str]:
        return {name: kind for name, kind in self._kinds.items() if kind is not None}

    def refusal(self, name: str) -> str:
        if name in self._kinds:
            return f"column {name!r} holds {self._table.schema.field(name).type}, which rules cannot use"
        return super().refusal(name)

    @property
    def is_changed(self) -> bool:
        """Whether a value or the number of rows has changed."""
        return bool(self.changed) or self._n_rows > len(self._table)

    def to_arrow(self) -> pa.Table:
        table = self._table
        if self._n_rows > len(table):
            table = with_nulls(table, self._n_rows - len(table))
        for name in self.changed:
            table = table.set_column(table.column_names.index(name), name, self._as_read(name, ALL))
        return table

    def changed_rows(self, positions: Array) -> pa.Table:
        """Return some rows of the columns in which any row has changed."""
        names = [name for name in self._table.column_names if name in self.changed]
        return pa.table([self._as_read(name, positions) for name in names], names)

    def _as_read(self, name: str, rows: Rows) -> pa.Array:
        """Return rows of a column in the type that it was read with, where that holds the values."""
        array, kind = self[name].to_arrow(rows), self._table.schema.field(name).type
        if pa.types.is_floating(kind):  # 12.1 would become another number of 32 bits
            return array
        try:
            return array.cast(kind.value_type if pa.types.is_dictionary(kind) else kind)
        except pa.ArrowException:
            return array

    def put(self, name: str, position: int, value: Any) -> None:
        self[name].put(position, value)
        self.changed.add(name)

    def grow(self, n_rows: int) -> None:
        """Have so many rows; those at the end are new and have no values."""
        self._n_rows = n_rows
        for column in self._made.values():
            column.grow(n_rows)


def with_nulls(table: pa.Table, n_rows: int) -> pa.Table:
    """Return a table with so many rows of nulls at its end."""
    names = table.column_names
    more = [pa.nulls(n_rows, field.type) for field in table.schema]
    return pa.concat_tables([pa.table(table.columns, names), pa.table(more, names)])
