"""``SQLiteStore``: what users did, kept in one SQLite file."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hashgnn._addresses import path_of
from hashgnn._checks import check_int
from hashgnn.errors import HashGNNError, StorageError
from hashgnn.serving.store._answers import Receipt, RepeatKey
from hashgnn.serving.store._deletions import Deleted
from hashgnn.serving.store._rows import as_id
from hashgnn.serving.store._shared_writes import PATIENCE, SharedWrites, remaining
from hashgnn.serving.store._sqlite_database import (
    connect,
    empty_log,
    open_database,
    reason_of,
    transaction,
    translated,
)
from hashgnn.serving.store._sqlite_export import SQLiteMoment
from hashgnn.serving.store._sqlite_files import FilesWatch
from hashgnn.serving.store._sqlite_writer import SQLiteWriter, about, first_answer
from hashgnn.serving.store.export import Export, export_moment
from hashgnn.serving.store.new_items import NewItems

_ITEMS_MARK = """
SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'items'), 0),
    (SELECT value FROM totals WHERE name = 'item_removals')
"""
_ATTRIBUTES_SINCE = (
    "SELECT number, item, name, value FROM attributes WHERE number > ? ORDER BY number LIMIT ?"
)

# The ids are a JSON list, so that one query takes any number of them; numbers stay numbers, and text text.
_ATTRIBUTES_OF = """
SELECT number, item, name, value FROM attributes WHERE item IN (SELECT value FROM json_each(?)) ORDER BY number
"""


class SQLiteStore(SharedWrites):
    """A store in one file, for the processes of one machine; see :class:`InteractionStore`.

    What was deleted is overwritten in the file, and in its log as soon as no reader needs that.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self._writer, self._reader = connect(path), connect(path)
        self._files = FilesWatch(path)
        self._reading = threading.Lock()
        self.items = NewItems(self)

    @classmethod
    def at(cls, path: Path) -> SQLiteStore:
        """Open the store at ``path``, or make an empty one; see :meth:`InteractionStore.open`."""
        open_database(path)
        with translated(path):
            return cls(path)

    @property
    def name(self) -> str:
        """Its path."""
        return str(self.path)

    @property
    def identity(self) -> str:
        """The id of this store; see :attr:`InteractionStore.identity`."""
        return str(self._read("SELECT value FROM about WHERE name = 'store'")[0][0])

    @property
    def count(self) -> int:
        """How many interactions the store holds."""
        return int(self._read("SELECT value FROM totals WHERE name = 'count'")[0][0])

    @property
    def last(self) -> int:
        """The number of the latest interaction or deletion; see :attr:`InteractionStore.last`."""
        return self._last_of("interactions")

    @property
    def last_attribute(self) -> int:
        """The number of the latest value of an attribute ever; 0 where there was none."""
        return self._last_of("attributes")

    @property
    def kinds(self) -> Mapping[str, str]:
        """The types of its ids; see :attr:`InteractionStore.kinds`."""
        return dict(self._read("SELECT name, value FROM about WHERE name IN ('users', 'items')"))

    def problem(self) -> str | None:
        """Return why the store cannot be written now; see :meth:`InteractionStore.problem`."""
        found = self._files.problem()
        return found if found is not None or self._failure is None else self._try_again()

    def attributes_since(self, number: int, limit: int) -> list[tuple[int, int | str, str, str]]:
        """Return values above a number; see :meth:`InteractionStore.attributes_since`."""
        return [
            (n, item, name, value) for n, item, name, value in self._read(_ATTRIBUTES_SINCE, number, limit)
        ]

    def attributes_of(self, items: Sequence[int | str]) -> list[tuple[int, int | str, str, str]]:
        """Return the values of some items; see :meth:`InteractionStore.attributes_of`."""
        rows = self._read(_ATTRIBUTES_OF, json.dumps([as_id("item", item) for item in items]))
        return [(n, item, name, value) for n, item, name, value in rows]

    def deletions_of(self, users: Sequence[int | str], *, after: int = 0) -> list[Deleted]:
        """Return what was deleted; see :meth:`InteractionStore.deletions_of`."""
        query = "SELECT item FROM deletions INDEXED BY deletions_of_users WHERE user = ? AND number > ?"
        found = []
        for user in users:
            items = [item for (item,) in self._read(query, as_id("user", user), after)]
            found.append(Deleted(None in items, tuple(item for item in items if item is not None)))
        return found

    def has_deletions(self, *, after: int = 0) -> bool:
        """Say whether anything was deleted; see :meth:`InteractionStore.has_deletions`."""
        return bool(self._read("SELECT EXISTS (SELECT 1 FROM deletions WHERE number > ?)", after)[0][0])

    def histories(self, users: Sequence[int | str]) -> list[list[Any]]:
        """Return the items of users; see :meth:`InteractionStore.histories`."""
        query = "SELECT item FROM interactions INDEXED BY histories WHERE user = ? ORDER BY sequence"
        rows = [self._read(query, as_id("user", user)) for user in users]
        return [list(dict.fromkeys(item for (item,) in of_user)) for of_user in rows]

    def recents(self, users: Sequence[int | str]) -> list[list[tuple[Any, float]]]:
        """Return the items of users with their times; see :meth:`InteractionStore.recents`."""
        query = (
            "SELECT item, time FROM interactions INDEXED BY histories WHERE user = ? ORDER BY time, sequence"
        )
        rows = [self._read(query, as_id("user", user)) for user in users]
        return [[(item, time / 1e6) for item, time in of_user] for of_user in rows]

    def export(self, path: str | Path, *, after: int = 0) -> Export:
        """Write the interactions to a parquet file; see :meth:`InteractionStore.export`."""
        after = check_int("after", after, minimum=0)
        with translated(self.path):
            connection = connect(self.path)
            try:
                connection.execute("BEGIN")  # one moment for all that follows; writers go on
                return export_moment(SQLiteMoment(connection), path_of(path), after, about(connection))
            finally:
                connection.close()

    def answered(self, key: RepeatKey) -> Receipt | None:
        """Return the receipt that a key has got before, None where it is new."""
        with self._reading, translated(self.path):
            self._check_open()
            return first_answer(self._reader, key)

    def items_mark(self) -> tuple[int, int]:
        """Return how far the new items go."""
        last, removals = self._read(_ITEMS_MARK)[0]
        return int(last), int(removals)

    def items_after(self, number: int) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
        """Return rows of the new items above a number, and of their users."""
        return (
            self._read("SELECT number, item, features FROM items WHERE number > ? ORDER BY number", number),
            self._read("SELECT number, user FROM item_users WHERE number > ? ORDER BY number", number),
        )

    def holds_item(self, item: int | str) -> bool:
        """Say whether an item is a new one."""
        return bool(self._read("SELECT EXISTS (SELECT 1 FROM items WHERE item = ?)", item)[0][0])

    def count_items(self) -> int:
        """Return how many new items there are."""
        return int(self._read("SELECT count(*) FROM items")[0][0])

    def close(self) -> None:
        """Close the file, after the appends that have begun."""
        with self._turn(), self._reading, translated(self.path):
            self._closed = True
            self._reader.close()
            self._writer.close()

    def _last_of(self, table: str) -> int:
        """Return the largest number ever of a table whose numbers are never used twice."""
        found = self._read("SELECT seq FROM sqlite_sequence WHERE name = ?", table)
        return int(found[0][0]) if found else 0

    def _read(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._reading, translated(self.path):
            self._check_open()
            return self._reader.execute(query, values).fetchall()

    @contextmanager
    def _writing(self, deadline: float | None = None) -> Iterator[SQLiteWriter]:
        """Yield a writer in a transaction; see :meth:`SharedWrites._writing`.

        Files that were moved away are noticed before the transaction and again before its end.
        """
        try:
            with translated(self.path):
                self._check_open()
                self._check_files()
                patience = PATIENCE if deadline is None else (remaining(deadline) or 0.0)
                with transaction(self._writer, patience):
                    yield SQLiteWriter(self._writer)
                    self._check_files()
                self._check_files()
        except HashGNNError as error:
            if isinstance(error.__context__, sqlite3.Error):
                self._failure = reason_of(error.__context__)
            raise
        self._failure = None

    def _deleted_some(self) -> None:
        empty_log(self._writer)

    def _check_files(self) -> None:
        loss = self._files.loss()
        if loss is not None:
            raise StorageError(f"{self.path}: cannot be written, {loss}")
