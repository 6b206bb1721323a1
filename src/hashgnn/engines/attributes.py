"""``Attributes``: columns of a table of items, in the order of a model's items."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hashgnn._checks import quote_some
from hashgnn._types import Array
from hashgnn.data import IdMap
from hashgnn.data.readers import read_table
from hashgnn.errors import DataError

RESERVED = ("id", "pos", "since", "until", "item_id", "code", "biased", "embedding", "digest", "vector")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,59}")
_KINDS: Mapping[str, pa.DataType] = {
    "int": pa.int64(),
    "float": pa.float64(),
    "bool": pa.bool_(),
    "text": pa.string(),
    "date": pa.date32(),
    "time": pa.timestamp("us", "UTC"),
}


@dataclass(frozen=True, eq=False)
class Attributes:
    """Attributes of items, in the order of a model, which filters of an engine read.

    Attributes
    ----------
    table : pyarrow Table of n rows
        int64, float64, bool, string, date32 and timestamp columns; null where an item has no value.
    digests : ndarray of shape (n,), int64
        Of each row; equal rows have equal digests.
    """

    table: pa.Table
    digests: Array

    @classmethod
    def read(cls, path: str | Path, items: IdMap) -> Attributes:
        """Read a table of items; the column ``item_id`` names the item of a row.

        Items without a row have nulls, rows of other items are left out.

        Raises
        ------
        DataError
            If the table has no column ``item_id`` or ``item``, repeats an item, or has a column whose name or type
            no engine takes.
        """
        table = read_table(path, text=() if items.kind == "int" else ("item_id", "item"))
        return cls.of_table(table, items, str(path))

    @classmethod
    def of_table(cls, table: pa.Table, items: IdMap, name: str = "attributes") -> Attributes:
        """Bring a table into the order of a model's items; as :meth:`read`."""
        key = next((one for one in ("item_id", "item") if one in table.column_names), None)
        if key is None:
            raise DataError(f"{name}: must have a column item_id, got {quote_some(table.column_names)}")
        position = items.index_of(table[key], on_unknown="skip", noun="item ids")
        rows = np.full(len(items), -1, np.int64)
        known = np.flatnonzero(position >= 0)
        rows[position[known]] = known
        repeated = len(known) - len(np.unique(position[known]))
        if repeated:
            raise DataError(f"{name}: each item must have one row, got {repeated} that repeat another")
        taken = pa.array(rows, mask=rows < 0)
        columns = {
            column: _plain(table[column], column, name).take(taken)
            for column in table.column_names
            if column != key
        }
        if not columns:
            raise DataError(f"{name}: must have a column besides {key}, got none")
        made = pa.table(columns)
        return cls(made, _digests(made))

    @property
    def kinds(self) -> dict[str, str]:
        """The kind of each column: int, float, bool, text, date or time."""
        names = {kind: name for name, kind in _KINDS.items()}
        return {field.name: names[field.type] for field in self.table.schema}

    def at(self, positions: Array) -> Attributes:
        """Return the rows at some positions."""
        return Attributes(self.table.take(pa.array(positions)).combine_chunks(), self.digests[positions])

    def columns(self) -> list[list[Any]]:
        """Return the values of each column as Python objects."""
        return [column.to_pylist() for column in self.table.columns]


def kind_type(kind: str) -> pa.DataType:
    """Return the Arrow type of a kind."""
    return _KINDS[kind]


def _plain(column: pa.ChunkedArray, name: str, where: str) -> pa.ChunkedArray:
    if not _NAME.fullmatch(name) or name.lower() in RESERVED:
        raise DataError(
            f"{where}: a column must have a name of letters, digits and _ that is none of "
            f"{', '.join(RESERVED)}, got {name!r:.80}"
        )
    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    if pa.types.is_boolean(kind):
        return column
    if pa.types.is_integer(kind):
        wanted = "int"
    elif pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        wanted = "float"
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        wanted = "text"
    elif pa.types.is_date(kind):
        wanted = "date"
    elif pa.types.is_timestamp(kind):
        wanted = "time"
        if kind.tz is None:
            column = pc.assume_timezone(column.cast(pa.timestamp("us")), "UTC")
    else:
        raise DataError(
            f"{where}: column {name!r} must hold numbers, text, true and false, dates or times, got {kind}"
        )
    if wanted == "float":  # NaN is a missing value, as in rules
        column = pc.if_else(pc.is_nan(column.cast(pa.float64())), pa.scalar(None, kind), column)
    try:
        return column.cast(_KINDS[wanted])
    except pa.ArrowInvalid as error:
        raise DataError(f"{where}: column {name!r} cannot be kept as {wanted}, {error}") from None


def _digests(table: pa.Table) -> Array:
    columns = [column.to_pylist() for column in table.columns]
    made = (
        hashlib.blake2b(repr(row).encode("utf-8", "surrogatepass"), digest_size=8).digest()
        for row in zip(*columns, strict=True)
    )
    return np.frombuffer(b"".join(made), "<i8").astype(np.int64)
