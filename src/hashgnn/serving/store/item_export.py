"""The new items of a store as parquet files: one of side features, one of attributes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from hashgnn._files import atomic_file
from hashgnn.errors import DataError

ITEM, USERS = "item_id", "first_users"


class Store(Protocol):
    """A store with new items."""

    items: Any

    def attributes_of(self, items: Sequence[int | str]) -> list[tuple[int, int | str, str, str]]:
        """Return the attributes of some items: number, item, name and JSON text."""


def export_items(store: Store, path: str | Path) -> tuple[int, list[str]]:
    """Write the new items to a parquet file, which appears whole or not at all.

    It has a row for each item, with the columns ``item_id``, ``first_users`` and one for each feature. Without items
    nothing is written.

    Returns
    -------
    int
        How many items there are.
    list of str
        The features.

    Raises
    ------
    DataError
        If a feature has values of several types, so that it makes no column.
    StorageError
        If the file could not be written.
    """
    items, _ = store.items.after(0)
    features = {one.item: one.features for one in items}
    return len(items), _write(path, "feature", features, {USERS: [list(one.users) for one in items]})


def export_attributes(store: Store, path: str | Path) -> tuple[int, list[str]]:
    """Write the attributes of the new items, as they are now, to a parquet file; as :func:`export_items`.

    It has a row for each item, with the column ``item_id`` and one for each attribute.

    Returns
    -------
    int
        How many items there are.
    list of str
        The attributes.
    """
    items, _ = store.items.after(0)
    attributes: dict[int | str, dict[str, Any]] = {one.item: {} for one in items}
    for _, item, name, text in store.attributes_of(list(attributes)):
        attributes[item][name] = json.loads(text)
    return len(items), _write(path, "attribute", attributes, {})


def _write(
    path: str | Path,
    what: str,
    rows: Mapping[int | str, Mapping[str, Any]],
    columns: Mapping[str, list[Any]],
) -> list[str]:
    """Write a row for each item with some columns and those of its values; return the names of these."""
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    names = [name for name in names if name != ITEM and name not in columns]
    if not rows:
        return names
    arrays = {ITEM: pa.array(list(rows))} | {name: pa.array(values) for name, values in columns.items()}
    for name in names:
        values = [row.get(name) for row in rows.values()]
        if any(isinstance(value, list) for value in values):
            values = [value if value is None or isinstance(value, list) else [value] for value in values]
        try:
            arrays[name] = pa.array(values)
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            raise DataError(f"the {what} {name} must have values of one type to make a column") from None
    with atomic_file(Path(path)) as temporary:
        pq.write_table(pa.table(arrays), temporary)
    return names
