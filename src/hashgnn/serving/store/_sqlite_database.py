"""The SQLite file of a store: how it is created and recognised, and what its errors say."""

from __future__ import annotations

import sqlite3
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hashgnn._files import storage_errors, sync
from hashgnn.errors import DataError, StorageError

_APPLICATION = 0x48474E4E  # HGNN, in the file's header
_FORMAT = 3
PATIENCE = 30.0  # seconds that opening waits for other processes
_READER_PATIENCE = 2.0  # readers are blocked for moments only
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)

# AUTOINCREMENT: a number is never used twice, even after rows were cleared. Ids have no declared type, so
# that 1 and '1' stay what they are.
_FIRST_TABLES = """
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE interactions (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT, user NOT NULL, item NOT NULL, time INTEGER NOT NULL, weight REAL
);
CREATE INDEX histories ON interactions (user, sequence, item);
"""
# Format 2. A deletion has a number of the same sequence as the interactions; one without an item is of all that
# the user did. 'cleared' is the largest number that was cleared.
_LATER_TABLES = """
CREATE TABLE totals (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE deletions (number INTEGER PRIMARY KEY, user NOT NULL, item, time INTEGER NOT NULL);
CREATE INDEX deletions_of_users ON deletions (user, number, item);
CREATE TABLE answers (
    number INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, digest BLOB NOT NULL,
    time INTEGER NOT NULL, answer TEXT NOT NULL
);
CREATE INDEX answer_times ON answers (time);
INSERT INTO totals SELECT 'count', count(*) FROM interactions;
INSERT INTO totals SELECT 'cleared', coalesce(
    min(sequence) - 1, (SELECT seq FROM sqlite_sequence WHERE name = 'interactions'), 0
) FROM interactions;
"""
# Format 3. A number is never used twice, so a reader that has heard of all items up to one asks for those above it.
# 'item_removals' counts what such a reader cannot see: an item, or a user of an item, that is gone.
_ITEM_TABLES = """
CREATE TABLE items (
    number INTEGER PRIMARY KEY AUTOINCREMENT, item NOT NULL UNIQUE, features TEXT, time INTEGER NOT NULL
);
CREATE TABLE item_users (number INTEGER NOT NULL, user NOT NULL, PRIMARY KEY (number, user)) WITHOUT ROWID;
CREATE INDEX items_of_users ON item_users (user);
INSERT INTO totals VALUES ('item_removals', 0);
"""

# A value that is replaced gets a new number, so whoever has seen all numbers up to one asks for those above.
_ATTRIBUTES = """
CREATE TABLE IF NOT EXISTS attributes (
    number INTEGER PRIMARY KEY AUTOINCREMENT, item NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL,
    time INTEGER NOT NULL, UNIQUE (item, name) ON CONFLICT REPLACE
)
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
            _add_attributes(connection)
            _enter_wal(connection)
        finally:
            connection.close()
    with storage_errors(path):
        sync(path.parent)  # the name of a new file must survive a crash too


def connect(path: Path, *, check: bool = True) -> sqlite3.Connection:
    """Open a connection that may be used from any thread, one at a time.

    With ``check`` the file must be there; without, a missing one is made.
    """
    # A path as a URI: with mode=rw a file that has vanished is an error, and not a new and empty one.
    name = f"{path.absolute().as_uri()}?mode={'rw' if check else 'rwc'}"
    wait = _READER_PATIENCE if check else PATIENCE
    connection = sqlite3.connect(name, timeout=wait, isolation_level=None, check_same_thread=False, uri=True)
    if check:
        # FULL: a commit returns after the log has reached the disk. What is deleted is overwritten.
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA secure_delete=ON")
        connection.execute("SELECT count(*) FROM about").fetchone()  # opens the log too
    return connection


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Raise an error of SQLite as one sentence."""
    try:
        yield
    except sqlite3.Error as error:
        if _code(error) in _DAMAGED:
            raise DataError(
                f"{path}: not a readable store of interactions, it is damaged or another file"
            ) from None
        raise StorageError(
            f"{path}: could not be written or read, {reason_of(error)}; nothing was changed"
        ) from error


def reason_of(error: sqlite3.Error) -> str:
    """Return why SQLite failed, in words for the end of a sentence."""
    code = _code(error)
    if code in _DAMAGED:
        return "its file is damaged"
    if code in _BUSY:
        return "another process holds it"
    return "the disk is full" if code == sqlite3.SQLITE_FULL else str(error)


def _code(error: sqlite3.Error) -> int:
    return (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF  # without the detail in the higher bits


@contextmanager
def transaction(connection: sqlite3.Connection, patience: float = PATIENCE) -> Iterator[None]:
    """Take the write lock, waiting some seconds for it at most, and commit when the block ends well."""
    connection.execute(f"PRAGMA busy_timeout={max(0, round(patience * 1000))}")
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def empty_log(connection: sqlite3.Connection) -> None:
    """Move the log into the database and empty it, where no other process reads it now; else it happens later."""
    with suppress(sqlite3.Error):
        connection.execute("PRAGMA busy_timeout=0")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _header(connection: sqlite3.Connection) -> tuple[int, int]:
    """Return the application's mark and how many tables there are; (0, 0) for a file that is new."""
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    return int(application), int(connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])


def _create(connection: sqlite3.Connection, path: Path) -> None:
    with transaction(connection):
        if _header(connection) != (0, 0):
            return  # another process was quicker
        _execute(connection, _FIRST_TABLES + _LATER_TABLES + _ITEM_TABLES)
        connection.execute("INSERT INTO about VALUES ('store', ?)", (uuid.uuid4().hex,))
        connection.execute(f"PRAGMA application_id={_APPLICATION}")
        connection.execute(f"PRAGMA user_version={_FORMAT}")


def _execute(connection: sqlite3.Connection, statements: str) -> None:
    """Run several statements in the transaction that is open; ``executescript`` would end it."""
    for statement in statements.split(";"):
        connection.execute(statement)


def _check(connection: sqlite3.Connection, path: Path) -> None:
    if _header(connection)[0] != _APPLICATION:
        raise DataError(f"{path}: is not a store of interactions; choose another file")
    found = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if not 1 <= found <= _FORMAT:
        raise DataError(f"{path}: a store of format {found}, this version of hashgnn reads {_FORMAT}")
    problem = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if problem != "ok":
        raise DataError(f"{path}: the store is damaged, {' '.join(problem.split())}; restore a copy of it")
    if found < _FORMAT:
        with transaction(connection):
            found = connection.execute("PRAGMA user_version").fetchone()[0]
            if found < _FORMAT:  # nobody was quicker
                _execute(connection, (_LATER_TABLES if found == 1 else "") + _ITEM_TABLES)
                connection.execute(f"PRAGMA user_version={_FORMAT}")


def _add_events(connection: sqlite3.Connection) -> None:
    """Give a store of an earlier version the column of events, which that version passes over."""
    with transaction(connection):
        if "event" not in {row[1] for row in connection.execute("PRAGMA table_info(interactions)")}:
            connection.execute("ALTER TABLE interactions ADD COLUMN event TEXT")


def _add_attributes(connection: sqlite3.Connection) -> None:
    """Give a store the table of attributes, which earlier versions pass over."""
    with transaction(connection):
        connection.execute(_ATTRIBUTES)


def _enter_wal(connection: sqlite3.Connection) -> None:
    """Switch to the write-ahead log; processes that start together may block each other for a moment."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if (error.sqlite_errorcode & 0xFF) not in _BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
