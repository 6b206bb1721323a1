"""``ItemAttributes``: the table of items that rules look at, which may change while it is used."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from hashgnn._files import open_regular
from hashgnn._types import Array, Frame, Id
from hashgnn.data import IdMap
from hashgnn.data._columns import as_frame
from hashgnn.data.aligned_rows import id_positions, set_rows, take_rows
from hashgnn.data.readers.bounded_parquet import GROWTH, SLACK
from hashgnn.errors import DataError, ParameterError
from hashgnn.rules.columns import kind_of_type
from hashgnn.rules.evaluation import compile_test
from hashgnn.rules.expression import Expression, uses_now
from hashgnn.rules.filters import FilterCache, ItemFilter
from hashgnn.rules.item_files import read_items
from hashgnn.rules.lazy_columns import LazyColumns, with_nulls
from hashgnn.rules.parsing import parse

#: The file of the table of items in the folder of a model.
ITEM_TABLE = "item_metadata.parquet"
#: The column of item ids in that file, and by default in others.
ITEM_ID = "item_id"
_MINUTE = 60.0
_BYTES_PER_ITEM = 256  # granted to the table of a model in addition to what its file allows


class ItemAttributes:
    """Typed columns of the items of a model: what filters, boosts and caps look at.

    Columns are true or false, whole numbers, numbers, times, text or categories, and lists of text. Any value
    may be missing; NaN is a missing one. Values may change at any time, from any thread: an answer sees all of
    a change or nothing.

    Make one with :meth:`of` or :meth:`read`.

    Parameters
    ----------
    table : pyarrow.Table of n_items rows
        In the order of ``item_ids``, without the ids. Columns of other types are kept, and no rule may use them.
    item_ids : IdMap
        Of the model.
    changed : collection of str
        Columns that differ from the file that they came from, as :meth:`changed_rows` returns them.

    Examples
    --------
    >>> from hashgnn.data import IdMap
    >>> table = pa.table({"item_id": ["b", "a"], "price": [3.5, None], "in_stock": [True, True]})
    >>> items = ItemAttributes.of(table, IdMap(["a", "b"]))
    >>> items.kinds, items.filter("in_stock and price < 4").count
    ({'price': 'float', 'in_stock': 'bool'}, 1)
    >>> items.update({"a": {"price": 2}})
    1
    >>> items.filter("in_stock and price < 4").count
    2
    """

    def __init__(self, table: pa.Table, item_ids: IdMap, *, changed: Collection[str] = ()) -> None:
        if not table.num_columns:  # Arrow does not count rows without columns
            table = pa.table({"": pa.nulls(len(item_ids))})
        if len(table) != len(item_ids):
            raise ParameterError(f"table must have one row an item, {len(item_ids)}, got {len(table)}")
        self.item_ids = item_ids
        self._columns = LazyColumns(table, changed)
        self._filters = FilterCache(len(item_ids))
        self._lock = threading.RLock()

    @classmethod
    def of(cls, table: Frame | pa.Table, item_ids: IdMap, *, id_column: str = "item_id") -> Self:
        """Align a data frame with the items of a model. Rows of other items are left out.

        Parameters
        ----------
        table : data frame of pandas, polars or pyarrow
        item_ids : IdMap
        id_column : str, default="item_id"
            Names the items; the other columns are their attributes.

        Raises
        ------
        DataError
            If there is no such column, an item comes twice, or no row is of an item of the model.
        """
        arrow = table if isinstance(table, pa.Table) else as_frame(table).to_arrow()
        if id_column not in arrow.column_names:
            raise DataError(
                f"the table of items must have the id column {id_column!r}, found {', '.join(arrow.column_names):.200}"
            )
        if len(set(arrow.column_names)) < len(arrow.column_names):
            raise DataError("the table of items must have columns of different names, got two of one")
        index = id_positions(arrow[id_column], item_ids, "item", id_column)
        kept = np.flatnonzero(index >= 0)
        rows = np.full(len(item_ids), -1, np.int64)
        set_rows(rows, index[kept], kept, "item")
        if not len(kept) and len(arrow) and len(item_ids):
            raise DataError(
                f"the table of items must name items of the model in {id_column!r}, none of {len(arrow)} rows does"
            )
        values = arrow.drop_columns([id_column])
        return cls(take_rows(values, rows) if values.num_columns else values, item_ids)

    @classmethod
    def read(cls, path: str | Path, item_ids: IdMap, *, id_column: str = "item_id") -> Self:
        """Read a file of parquet, CSV, JSON lines or Arrow, as :meth:`of`.

        Columns of a text file hold what every entry is: numbers, ``true`` and ``false``, ISO 8601 times, else text.

        Raises
        ------
        DataError
            If it cannot be read, or as :meth:`of`.
        """
        return cls._read(path, item_ids, id_column)

    @classmethod
    def _read(
        cls, path: str | Path, item_ids: IdMap, id_column: str, *, max_decompressed: int | None = None
    ) -> Self:
        try:
            table = read_items(path, item_ids, id_column=id_column, max_decompressed=max_decompressed)
            return cls.of(table, item_ids, id_column=id_column)
        except DataError as error:
            message = str(error)
            raise DataError(message if message.startswith(str(path)) else f"{path}: {message}") from None

    @classmethod
    def of_folder(cls, folder: Path, item_ids: IdMap) -> Self | None:
        """Read the table in the folder of a model, which a stranger may have made; None where there is none.

        Only a regular file is read, and what it takes in memory is bounded by its size and that of the model.

        Raises
        ------
        DataError
            As :meth:`read`, or if it is no regular file or would become too large.
        """
        path = folder / ITEM_TABLE
        if not os.path.lexists(path):
            return None
        try:
            with open_regular(path) as file:
                size = os.fstat(file.fileno()).st_size
        except OSError as error:
            raise DataError(f"{path}: cannot be read, {error.strerror}") from None
        most = GROWTH * size + SLACK + _BYTES_PER_ITEM * len(item_ids)
        return cls._read(path, item_ids, ITEM_ID, max_decompressed=most)

    def __getstate__(self) -> dict[str, Any]:
        """Send the table as it is now; filters are made anew."""
        return {"table": self.to_arrow(), "item_ids": self.item_ids}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["table"], state["item_ids"])  # type: ignore[misc]

    def __len__(self) -> int:
        return len(self.item_ids)

    def __repr__(self) -> str:
        kinds = ", ".join(f"{name}: {kind}" for name, kind in list(self.kinds.items())[:8])
        return f"ItemAttributes(n_items={len(self)}, {kinds})"

    @property
    def kinds(self) -> dict[str, str]:
        """The kind of each column that rules may use: ``bool int float time text list``."""
        return self._columns.kinds

    def check(self, where: str | Expression, name: str = "where") -> Expression:
        """Return an expression that fits the columns.

        Raises
        ------
        ParameterError
            If it cannot be read, names a column that is not there, or compares it with a value of another type.
        """
        expression = parse(where, name) if isinstance(where, str) else where
        with self._lock:
            compile_test(expression, self._columns, 0.0, name)
        return expression

    def filter(self, where: str | Expression, *, now: float | None = None, name: str = "where") -> ItemFilter:
        """Return the items that an expression holds for.

        Filters are kept, and brought up to date by the rows that changed.

        Parameters
        ----------
        where : str or Expression
            See :func:`hashgnn.rules.parse`.
        now : float, optional
            Seconds since 1970 that ``now`` stands for; ``None`` is the present minute.
        name : str, default="where"
            What messages call the expression.
        """
        expression = parse(where, name) if isinstance(where, str) else where
        moment = (present_minute() if now is None else now) if uses_now(expression) else 0.0
        with self._lock:
            return self._filters.get(
                (repr(expression), moment), lambda: compile_test(expression, self._columns, moment, name)
            )

    def check_groups(self, column: str, name: str = "max_per") -> None:
        """Raise :class:`ParameterError` unless there is a column whose values make groups.

        Text, whole numbers and true and false do. Times, numbers with fractions and lists do not.
        """
        with self._lock:
            found = self._columns.of(column, name)
        if not found.makes_groups:
            raise ParameterError(
                f"{name}: {column} must hold text, whole numbers or true and false, which make groups, got {found.kind}"
            )

    def groups(self, column: str, positions: Array) -> tuple[Array, Array]:
        """Return the group of some items by a column, and which of them have one.

        Parameters
        ----------
        column : str
            One that :meth:`check_groups` takes.
        positions : ndarray of int64, of any shape

        Returns
        -------
        ndarray of int64, ndarray of bool
            Of the shape of ``positions``. Items of equal values have equal groups.
        """
        with self._lock:
            found = self._columns[column]
            return found.values[positions].astype(np.int64), found.has_value(positions)

    def members(self, column: str, groups: Array) -> ItemFilter:
        """Return the items of some groups, as :meth:`groups` numbers them."""
        with self._lock:
            found = self._columns[column]
            mask = np.isin(found.values, groups.astype(found.values.dtype))
            return ItemFilter.of_mask(mask & found.has_value(slice(None)))

    def read_values(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return new values of an item as its columns keep them; None is a missing value.

        Raises
        ------
        ParameterError
            If there is no such column, or a value is of another type.
        """
        read = {}
        for name, value in values.items():
            with self._lock:  # its first use makes a column, once
                column = self._columns.of(name, "attributes")
            try:
                read[name] = None if value is None else column.read(value)
            except ParameterError as error:
                raise ParameterError(f"{name} must {error}") from None
        return read

    def read_rows(self, table: Frame | Sequence[Mapping[str, Any]], n_rows: int) -> list[dict[str, Any]]:
        """Return new values of some items, a row each, as :meth:`read_values` does.

        Parameters
        ----------
        table : data frame, pyarrow.Table, or list of dicts
            Columns of this table, each optional; a column ``item_id`` is left out. NaN in a frame is a missing value.
        n_rows : int

        Raises
        ------
        ParameterError
            If there are more or fewer rows, or a column or value does not fit.
        """
        if isinstance(table, list) and all(isinstance(row, Mapping) for row in table):
            rows = table
        else:
            arrow = table if isinstance(table, pa.Table) else as_frame(table).to_arrow()
            for place, field in enumerate(arrow.schema):
                if kind_of_type(field.type) == "float":
                    numbers = arrow.column(place).cast(pa.float64())
                    known = pc.if_else(pc.is_nan(numbers), pa.scalar(None, pa.float64()), numbers)
                    arrow = arrow.set_column(place, field.name, known)
            rows = arrow.to_pylist()
        if len(rows) != n_rows:
            raise ParameterError(f"attributes must have one row an item, {n_rows}, got {len(rows)}")
        left_out = {ITEM_ID} - set(self.kinds)
        read = []
        for place, row in enumerate(rows):
            try:
                read.append(self.read_values({name: row[name] for name in row if name not in left_out}))
            except ParameterError as error:
                sentence = str(error).removeprefix("attributes: ")
                raise ParameterError(f"attributes of row {place}: {sentence}") from None
        return read

    def update(self, changes: Mapping[Id, Mapping[str, Any]]) -> int:
        """Change some values of some items, and return how many items there were.

        Parameters
        ----------
        changes : mapping of item id to mapping of column to value
            ``None`` is a missing value. Other columns stay as they are.

        Raises
        ------
        UnknownIdError
            If an item is unknown; nothing is changed.
        ParameterError
            If a column or value does not fit; nothing is changed.
        """
        index = self.item_ids.index_of(list(changes), noun="item ids")
        with self._lock:
            read = [self.read_values(values) for values in changes.values()]
        self.put(index, read)
        return len(read)

    def put(self, positions: Array, values: Sequence[Mapping[str, Any]]) -> None:
        """Change the values of items at some positions; they are of :meth:`read_values`."""
        if not len(positions):
            return
        with self._lock:
            self._put(positions, values)
            self._filters.note(np.asarray(positions, np.int64))

    def _put(self, positions: Array, values: Sequence[Mapping[str, Any]]) -> None:
        for position, row in zip(positions.tolist(), values, strict=True):
            for name, value in row.items():
                self._columns.put(name, position, value)

    def grow(self, item_ids: IdMap, positions: Array, values: Sequence[Mapping[str, Any]]) -> None:
        """Take in items behind the known ones, with values; whoever sees the items sees these.

        Parameters
        ----------
        item_ids : IdMap
            The known ones and, behind them, the new ones.
        positions : ndarray of shape (n,), int64
            Of new items that have values.
        values : sequence of n mappings
            Of :meth:`read_values`.
        """
        with self._lock:
            self._columns.grow(len(item_ids))
            self._put(positions, values)
            self._filters.grow(len(item_ids))
            self.item_ids = item_ids

    def of_size(self, item_ids: IdMap) -> ItemAttributes:
        """Return a copy as of now for the first items alone, or with items behind them that have no values yet.

        Parameters
        ----------
        item_ids : IdMap
            The first of the known ones, or all of them and new ones.
        """
        with self._lock:
            table, n_more = self.to_arrow(), len(item_ids) - len(self)
            changed = set(self._columns.changed)
        table = with_nulls(table, n_more) if n_more > 0 else table.slice(0, len(item_ids))
        return ItemAttributes(table, item_ids, changed=changed)

    def of_items(self, item_ids: IdMap) -> ItemAttributes:
        """Return the table as it is now for the items of another model."""
        return self.of(self.with_ids(), item_ids)

    def save(self, folder: Path) -> None:
        """Write the table as it is now, with the ids of its items, to ``item_metadata.parquet`` in a folder."""
        pyarrow.parquet.write_table(self.with_ids(), folder / ITEM_TABLE)

    def with_ids(self, names: Sequence[str] | None = None, *, item_id: str = ITEM_ID) -> pa.Table:
        """Return some columns as they are now, all by default, behind one of the item ids."""
        ids = self.item_ids.ids
        if self.item_ids.kind == "int":
            column = pa.array(ids)
        else:
            column = pa.array(self.item_ids.printed(np.arange(len(self))), pa.large_string())
        columns = self.to_arrow()
        if names is None:
            names = [name for name in columns.column_names if name and name != item_id]
        return pa.table([column, *(columns[name] for name in names)], [item_id, *names])

    @property
    def is_changed(self) -> bool:
        """Whether a value has changed since the table was made or read."""
        return self._columns.is_changed

    def changed_rows(self, positions: Array) -> pa.Table:
        """Return the rows of some items as they are now, of the columns in which any item has changed."""
        with self._lock:
            return self._columns.changed_rows(positions)

    def to_arrow(self) -> pa.Table:
        """Return the columns as they are now, one row an item, in the order of the model."""
        with self._lock:
            return self._columns.to_arrow()


def present_minute() -> float:
    """Return the beginning of this minute, seconds since 1970."""
    return time.time() // _MINUTE * _MINUTE
