"""Connections to PostgreSQL, lent one at a time, and its errors as sentences."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from hashgnn.engines.address import EngineAddress
from hashgnn.errors import EngineError

_SETTINGS = (
    "SET default_transaction_read_only = on",
    "SET plan_cache_mode = force_custom_plan",
    "SET jit = off",
    "SET standard_conforming_strings = on",  # a backslash in a value is a backslash
)


class PostgresPool:
    """Connections that wait for the next search; as many are open as searches ran at once.

    Parameters
    ----------
    psycopg : module
    address : EngineAddress
        Without options of ours.
    timeout : int
        Seconds that a search may take.
    """

    def __init__(self, psycopg: Any, address: EngineAddress, timeout: int) -> None:
        self._psycopg, self._address, self._timeout = psycopg, address, timeout
        self._lock = threading.Lock()
        self._begin()

    def _begin(self) -> None:
        """Start with no connection: a process that was forked must leave those of its parent alone."""
        self._process, self._idle = os.getpid(), list[Any]()
        # A model is not closed, it is let go.
        weakref.finalize(self, _close_all, self._idle, self._process)

    def connect(self) -> Any:
        """Open a connection that may write, in transactions.

        Raises
        ------
        EngineError
            If the server cannot be reached, or refuses.
        """
        wait = {} if "connect_timeout" in self._address.options else {"connect_timeout": 10}
        try:
            return self._psycopg.connect(self._address.url, **wait)
        except self._psycopg.Error as error:
            raise EngineError(f"{self._address}: cannot be reached, {said(error)}") from error

    def run(self, work: Callable[[Any], Any]) -> Any:
        """Return what ``work`` makes of a connection for searches; one that the server has closed is replaced."""
        while True:
            with self._lock:
                if self._process != os.getpid():
                    self._begin()
                kept = self._idle.pop() if self._idle else None
            connection = self._reader() if kept is None else kept
            try:
                result = self._use(connection, work)
            except (self._psycopg.OperationalError, self._psycopg.InterfaceError):
                broken = connection.closed or connection.broken
                connection.close()
                if kept is not None and broken:
                    continue  # the server went away while it waited
                raise
            except BaseException:
                connection.close()
                raise
            with self._lock:
                self._idle.append(connection)
            return result

    def close(self) -> None:
        """Close the connections that wait."""
        with self._lock:
            _close_all(self._idle, self._process)

    def _use(self, connection: Any, work: Callable[[Any], Any]) -> Any:
        return work(connection)

    def _reader(self) -> Any:
        connection = self.connect()
        connection.autocommit = True
        for setting in _SETTINGS:
            connection.execute(setting)
        connection.execute(f"SET statement_timeout = {self._timeout * 1000:d}")
        return connection


def _close_all(connections: list[Any], process: int) -> None:
    while connections and process == os.getpid():
        with suppress(Exception):
            connections.pop().close()


@contextmanager
def engine_errors(psycopg: Any, address: EngineAddress, doing: str) -> Iterator[None]:
    """Turn an error of the server in the block into one sentence."""
    try:
        yield
    except psycopg.errors.DiskFull as error:
        raise EngineError(f"{address}: {doing} failed, the disk is full; nothing was changed") from error
    except psycopg.Error as error:
        raise EngineError(f"{address}: {doing} failed, {said(error)}; nothing was changed") from error


def said(error: BaseException) -> str:
    """Return the first line of an error of the server that says something, without a full stop."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:300].rstrip(".")
