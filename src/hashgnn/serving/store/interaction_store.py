"""``InteractionStore``: what users did, kept in one SQLite file."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from hashgnn._checks import check_int
from hashgnn.errors import HashGNNError, ParameterError, StorageError
from hashgnn.serving.store._database import connect, open_database, transaction, translated
from hashgnn.serving.store._rows import Row, as_id, as_rows, check_kind, kind_of
from hashgnn.serving.store.export import Export, export_rows

_CLEARED_AT_ONCE = 10_000


class _Batch:
    """One caller's rows on their way to the disk."""

    def __init__(self, rows: list[Row]) -> None:
        self.rows = rows
        self.done = False
        self.error: HashGNNError | None = None


class InteractionStore:
    """An append-only list of interactions that survives crashes; open one with :meth:`open`.

    Every method may be called from many threads at once, and several processes may open one file: each sees
    what the others have appended. A store is opened after a fork, not before. Ids are integers or text and
    keep their type; the first append says which, for users and for items.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._writer, self._reader = connect(path), connect(path)
        self._reading, self._turns = threading.Lock(), threading.Condition()
        self._queue: list[_Batch] = []
        self._busy = False  # whether a thread has the writing connection
        self._closed = False

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
        path = Path(path)
        open_database(path)
        with translated(path):
            return cls(path)

    def __reduce__(self) -> NoReturn:
        raise ParameterError(
            "an InteractionStore cannot be copied or sent to another process; open its path there"
        )

    def append(
        self, users: Any, items: Any, timestamps: Any = None, weights: Any = None, events: Any = None
    ) -> int:
        """Keep some interactions, and return when they are on the disk.

        Callers that wait at the same time share one write to the disk. All rows of a call are kept, or none.
        What a call keeps that ended in an error is open; to call again is safe where interactions have no
        weights, because a pair counts once in training.

        Parameters
        ----------
        users, items : list of n ids, int or str
        timestamps : list of n numbers, optional
            Seconds since 1970, >= 0; ``None`` is now.
        weights : list of n numbers > 0, optional
        events : list of n str or None, optional
            Types of events, such as ``"view"``. What they weigh is decided by who trains on them.

        Returns
        -------
        int
            How many were kept: n.

        Raises
        ------
        ParameterError
            If a value breaks its rule, or ids are of another type than those of the store.
        StorageError
            If they could not be written, as on a full disk.
        """
        rows = as_rows(users, items, timestamps, weights, events)
        if not rows:
            return 0
        batch = _Batch(rows)
        with self._turns:
            self._queue.append(batch)
        with self._turn(batch):
            # One writes for all who wait; they find their own batch done.
            if not batch.done:
                self._write_waiting()
        if batch.error is not None:
            raise batch.error
        return len(rows)

    def history(self, user: int | str) -> list[Any]:
        """Return the items of a user, each once, in the order in which they first came."""
        query = "SELECT item FROM interactions INDEXED BY histories WHERE user = ? ORDER BY sequence"
        return list(dict.fromkeys(item for (item,) in self._read(query, as_id("user", user))))

    @property
    def count(self) -> int:
        """How many interactions the store holds."""
        # Numbers are assigned and cleared in order, without gaps, so the first and last give the count.
        query = (
            "SELECT (SELECT max(sequence) FROM interactions) - (SELECT min(sequence) FROM interactions) + 1"
        )
        return int(self._read(query)[0][0] or 0)

    @property
    def last(self) -> int:
        """The number of the latest interaction ever appended; 0 where there was none."""
        found = self._read("SELECT seq FROM sqlite_sequence WHERE name = 'interactions'")
        return int(found[0][0]) if found else 0

    @property
    def identity(self) -> str:
        """The id of this store in exports and in the models trained on them."""
        return str(self._read("SELECT value FROM about WHERE name = 'store'")[0][0])

    def export(self, path: str | Path, *, after: int = 0) -> Export:
        """Write the interactions to a parquet file, which appears whole or not at all.

        Nothing is removed: once a model that was trained on the file answers, call :meth:`clear` with the
        ``upto`` of the result.

        Parameters
        ----------
        path : str or Path
        after : int, default=0
            Leave out interactions up to this number: what an earlier export wrote.

        Raises
        ------
        DataError
            If there is nothing to export.
        StorageError
            If the file could not be written; what stood at ``path`` is as it was.
        """
        after = check_int("after", after, minimum=0)
        with translated(self.path):
            connection = connect(self.path)
            try:
                about = dict(connection.execute("SELECT name, value FROM about"))
                return export_rows(connection, Path(path), after, about)
            finally:
                connection.close()

    def clear(self, upto: int) -> int:
        """Forget the interactions up to a number, and return how many there were.

        Those that came after an export stay. Appends go on between the steps of a long removal, and a crash
        leaves a shorter list without gaps.

        Raises
        ------
        ParameterError
            If no interaction with this number was ever appended.
        """
        upto = check_int("upto", upto, minimum=0, maximum=self.last)
        removed = 0
        while True:
            with self._turn(), translated(self.path):
                self._check_open()
                with transaction(self._writer):
                    first = self._writer.execute("SELECT min(sequence) FROM interactions").fetchone()[0]
                    end = min(upto, (upto if first is None else first) + _CLEARED_AT_ONCE - 1)
                    found = self._writer.execute("DELETE FROM interactions WHERE sequence <= ?", (end,))
                removed += found.rowcount
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
    def _turn(self, batch: _Batch | None = None) -> Iterator[None]:
        """Wait for the writing connection, or until another thread has written a batch."""
        with self._turns:
            self._turns.wait_for(lambda: not self._busy or (batch is not None and batch.done))
            mine = batch is None or not batch.done
            self._busy |= mine
        try:
            yield
        finally:
            if mine:
                with self._turns:
                    self._busy = False
                    self._turns.notify_all()

    def _write_waiting(self) -> None:
        with self._turns:
            batches, self._queue = self._queue, []
        try:
            with translated(self.path):
                self._check_open()
                with transaction(self._writer):
                    about = dict(self._writer.execute("SELECT name, value FROM about"))
                    for batch in batches:
                        self._insert(batch, about)
        except HashGNNError as error:
            for batch in batches:
                batch.error = batch.error or error
        except BaseException:
            lost = StorageError(f"{self.path}: writing was interrupted; nothing was changed")
            for batch in batches:
                batch.error = batch.error or lost
            raise
        finally:
            for batch in batches:
                batch.done = True

    def _insert(self, batch: _Batch, about: dict[str, str]) -> None:
        first = {"users": batch.rows[0][0], "items": batch.rows[0][1]}
        try:
            for name in sorted(first.keys() & about.keys()):
                check_kind(name, about[name], first[name])
        except ParameterError as error:
            batch.error = error  # of this caller alone
            return
        for name in sorted(first.keys() - about.keys()):
            about[name] = kind_of(first[name])
            self._writer.execute("INSERT INTO about VALUES (?, ?)", (name, about[name]))
        self._writer.executemany(
            "INSERT INTO interactions (user, item, time, weight, event) VALUES (?, ?, ?, ?, ?)", batch.rows
        )

    def __enter__(self) -> InteractionStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"InteractionStore({str(self.path)!r}, {'closed' if self._closed else f'count={self.count}'})"
