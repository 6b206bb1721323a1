"""The new items of a store as a parquet file of side features."""

from __future__ import annotations

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
    names = list(dict.fromkeys(name for one in items for name in one.features if name not in (ITEM, USERS)))
    if not items:
        return 0, names
    columns: dict[str, pa.Array] = {
        ITEM: pa.array([one.item for one in items]),
        USERS: pa.array([list(one.users) for one in items]),
    }
    for name in names:
        values = [one.features.get(name) for one in items]
        if any(isinstance(value, list) for value in values):
            values = [value if value is None or isinstance(value, list) else [value] for value in values]
        try:
            columns[name] = pa.array(values)
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            raise DataError(f"the feature {name} must have values of one type to make a column") from None
    with atomic_file(Path(path)) as temporary:
        pq.write_table(pa.table(columns), temporary)
    return len(items), names
