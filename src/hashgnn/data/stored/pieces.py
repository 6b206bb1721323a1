"""The rows of files in pieces: each piece checked by the rules of any reader, its place known to messages."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from hashgnn._types import Array
from hashgnn.data import _columns
from hashgnn.data.readers import _typing
from hashgnn.data.readers._location import readable
from hashgnn.data.readers._source import Source
from hashgnn.data.readers.formats import common_names, unlike
from hashgnn.errors import DataError, DataWarning


@dataclass(frozen=True)
class Piece:
    """Some rows, checked.

    Attributes
    ----------
    users, items : ids as :func:`hashgnn.data._columns.id_column` returns them
    weights : ndarray of shape (n,), float32, or None
    times : ndarray of shape (n,), int64, or None
        ``None`` also where some are empty and nobody requested them.
    n_untimed : int
        Rows without a time, where nobody requested times.
    events : Arrow array or None
    """

    users: Any
    items: Any
    weights: Array | None
    times: Array | None
    n_untimed: int
    events: Any

    def __len__(self) -> int:
        return len(self.users)


class PiecedSource:
    """The files of a folder, a pattern or a path, read in pieces.

    Parameters
    ----------
    name : str
        What messages call them.
    sources : sequence of Source
        Of one format.
    roles : mapping of str to str or None
        Columns that the caller named, by role.

    Raises
    ------
    DataError
        If a column is missing, or its types in two files cannot be joined.
    """

    def __init__(self, name: str, sources: Sequence[Source], roles: dict[str, str | None]) -> None:
        self.name, self._sources = name, sources
        self.columns = _columns.resolve(common_names(sources), **roles)
        self._wanted = [one for one in dict.fromkeys(self.columns.values()) if one is not None]
        first = sources[0]
        #: Roles whose column is text that numbers may be written in.
        self.as_text = {
            role
            for role, column in self.columns.items()
            if column is not None and (first.as_text or any(column in one.partition for one in sources))
        }
        self._types = self._joined_types()
        self._kinds: dict[str, tuple[bool, str]] = {}
        self._warned = False

    @property
    def decimal_comma(self) -> bool:
        """Whether numbers in text may be written with a comma."""
        return any(one.decimal_comma for one in self._sources)

    def pieces(self, n_rows: int, *, needs_times: bool) -> Iterator[Piece]:
        """Yield all rows in order, about ``n_rows`` at a time.

        Parameters
        ----------
        n_rows : int
        needs_times : bool
            Refuse a row without a time.

        Raises
        ------
        DataError
            If a file is broken, or a value breaks its rule; its file and row are named.
        """
        for source in self._sources:
            done = 0
            for table in self._tables(source, self._wanted, n_rows):
                if table.num_rows:
                    try:
                        yield self._checked(source, table, needs_times=needs_times)
                    except _columns.RowError as error:
                        place = source.place(done + error.row)
                        raise DataError(f"{place}: {error.problem}") from None
                    except DataError as error:
                        message = str(error)
                        raise DataError(
                            message if message.startswith(source.name) else f"{source.name}: {message}"
                        ) from None
                done += table.num_rows

    def newest(self, n_rows: int) -> int | None:
        """Return the latest time of all rows; None where there are no times."""
        column, found = self.columns["timestamp"], None
        if column is None:
            return None
        for source in self._sources:
            done = 0
            for table in self._tables(source, [column], n_rows):
                try:
                    times = self._times(source, table[column], column) if table.num_rows else None
                except _columns.RowError as error:
                    raise DataError(f"{source.place(done + error.row)}: {error.problem}") from None
                if times is not None:
                    found = max(int(times.max()), found or 0)
                done += table.num_rows
        return found

    def _tables(self, source: Source, columns: list[str], n_rows: int) -> Iterator[pa.Table]:
        with readable(source.name):
            for table in source.pieces(columns, n_rows):
                if self._types is not None:
                    fields = [pa.field(name, self._types.field(name).type) for name in columns]
                    table = table.cast(pa.schema(fields))
                yield table

    def _joined_types(self) -> pa.Schema | None:
        """Return the types that hold those of every file, as one table of all would have them."""
        schemas = []
        for source in self._sources:
            if source.schema is None:
                return None
            fields = []
            for name in self._wanted:
                kind = pa.string() if name in source.partition else source.schema.field(name).type
                fields.append(pa.field(name, kind.value_type if pa.types.is_dictionary(kind) else kind))
            schemas.append(pa.schema(fields))
        try:
            return pa.unify_schemas(schemas, promote_options="permissive")
        except pa.ArrowException:
            column = next(
                name for name in self._wanted if len({schema.field(name).type for schema in schemas}) > 1
            )
            kinds = list(dict.fromkeys(str(schema.field(column).type) for schema in schemas))
            raise unlike(self.name, column, kinds) from None

    def _checked(self, source: Source, table: pa.Table, *, needs_times: bool) -> Piece:
        frame = _columns.as_frame(table)
        ids = []
        for role in ("user", "item"):
            column = self.columns[role]
            assert column is not None
            if role in self.as_text and (missing := _typing.first_missing(table[column])) is not None:
                shown = table[column][missing].as_py()
                raise _columns.RowError(missing, f"{column} is empty{f', got {shown!r}' if shown else ''}")
            ids.append(_columns.id_column(frame[column], column))
            self._check_kind(source, role, column, ids[-1])
        weights = times = events = None
        if (column := self.columns["weight"]) is not None:
            weights = self._weights(table, column)
        n_untimed = 0
        if (column := self.columns["timestamp"]) is not None:
            n_untimed = 0 if needs_times else _columns.n_empty(frame[column])
            if not n_untimed:
                times = self._times(source, table[column], column)
        if (column := self.columns.get("event")) is not None:
            events = _columns.text_column(frame[column], column)
        return Piece(ids[0], ids[1], weights, times, n_untimed, events)

    def _check_kind(self, source: Source, role: str, column: str, ids: Any) -> None:
        """Refuse numbers in one file and text in another, where the types of files are not known before."""
        if self._types is not None:
            return
        is_text = isinstance(ids, pa.Array | pa.ChunkedArray)
        known, first = self._kinds.setdefault(role, (is_text, source.name))
        if known != is_text:
            kinds = {True: "text", False: "numbers"}
            raise DataError(
                f"{source.name}: {column} must be of one type in all files, got {kinds[is_text]}, and {kinds[known]} "
                f"in {first}"
            )

    def _weights(self, table: pa.Table, column: str) -> Array:
        if "weight" in self.as_text:
            numbers = _typing.numbers(table[column], self.decimal_comma)
            if isinstance(numbers, int):
                shown = table[column][numbers].as_py()[:40]
                raise _columns.RowError(numbers, f"{column} must be a number, got {shown!r}")
            table = pa.table({column: numbers})
        return _columns.weight_column(_columns.as_frame(table.select([column]))[column], column)

    def _times(self, source: Source, values: pa.ChunkedArray, column: str) -> Array:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found: Any = values
            if "timestamp" in self.as_text:
                found = _typing.times(values, column, self.decimal_comma)
                if isinstance(found, int):
                    shown = values[found].as_py()[:40]
                    raise _columns.RowError(
                        found, f"{column} must be a number or an ISO 8601 time, got {shown!r}"
                    )
            if self._types is None or "timestamp" in self.as_text:
                self._check_times(source, column, found)
            result = _columns.time_values(found, column)
        for one in caught:
            if not self._warned:  # one sentence, not one for each piece
                warnings.warn(f"{source.name}: {one.message}", DataWarning, stacklevel=4)
            self._warned = True
        return result

    def _check_times(self, source: Source, column: str, found: Any) -> None:
        """Refuse text that is numbers in one piece and times in another."""
        is_time = not (pa.types.is_integer(found.type) or pa.types.is_floating(found.type))
        known, first = self._kinds.setdefault("timestamp", (is_time, source.name))
        if known != is_time:
            kinds = {True: "times", False: "numbers"}
            raise DataError(
                f"{source.name}: {column} must be numbers or ISO 8601 times in all files, got {kinds[is_time]}, and "
                f"{kinds[known]} in {first}"
            )
