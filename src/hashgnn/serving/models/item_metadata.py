"""Metadata of items, such as titles, ready to be written into a response."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from hashgnn._files import open_regular
from hashgnn._json_text import dumps
from hashgnn._types import Array
from hashgnn.data import IdMap
from hashgnn.errors import DataError, ParameterError

FILE_NAME = "item_metadata.parquet"  # in the folder of an artifact
_MAX_BYTES = 8192  # of one item's metadata in a response
_CACHED = 200_000  # items


class Texts:
    """Lines of text to look through.

    Parameters
    ----------
    lines : list of str or pyarrow.Array of text
    """

    def __init__(self, lines: Any) -> None:
        array = lines if isinstance(lines, pa.Array) else pa.array(lines, pa.large_string())
        self._lines = pc.utf8_lower(array)

    def search(self, query: str) -> tuple[Array, Array]:
        """Return the places of lines that hold every word of a query, and of those that begin with all of it.

        Upper and lower case are the same; words may stand anywhere, as in "the matrix" for "Matrix, The".
        """
        words = query.lower().split()
        lines, places = self._lines, np.arange(len(self._lines))
        for word in sorted(set(words), key=len, reverse=True):  # the longest leaves the fewest lines
            kept = np.flatnonzero(np.asarray(pc.match_substring(lines, word)))
            lines, places = lines.take(pa.array(kept)), places[kept]
        begins = np.asarray(pc.starts_with(lines, " ".join(words)))
        return places, places[begins.astype(bool)]


class ItemMetadata:
    """Metadata of the items of a model, in index order.

    The table stays in Arrow's form: a million items make no million Python objects. The JSON text of
    an item is cached when a response first holds it.

    Parameters
    ----------
    table : pyarrow.Table
    id_column : str
        Names the items; the other columns are the metadata. The first text column is the title.
    item_ids : IdMap
        Of the model. Rows of other items are left out, items without a row have no metadata.

    Raises
    ------
    DataError
        If there is no such column, or an item comes twice.
    """

    def __init__(self, table: pa.Table, id_column: str, item_ids: IdMap) -> None:
        if id_column not in table.column_names:
            raise DataError(
                f"item metadata must have the id column {id_column!r}, found {', '.join(table.column_names)}"
            )
        self.columns = [name for name in table.column_names if name != id_column]
        rows = _rows_of_items(table[id_column], item_ids)
        aligned = table.select(self.columns).take(pa.array(rows, mask=rows < 0)).combine_chunks()
        self._table, self._has = aligned, rows >= 0
        self._cache: dict[int, bytes] = {}
        self._texts = Texts(_searched(aligned))

    @classmethod
    def read(cls, path: Path, id_column: str, item_ids: IdMap) -> ItemMetadata:
        """Read a parquet file."""
        try:
            with open_regular(path) as file:
                table = pyarrow.parquet.ParquetFile(file).read()
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{path}: cannot be read as parquet, {error}") from None
        return cls(table, id_column, item_ids)

    def documents(self, positions: Array) -> list[bytes]:
        """Return the JSON objects of some items, ``null`` where nothing is known."""
        requested, cache = positions.tolist(), self._cache
        missing = [position for position in dict.fromkeys(requested) if position not in cache]
        if not missing:
            return [cache[position] for position in requested]
        made = dict(zip(missing, self._make(missing), strict=True))
        found = [made[position] if position in made else cache[position] for position in requested]
        if len(cache) + len(made) > _CACHED:
            cache = self._cache = {}  # a new one: another thread may be reading the old
        cache.update(made)
        return found

    def _make(self, positions: list[int]) -> list[bytes]:
        rows: list[dict[str, Any]] = [{} for _ in positions]
        if self._table.num_columns:
            rows = self._table.take(positions).to_pylist()
        known = self._has[positions].tolist()
        return [_document(row) if is_known else b"null" for row, is_known in zip(rows, known, strict=True)]

    def search(self, query: str) -> tuple[Array, Array]:
        """Return the positions of items whose text holds a query, and of those that begin with it."""
        return self._texts.search(query)


def _rows_of_items(column: pa.ChunkedArray, item_ids: IdMap) -> Array:
    """Return the row of the table that describes each item, -1 where there is none."""
    values = column.combine_chunks()
    try:
        if item_ids.kind == "int":
            values = values.cast(pa.int64())
        elif item_ids.kind == "str":
            values = values.cast(pa.string())
    except pa.ArrowInvalid as error:
        raise DataError(f"ids of item metadata must be of the type of the model's, {error}") from None
    try:
        known = item_ids.index_of(values, on_unknown="skip", noun="item ids")
    except ParameterError as error:
        raise DataError(f"ids of item metadata must be of the type of the model's, {error}") from None
    places = np.flatnonzero(known >= 0)
    rows = np.full(len(item_ids), -1, np.int64)
    rows[known[places]] = places
    if len(np.unique(known[places])) != len(places):
        raise DataError("item metadata must have one row per item, got several for some")
    return rows


def _document(row: dict[str, Any]) -> bytes:
    text = dumps({name: value for name, value in row.items() if value is not None})
    if len(text) <= _MAX_BYTES:
        return text
    # Long fields are left out, the others stay.
    short = {name: value for name, value in row.items() if value is not None and len(dumps(value)) <= 1024}
    text = dumps(short)
    return text if len(text) <= _MAX_BYTES else b"{}"


def _searched(table: pa.Table) -> pa.Array:
    """Return the text of each item that a search looks through, in lower case."""
    texts = [
        pc.fill_null(table[name].cast(pa.large_string()), "")
        for name in table.column_names
        if pa.types.is_string(kind := table.schema.field(name).type) or pa.types.is_large_string(kind)
    ]
    if not texts:
        return pa.array([""] * len(table), pa.large_string())
    joined = (
        texts[0]
        if len(texts) == 1
        else pc.binary_join_element_wise(*texts, pa.scalar("\n", pa.large_string()))
    )
    return joined.combine_chunks() if isinstance(joined, pa.ChunkedArray) else joined
