"""``SharedWrites``: callers of one process that wait at the same time share one transaction."""

from __future__ import annotations

import threading
import time
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from hashgnn._checks import check_int
from hashgnn.errors import HashGNNError, StorageError
from hashgnn.serving.store._answers import Receipt, RepeatKey
from hashgnn.serving.store._attributes import AttributeRow
from hashgnn.serving.store._rows import Row, as_id, as_rows, kind_of
from hashgnn.serving.store._writer import Writer
from hashgnn.serving.store.interaction_store import InteractionStore
from hashgnn.serving.store.new_items import Work

PATIENCE = 30.0  # seconds that a writer waits for the others where its caller sets no limit
_CLEARED_AT_ONCE = 10_000
_PROBE_PATIENCE = 0.1  # seconds
_LATE = "was held by other writers until the time of this one was over"


class Batch:
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


class SharedWrites(InteractionStore):
    """The writing half of a store; what it is kept in is the part of :meth:`_writing`."""

    def __init__(self) -> None:
        self._failure: str | None = None  # why the last write failed
        self._turns = threading.Condition()
        self._queue: list[Batch] = []
        self._busy = False  # whether a thread has the writing connection
        self._closed = False

    @abstractmethod
    def _writing(self, deadline: float | None = None) -> AbstractContextManager[Writer]:
        """Yield a writer in a transaction; whoever has the turn may call it. It keeps the first failure."""

    def check_id(self, name: str, value: int | str) -> None:
        """Raise :class:`ParameterError` for an id, or another text, that this kind of store cannot hold."""

    def _deleted_some(self) -> None:
        """Follow a deletion, while it is still this thread's turn."""

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
        """Keep some interactions; see :meth:`InteractionStore.write`."""
        rows = as_rows(users, items, timestamps, weights, events)
        if not rows:
            return Receipt(0, self.count, dict(extra or {}))
        for user, item, _, _, event in rows:
            self.check_id("users", user)
            self.check_id("items", item)
            self.check_id("events", event or "")
        batch = Batch(rows, _deadline(seconds), key, dict(extra or {}))
        self._write(batch)
        return batch.receipt

    def write_attributes(self, rows: Iterable[AttributeRow], *, seconds: float | None = None) -> None:
        """Keep values of attributes; see :meth:`InteractionStore.write_attributes`."""
        batch = Batch([], _deadline(seconds), None, {})
        batch.attributes = [AttributeRow(as_id("item", item), name, value) for item, name, value in rows]
        for row in batch.attributes:
            self.check_id("items", row.item)
        if batch.attributes:
            self._write(batch)

    def delete(self, user: int | str, item: int | str | None = None, *, seconds: float | None = None) -> int:
        """Remove what a user did; see :meth:`InteractionStore.delete`."""
        named: dict[str, int | str] = {"users": as_id("user", user)}
        if item is not None:
            named["items"] = as_id("item", item)
        for name, value in named.items():
            self.check_id(name, value)
        deadline = _deadline(seconds)
        with self._turn(deadline):
            with self._writing(deadline) as writer:
                writer.check_kinds(named)
                removed = writer.delete(named["users"], named.get("items"))
            self._deleted_some()
        return removed

    def clear(self, upto: int) -> int:
        """Forget interactions; see :meth:`InteractionStore.clear`."""
        upto = check_int("upto", upto, minimum=0, maximum=self.last)
        removed = 0
        while True:
            with self._turn(), self._writing() as writer:
                found, end = writer.clear(upto, _CLEARED_AT_ONCE)
            removed += found
            if end == upto:
                return removed

    def write_once(self, work: Work, seconds: float | None, key: RepeatKey | None) -> Receipt:
        """Do work in one transaction, once for each key."""
        deadline = _deadline(seconds)
        with self._turn(deadline), self._writing(deadline) as writer:
            receipt = None if key is None else writer.first_answer(key)
            if receipt is None:
                receipt = Receipt(*work(writer))
                if key is not None:
                    writer.keep_answer(key, receipt)
        return receipt

    def _try_again(self) -> str | None:
        """Try a small write after one has failed; return why the store cannot be written."""
        with self._turns:
            if self._busy:
                return self._failure  # whoever writes now will know better
            self._busy = True
        try:
            with self._writing(time.monotonic() + _PROBE_PATIENCE) as writer:
                writer.probe()
        except HashGNNError:
            pass  # the reason is kept
        finally:
            self._give_turn()
        return self._failure

    def _check_open(self) -> None:
        if self._closed:
            raise StorageError(f"{self.name}: the store is closed; open it again")

    def _write(self, batch: Batch) -> None:
        with self._turns:
            self._queue.append(batch)
        with self._turn(batch.deadline, batch):
            # One writes for all who wait; they find their own batch done.
            if not batch.done:
                self._write_waiting(batch)
        if batch.error is not None:
            raise batch.error

    @contextmanager
    def _turn(self, deadline: float | None = None, batch: Batch | None = None) -> Iterator[None]:
        """Wait for the writing connection, or until another thread has written a batch.

        At the deadline a batch that nobody has begun to write is given up; else its outcome is near.
        """
        with self._turns:
            self._turns.wait_for(
                lambda: not self._busy or (batch is not None and batch.done), remaining(deadline)
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

    def _late(self) -> StorageError:
        return StorageError(f"{self.name}: {_LATE}; nothing was changed")

    def _write_waiting(self, mine: Batch) -> None:
        """Write all batches that wait when the transaction has begun; if it does not begin, give up this one."""
        batches: list[Batch] = []
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
            lost = StorageError(f"{self.name}: writing was interrupted; nothing was changed")
            for batch in batches:
                batch.error = batch.error or lost
            raise
        finally:
            with self._turns:
                for batch in batches:
                    batch.done = True

    def _taken(self, batch: Batch) -> list[Batch]:
        with self._turns:
            self._queue.remove(batch)
        return [batch]

    def _insert_all(self, writer: Writer, batches: list[Batch]) -> None:
        """Insert the rows of batches; what is wrong with one of them is the error of its caller alone."""
        for batch in batches:
            try:
                if (remaining(batch.deadline) or 1.0) < 0:
                    raise self._late()
                repeated = None if batch.key is None else writer.first_answer(batch.key)
                if batch.attributes:
                    for item in {kind_of(row.item): row.item for row in batch.attributes}.values():
                        writer.check_kinds({"items": item})
                elif repeated is None:
                    writer.check_kinds({"users": batch.rows[0][0], "items": batch.rows[0][1]})
            except HashGNNError as error:
                batch.error = error
                continue
            if repeated is not None:
                batch.receipt = repeated
            elif batch.attributes:
                writer.insert_attributes(batch.attributes)
            else:
                writer.insert(batch.rows)
                batch.receipt = Receipt(len(batch.rows), writer.stored, batch.extra)
                if batch.key is not None:
                    writer.keep_answer(batch.key, batch.receipt)

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"count={self.count}"
        return f"{type(self).__name__}({self.name!r}, {state})"


def remaining(deadline: float | None) -> float | None:
    """Return the seconds until a moment of the monotonic clock, None where there is none."""
    return None if deadline is None else deadline - time.monotonic()


def _deadline(seconds: float | None) -> float | None:
    return None if seconds is None else time.monotonic() + seconds
