"""The tables of a store in PostgreSQL: how they are made, recognised and checked."""

from __future__ import annotations

import uuid
from typing import Any

from hashgnn.errors import DataError, ParameterError, StorageError
from hashgnn.serving.store._postgres_address import StoreAddress

_FORMAT = 1
_OLDEST = 13_00_00  # pg_xact_status of xid8

# Ids are text, also where they are integers: 'users' and 'items' in about say what they are. Numbers are given by
# the writer, which has the lock of the store until its transaction has ended. So they ascend in the order of
# commits, and a reader that has heard of all up to one asks for those above it. 'state' has one row: how many
# interactions there are, the last number of each table, the largest number that was cleared, and how often a new item,
# or a user of one, was removed.
_TABLES = """
CREATE TABLE {s}.about (name text PRIMARY KEY, value text NOT NULL);
CREATE TABLE {s}.state (
    one boolean PRIMARY KEY DEFAULT true CHECK (one), count bigint NOT NULL DEFAULT 0,
    last bigint NOT NULL DEFAULT 0, cleared bigint NOT NULL DEFAULT 0, last_item bigint NOT NULL DEFAULT 0,
    removals bigint NOT NULL DEFAULT 0, last_attribute bigint NOT NULL DEFAULT 0,
    last_answer bigint NOT NULL DEFAULT 0, last_reload bigint NOT NULL DEFAULT 0, reload text,
    probe bigint NOT NULL DEFAULT 0
);
CREATE TABLE {s}.interactions (
    number bigint PRIMARY KEY, user_id text COLLATE "C" NOT NULL, item_id text COLLATE "C" NOT NULL,
    time bigint NOT NULL, weight double precision, event text
);
CREATE INDEX histories ON {s}.interactions (user_id, number);
CREATE TABLE {s}.deletions (
    number bigint PRIMARY KEY, user_id text COLLATE "C" NOT NULL, item_id text COLLATE "C", time bigint NOT NULL
);
CREATE INDEX deletions_of_users ON {s}.deletions (user_id, number);
CREATE TABLE {s}.answers (
    number bigint PRIMARY KEY, key text COLLATE "C" NOT NULL UNIQUE, digest bytea NOT NULL, time bigint NOT NULL,
    answer text NOT NULL
);
CREATE INDEX answer_times ON {s}.answers (time);
CREATE TABLE {s}.items (
    number bigint PRIMARY KEY, item_id text COLLATE "C" NOT NULL UNIQUE, features text, time bigint NOT NULL
);
CREATE TABLE {s}.item_users (
    number bigint NOT NULL, user_id text COLLATE "C" NOT NULL, PRIMARY KEY (number, user_id)
);
CREATE INDEX items_of_users ON {s}.item_users (user_id);
CREATE TABLE {s}.attributes (
    number bigint PRIMARY KEY, item_id text COLLATE "C" NOT NULL, name text COLLATE "C" NOT NULL,
    value text NOT NULL, time bigint NOT NULL, UNIQUE (item_id, name)
);
INSERT INTO {s}.state DEFAULT VALUES;
"""
TABLES = ("about", "state", "interactions", "deletions", "answers", "items", "item_users", "attributes")


def open_schema(psycopg: Any, connection: Any, address: StoreAddress, *, make: bool = True) -> str:
    """Make the tables of a store, or check them if they are there; return the identity of the store.

    All of them are made in one transaction, under a lock, so that services which start together make them once.

    Raises
    ------
    DataError
        If the schema holds something else, is without one of the tables, or is of another version.
    StorageError
        If the server is too old or keeps no UTF-8, or its user may not make them.
    """
    _check_server(connection, address)
    about = _about(connection, address)
    if about is None:
        if not make:
            raise ParameterError(f"{address}: there is no store of interactions")
        about = _make(psycopg, connection, address)
    found = about.get("format")
    if found != str(_FORMAT):
        raise DataError(f"{address}: a store of format {found}, this version of hashgnn reads {_FORMAT}")
    missing = [name for name in TABLES if name not in _tables(connection, address.schema)]
    if missing or "store" not in about:
        gone = f"the table {missing[0]}" if missing else "its identity"
        raise DataError(f"{address}: the store is damaged, {gone} is missing; restore a copy of it")
    return about["store"]


def lock_statement(schema: str) -> str:
    """Return the statement that waits until no other writer of a store is left, and holds that to the end."""
    return f"SELECT pg_advisory_xact_lock(hashtextextended('hashgnn store {schema}', 0))"


def _check_server(connection: Any, address: StoreAddress) -> None:
    version = connection.info.server_version
    if version < _OLDEST:
        raise StorageError(
            f"{address}: needs PostgreSQL {_OLDEST // 10000} or newer, its server is {version // 10000}"
        )
    (encoding,) = connection.execute("SHOW server_encoding").fetchone()
    if encoding != "UTF8":
        raise StorageError(
            f"{address}: needs a database that keeps UTF8, this one keeps {encoding}; make another database"
        )


def _tables(connection: Any, schema: str) -> set[str]:
    query = (
        "SELECT relname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace "
        "WHERE nspname = %s AND relkind IN ('r', 'p', 'v', 'm', 'f')"
    )
    return {str(name) for (name,) in connection.execute(query, (schema,)).fetchall()}


def _about(connection: Any, address: StoreAddress) -> dict[str, str] | None:
    """Return what a store says of itself; None where there is nothing yet."""
    found = _tables(connection, address.schema)
    if not found:
        return None
    columns = connection.execute(
        "SELECT array_agg(column_name::text ORDER BY column_name) FROM information_schema.columns "
        "WHERE table_schema = %s AND table_name = 'about'",
        (address.schema,),
    ).fetchone()[0]
    if columns != ["name", "value"]:
        raise DataError(
            f"{address}: the schema {address.schema} is no store of interactions; choose another name with store="
        )
    return dict(connection.execute(f"SELECT name, value FROM {address.schema}.about").fetchall())


def _make(psycopg: Any, connection: Any, address: StoreAddress) -> dict[str, str]:
    schema = address.schema
    with connection.transaction():
        connection.execute(lock_statement(schema))
        about = _about(connection, address)
        if about is not None:
            return about  # another process was quicker
        known = connection.execute("SELECT to_regnamespace(%s)", (schema,)).fetchone()[0]
        try:
            if known is None:
                connection.execute(f"CREATE SCHEMA {schema}")
            connection.execute(_TABLES.format(s=schema))
        except psycopg.errors.InsufficientPrivilege as error:
            raise StorageError(
                f"{address}: its user may not make the tables, {address.said(error)}; grant CREATE, or let "
                "another user open the store once"
            ) from error
        values = {"format": str(_FORMAT), "store": uuid.uuid4().hex}
        connection.cursor().executemany(f"INSERT INTO {schema}.about VALUES (%s, %s)", list(values.items()))
    return values
