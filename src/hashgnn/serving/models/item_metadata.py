"""Metadata of items, such as titles, ready to be written into a response."""

from __future__ import annotations

from copy import copy
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hashgnn._json_text import dumps
from hashgnn._types import Array
from hashgnn.checking.item_table import ItemTable, is_text, python_values
from hashgnn.rules import ItemAttributes

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
    attributes : ItemAttributes or None
        The same table as rules see it. Items of which :meth:`note` heard are shown as it has them.
    """

    def __init__(self, table: ItemTable, attributes: ItemAttributes | None = None) -> None:
        self.columns, self._table, self._attributes = table.columns, table, attributes
        self._cache: dict[int, tuple[int, bytes]] = {}  # of the how manieth change of an item, and its text
        self._changes = np.zeros(len(table.has_row), np.uint32)
        self._texts = Texts(_searched(table.table))

    def documents(self, positions: Array) -> list[bytes]:
        """Return the JSON objects of some items, ``null`` where nothing is known."""
        requested, cache = positions.tolist(), self._cache
        stamps = dict(zip(requested, self._changes_of(positions), strict=True))
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

    def note(self, positions: Array) -> None:
        """Note that the attributes of some items have changed; each comes once."""
        n_items = int(positions.max(initial=-1)) + 1
        if n_items > len(self._changes):
            # With room for more, so that few of many new items copy it.
            self._changes = np.pad(self._changes, (0, n_items + n_items // 8 - len(self._changes)))
        self._changes[positions] += 1

    def of_first(self, n_items: int, attributes: ItemAttributes) -> ItemMetadata:
        """Return a copy that knows the changes of the first items alone, and shows other attributes."""
        copied = copy(self)
        copied._attributes, copied._cache = attributes, {}
        copied._changes = self._changes[:n_items].copy()
        return copied

    def texts_of_new(self, positions: Array) -> list[str]:
        """Return what a search looks through of new items: their values that are text."""
        rows = self._changed_rows(positions.tolist()).values()
        return ["\n".join(value for value in row.values() if isinstance(value, str)) for row in rows]

    def _changes_of(self, positions: Array) -> list[int]:
        """Return how often items have changed."""
        changes = self._changes
        inside = positions < len(changes)
        found = np.zeros(len(positions), np.uint32)
        found[inside] = changes[positions[inside]]
        return list(found.tolist())

    def _changed_rows(self, positions: list[int]) -> dict[int, dict[str, Any]]:
        """Return what may have changed of some items, by position."""
        if self._attributes is None or not positions:
            return {position: {} for position in positions}
        table = self._attributes.changed_rows(np.array(positions, np.int64))
        columns = {name: python_values(table[name]) for name in table.column_names}
        return {
            position: {name: values[row] for name, values in columns.items()}
            for row, position in enumerate(positions)
        }

    def _make(self, positions: list[int]) -> list[bytes]:
        has_row = self._table.has_row
        inside = [position for position in positions if position < len(has_row)]
        rows = dict(zip(inside, self._table.rows(inside), strict=True))
        counts = zip(positions, self._changes_of(np.array(positions, np.int64)), strict=True)
        changed = self._changed_rows([position for position, count in counts if count])
        return [
            _document({**rows.get(position, {}), **changed.get(position, {})})
            if position in changed or (position in rows and has_row[position])
            else b"null"
            for position in positions
        ]

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
