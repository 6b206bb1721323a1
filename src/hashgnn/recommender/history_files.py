"""Histories in files of any format: a list in each row, or an interaction in each row."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hashgnn.answering.batch_histories import HISTORY, USER, files_of, find_histories, input_name
from hashgnn.answering.batch_request import HistoryFile
from hashgnn.batch.place import place_of
from hashgnn.data import IdMap, read_table
from hashgnn.errors import DataError, StorageError
from hashgnn.recommender.base import Recommender
from hashgnn.recommender.recommendations import Recommendations

_USERS, _ITEMS = (USER, "user", "userId"), ("item_id", "item", "itemId", "movieId")
_COPY = "histories.parquet"


def is_ready(path: str | os.PathLike[str]) -> bool:
    """Return whether histories are parquet with a column ``history``, of which workers read the rows they need."""
    if not files_of(path)[0].path.lower().endswith((".parquet", ".pq")):
        return False
    try:
        find_histories(path)
    except DataError as error:
        if f"must have a column {HISTORY!r}" in str(error):
            return False
        raise
    return True


def read_history_table(path: str | os.PathLike[str], items: IdMap) -> pa.Table:
    """Return histories as a table with a column ``history`` of lists of item ids and, if there is one, ``user_id``.

    Parameters
    ----------
    path : str or Path
        A file or folder of any format that :func:`hashgnn.data.read_table` reads. Either its column ``history``
        holds lists (in CSV, JSON lists), or each row is an interaction, with the columns ``user_id`` and
        ``item_id``: then all rows of a user are one history, in the order in which users appear.
    items : IdMap
        The ids of the items, which say whether ids in a text file are numbers.

    Raises
    ------
    DataError
        If the file cannot be read, or has neither form.
    """
    table = read_table(path, text=() if items.kind == "int" else _ITEMS)
    if HISTORY in table.column_names:
        lists = _lists(path, table[HISTORY])
        named = {USER: table[USER]} if USER in table.column_names else {}
        return pa.table({**named, HISTORY: lists})
    user, item = _first(table, _USERS), _first(table, _ITEMS)
    if user is None or item is None:
        raise DataError(
            f"{os.fspath(path)}: histories must have a column {HISTORY!r} of lists, or {USER!r} and 'item_id' "
            f"with an interaction in each row, got {table.column_names}"
        )
    rows = pa.table({USER: table[user], "item": table[item]})
    grouped = rows.group_by(USER, use_threads=False).aggregate([("item", "list")])
    return pa.table({USER: grouped[USER], HISTORY: grouped["item_list"]})


def recommend_for_file(
    model: Recommender, path: str | os.PathLike[str], *, block_rows: int, **options: Any
) -> Iterator[Recommendations]:
    """Yield the recommendations for the histories of a file, for ``block_rows`` rows at a time.

    Parameters
    ----------
    model : Recommender
    path : str or Path
        As for :func:`read_history_table`.
    block_rows : int
    **options
        As for :meth:`Recommender.recommend_for_history`.
    """
    table = read_history_table(path, IdMap(model.item_ids))
    lists = table[HISTORY].to_pylist()
    users = table[USER].to_pylist() if USER in table.column_names else None
    for start in range(0, len(lists), block_rows):
        rows = [[] if row is None else row for row in lists[start : start + block_rows]]
        found = model.recommend_for_history(rows, **options)
        places = found.query_ids + start
        if users is None:
            yield replace(found, query_ids=places)
        else:
            own = IdMap([]).as_array([users[place] for place in places.tolist()])
            yield replace(found, query_ids=own, columns=(USER, "item_id"))


def find_any_histories(
    path: str | os.PathLike[str], items: IdMap, copy: str
) -> tuple[tuple[HistoryFile, ...], bool]:
    """Return files of histories as workers read them, and whether a copy was made: parquet at ``copy``.

    Raises
    ------
    DataError
        If they are of no form that :func:`read_history_table` reads.
    """
    if is_ready(path):
        return find_histories(path), False
    table = read_history_table(path, items)
    place = place_of(copy)
    try:
        with place.held(), place.writing(_COPY) as temporary:
            pq.write_table(table, temporary, row_group_size=1 << 16)
        return find_histories(input_name(copy)), True
    except BaseException:
        remove_copy(copy)
        raise


def remove_copy(copy: str) -> None:
    """Remove what :func:`find_any_histories` has made."""
    place = place_of(copy)
    with suppress(OSError, StorageError):
        place.remove(_COPY)
        place.remove_folder()


def _first(table: pa.Table, names: tuple[str, ...]) -> str | None:
    return next((name for name in names if name in table.column_names), None)


def _lists(path: Any, column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = column.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return column
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        raise DataError(f"{os.fspath(path)}: the column {HISTORY!r} must hold lists of item ids, got {kind}")
    rows = []
    for row, text in enumerate(column.to_pylist()):
        try:
            value = json.loads(text or "[]")
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, list):
            raise DataError(
                f'{os.fspath(path)}: {HISTORY} must be a JSON list of item ids, as ["i1","i2"], '
                f"got {text[:80]!r} in row {row}"
            )
        rows.append(value)
    try:
        return pa.chunked_array([pa.array(rows)])
    except (pa.ArrowException, OverflowError, TypeError):
        raise DataError(f"{os.fspath(path)}: {HISTORY} must hold ids of one kind") from None
