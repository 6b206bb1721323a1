"""``ItemAttributes``: the table of items that rules look at, which may change while it is used."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
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
from hashgnn.data._times import read_times
from hashgnn.data.readers import read_table
from hashgnn.data.readers.bounded_parquet import GROWTH, SLACK
from hashgnn.errors import DataError, ParameterError
from hashgnn.rules.columns import TypedColumn, column_of, kind_of_type, with_signs
from hashgnn.rules.evaluation import Columns, compile_test
from hashgnn.rules.expression import Expression, uses_now
from hashgnn.rules.filters import FilterCache, ItemFilter
from hashgnn.rules.parsing import parse

#: The file of the table of items in the folder of a model.
ITEM_TABLE = "item_metadata.parquet"
#: The column of item ids in that file, and by default in others.
ITEM_ID = "item_id"
_MINUTE = 60.0
_BYTES_PER_ITEM = 256  # granted to the table of a model in addition to what its file allows
_DATE = "^[0-9]{4}-[0-9]{2}-[0-9]{2}"
_TYPED = frozenset({".parquet", ".pq", ".arrow", ".feather", ".ipc"})  # files whose columns have types


class _LazyColumns(Columns):
    """Columns that are brought into their form when they are first used."""

    def __init__(self, table: pa.Table) -> None:
        for place, name in enumerate(table.column_names):
            table = table.set_column(place, name, with_signs(table.column(place)))
        self._table = table
        self._made: dict[str, TypedColumn] = {}
        self._changed: set[str] = set()
        self._kinds = {field.name: kind_of_type(field.type) for field in table.schema}

    def __getitem__(self, name: str) -> TypedColumn:
        if self._kinds.get(name) is None:
            raise KeyError(name)
        if name not in self._made:
            column = self._table[name].combine_chunks()
            self._made[name] = column_of(
                column if isinstance(column, pa.Array) else pa.concat_arrays(column.chunks)
            )
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

    def to_arrow(self) -> pa.Table:
        table = self._table
        for name in self._changed:
            table = table.set_column(table.column_names.index(name), name, self._made[name].to_arrow())
        return table

    @property
    def is_changed(self) -> bool:
        return bool(self._changed)

    def put(self, name: str, position: int, value: Any) -> None:
        self[name].put(position, value)
        self._changed.add(name)


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

    def __init__(self, table: pa.Table, item_ids: IdMap) -> None:
        if len(table) != len(item_ids):
            raise ParameterError(f"table must have one row an item, {len(item_ids)}, got {len(table)}")
        self.item_ids = item_ids
        self._columns = _LazyColumns(table)
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
        column = arrow[id_column]
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        index = item_ids.index_of(column, on_unknown="skip", noun="item ids")
        rows = np.flatnonzero(index >= 0)
        row_of = np.full(len(item_ids), -1, np.int64)
        row_of[index[rows]] = rows
        if np.count_nonzero(row_of >= 0) < len(rows):
            raise DataError("the table of items must have one row an item, got several for some")
        if not len(rows) and len(arrow) and len(item_ids):
            raise DataError(
                f"the table of items must name items of the model in {id_column!r}, none of {len(arrow)} rows does"
            )
        values = arrow.drop_columns([id_column])
        for place, field in enumerate(values.schema):
            if pa.types.is_string_view(field.type):  # Arrow cannot take its rows
                values = values.set_column(place, field.name, values.column(place).cast(pa.large_string()))
        aligned = values.take(pa.array(row_of, mask=row_of < 0)) if values.num_columns else values
        if not values.num_columns:
            aligned = pa.table({"": pa.nulls(len(item_ids))})
        return cls(aligned, item_ids)

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
            column = self._columns.of(name, "attributes")
            try:
                read[name] = None if value is None else column.read(value)
            except ParameterError as error:
                raise ParameterError(f"{name} must {error}") from None
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
            for position, row in zip(positions.tolist(), values, strict=True):
                for name, value in row.items():
                    self._columns.put(name, position, value)
            self._filters.note(np.asarray(positions, np.int64))

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

    def to_arrow(self) -> pa.Table:
        """Return the columns as they are now, one row an item, in the order of the model."""
        with self._lock:
            return self._columns.to_arrow()


def present_minute() -> float:
    """Return the beginning of this minute, seconds since 1970."""
    return time.time() // _MINUTE * _MINUTE


def read_items(
    path: str | Path, item_ids: IdMap, *, id_column: str = "item_id", max_decompressed: int | None = None
) -> pa.Table:
    """Read a file of items as a table; columns of a text file get the types that all their entries have.

    Raises
    ------
    DataError
        If it cannot be read.
    """
    text = () if item_ids.kind == "int" else (id_column,)
    table = read_table(path, text=text, max_decompressed=max_decompressed)
    return table if set(Path(path).suffixes) & _TYPED else _typed(table, id_column)


def _typed(table: pa.Table, id_column: str) -> pa.Table:
    """Return a table of a text file with columns of text that hold only true and false, or only times, as such."""
    for place, field in enumerate(table.schema):
        column = table.column(place)
        if kind_of_type(field.type) != "text" or field.name == id_column or column.null_count == len(column):
            continue
        text = column.cast(pa.large_string())
        words = pc.utf8_lower(text)
        if pc.all(pc.is_in(words.drop_null(), pa.array(["true", "false"], words.type))).as_py():
            table = table.set_column(place, field.name, pc.equal(words, pa.scalar("true", words.type)))
        elif pc.all(pc.match_substring_regex(words.drop_null(), _DATE)).as_py():
            times = read_times(text, field.name)
            if not isinstance(times, int):
                table = table.set_column(place, field.name, times)
    return table
