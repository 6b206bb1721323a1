"""The SQLite file of a store: how it is created and recognised, and what its errors say."""

from __future__ import annotations

import sqlite3
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hashgnn._files import storage_errors, sync
from hashgnn.errors import DataError, StorageError

_APPLICATION = 0x48474E4E  # HGNN, in the file's header
_FORMAT = 1
_PATIENCE = 30.0  # seconds that a writer waits for the others
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)

# AUTOINCREMENT: a number is never used twice, even after rows were cleared. Ids have no declared type, so
# that 1 and '1' stay what they are.
_SCHEMA = """
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE interactions (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT, user NOT NULL, item NOT NULL, time INTEGER NOT NULL, weight REAL
);
CREATE INDEX histories ON interactions (user, sequence, item);
"""


def open_database(path: Path) -> None:
    """Create the file, or check it if it exists.

    Raises
    ------
    DataError
        If the file is no store, is damaged, or is of a later version.
    StorageError
        If it cannot be made or opened.
    """
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with translated(path):
        connection = connect(path, check=False)
        try:
            if _header(connection) == (0, 0):
                _create(connection, path)
            _check(connection, path)
            _add_events(connection)
            _enter_wal(connection)
        finally:
            connection.close()
    with storage_errors(path):
        sync(path.parent)  # the name of a new file must survive a crash too


def connect(path: Path, *, check: bool = True) -> sqlite3.Connection:
    """Open a connection that may be used from any thread, one at a time."""
    connection = sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
    if check:
        # FULL: a commit returns after the log has reached the disk.
        connection.execute("PRAGMA synchronous=FULL")
    return connection


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Raise an error of SQLite as one sentence."""
    try:
        yield
    except sqlite3.Error as error:
        code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF  # without the detail in the higher bits
        if code in _DAMAGED:
            raise DataError(
                f"{path}: not a readable store of interactions, it is damaged or another file"
            ) from None
        if code in _BUSY:
            reason = f"other processes have held it for {_PATIENCE:.0f} seconds"
        elif code == sqlite3.SQLITE_FULL:
            reason = "the disk is full"
        else:
            reason = str(error)
        raise StorageError(f"{path}: could not be written or read, {reason}; nothing was changed") from error


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Take the write lock, and commit when the block ends well."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _header(connection: sqlite3.Connection) -> tuple[int, int]:
    """Return the application's mark and how many tables there are; (0, 0) for a file that is new."""
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    return int(application), int(connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])


def _create(connection: sqlite3.Connection, path: Path) -> None:
    with transaction(connection):
        if _header(connection) != (0, 0):
            return  # another process was quicker
        for statement in _SCHEMA.split(";"):
            connection.execute(statement)
        connection.execute("INSERT INTO about VALUES ('store', ?)", (uuid.uuid4().hex,))
        connection.execute(f"PRAGMA application_id={_APPLICATION}")
        connection.execute(f"PRAGMA user_version={_FORMAT}")


def _check(connection: sqlite3.Connection, path: Path) -> None:
    if _header(connection)[0] != _APPLICATION:
        raise DataError(f"{path}: is not a store of interactions; choose another file")
    found = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if found != _FORMAT:
        raise DataError(f"{path}: a store of format {found}, this version of hashgnn reads {_FORMAT}")
    problem = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if problem != "ok":
        raise DataError(f"{path}: the store is damaged, {' '.join(problem.split())}; restore a copy of it")


def _add_events(connection: sqlite3.Connection) -> None:
    """Give a store of an earlier version the column of events, which that version passes over."""
    with transaction(connection):
        if "event" not in {row[1] for row in connection.execute("PRAGMA table_info(interactions)")}:
            connection.execute("ALTER TABLE interactions ADD COLUMN event TEXT")


def _enter_wal(connection: sqlite3.Connection) -> None:
    """Switch to the write-ahead log; processes that start together may block each other for a moment."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if (error.sqlite_errorcode & 0xFF) not in _BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
