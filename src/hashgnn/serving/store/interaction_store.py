"""``InteractionStore``: what users did, kept in one SQLite file."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from hashgnn._addresses import path_of
from hashgnn._checks import check_int
from hashgnn.errors import HashGNNError, ParameterError, StorageError
from hashgnn.serving.store._answers import Receipt, RepeatKey, first_answer, keep_answer
from hashgnn.serving.store._attributes import (
    ATTRIBUTES_OF,
    ATTRIBUTES_SINCE,
    LAST_ATTRIBUTE,
    AttributeRow,
    forget_attributes,
    insert_attributes,
)
from hashgnn.serving.store._database import (
    PATIENCE,
    connect,
    empty_log,
    open_database,
    reason_of,
    transaction,
    translated,
)
from hashgnn.serving.store._deletions import Deleted, delete_rows
from hashgnn.serving.store._health import FilesWatch
from hashgnn.serving.store._rows import Row, about, as_id, as_rows, check_kinds, kind_of
from hashgnn.serving.store.export import Export, export_rows
from hashgnn.serving.store.new_items import NewItems, Work

_CLEARED_AT_ONCE = 10_000
_PROBE_PATIENCE = 0.1  # seconds
_LATE = "was held by other writers until the time of this one was over"


class _Batch:
    """One caller's rows on their way to the disk.

    A batch is in the queue until the transaction that writes it has begun. Until then its caller may give it up,
    and then nobody writes it.
    """

    def __init__(
        self, rows: list[Row], deadline: float | None, key: RepeatKey | None, extra: Mapping[str, Any]
    ) -> None:
        self.rows, self.deadline, self.key, self.extra = rows, deadline, key, extra
        self.attributes: list[AttributeRow] = []
        self.done = False
        self.receipt = Receipt(0, 0)
        self.error: HashGNNError | None = None


class InteractionStore:
    """A list of interactions that survives crashes; open one with :meth:`open`.

    Every method may be called from many threads at once, and several processes may open one file: each sees
    what the others have appended. A store is opened after a fork, not before. Ids are integers or text and
    keep their type; the first append says which, for users and for items.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._writer, self._reader = connect(path), connect(path)
        self._files = FilesWatch(path)
        self._failure: str | None = None  # why the last write failed
        self._reading, self._turns = threading.Lock(), threading.Condition()
        self._queue: list[_Batch] = []
        self._busy = False  # whether a thread has the writing connection
        self._closed = False
        self.items = NewItems(_Access(self))

    @classmethod
    def open(cls, path: str | Path) -> InteractionStore:
        """Open the store at ``path``, or make an empty one.

        The whole file is checked for damage.

        Raises
        ------
        DataError
            If the file is no store, is damaged, or is of a later version.
        StorageError
            If it cannot be made or opened.
        """
        path = path_of(path)
        open_database(path)
        with translated(path):
            return cls(path)

    def __reduce__(self) -> NoReturn:
        raise ParameterError(
            "an InteractionStore cannot be copied or sent to another process; open its path there"
        )

    def append(
        self,
        users: Any,
        items: Any,
        timestamps: Any = None,
        weights: Any = None,
        events: Any = None,
        *,
        seconds: float | None = None,
    ) -> int:
        """Keep some interactions, and return when they are on the disk; as :meth:`write`.

        Returns
        -------
        int
            How many were kept: n.
        """
        return self.write(users, items, timestamps, weights, events, seconds=seconds).accepted

    def write(
        self,
        users: Any,
        items: Any,
        timestamps: Any = None,
        weights: Any = None,
        events: Any = None,
        *,
        seconds: float | None = None,
        key: RepeatKey | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> Receipt:
        """Keep some interactions, and return when they are on the disk.

        Callers that wait at the same time share one write to the disk. All rows of a call are kept, or none.
        A call that ends in an error has kept nothing and will keep nothing, with one exception: where the disk
        failed or the file was moved away in the middle of the commit itself, a restart may find its rows.

        Parameters
        ----------
        users, items : list of n ids
            Integers and text as they are; UUIDs, bytes, dates, times and tuples in their printed form.
        timestamps : list of n numbers, optional
            Seconds since 1970, >= 0; ``None`` is now.
        weights : list of n numbers > 0, optional
        events : list of n str or None, optional
            Types of events, such as ``"view"``. What they weigh is decided by who trains on them.
        seconds : float, optional
            How long to wait for other writers; then the call gives up. ``None`` is 30 seconds for those of
            other processes, and no limit for those of this one.
        key : RepeatKey, optional
            For 24 hours a second call with the same key keeps nothing and gets the receipt of the first.
        extra : mapping, optional
            JSON values to keep in the receipt.

        Raises
        ------
        ParameterError
            If a value breaks its rule, ids are of another type than those of the store, or the key was used
            with other content.
        StorageError
            If they could not be written, as on a full disk.
        """
        rows = as_rows(users, items, timestamps, weights, events)
        if not rows:
            return Receipt(0, self.count, dict(extra or {}))
        batch = _Batch(rows, None if seconds is None else time.monotonic() + seconds, key, dict(extra or {}))
        self._write(batch)
        return batch.receipt

    def write_attributes(self, rows: Iterable[AttributeRow], *, seconds: float | None = None) -> None:
        """Keep new values of items' attributes, and return when they are on the disk; all of them, or none.

        Only the latest value of a column of an item is kept. Callers share writes, as those of :meth:`write`.

        Parameters
        ----------
        rows : iterable of AttributeRow
            Values are JSON text.
        seconds : float, optional
            As for :meth:`write`.

        Raises
        ------
        ParameterError
            If an id is of another type than those of the store.
        StorageError
            If they could not be written.
        """
        batch = _Batch([], None if seconds is None else time.monotonic() + seconds, None, {})
        batch.attributes = [AttributeRow(as_id("item", item), name, value) for item, name, value in rows]
        if batch.attributes:
            self._write(batch)

    def attributes_since(self, number: int, limit: int) -> list[tuple[int, int | str, str, str]]:
        """Return the values with numbers above one, at most ``limit``: number, item, name and JSON text."""
        return [
            (n, item, name, value) for n, item, name, value in self._read(ATTRIBUTES_SINCE, number, limit)
        ]

    def attributes_of(self, items: Sequence[int | str]) -> list[tuple[int, int | str, str, str]]:
        """Return the values of some items, as :meth:`attributes_since` does."""
        return [
            (n, item, name, value)
            for n, item, name, value in self._read(ATTRIBUTES_OF, json.dumps(list(items)))
        ]

    @property
    def last_attribute(self) -> int:
        """The number of the latest value of an attribute ever; 0 where there was none."""
        found = self._read(LAST_ATTRIBUTE)
        return int(found[0][0]) if found else 0

    def _write(self, batch: _Batch) -> None:
        with self._turns:
            self._queue.append(batch)
        with self._turn(batch.deadline, batch):
            # One writes for all who wait; they find their own batch done.
            if not batch.done:
                self._write_waiting(batch)
        if batch.error is not None:
            raise batch.error

    def delete(self, user: int | str, item: int | str | None = None, *, seconds: float | None = None) -> int:
        """Remove what a user did, or did with one item, and return how many interactions there were.

        What was removed is overwritten in the file, and in its log as soon as no reader needs that. The deletion itself is kept, with the id of the user and
        of the item: :meth:`deleted` tells a service what its model must not use any more, and :meth:`export`
        tells the next training. Interactions that come later are kept as usual. To delete what is not there
        is no error.

        Parameters
        ----------
        user : int or str
        item : int or str, optional
            ``None`` is all of the user's.
        seconds : float, optional
            As for :meth:`write`.

        Raises
        ------
        ParameterError
            If an id is of another type than those of the store.
        StorageError
            If it could not be written; nothing was removed.
        """
        named: dict[str, int | str] = {"users": as_id("user", user)}
        if item is not None:
            named["items"] = as_id("item", item)
        deadline = None if seconds is None else time.monotonic() + seconds
        with self._turn(deadline):
            with self._writing(deadline) as writer:
                check_kinds(writer, about(writer), named)
                removed = delete_rows(writer, named["users"], named.get("items"))
            empty_log(self._writer)
        return removed

    def deleted(self, user: int | str, *, after: int = 0) -> Deleted:
        """Return what was deleted of a user's interactions, by deletions with numbers above ``after``."""
        query = "SELECT item FROM deletions INDEXED BY deletions_of_users WHERE user = ? AND number > ?"
        items = [item for (item,) in self._read(query, as_id("user", user), after)]
        return Deleted(None in items, tuple(item for item in items if item is not None))

    def has_deletions(self, *, after: int = 0) -> bool:
        """Say whether anything was deleted by a deletion with a number above ``after``."""
        return bool(self._read("SELECT EXISTS (SELECT 1 FROM deletions WHERE number > ?)", after)[0][0])

    def history(self, user: int | str) -> list[Any]:
        """Return the items of a user, each once, in the order in which they first came."""
        query = "SELECT item FROM interactions INDEXED BY histories WHERE user = ? ORDER BY sequence"
        return list(dict.fromkeys(item for (item,) in self._read(query, as_id("user", user))))

    def recent(self, user: int | str) -> list[tuple[Any, float]]:
        """Return the items of a user with their times in seconds, from the oldest to the newest."""
        query = (
            "SELECT item, time FROM interactions INDEXED BY histories WHERE user = ? ORDER BY time, sequence"
        )
        return [(item, time / 1e6) for item, time in self._read(query, as_id("user", user))]

    @property
    def count(self) -> int:
        """How many interactions the store holds."""
        return int(self._read("SELECT value FROM totals WHERE name = 'count'")[0][0])

    @property
    def kinds(self) -> Mapping[str, str]:
        """``"int"`` or ``"str"`` for ``"users"`` and ``"items"``, as far as the store has seen some."""
        return dict(self._read("SELECT name, value FROM about WHERE name IN ('users', 'items')"))

    def problem(self) -> str | None:
        """Return why the store cannot be written now, in words for the end of a sentence; None if it can.

        After a write has failed, a small one is tried: the store recovers when the disk has room again.
        """
        found = self._files.problem()
        if found is not None or self._failure is None:
            return found
        with self._turns:
            if self._busy:
                return self._failure  # whoever writes now will know better
            self._busy = True
        try:
            with self._writing(time.monotonic() + _PROBE_PATIENCE) as writer:
                writer.execute("INSERT OR REPLACE INTO totals VALUES ('probe', ?)", (time.time_ns(),))
        except HashGNNError:
            pass  # the reason is kept
        finally:
            self._give_turn()
        return self._failure

    @property
    def last(self) -> int:
        """The number of the latest interaction or deletion ever; 0 where there was none."""
        found = self._read("SELECT seq FROM sqlite_sequence WHERE name = 'interactions'")
        return int(found[0][0]) if found else 0

    @property
    def identity(self) -> str:
        """The id of this store in exports and in the models trained on them."""
        return str(self._read("SELECT value FROM about WHERE name = 'store'")[0][0])

    def export(self, path: str | Path, *, after: int = 0) -> Export:
        """Write the interactions to a parquet file, which appears whole or not at all.

        Nothing is removed: once a model that was trained on the file answers, call :meth:`clear` with the
        ``upto`` of the result. Its metadata has the deletions too, which :class:`~hashgnn.data.Deletions`
        reads. Interactions with an empty id, which training refuses, are left out and counted.

        Parameters
        ----------
        path : str or Path
        after : int, default=0
            Leave out interactions and deletions up to this number: what an earlier export wrote.

        Returns
        -------
        Export
            Where it has neither interactions nor deletions, no file was written.

        Raises
        ------
        StorageError
            If the file could not be written; what stood at ``path`` is as it was.
        """
        after = check_int("after", after, minimum=0)
        with translated(self.path):
            connection = connect(self.path)
            try:
                return export_rows(connection, path_of(path), after, about(connection))
            finally:
                connection.close()

    def clear(self, upto: int) -> int:
        """Forget the interactions up to a number, and return how many there were.

        Those that came after an export stay, and so do deletions: an older model may come back. Appends go on
        between the steps of a long removal, and a crash leaves a shorter list.

        Raises
        ------
        ParameterError
            If no interaction with this number was ever appended.
        """
        upto = check_int("upto", upto, minimum=0, maximum=self.last)
        removed = 0
        while True:
            with self._turn(), self._writing() as writer:
                first = writer.execute("SELECT min(sequence) FROM interactions").fetchone()[0]
                end = min(upto, (upto if first is None else first) + _CLEARED_AT_ONCE - 1)
                found = writer.execute("DELETE FROM interactions WHERE sequence <= ?", (end,)).rowcount
                writer.execute("UPDATE totals SET value = value - ? WHERE name = 'count'", (found,))
                writer.execute("UPDATE totals SET value = max(value, ?) WHERE name = 'cleared'", (end,))
            removed += found
            if end == upto:
                return removed

    def close(self) -> None:
        """Close the file, after the appends that have begun."""
        with self._turn(), self._reading, translated(self.path):
            self._closed = True
            self._reader.close()
            self._writer.close()

    def _read(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._reading, translated(self.path):
            self._check_open()
            return self._reader.execute(query, values).fetchall()

    def _check_open(self) -> None:
        if self._closed:
            raise StorageError(f"{self.path}: the store is closed; open it again")

    @contextmanager
    def _turn(self, deadline: float | None = None, batch: _Batch | None = None) -> Iterator[None]:
        """Wait for the writing connection, or until another thread has written a batch.

        At the deadline a batch that nobody has begun to write is given up; else its outcome is near.
        """
        with self._turns:
            self._turns.wait_for(
                lambda: not self._busy or (batch is not None and batch.done), _remaining(deadline)
            )
            if self._busy and batch is not None and batch not in self._queue:
                self._turns.wait_for(lambda: batch.done)
            elif self._busy:
                if batch is not None:
                    self._queue.remove(batch)
                raise self._late()
            mine = batch is None or not batch.done
            self._busy |= mine
        try:
            yield
        finally:
            if mine:
                self._give_turn()

    def _give_turn(self) -> None:
        with self._turns:
            self._busy = False
            self._turns.notify_all()

    @contextmanager
    def _writing(self, deadline: float | None = None) -> Iterator[sqlite3.Connection]:
        """Yield the writing connection in a transaction; whoever has the turn may call it.

        Files that were moved away are noticed before the transaction and again before its end. The first
        failure is kept for :meth:`problem`, until a write succeeds.
        """
        try:
            with translated(self.path):
                self._check_open()
                self._check_files()
                patience = PATIENCE if deadline is None else (_remaining(deadline) or 0.0)
                with transaction(self._writer, patience):
                    yield self._writer
                    self._check_files()
                self._check_files()
        except HashGNNError as error:
            if isinstance(error.__context__, sqlite3.Error):
                self._failure = reason_of(error.__context__)
            raise
        self._failure = None

    def _check_files(self) -> None:
        loss = self._files.loss()
        if loss is not None:
            raise StorageError(f"{self.path}: cannot be written, {loss}")

    def _late(self) -> StorageError:
        return StorageError(f"{self.path}: {_LATE}; nothing was changed")

    def _write_waiting(self, mine: _Batch) -> None:
        """Write all batches that wait when the transaction has begun; if it does not begin, give up this one."""
        batches: list[_Batch] = []
        try:
            with self._writing(mine.deadline) as writer:
                with self._turns:
                    batches, self._queue = self._queue, []
                self._insert_all(writer, batches)
        except HashGNNError as error:
            batches = batches or self._taken(mine)
            for batch in batches:
                batch.error = batch.error or error
        except BaseException:
            batches = batches or self._taken(mine)
            lost = StorageError(f"{self.path}: writing was interrupted; nothing was changed")
            for batch in batches:
                batch.error = batch.error or lost
            raise
        finally:
            with self._turns:
                for batch in batches:
                    batch.done = True

    def _taken(self, batch: _Batch) -> list[_Batch]:
        with self._turns:
            self._queue.remove(batch)
        return [batch]

    def _insert_all(self, writer: sqlite3.Connection, batches: list[_Batch]) -> None:
        """Insert the rows of batches; what is wrong with one of them is the error of its caller alone."""
        kinds = about(writer)
        stored: int = writer.execute("SELECT value FROM totals WHERE name = 'count'").fetchone()[0]
        for batch in batches:
            try:
                if (_remaining(batch.deadline) or 1.0) < 0:
                    raise self._late()
                repeated = None if batch.key is None else first_answer(writer, batch.key)
                if batch.attributes:
                    for kind in {kind_of(row.item): row.item for row in batch.attributes}.values():
                        check_kinds(writer, kinds, {"items": kind})
                elif repeated is None:
                    check_kinds(writer, kinds, {"users": batch.rows[0][0], "items": batch.rows[0][1]})
            except HashGNNError as error:
                batch.error = error
                continue
            if repeated is not None:
                batch.receipt = repeated
                continue
            if batch.attributes:
                insert_attributes(writer, batch.attributes)
                continue
            writer.executemany(
                "INSERT INTO interactions (user, item, time, weight, event) VALUES (?, ?, ?, ?, ?)",
                batch.rows,
            )
            stored += len(batch.rows)
            batch.receipt = Receipt(len(batch.rows), stored, batch.extra)
            if batch.key is not None:
                keep_answer(writer, batch.key, batch.receipt)
        writer.execute("UPDATE totals SET value = ? WHERE name = 'count'", (stored,))

    def __enter__(self) -> InteractionStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"InteractionStore({str(self.path)!r}, {'closed' if self._closed else f'count={self.count}'})"


class _Access:
    """The part of a store that its new items need."""

    def __init__(self, store: InteractionStore) -> None:
        self._store = store

    def reading(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        return self._store._read(query, *values)

    def as_id(self, name: str, value: Any) -> int | str:
        return as_id(name, value)

    def answered(self, key: RepeatKey) -> Receipt | None:
        with self._store._reading, translated(self._store.path):
            self._store._check_open()
            return first_answer(self._store._reader, key)

    def write_once(self, work: Work, seconds: float | None, key: RepeatKey | None) -> Receipt:
        deadline = None if seconds is None else time.monotonic() + seconds
        with self._store._turn(deadline), self._store._writing(deadline) as writer:
            receipt = None if key is None else first_answer(writer, key)
            if receipt is None:
                receipt = Receipt(*work(writer))
                if key is not None:
                    keep_answer(writer, key, receipt)
        return receipt

    def check_kinds(self, writer: sqlite3.Connection, named: Mapping[str, int | str]) -> None:
        check_kinds(writer, about(writer), named)

    def keep_attributes(self, writer: sqlite3.Connection, item: int | str, values: Mapping[str, Any]) -> None:
        insert_attributes(
            writer, [AttributeRow(item, name, json.dumps(value)) for name, value in values.items()]
        )

    def forget_attributes(self, writer: sqlite3.Connection, item: int | str) -> None:
        forget_attributes(writer, item)


def _remaining(deadline: float | None) -> float | None:
    """Return the seconds until a moment of the monotonic clock, None where there is none."""
    return None if deadline is None else deadline - time.monotonic()
