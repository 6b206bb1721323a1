"""The new items of a store as a parquet file of side features and attributes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
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


def export_items(store: Store, path: str | Path) -> tuple[int, list[str], list[str]]:
    """Write the new items to a parquet file, which appears whole or not at all.

    It has a row for each item, with the columns ``item_id``, ``first_users``, and one for each feature and each
    attribute. Where both have one name, an item's feature is taken, else its attribute. Without items nothing is written.

    Returns
    -------
    int
        How many items there are.
    list of str
        The features.
    list of str
        The attributes.

    Raises
    ------
    DataError
        If a feature or an attribute has values of several types, so that it makes no column.
    StorageError
        If the file could not be written.
    """
    items, _ = store.items.after(0)
    attributes: dict[int | str, dict[str, Any]] = {}
    for _, item, name, text in store.attributes_of([one.item for one in items]):
        attributes.setdefault(item, {})[name] = json.loads(text)
    features = _names(one.features for one in items)
    named = _names(attributes.values())
    if not items:
        return 0, features, named
    columns: dict[str, pa.Array] = {
        ITEM: pa.array([one.item for one in items]),
        USERS: pa.array([list(one.users) for one in items]),
    }
    for name in dict.fromkeys([*features, *named]):
        values = []
        for one in items:
            value = one.features.get(name)
            values.append(attributes.get(one.item, {}).get(name) if value is None else value)
        columns[name] = _column(name, values)
    with atomic_file(Path(path)) as temporary:
        pq.write_table(pa.table(columns), temporary)
    return len(items), features, named


def _names(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row if name not in (ITEM, USERS)))


def _column(name: str, values: list[Any]) -> pa.Array:
    if any(isinstance(value, list) for value in values):
        values = [value if value is None or isinstance(value, list) else [value] for value in values]
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        raise DataError(f"the values of {name} must have one type to make a column") from None
