"""``read_interactions``: a file of any known format as ``Interactions``."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from hashgnn._checks import check_choice
from hashgnn.data import _columns
from hashgnn.data.ids import IdMap
from hashgnn.data.interactions import Interactions
from hashgnn.data.readers import _typing
from hashgnn.data.readers._source import Source
from hashgnn.data.readers.formats import open_source
from hashgnn.errors import DataError, UnknownIdError


def read_interactions(
    path: str | Path,
    *,
    format: str | None = None,
    user: str | None = None,
    item: str | None = None,
    weight: str | None = None,
    timestamp: str | None = None,
    user_ids: IdMap | None = None,
    item_ids: IdMap | None = None,
    on_unknown: str = "error",
) -> Interactions:
    """Read interactions from a file.

    Parameters
    ----------
    path : str or Path
    format : str or None, default=None
        ``"parquet"``; ``"csv"``, ``"tsv"`` (with a header); ``"recbole"`` (atomic ``.inter``);
        ``"movielens"`` (``ratings.dat`` with ``::``, ``u.data`` with tabs); ``"adjacency"`` (a user and its
        items on each line, as NGCF and LightGCN write them). ``None`` decides by the suffix.
    user, item, weight, timestamp : str or None, default=None
        Columns; ``None`` as in :meth:`Interactions.from_frame`. Times in text are numbers or ISO 8601.
    user_ids, item_ids : IdMap or None, default=None
        Known ids to align to.
    on_unknown : {"error", "skip"}, default="error"
        See :meth:`Interactions.from_frame`.

    Returns
    -------
    Interactions

    Raises
    ------
    DataError
        If the file is missing, empty, broken, or a line breaks a rule; the line is named.
    UnknownIdError
        If an id is not known and ``on_unknown="error"``.

    Notes
    -----
    Ids in a text file are integers where every one is written as such, else text: ``007`` stays ``"007"``.
    Aligned to known ids that are text, they are text.
    """
    check_choice("on_unknown", on_unknown, ("error", "skip"))
    source = open_source(Path(path), format)
    requested = {"user": user, "item": item, "weight": weight, "timestamp": timestamp}
    try:
        named = _columns.resolve(source.names, **requested)
        table = _load(source, [name for name in dict.fromkeys(named.values()) if name is not None])
        if source.as_text:
            table = _typed(source, table, named, {"user": user_ids, "item": item_ids})
        return Interactions.from_frame(
            table,
            user=named["user"],
            item=named["item"],
            weight=weight,
            timestamp=timestamp,
            user_ids=user_ids,
            item_ids=item_ids,
            on_unknown=on_unknown,
        )
    except _columns.RowError as error:
        raise DataError(f"{source.place(error.row)}: {error.problem}") from None
    except UnknownIdError as error:
        raise UnknownIdError(f"{path}: {error}") from None
    except DataError as error:
        message = str(error)
        raise DataError(message if message.startswith(str(path)) else f"{path}: {message}") from None


def read_table(path: str | Path, *, format: str | None = None) -> pa.Table:
    """Read a file of side features as an Arrow table.

    Columns of a text file are integers or numbers where every entry is written as one, else text; an empty
    field is null.

    Parameters
    ----------
    path : str or Path
    format : str or None, default=None
        As in :func:`read_interactions`.

    Raises
    ------
    DataError
        If the file is missing, empty, broken, or a line has the wrong number of fields.
    """
    source = open_source(Path(path), format)
    table = _load(source, list(source.names))
    if not source.as_text:
        return table
    return pa.table({name: _inferred(table[name]) for name in table.column_names})


def _load(source: Source, columns: list[str]) -> pa.Table:
    try:
        table = source.load(columns)
    except OSError as error:
        raise DataError(f"{source.path}: cannot be read, {error.strerror or error}") from None
    if table.num_rows == 0:
        raise DataError(f"{source.path}: the file holds no rows")
    return table


def _typed(
    source: Source, table: pa.Table, named: dict[str, str | None], known: dict[str, IdMap | None]
) -> pa.Table:
    for role, name in named.items():
        if name is None:
            continue
        column, place = table[name], table.column_names.index(name)
        if role in known:
            ids = known[role]
            found = column if ids is not None and ids.kind != "int" else _typing.whole_numbers(column)
        else:
            found = _typing.times(column) if role == "timestamp" else _typing.numbers(column)
            if isinstance(found, int):
                rule = "a number or an ISO 8601 time" if role == "timestamp" else "a number"
                raise _columns.RowError(found, f"{name} must be {rule}, got {column[found].as_py()[:40]!r}")
        table = table.set_column(place, name, found)
    return table


def _inferred(column: pa.ChunkedArray) -> pa.ChunkedArray:
    filled = pc.if_else(pc.equal(pc.binary_length(column), 0), None, column)
    whole = _typing.whole_numbers(filled)
    if whole is not filled:
        return whole
    found = _typing.numbers(column)
    is_text = isinstance(found, int) or found.null_count == len(found) or _typing.zeros_lead(filled)
    return filled if is_text else found
