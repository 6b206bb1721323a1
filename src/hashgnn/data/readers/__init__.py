"""Files of interactions, in the forms that recommender data comes in."""

from __future__ import annotations

from pathlib import Path

from hashgnn._checks import check_choice, quote_some
from hashgnn.data._columns import RowError
from hashgnn.data.ids import IdMap
from hashgnn.data.interactions import Interactions
from hashgnn.data.readers import _adjacency, _delimited, _parquet
from hashgnn.data.readers._source import Source
from hashgnn.errors import DataError, UnknownIdError

_READERS = {
    "parquet": _parquet.read,
    "csv": _delimited.read_csv,
    "tsv": _delimited.read_tsv,
    "recbole": _delimited.read_recbole,
    "movielens": _delimited.read_movielens,
    "adjacency": _adjacency.read,
}
FORMATS = tuple(_READERS)
_BY_SUFFIX = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".tsv": "tsv",
    ".inter": "recbole",
    ".dat": "movielens",
    ".data": "movielens",
    ".txt": "adjacency",
}
# Names that are taken where a column was not named, the first that is present.
_ALIASES = {
    "user": ("user_id", "user", "userId"),
    "item": ("item_id", "item", "itemId", "movieId"),
    "weight": ("weight",),
    "timestamp": ("timestamp", "time"),
}


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
        items on each line, as NGCF and LightGCN write them). ``None`` goes by the suffix.
    user, item, weight, timestamp : str or None, default=None
        Columns. ``None`` takes ``user_id`` or ``user``, ``item_id`` or ``item``, and ``weight`` and
        ``timestamp`` where they are present. A rating is a weight only where you say so.
    user_ids, item_ids : IdMap or None, default=None
        Known ids to align to.
    on_unknown : {"error", "drop"}, default="error"
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
    Ids in a text file are whole numbers where every one is written as such, else text: ``007`` stays
    ``"007"``.
    """
    source = read_source(path, format)
    names = source.table.column_names
    columns = {
        role: _resolve(role, asked, names)
        for role, asked in (("user", user), ("item", item), ("weight", weight), ("timestamp", timestamp))
    }
    for role in ("user", "item"):
        name = columns[role]
        if name is None or name not in names:
            raise DataError(
                f"{path}: column {name or _ALIASES[role][0]!r} is missing, found "
                f"{quote_some(names, 12) or 'none'}; name the column of {role} with {role}="
            )
    try:
        return Interactions.from_frame(
            source.with_whole_numbers(columns["user"], columns["item"]),
            **columns,  # type: ignore[arg-type]
            user_ids=user_ids,
            item_ids=item_ids,
            on_unknown=on_unknown,
        )
    except RowError as error:
        raise DataError(f"{source.place(error.row)}: {error.problem}") from None
    except UnknownIdError:
        raise
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def read_source(path: str | Path, format: str | None = None) -> Source:
    """Read a file into an Arrow table that remembers which line each row came from."""
    path = Path(path)
    if format is None:
        format = _BY_SUFFIX.get(path.suffix.lower())
        if format is None:
            raise DataError(
                f"{path}: the format cannot be told from the suffix {path.suffix!r}; "
                f"name one of {quote_some(FORMATS, len(FORMATS))} with format="
            )
    check_choice("format", format, FORMATS)
    try:
        size = path.stat().st_size
        if path.is_dir():
            raise DataError(f"{path}: is a folder, not a file")
        if size == 0:
            raise DataError(f"{path}: the file is empty")
        source = _READERS[format](path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read, {error.strerror or error}") from None
    if source.table.num_rows == 0:
        raise DataError(f"{path}: the file holds no rows")
    return source


def _resolve(role: str, asked: str | None, names: list[str]) -> str | None:
    if asked is not None:
        return asked
    return next((alias for alias in _ALIASES[role] if alias in names), None)


__all__ = ["FORMATS", "read_interactions", "read_source"]
