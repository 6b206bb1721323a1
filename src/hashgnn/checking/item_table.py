"""``ItemTable``: titles and other metadata of the items of a model, in index order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from hashgnn._checks import quote_some
from hashgnn._files import open_regular
from hashgnn._types import Array
from hashgnn.data import IdMap
from hashgnn.data.aligned_rows import id_positions, set_rows, take_rows, without_views
from hashgnn.data.readers.bounded_parquet import (
    bounded_batches,
    decoded_type,
    limit_of,
    text_bytes,
    too_large,
)
from hashgnn.errors import DataError

_BYTES_PER_ITEM = 256  # granted to a table in addition to what its file allows; a model takes more
_TITLES = ("title", "name")

# What Arrow raises about a value without a form in Python.
_NO_VALUE = (ValueError, ArithmeticError, LookupError, TypeError, pa.ArrowException)

Check = Callable[[], None]


@dataclass(frozen=True, eq=False)
class ItemTable:
    """Metadata of the items of a model.

    Attributes
    ----------
    table : pyarrow.Table of n_items rows
        The columns without the ids; a row of nulls where nothing is known of an item.
    has_row : ndarray of shape (n_items,), bool
        Which items have a row.
    """

    table: pa.Table
    has_row: Array

    @classmethod
    def of(cls, table: pa.Table, id_column: str, item_ids: IdMap) -> ItemTable:
        """Align a table with the items of a model. Rows of other items are left out.

        Parameters
        ----------
        table : pyarrow.Table
        id_column : str
            Names the items; the other columns are the metadata.
        item_ids : IdMap
            Of the model.

        Raises
        ------
        DataError
            If there is no such column, or an item comes twice.
        """
        rows = _Rows(table.schema, id_column, item_ids)
        for batch in table.to_batches():
            rows.add(batch)
        return rows.aligned()

    @classmethod
    def read(cls, path: Path, id_column: str, item_ids: IdMap, *, check: Check | None = None) -> ItemTable:
        """Read a parquet file in parts; what it takes in memory is bounded by its size and by the model's.

        Parameters
        ----------
        path : Path
        id_column : str
        item_ids : IdMap
        check : callable, optional
            Called between parts; what it raises ends the reading.

        Raises
        ------
        DataError
            As :meth:`of`, or if the file is no parquet file, or would become too large in memory.
        """
        content = _content(path)
        allowance = _BYTES_PER_ITEM * len(item_ids)
        limit, used, rows = limit_of(content, allowance), 0, None
        for batch in bounded_batches(content, str(path), allowance=allowance, check=check):
            if rows is None:
                rows = _Rows(batch.schema, id_column, item_ids)
            n_bytes = sum(text_bytes(column) for column in batch.columns)
            if n_bytes > limit:
                raise too_large(str(path), limit)
            used += rows.add(batch)
            if used > limit:
                raise too_large(str(path), limit)
        assert rows is not None  # the first batch is the empty schema
        return rows.aligned()

    @property
    def columns(self) -> list[str]:
        """The names of the metadata."""
        return list(self.table.column_names)

    @property
    def coverage(self) -> float:
        """Share of the items that have a row; 1 without items."""
        return float(self.has_row.mean()) if len(self.has_row) else 1.0

    @cached_property
    def _title_column(self) -> str | None:
        """The column ``title`` or ``name``, else the first text."""
        named = [name for name in _TITLES if name in self.columns]
        texts = [field.name for field in self.table.schema if is_text(field.type)]
        return next(iter([*named, *texts]), None)

    def titles(self, positions: Array) -> list[str | None]:
        """Return the titles of some items, None where nothing is known: ``title``, ``name`` or the first text."""
        if self._title_column is None:
            return [None] * len(positions)
        values = python_values(self.table[self._title_column].take(pa.array(positions)))
        return [None if value is None else str(value) for value in values]

    def rows(self, positions: list[int]) -> list[dict[str, Any]]:
        """Return the metadata of some items as Python values; what Python cannot hold is its text, or None."""
        if not self.table.num_columns:
            return [{} for _ in positions]
        taken = self.table.take(pa.array(positions, pa.int64()))
        columns = [python_values(taken[name]) for name in taken.column_names]
        return [dict(zip(taken.column_names, values, strict=True)) for values in zip(*columns, strict=True)]


class _Rows:
    """The rows of items that a model knows, gathered part by part."""

    def __init__(self, schema: pa.Schema, id_column: str, item_ids: IdMap) -> None:
        names = schema.names
        if id_column not in names:
            raise DataError(
                f"the table of items must have the id column {id_column!r}, found {', '.join(names):.200}"
            )
        if len(set(names)) != len(names):
            raise DataError(
                f"the table of items must have columns of different names, found {quote_some(names)}"
            )
        fields = [schema.field(name) for name in names if name != id_column]
        self._schema = pa.schema([field.with_type(decoded_type(field.type)) for field in fields])
        self._id_column, self._item_ids = id_column, item_ids
        self._row_of_item = np.full(len(item_ids), -1, np.int64)
        self._n_rows = 0
        self._parts: list[pa.RecordBatch] = []

    def add(self, batch: pa.RecordBatch) -> int:
        """Keep the rows of known items, and return the bytes that they take."""
        ids = self._as_ids(batch.column(batch.schema.get_field_index(self._id_column)))
        known = id_positions(ids, self._item_ids, "item", self._id_column)
        kept = np.flatnonzero(known >= 0)
        set_rows(self._row_of_item, known[kept], self._n_rows + np.arange(len(kept)), "item")
        self._n_rows += len(kept)
        part = without_views(batch.select(self._schema.names)).take(pa.array(kept, pa.int64()))
        try:
            part = part.cast(self._schema)
            part.validate(full=True)
        except pa.ArrowException as error:
            raise DataError(f"the table of items cannot be read, {_first_line(error)}") from None
        self._parts.append(part)
        return int(part.nbytes)

    def _as_ids(self, column: pa.Array) -> pa.Array:
        """Return whole numbers that are written as text as such, and the other way round."""
        kinds = {"int": pa.int64(), "str": pa.large_string()}
        if self._item_ids.kind not in kinds:
            return column
        try:
            return column.cast(decoded_type(column.type)).cast(kinds[self._item_ids.kind])
        except pa.ArrowException:
            return column  # refused with a sentence

    def aligned(self) -> ItemTable:
        rows = self._row_of_item
        table = pa.Table.from_batches(self._parts, self._schema).combine_chunks()
        return ItemTable(take_rows(table, rows).combine_chunks(), rows >= 0)


def is_text(kind: pa.DataType) -> bool:
    """Say whether an Arrow type is text."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def python_values(column: pa.ChunkedArray) -> list[Any]:
    """Return a column as Python values. One that Python cannot hold, such as a date in year 30000, is text or None."""
    try:
        return list(column.to_pylist())
    except _NO_VALUE:
        return [_python_value(value) for value in column]


def _python_value(value: pa.Scalar) -> Any:
    try:
        return value.as_py()
    except _NO_VALUE:
        pass
    try:
        return value.cast(pa.string()).as_py()
    except _NO_VALUE:
        return None


def _content(path: Path) -> pa.Buffer:
    """Read a file, which must be a regular one. It is not mapped: another program may cut it short meanwhile."""
    try:
        with open_regular(path) as file:
            return pa.py_buffer(file.read())
    except OSError as error:
        raise DataError(f"{path}: cannot be read as parquet, {error.strerror or error}") from None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
