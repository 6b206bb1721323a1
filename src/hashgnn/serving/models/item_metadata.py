"""Metadata of items, such as titles, ready to be written into a response."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hashgnn._json_text import dumps
from hashgnn._types import Array
from hashgnn.checking.item_table import ItemTable, is_text

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
    table : ItemTable
        Rows of other items are left out, items without a row have no metadata. The first text column is the title.
    """

    def __init__(self, table: ItemTable) -> None:
        self.columns, self._table = table.columns, table
        self._cache: dict[int, tuple[int, bytes]] = {}  # of the how manieth change of an item, and its text
        self._changed: dict[int, Mapping[str, Any]] = {}
        self._changes: dict[int, int] = {}
        self._texts = Texts(_searched(table.table))

    def documents(self, positions: Array) -> list[bytes]:
        """Return the JSON objects of some items, ``null`` where nothing is known."""
        requested, cache = positions.tolist(), self._cache
        stamps = {position: self._changes.get(position, 0) for position in requested}
        found = {position: cache[position] for position in stamps if position in cache}
        missing = [position for position, stamp in stamps.items() if found.get(position, (-1,))[0] != stamp]
        if missing:
            made = zip(missing, self._make(missing), strict=True)
            new = {position: (stamps[position], text) for position, text in made}
            found |= new
            if len(cache) + len(new) > _CACHED:
                cache = self._cache = {}  # a new one: another thread may be reading the old
            cache |= new
        return [found[position][1] for position in requested]

    @property
    def table(self) -> pa.Table:
        """The columns as they were read, one row an item."""
        return self._table.table

    def change(self, values: Mapping[int, Mapping[str, Any]]) -> None:
        """Show other values of some items, by position and column; null is a missing one."""
        for position, row in values.items():
            self._changed[position] = {**self._changed.get(position, {}), **row}
            self._changes[position] = self._changes.get(position, 0) + 1

    def of_first(self, n_items: int) -> ItemMetadata:
        """Return a copy that shows the changes of the first items alone."""
        copied = copy(self)
        copied._cache = {}
        copied._changed = {place: row for place, row in list(self._changed.items()) if place < n_items}
        copied._changes = {place: n for place, n in list(self._changes.items()) if place < n_items}
        return copied

    def texts_of_new(self, positions: Array) -> list[str]:
        """Return what a search looks through of new items: their values that are text."""
        rows = [self._changed.get(position, {}) for position in positions.tolist()]
        return ["\n".join(value for value in row.values() if isinstance(value, str)) for row in rows]

    def _make(self, positions: list[int]) -> list[bytes]:
        n = len(self._table.has_row)
        if max(positions, default=0) >= n:  # new items, of which the table knows nothing
            inside = iter(self._make([position for position in positions if position < n]))
            return [
                next(inside) if position < n else self._document_of_new(position) for position in positions
            ]
        rows = [
            {**row, **self._changed.get(position, {})}
            for position, row in zip(positions, self._table.rows(positions), strict=True)
        ]
        known = [
            has_row or position in self._changed
            for position, has_row in zip(positions, self._table.has_row[positions].tolist(), strict=True)
        ]
        return [_document(row) if is_known else b"null" for row, is_known in zip(rows, known, strict=True)]

    def _document_of_new(self, position: int) -> bytes:
        row = self._changed.get(position)
        return b"null" if row is None else _document(dict(row))

    def search(self, query: str) -> tuple[Array, Array]:
        """Return the positions of items whose text holds a query, and of those that begin with it."""
        return self._texts.search(query)


def documents_of(positions: Array, metadata: ItemMetadata | None) -> list[bytes]:
    """Return the JSON text of each item's metadata, ``null`` where there is none."""
    return [b"null"] * len(positions) if metadata is None else metadata.documents(positions)


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
        if is_text(table.schema.field(name).type)
    ]
    if not texts:
        return pa.array([""] * len(table), pa.large_string())
    joined = (
        texts[0]
        if len(texts) == 1
        else pc.binary_join_element_wise(*texts, pa.scalar("\n", pa.large_string()))
    )
    return joined.combine_chunks() if isinstance(joined, pa.ChunkedArray) else joined
