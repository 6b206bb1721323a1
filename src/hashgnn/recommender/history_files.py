"""Histories in files of any format: a list in each row, or an interaction in each row."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hashgnn.answering.batch_histories import (
    HISTORY,
    TIMES,
    USER,
    columns_of,
    files_of,
    find_histories,
    input_name,
    times_in,
)
from hashgnn.answering.batch_request import HistoryFile
from hashgnn.batch.place import place_of
from hashgnn.data import HistoryWeighting, IdMap, read_table
from hashgnn.data._columns import time_values
from hashgnn.data.weighting import microseconds
from hashgnn.errors import DataError, StorageError
from hashgnn.recommender.base import Recommender
from hashgnn.recommender.recommendations import Recommendations

_USERS, _ITEMS = (USER, "user", "userId"), ("item_id", "item", "itemId", "movieId")
_TIMES = ("timestamp", "time")
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


def read_history_table(
    path: str | os.PathLike[str], items: IdMap, weighting: HistoryWeighting | None = None
) -> pa.Table:
    """Return histories as a table with a column ``history`` of lists of item ids and, if there is one, ``user_id``.

    With a weighting, it has ``timestamps`` too where the file has times: lists of seconds, one for each item.

    Parameters
    ----------
    path : str or Path
        A file or folder of any format that :func:`hashgnn.data.read_table` reads. Either its column ``history``
        holds lists (in CSV, JSON lists), or each row is an interaction, with the columns ``user_id`` and
        ``item_id``: then all rows of a user are one history, in the order in which users appear.
    items : IdMap
        The ids of the items, which say whether ids in a text file are numbers.
    weighting : HistoryWeighting, optional

    Raises
    ------
    DataError
        If the file cannot be read, has neither form, or has no times that the weighting needs.
    """
    table = read_table(path, text=() if items.kind == "int" else _ITEMS)
    if HISTORY in table.column_names:
        columns = {USER: table[USER]} if USER in table.column_names else {}
        columns[HISTORY] = _lists(path, table[HISTORY])
        if weighting is not None and TIMES in table.column_names:
            columns[TIMES] = _lists(path, table[TIMES], TIMES)
        _check_times(path, columns, weighting)
        return pa.table(columns)
    user, item = _first(table, _USERS), _first(table, _ITEMS)
    if user is None or item is None:
        raise DataError(
            f"{os.fspath(path)}: histories must have a column {HISTORY!r} of lists, or {USER!r} and 'item_id' "
            f"with an interaction in each row, got {table.column_names}"
        )
    rows = {USER: table[user], "item": table[item]}
    time = _first(table, _TIMES) if weighting is not None else None
    if time is not None:
        rows["time"] = pa.array(_seconds(path, table[time], time))
    grouped = pa.table(rows).group_by(USER, use_threads=False)
    lists = grouped.aggregate([(name, "list") for name in rows if name != USER])
    columns = {USER: lists[USER], HISTORY: lists["item_list"]}
    if time is not None:
        columns[TIMES] = lists["time_list"]
    _check_times(path, columns, weighting)
    return pa.table(columns)


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
    weighting = HistoryWeighting.of(options.get("history_weighting"))
    table = read_history_table(path, IdMap(model.item_ids), weighting)
    lists, times = table[HISTORY].to_pylist(), times_in(table, 0, os.fspath(path))
    users = table[USER].to_pylist() if USER in table.column_names else None
    for start in range(0, len(lists), block_rows):
        rows = [[] if row is None else row for row in lists[start : start + block_rows]]
        seconds = None if times is None else times[start : start + block_rows]
        found = model.recommend_for_history(rows, timestamps=seconds, **options)
        places = found.query_ids + start
        if users is None:
            yield replace(found, query_ids=places)
        else:
            own = IdMap([]).as_array([users[place] for place in places.tolist()])
            yield replace(found, query_ids=own, columns=(USER, "item_id"))


def find_any_histories(
    path: str | os.PathLike[str], items: IdMap, copy: str, weighting: HistoryWeighting | None = None
) -> tuple[tuple[HistoryFile, ...], bool]:
    """Return files of histories as workers read them, and whether a copy was made: parquet at ``copy``.

    Raises
    ------
    DataError
        If they are of no form that :func:`read_history_table` reads.
    """
    if is_ready(path):
        files = find_histories(path)
        _check_times(path, columns_of(files), weighting)
        return files, False
    table = read_history_table(path, items, weighting)
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


def _check_times(path: Any, columns: Mapping[str, Any], weighting: HistoryWeighting | None) -> None:
    if weighting is not None and weighting.needs_times and TIMES not in columns:
        raise DataError(
            f"{os.fspath(path)}: must have times for session and age_half_life: a column {TIMES!r} of lists, or "
            "'timestamp' with an interaction in each row"
        )


def _seconds(path: Any, column: pa.ChunkedArray, name: str) -> Any:
    """Return times as seconds, in the unit that their size shows, as those of interactions."""
    try:
        times = time_values(column, name)
    except DataError as error:
        raise DataError(f"{os.fspath(path)}: {error}") from None
    return times * (microseconds(int(times.max())) / 1e6) if len(times) else times.astype(float)


def _lists(path: Any, column: pa.ChunkedArray, name: str = HISTORY) -> pa.ChunkedArray:
    kind, what = column.type, "item ids" if name == HISTORY else "times"
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return column
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        raise DataError(f"{os.fspath(path)}: the column {name!r} must hold lists of {what}, got {kind}")
    rows = []
    for row, text in enumerate(column.to_pylist()):
        try:
            value = json.loads(text or "[]")
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, list):
            raise DataError(
                f'{os.fspath(path)}: {name} must be a JSON list of {what}, as ["i1","i2"], '
                f"got {text[:80]!r} in row {row}"
            )
        rows.append(value)
    try:
        return pa.chunked_array([pa.array(rows)])
    except (pa.ArrowException, OverflowError, TypeError):
        raise DataError(f"{os.fspath(path)}: {name} must hold {what} of one kind") from None
