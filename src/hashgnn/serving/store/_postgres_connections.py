"""``StoreConnections``: connections to the server of a store, each call with an end."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from hashgnn.engines.postgres_pool import PostgresPool
from hashgnn.errors import EngineError, StorageError, UnknownOutcomeError
from hashgnn.serving.store._postgres_address import StoreAddress, UnreachableError

_PAUSE = 1.0  # seconds in which a server that could not be reached is not tried again
_LOOK = 0.1  # seconds between looks for calls that take too long
_GRACE = 1.0  # seconds that the server has to end a statement itself


class StoreConnections(PostgresPool):
    """Connections for reads, lent one at a time, and one for writes.

    The server ends a statement that takes too long. Where it does not answer at all the connection is cut here.

    Parameters
    ----------
    psycopg : module
    address : StoreAddress
    """

    def __init__(self, psycopg: Any, address: StoreAddress) -> None:
        super().__init__(psycopg, address.plain, address.timeout)
        self.psycopg, self.address = psycopg, address
        self._limits: dict[Any, float] = {}
        self._limiting = threading.Lock()
        self._watching = False
        self._trying, self._refused_until, self._refusal = threading.Lock(), 0.0, ""
        self._writer: Any = None

    def connect(self) -> Any:
        """Open a connection that may write, in autocommit.

        While a server cannot be reached, one thread tries and the others hear so at once.

        Raises
        ------
        StorageError
            If the server cannot be reached, or refuses.
        """
        alone = bool(self._refusal) and self._trying.acquire(blocking=False)
        try:
            if self._refusal and (not alone or time.monotonic() < self._refused_until):
                raise self._unreachable()
            connection = super().connect()
            connection.autocommit = True
            self._refusal = ""
            return connection
        except EngineError as error:
            self._fail(f"cannot be reached, {self.address.said(error.__cause__ or error)}")
            raise self._unreachable() from error.__cause__
        finally:
            if alone:
                self._trying.release()

    def _fail(self, reason: str) -> None:
        """Let nobody try the server for a moment, and then one thread only."""
        self._refusal, self._refused_until = reason, time.monotonic() + _PAUSE

    def _unreachable(self) -> UnreachableError:
        reason = f"its server {self._refusal}"
        return UnreachableError(
            f"{self.address}: could not be written or read, {reason}; nothing was changed", reason
        )

    def _use(self, connection: Any, work: Callable[[Any], Any]) -> Any:
        with self.limited(connection, self.address.timeout + _GRACE):
            return work(connection)

    def _reader(self) -> Any:
        connection = self.connect()
        with self.limited(connection, self.address.timeout + _GRACE):
            connection.execute(
                f"SET default_transaction_read_only = on; SET statement_timeout = {self.address.timeout * 1000}"
            )
        return connection

    @contextmanager
    def limited(self, connection: Any, seconds: float) -> Iterator[None]:
        """Cut a connection that is still in use after some seconds.

        Raises
        ------
        UnreachableError
            If it was cut.
        """
        with self._limiting:
            self._limits[connection] = time.monotonic() + seconds
            if not self._watching:
                self._watching = True
                threading.Thread(target=self._watch, name="store timeouts", daemon=True).start()
        try:
            yield
        except (self.psycopg.OperationalError, self.psycopg.InterfaceError) as error:
            if connection in self._limits:
                raise
            self._fail(f"did not answer within {seconds:g} seconds")
            super().close()  # what waits would be as silent, one call after the other
            raise self._unreachable() from error
        finally:
            with self._limiting:
                self._limits.pop(connection, None)

    def _watch(self) -> None:
        """Cut connections at their limits, while there are any in use; the thread ends when it is idle."""
        idle_since = time.monotonic()
        while True:
            time.sleep(_LOOK)
            with self._limiting:
                now = time.monotonic()
                if self._limits:
                    idle_since = now
                elif now - idle_since > 10 * _LOOK:
                    self._watching = False
                    return
                for connection, limit in list(self._limits.items()):
                    if now > limit:
                        del self._limits[connection]
                        _cut(connection)

    @contextmanager
    def transaction(self, start: str, patience: float) -> Iterator[tuple[Any, list[list[tuple[Any, ...]]]]]:
        """Yield the connection for writes in a transaction, with the rows of each query that ``start`` makes.

        One thread at a time may call it. It commits when the block ends well. If the connection is lost in the
        commit, the server has to say what became of the transaction, whose id is the first row of the last query.

        Raises
        ------
        UnknownOutcomeError
            If the server does not come back in time to say it.
        """
        connection, found = self._started(start, patience)
        number = found[-1][0][0]
        try:
            with self.limited(connection, patience + self.address.timeout + _GRACE):
                yield connection, found
            self._commit(connection, number)
        except BaseException:
            self._roll_back(connection)
            raise

    def _started(self, start: str, patience: float) -> tuple[Any, list[list[tuple[Any, ...]]]]:
        while True:
            kept = self._writer
            connection = self.connect() if kept is None else kept
            try:
                with self.limited(connection, patience + self.address.timeout + _GRACE):
                    if kept is None:
                        _set_up(connection, self.address.timeout)
                        self._writer = connection
                    return connection, _results(connection.execute(start))
            except (self.psycopg.OperationalError, self.psycopg.InterfaceError):
                broken = connection.closed or connection.broken
                self._roll_back(connection)
                if kept is None or not broken:
                    raise
            except BaseException:
                self._roll_back(connection)
                raise

    def _commit(self, connection: Any, number: str) -> None:
        try:
            with self.limited(connection, self.address.timeout + _GRACE):
                connection.execute("COMMIT")
        except (self.psycopg.OperationalError, self.psycopg.InterfaceError, UnreachableError) as error:
            if not (connection.closed or connection.broken):
                raise
            outcome = self._outcome(number)
            if outcome == "aborted":
                raise
            if outcome != "committed":
                raise UnknownOutcomeError(
                    f"{self.address}: its server went away while it kept what was written, and whether it did is "
                    "not known; send the same again with the same key"
                ) from error
            self._roll_back(connection)

    def _outcome(self, number: str) -> str | None:
        """Return what became of a transaction, None if the server does not say so in time."""

        def status(reader: Any) -> str | None:
            found: str | None = reader.execute("SELECT pg_xact_status(%s::xid8)", (number,)).fetchone()[0]
            return found

        until = time.monotonic() + self.address.timeout
        while time.monotonic() < until:
            with suppress(self.psycopg.Error, StorageError):
                found: str | None = self.run(status)
                if found != "in progress":
                    return found
            time.sleep(_LOOK)
        return None

    def _roll_back(self, connection: Any) -> None:
        """End a transaction; a connection that cannot do so is closed, which ends it too."""
        try:
            if connection.closed or connection.broken:
                raise self.psycopg.OperationalError
            with self.limited(connection, _GRACE):
                connection.execute("ROLLBACK")
        except (self.psycopg.Error, UnreachableError):
            self._writer = None
            with suppress(Exception):
                connection.close()

    def close(self) -> None:
        """Close all connections that wait."""
        super().close()
        if self._writer is not None and self._process == os.getpid():
            self._writer.close()
            self._writer = None


def _set_up(connection: Any, timeout: int) -> None:
    """Let the server end what takes too long, and the transaction of a client that says nothing more."""
    connection.execute(
        f"SET statement_timeout = {timeout * 1000}; SET idle_in_transaction_session_timeout = {timeout * 1000}; "
        # An acknowledgement means that the log is on the disk, whatever the default of the server is.
        "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
    )


def _results(cursor: Any) -> list[list[tuple[Any, ...]]]:
    """Return the rows of each query of several statements."""
    found = []
    while True:
        if cursor.description is not None:
            found.append(cursor.fetchall())
        if not cursor.nextset():
            return found


def _cut(connection: Any) -> None:
    """Shut a connection's socket down, so that the thread that waits for it wakes."""
    with suppress(Exception):
        descriptor = os.dup(connection.fileno())
        with socket.socket(fileno=descriptor) as opened:
            opened.shutdown(socket.SHUT_RDWR)
