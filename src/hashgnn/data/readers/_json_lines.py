"""JSON lines: an object with the columns as keys on each line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import pyarrow as pa

from hashgnn.data._columns import names_of_places
from hashgnn.data._id_kinds import MAX_DEPTH, is_too_deep, is_utf_8
from hashgnn.data.readers._lines import check_start, lines_at_feeds
from hashgnn.data.readers._location import Location
from hashgnn.data.readers._source import Source, check_names
from hashgnn.errors import DataError

_N_HEAD = 1000  # lines whose keys are the columns


def open_source(path: Location) -> Source:
    """Look at the first lines; a key that is absent from a line is empty there."""
    check_start(path)
    found: dict[str, None] = {}
    for number, pairs in islice(_rows(path, _Pairs), _N_HEAD):
        names = [name for name, _ in pairs]
        check_names(f"{path}, line {number}", names)
        found.update(dict.fromkeys(names))
        check_names(path.name, found.keys())
    names = list(found)

    def load(columns: Sequence[str]) -> pa.Table:
        lists: dict[str, list[Any]] = {name: [] for name in columns}
        for _, row in _rows(path):
            for name, values in lists.items():
                values.append(row.get(name))
        return pa.table({name: _column(path, name, values) for name, values in lists.items()})

    def line_of(row: int) -> int:
        return _line_of(path, row)

    return Source(path.name, names, load, line_of)


def _line_of(path: Location, row: int) -> int:
    return next(islice(_rows(path), row, None))[0]


class _Pairs(list[Any]):
    """The keys and values of an object, in which a key may come twice."""


def _rows(path: Location, kind: type[Any] = dict) -> Iterator[tuple[int, Any]]:
    hook = None if kind is dict else kind
    for number, line in lines_at_feeds(path):
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        if not line.strip():
            continue
        try:
            row = json.loads(line, object_pairs_hook=hook)
        except UnicodeDecodeError:
            raise DataError(f"{path}, line {number}: must be UTF-8 text") from None
        except (ValueError, RecursionError):
            raise DataError(f"{path}, line {number}: must be one JSON object on one line") from None
        if not isinstance(row, kind):
            raise DataError(f"{path}, line {number}: must be a JSON object, got a {type(row).__name__}")
        yield number, row


def _column(path: Location, name: str, values: list[Any]) -> pa.Array:
    for row, value in enumerate(values):
        if isinstance(value, list) and is_too_deep(value):
            raise DataError(
                f"{path}, line {_line_of(path, row)}: {name} must nest at most {MAX_DEPTH} lists, "
                f"got {str(value)[:80]}"
            )
    try:
        return pa.array(values)
    except OverflowError:  # whole numbers beyond 64 bits; an id may be one
        if not any(isinstance(value, list | dict) for value in values):
            return pa.array([None if value is None else str(value) for value in values])
        return _places(path, name, values)
    except UnicodeEncodeError:
        row = next((row for row, value in enumerate(values) if not is_utf_8(str(value))), 0)
        raise DataError(
            f"{path}, line {_line_of(path, row)}: {name} must be text that UTF-8 can hold, got {values[row]!r:.80}"
        ) from None
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return _places(path, name, values)


def _places(path: Location, name: str, values: list[Any]) -> pa.Array:
    """Return lists of one length as a struct with a column for each place."""
    if all(isinstance(value, list) and len(value) == len(values[0]) for value in values):
        places = [_column(path, name, list(place)) for place in zip(*values, strict=True)]
        return pa.StructArray.from_arrays(places, names_of_places(len(places)))
    kinds = {row: _kind(value) for row, value in enumerate(values) if value is not None}
    first = next(iter(kinds.values()))
    row = next((row for row, kind in kinds.items() if kind != first), 0)
    raise DataError(
        f"{path}, line {_line_of(path, row)}: {name} must be of one kind, "
        f"got {kinds[row]} in a column of {first}"
    ) from None


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "booleans"
    if isinstance(value, int | float):
        return "numbers"
    return "text" if isinstance(value, str) else f"{type(value).__name__}s"
