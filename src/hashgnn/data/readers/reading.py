"""``read_interactions``: a file of any known format as ``Interactions``."""

from __future__ import annotations

import os
import warnings
from collections.abc import Collection, Mapping
from typing import IO, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from hashgnn._checks import check_choice
from hashgnn._types import Ids
from hashgnn.data import _columns
from hashgnn.data._id_kinds import MISSING_TEXTS
from hashgnn.data.ids import IdMap
from hashgnn.data.interactions import Interactions
from hashgnn.data.readers import _typing
from hashgnn.data.readers._location import readable
from hashgnn.data.readers._source import Source
from hashgnn.data.readers.formats import open_source
from hashgnn.data.stored.folder import is_stored
from hashgnn.data.stored.reading import read_stored
from hashgnn.data.weighting import HalfLife, Moment, Weighting, event_role
from hashgnn.data.weighting import requested as requested_weighting
from hashgnn.errors import DataError, DataWarning, UnknownIdError

Readable: TypeAlias = str | os.PathLike[str] | IO[bytes]


def read_interactions(
    path: Readable,
    *,
    format: str | None = None,
    delimiter: str | None = None,
    decimal: str | None = None,
    max_decompressed: int | None = None,
    user: str | None = None,
    item: str | None = None,
    weight: str | None = None,
    timestamp: str | None = None,
    event_column: str | None = None,
    event_weights: Mapping[str, float] | None = None,
    half_life: HalfLife | None = None,
    reference_time: Moment | None = None,
    weighting: Weighting | None = None,
    user_ids: IdMap | Ids | None = None,
    item_ids: IdMap | Ids | None = None,
    on_unknown: str = "error",
) -> Interactions:
    r"""Read interactions from a file, or from the files of a folder or a pattern.

    Parameters
    ----------
    path : str, Path or binary file object
        A file, compressed or not (gzip, bzip2, xz, Zstandard); a folder; a pattern such as
        ``"events/*.parquet"``; an address such as ``"s3://bucket/events.csv"``. ``~`` is the home folder.
        Folders named ``day=2024-05-01`` give a column ``day``. A folder that
        :func:`~hashgnn.data.prepare_interactions` wrote is mapped; what its columns are and weigh was said then.
    format : str or None, default=None
        ``"parquet"``; ``"csv"``, ``"tsv"`` (with a header); ``"jsonl"`` (a JSON object on each line);
        ``"arrow"`` (Arrow IPC, Feather); ``"recbole"`` (atomic ``.inter``);
        ``"movielens"`` (``ratings.dat`` with ``::``, ``u.data`` with tabs); ``"adjacency"`` (a user and its
        items on each line, as NGCF and LightGCN write them). ``None`` decides by the suffix.
    delimiter : str or None, default=None
        What stands between the fields of CSV. ``None`` takes the one of comma, semicolon, tab and ``|`` that
        splits the header into the most columns.
    decimal : {".", ","} or None, default=None
        What stands before the fraction of a number in CSV and TSV. ``None`` is the point, with ``;`` between
        the fields the comma too.
    max_decompressed : int or None, default=None
        Bytes that each file may become when it is decompressed or decoded. ``None`` is 1 GiB, or 100 times
        the size of the file where that is more.
    user, item, weight, timestamp : str or None, default=None
        Columns; ``None`` as in :meth:`Interactions.from_frame`. Times in text are numbers or ISO 8601.
    event_column, event_weights, half_life, reference_time, weighting
        What types of events and ages weigh; see :meth:`Interactions.from_frame`.
    user_ids, item_ids : IdMap, list of ids or None, default=None
        Known ids to align to; they say of what kind the ids in the file are.
    on_unknown : {"error", "skip", "add"}, default="error"
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

    See Also
    --------
    read_table : A file with all of its columns.
    hashgnn.data.Interactions.from_frame : The same from a data frame.

    Notes
    -----
    Ids in a text file are integers where every one is written as such, else text: ``007`` stays ``"007"``.
    Where most are integers, a warning names the first that is not. Aligned to known ids they are of that kind:
    text, UUIDs, bytes, dates and tuples in their printed form. ``NULL``, ``NaN``, ``NA``, ``None``, ``\N`` and
    what else programs write for a missing value is an empty id.
    """
    check_choice("on_unknown", on_unknown, ("error", "skip", "add"))
    known = [ids if ids is None or isinstance(ids, IdMap) else IdMap(ids) for ids in (user_ids, item_ids)]
    wanted = requested_weighting(event_column, event_weights, half_life, reference_time, weighting)
    if is_stored(path):
        options = (format, delimiter, decimal, max_decompressed, user, item, weight, timestamp)
        weighed = (event_column, event_weights, half_life, reference_time)
        return read_stored(path, options, weighed, weighting, (known[0], known[1]), on_unknown)
    source = open_source(path, format, delimiter, decimal, max_decompressed)
    requested = {"user": user, "item": item, "weight": weight, "timestamp": timestamp}
    requested |= event_role(wanted, event_column, event_weights)
    try:
        named = _columns.resolve(source.names, **requested)
        table = _load(source, [name for name in dict.fromkeys(named.values()) if name is not None])
        if source.as_text or source.partition:
            table = _typed(source, table, named, dict(zip(("user", "item"), known, strict=True)))
        return Interactions.from_frame(
            table,
            user=named["user"],
            item=named["item"],
            weight=weight,
            timestamp=timestamp,
            event_column=named.get("event"),
            event_weights=event_weights,
            half_life=half_life,
            reference_time=reference_time,
            weighting=weighting,
            user_ids=known[0],
            item_ids=known[1],
            on_unknown=on_unknown,
        )
    except _columns.RowError as error:
        raise DataError(f"{source.place(error.row)}: {error.problem}") from None
    except UnknownIdError as error:
        raise UnknownIdError(f"{source.name}: {error}") from None
    except DataError as error:
        message = str(error)
        raise DataError(message if message.startswith(source.name) else f"{source.name}: {message}") from None


def read_table(
    path: Readable,
    *,
    format: str | None = None,
    delimiter: str | None = None,
    decimal: str | None = None,
    max_decompressed: int | None = None,
    text: Collection[str] = (),
) -> pa.Table:
    """Read a file of side features as an Arrow table.

    Columns of a text file are integers or numbers where every entry is written as one, else text. An empty
    field is null; so is ``NULL``, ``NaN`` and the like in a column of numbers.

    Parameters
    ----------
    path : str, Path or binary file object
    format, delimiter, decimal, max_decompressed
        As in :func:`read_interactions`.
    text : collection of str, default=()
        Columns that stay text, such as ids where the interactions have text.

    Raises
    ------
    DataError
        If the file is missing, empty, broken, or a line has the wrong number of fields.
    """
    if is_stored(path):
        raise DataError(
            f"{path}: holds prepared interactions, which are no table; name the files that it was made of"
        )
    source = open_source(path, format, delimiter, decimal, max_decompressed)
    table = _load(source, list(source.names))
    return pa.table(
        {
            name: _inferred(table[name], source.decimal_comma)
            if (source.as_text or name in source.partition) and name not in text
            else table[name]
            for name in table.column_names
        }
    )


def _load(source: Source, columns: list[str]) -> pa.Table:
    with readable(source.name):
        table = source.load(columns)
    if table.num_rows == 0:
        raise DataError(f"{source.name}: the file holds no rows")
    return table


def _typed(
    source: Source, table: pa.Table, named: dict[str, str | None], known: dict[str, IdMap | None]
) -> pa.Table:
    for role, name in named.items():
        if name is None or role == "event" or not (source.as_text or name in source.partition):
            continue
        column, place = table[name], table.column_names.index(name)
        if role in known:
            found = _ids(source, column, name, known[role], f"{role} ids")
        else:
            if role == "timestamp":
                found = _typing.times(column, name, source.decimal_comma)
            else:
                found = _typing.numbers(column, source.decimal_comma)
            if isinstance(found, int):
                rule = "a number or an ISO 8601 time" if role == "timestamp" else "a number"
                raise _columns.RowError(found, f"{name} must be {rule}, got {column[found].as_py()[:40]!r}")
        table = table.set_column(place, name, found)
    return table


def _ids(
    source: Source, column: pa.ChunkedArray, name: str, known: IdMap | None, noun: str
) -> pa.ChunkedArray:
    """Return ids of text as integers where they are of that kind, else as text."""
    is_open = known is None or not len(known)
    if is_open or (known is not None and known.kind == "int"):
        numbers = _typing.whole_numbers(column, source.decimal_comma)
        if numbers is not column:
            return numbers
    ids_like_it = [] if known is None else [text for text in MISSING_TEXTS if text in known]
    missing = _typing.first_missing(column, ids_like_it)
    if missing is not None:
        shown = column[missing].as_py()
        got = f", got {shown!r}" if shown else ""
        raise _columns.RowError(missing, f"{name} is empty{got}")
    if known is not None and known.kind == "int" and (other := _typing.first_other(column)) is not None:
        raise _columns.RowError(other, str(known.refused(column[other], noun, other)))
    row = _typing.first_among_numbers(column) if is_open else None
    if row is not None:
        warnings.warn(
            f"{source.place(row)}: {name} is {column[row].as_py()[:40]!r}, so the whole column is text though "
            "most entries are integers",
            DataWarning,
            stacklevel=4,
        )
    return column


def _inferred(column: pa.ChunkedArray, decimal_comma: bool) -> pa.ChunkedArray:
    filled = pc.if_else(pc.equal(pc.binary_length(column), 0), None, column)
    known = _typing.without_missing(filled)
    whole = _typing.whole_numbers(known, decimal_comma)
    if whole is not known:
        return whole
    found = _typing.numbers(known, decimal_comma)
    is_text = isinstance(found, int) or found.null_count == len(found) or _typing.zeros_lead(known)
    return filled if is_text else found
