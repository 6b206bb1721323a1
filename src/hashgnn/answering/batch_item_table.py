"""The table of items that the rules of a batch look at: a copy for its workers, and how they open it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq

from hashgnn.answering.batch_histories import checksum_of, input_name
from hashgnn.answering.batch_rules import BatchRules
from hashgnn.batch.place import place_of
from hashgnn.data import IdMap
from hashgnn.errors import DataError, StorageError
from hashgnn.rules import ITEM_ID, ITEM_TABLE, ItemAttributes
from hashgnn.state import local_folder

_COPY = "items.parquet"


def open_item_table(rules: BatchRules, model: str, ids: IdMap) -> ItemAttributes | None:
    """Return the table of items as it was when the request was made; ``None`` where no rule looks at one.

    Parameters
    ----------
    rules : BatchRules
    model : str
        Folder or address of the saved model.
    ids : IdMap
        Of its items.

    Raises
    ------
    DataError
        If it cannot be read, or was changed since.
    """
    if rules.checksum is None:
        return None
    folder = local_folder(model) if rules.table is None else Path()
    path = str(folder / ITEM_TABLE) if rules.table is None else rules.table
    if checksum_of(path) != rules.checksum:
        raise DataError(f"{path}: was changed after the batch had begun; run it into another folder")
    if rules.table is None:
        return ItemAttributes.of_folder(folder, ids)
    return ItemAttributes.read(path, ids, id_column=rules.item_id)


@contextmanager
def copied_item_table(rules: BatchRules, items: ItemAttributes | None, copy: str) -> Iterator[BatchRules]:
    """Yield rules that name a copy of what they look at, as it is now; it is removed at the end.

    Parameters
    ----------
    rules : BatchRules
        They fit the table.
    items : ItemAttributes or None
    copy : str
        A folder or an address, which this run alone may hold.
    """
    if items is None or not rules.columns:
        yield rules
        return
    place, item_id = place_of(copy), ITEM_ID
    while item_id in rules.columns:  # where the ids have another name, it may be an attribute
        item_id = f"_{item_id}"
    with place.held():
        try:
            with place.writing(_COPY) as temporary:
                pq.write_table(items.with_ids(rules.columns, item_id=item_id), temporary)
            path = input_name(f"{copy}/{_COPY}")
            yield replace(rules, table=path, checksum=checksum_of(path), item_id=item_id)
        finally:
            with suppress(OSError, StorageError):
                place.remove(_COPY)
                place.remove_folder()
