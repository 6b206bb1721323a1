"""The formats of interaction files, and the reader of each."""

from __future__ import annotations

from pathlib import Path

from hashgnn._checks import check_choice, quote_some
from hashgnn.data.readers import _adjacency, _delimited, _parquet
from hashgnn.data.readers._source import Source
from hashgnn.errors import DataError

_READERS = {
    "parquet": _parquet.open_source,
    "csv": _delimited.open_csv,
    "tsv": _delimited.open_tsv,
    "recbole": _delimited.open_recbole,
    "movielens": _delimited.open_movielens,
    "adjacency": _adjacency.open_source,
}
FORMATS = tuple(_READERS)
_BY_SUFFIX = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".tsv": "tsv",
    ".inter": "recbole",
    ".item": "recbole",
    ".user": "recbole",
    ".dat": "movielens",
    ".data": "movielens",
    ".txt": "adjacency",
}


def open_source(path: Path, format: str | None) -> Source:
    """Inspect the head of a file and return a reader of the rest; ``None`` decides by the suffix.

    Raises
    ------
    DataError
        If the file is missing, empty, or its head is not of the format.
    """
    if format is None:
        format = _BY_SUFFIX.get(path.suffix.lower())
        if format is None:
            raise DataError(
                f"{path}: the format does not follow from the suffix {path.suffix!r}; "
                f"name one of {quote_some(FORMATS, len(FORMATS))} with format="
            )
    check_choice("format", format, FORMATS)
    try:
        size = path.stat().st_size
        if path.is_dir():
            raise DataError(f"{path}: is a folder, not a file")
        if size == 0:
            raise DataError(f"{path}: the file is empty")
        return _READERS[format](path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read, {error.strerror or error}") from None
