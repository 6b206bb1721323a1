"""``PostgresStore``: what users did, kept in PostgreSQL, for several services on several machines."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from hashgnn._addresses import path_of
from hashgnn._checks import check_int
from hashgnn._extras import require
from hashgnn.errors import HashGNNError, ParameterError, StorageError
from hashgnn.serving.store._answers import Receipt, RepeatKey
from hashgnn.serving.store._deletions import Deleted
from hashgnn.serving.store._postgres_address import StoreAddress, UnreachableError
from hashgnn.serving.store._postgres_connections import StoreConnections
from hashgnn.serving.store._postgres_export import PostgresMoment
from hashgnn.serving.store._postgres_schema import TABLES, open_schema
from hashgnn.serving.store._postgres_writer import PostgresWriter, first_answer, start_of
from hashgnn.serving.store._rows import as_id, kind_of
from hashgnn.serving.store._shared_writes import PATIENCE, SharedWrites, remaining
from hashgnn.serving.store.export import Export, export_moment
from hashgnn.serving.store.new_items import NewItems

_MAX_ID = 2048  # bytes of UTF-8; an index takes 2,700 a row
_EXPORT = 60  # a statement of an export may take so many times longer than others
_FRESH = 0.5  # seconds for which a check of the server holds
_REPLACED = "its tables were replaced by those of another store"
_STANDING = """
SELECT (SELECT value FROM {s}.about WHERE name = 'store'), pg_is_in_recovery(),
    bool_and(has_table_privilege(format('{s}.%%I', name), privilege))
FROM unnest(%s::text[]) AS name, unnest('{{SELECT,INSERT,UPDATE,DELETE}}'::text[]) AS privilege
"""


class PostgresStore(SharedWrites):
    """A store in a schema of a PostgreSQL database; see :class:`InteractionStore`.

    Writers of all services take turns by a lock of the server, each for as long as its transaction runs; callers of
    one process share a transaction. A read is one statement, so it sees what was acknowledged before it, by whichever
    service.

    Parameters
    ----------
    connections : StoreConnections
    identity : str
        The id of the store.
    """

    is_remote = True

    def __init__(self, connections: StoreConnections, identity: str) -> None:
        super().__init__()
        self._connections, self._identity = connections, identity
        self._address, self._psycopg = connections.address, connections.psycopg
        self._kinds: dict[str, str] = {}
        self._checking, self._checked = threading.Lock(), 0.0
        self._problem: str | None = None
        self.items = NewItems(self)
        self.reloads = _PostgresReloads(self)

    @classmethod
    def at(cls, url: str, *, make: bool = True) -> PostgresStore:
        """Open the store at an address; see :meth:`InteractionStore.open`."""
        psycopg = require("psycopg", extra="postgres", purpose="a store of interactions in PostgreSQL")
        address = StoreAddress(url)
        address.check_options(psycopg)
        connections = StoreConnections(psycopg, address)
        with (
            address.translated(psycopg),
            closing(connections.connect()) as connection,
            connections.limited(connection, PATIENCE + address.timeout),
        ):
            connection.execute(f"SET lock_timeout = {round(PATIENCE * 1000)}")
            return cls(connections, open_schema(psycopg, connection, address, make=make))

    @property
    def name(self) -> str:
        """Its address, without a password."""
        return str(self._address)

    @property
    def identity(self) -> str:
        """The id of this store; see :attr:`InteractionStore.identity`."""
        return self._identity

    @property
    def count(self) -> int:
        """How many interactions the store holds."""
        return self._state("count")

    @property
    def last(self) -> int:
        """The number of the latest interaction or deletion; see :attr:`InteractionStore.last`."""
        return self._state("last")

    @property
    def last_attribute(self) -> int:
        """The number of the latest value of an attribute ever; 0 where there was none."""
        return self._state("last_attribute")

    @property
    def kinds(self) -> Mapping[str, str]:
        """The types of its ids; see :attr:`InteractionStore.kinds`."""
        if len(self._kinds) < 2:  # what is known does not change
            rows = self._read("SELECT name, value FROM {s}.about WHERE name IN ('users', 'items')")
            self._kinds = dict(rows)
        return dict(self._kinds)

    def problem(self) -> str | None:
        """Return why the store cannot be written now; see :meth:`InteractionStore.problem`.

        The server is looked at twice a second at most; who calls meanwhile gets the last answer.
        """
        if not self._checking.acquire(blocking=False):
            return self._problem
        try:
            if self._failure is None and time.monotonic() - self._checked < _FRESH:
                return self._problem
            self._problem = self._standing() or (None if self._failure is None else self._try_again())
            self._checked = time.monotonic()
            return self._problem
        finally:
            self._checking.release()

    def attributes_since(self, number: int, limit: int) -> list[tuple[int, int | str, str, str]]:
        """Return values above a number; see :meth:`InteractionStore.attributes_since`."""
        query = "SELECT number, item_id, name, value FROM {s}.attributes WHERE number > %s ORDER BY number LIMIT %s"
        return self._attributes(self._read(query, number, limit))

    def attributes_of(self, items: Sequence[int | str]) -> list[tuple[int, int | str, str, str]]:
        """Return the values of some items; see :meth:`InteractionStore.attributes_of`."""
        query = (
            "SELECT number, item_id, name, value FROM {s}.attributes WHERE item_id = ANY(%s) ORDER BY number"
        )
        ids, kind = [as_id("item", item) for item in items], self.kinds.get("items")
        texts = [str(item) for item in ids if kind_of(item) == kind and "\0" not in str(item)]
        return self._attributes(self._read(query, texts)) if texts else []

    def deletions_of(self, users: Sequence[int | str], *, after: int = 0) -> list[Deleted]:
        """Return what was deleted; see :meth:`InteractionStore.deletions_of`."""
        rows = self._of_users(
            "SELECT user_id, item_id FROM {s}.deletions", "number > %s", "number", users, after
        )
        found = []
        for of_user in rows:
            items = [item for (item,) in of_user]
            named = self._ids_of("items", [item for item in items if item is not None])
            found.append(Deleted(None in items, tuple(named)))
        return found

    def has_deletions(self, *, after: int = 0) -> bool:
        """Say whether anything was deleted; see :meth:`InteractionStore.has_deletions`."""
        return bool(self._read("SELECT EXISTS (SELECT FROM {s}.deletions WHERE number > %s)", after)[0][0])

    def histories(self, users: Sequence[int | str]) -> list[list[Any]]:
        """Return the items of users; see :meth:`InteractionStore.histories`."""
        rows = self._of_users("SELECT user_id, item_id FROM {s}.interactions", "true", "number", users)
        return [list(dict.fromkeys(self._ids_of("items", [item for (item,) in row]))) for row in rows]

    def recents(self, users: Sequence[int | str]) -> list[list[tuple[Any, float]]]:
        """Return the items of users with their times; see :meth:`InteractionStore.recents`."""
        query = "SELECT user_id, item_id, time FROM {s}.interactions"
        rows = self._of_users(query, "true", "time, number", users)
        return [
            [
                (item, moment / 1e6)
                for item, (_, moment) in zip(self._ids_of("items", [i for i, _ in row]), row, strict=True)
            ]
            for row in rows
        ]

    def export(self, path: str | Path, *, after: int = 0) -> Export:
        """Write the interactions to a parquet file; see :meth:`InteractionStore.export`."""
        after = check_int("after", after, minimum=0)
        self._check_open()
        with self._address.translated(self._psycopg), closing(self._connections.connect()) as connection:
            connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            rows = connection.execute(f"SELECT name, value FROM {self._address.schema}.about").fetchall()
            limited = partial(self._connections.limited, connection, _EXPORT * self._address.timeout)
            moment = PostgresMoment(connection, self._address.schema, dict(rows), limited)
            return export_moment(moment, path_of(path), after, dict(rows))

    def answered(self, key: RepeatKey) -> Receipt | None:
        """Return the receipt that a key has got before, None where it is new."""
        found: Receipt | None = self._run(lambda reader: first_answer(reader, self._address.schema, key))
        return found

    def items_mark(self) -> tuple[int, int]:
        """Return how far the new items go."""
        last, removals = self._read("SELECT last_item, removals FROM {s}.state")[0]
        return int(last), int(removals)

    def items_after(self, number: int) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
        """Return rows of the new items above a number, and of their users, as one statement finds them."""
        rows = self._read(
            "SELECT number, item_id, features, array(SELECT user_id FROM {s}.item_users AS of_item "
            "WHERE of_item.number = items.number ORDER BY user_id) FROM {s}.items WHERE number > %s ORDER BY number",
            number,
        )
        items = self._ids_of("items", [row[1] for row in rows])
        found = [(row[0], item, row[2]) for row, item in zip(rows, items, strict=True)]
        return found, [(row[0], user) for row in rows for user in self._ids_of("users", row[3])]

    def holds_item(self, item: int | str) -> bool:
        """Say whether an item is a new one."""
        if kind_of(item) != self.kinds.get("items") or "\0" in str(item):
            return False
        return bool(self._read("SELECT EXISTS (SELECT FROM {s}.items WHERE item_id = %s)", str(item))[0][0])

    def count_items(self) -> int:
        """Return how many new items there are."""
        return int(self._read("SELECT count(*) FROM {s}.items")[0][0])

    def close(self) -> None:
        """Close the connections, after the appends that have begun."""
        with self._turn():
            self._closed = True
            self._connections.close()

    def _standing(self) -> str | None:
        """Return why nothing could be written, as far as reading tells it."""
        try:
            identity, is_standby, may_write = self._read(_STANDING, list(TABLES))[0]
        except HashGNNError as error:
            return self._reason(error) or str(error)
        if identity != self._identity:
            return _REPLACED
        if is_standby:
            return "its server takes no writes now"
        return None if may_write else "its user may not write its tables"

    def _reason(self, error: HashGNNError) -> str | None:
        """Return why the server failed, in words for the end of a sentence; None where it did not."""
        cause = error.__cause__
        for one in (error, cause):
            if isinstance(one, UnreachableError):
                return one.reason
        if isinstance(error, StorageError) and isinstance(cause, self._psycopg.Error):
            return self._address.reason_of(self._psycopg, cause)
        return None

    def _state(self, column: str) -> int:
        return int(self._read(f"SELECT {column} FROM {{s}}.state")[0][0])

    def _read(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        statement = query.format(s=self._address.schema)
        found: list[tuple[Any, ...]] = self._run(lambda reader: reader.execute(statement, values).fetchall())
        return found

    def _run(self, work: Callable[[Any], Any]) -> Any:
        self._check_open()
        with self._address.translated(self._psycopg):
            return self._connections.run(work)

    def _of_users(
        self, query: str, condition: str, order: str, users: Sequence[int | str], *values: Any
    ) -> list[list[tuple[Any, ...]]]:
        """Return the rows of each of some users, by one statement; one of another type than the store's has none."""
        ids = [as_id("user", user) for user in users]
        kind = self.kinds.get("users")
        texts = [str(user) for user in ids if kind_of(user) == kind and "\0" not in str(user)]
        by_user: dict[str, list[tuple[Any, ...]]] = {}
        if texts:
            where = f"WHERE user_id = ANY(%s) AND {condition} ORDER BY user_id, {order}"
            for user, *row in self._read(f"{query} {where}", list(dict.fromkeys(texts)), *values):
                by_user.setdefault(user, []).append(tuple(row))
        return [by_user.get(str(user), []) if kind_of(user) == kind else [] for user in ids]

    def _ids_of(self, name: str, texts: Sequence[str]) -> list[Any]:
        """Return ids as they came."""
        if not texts or self.kinds.get(name) != "int":
            return list(texts)
        try:
            return [int(text) for text in texts]
        except ValueError:
            raise StorageError(f"{self.name}: could not be read, {_REPLACED}") from None

    def _attributes(self, rows: Sequence[tuple[Any, ...]]) -> list[tuple[int, int | str, str, str]]:
        items = self._ids_of("items", [row[1] for row in rows])
        return [
            (number, item, name, value) for item, (number, _, name, value) in zip(items, rows, strict=True)
        ]

    @contextmanager
    def _writing(self, deadline: float | None = None) -> Iterator[PostgresWriter]:
        """Yield a writer in a transaction; see :meth:`SharedWrites._writing`."""
        try:
            self._check_open()
            patience = PATIENCE if deadline is None else max(0.0, remaining(deadline) or 0.0)
            start = start_of(self._address.schema, patience, self._address.timeout)
            with (
                self._address.translated(self._psycopg),
                self._connections.transaction(start, patience) as (connection, found),
            ):
                writer = PostgresWriter(connection, self._address.schema, found)
                if writer.identity != self._identity:
                    raise StorageError(f"{self.name}: cannot be written, {_REPLACED}")
                yield writer
                writer.finish()
        except HashGNNError as error:
            self._failure = self._reason(error) or self._failure
            raise
        self._failure = None

    def check_id(self, name: str, value: int | str) -> None:
        """Refuse text that a column with an index cannot hold; see :meth:`SharedWrites.check_id`."""
        if isinstance(value, int):
            return
        if "\0" in value:
            raise ParameterError(f"{name} of a store in PostgreSQL must be without NUL, got {value!r:.80}")
        n_bytes = len(value.encode())
        if n_bytes > _MAX_ID:
            raise ParameterError(
                f"{name} of a store in PostgreSQL must have at most {_MAX_ID} bytes, got {n_bytes}"
            )


class _PostgresReloads:
    """The last request to open other versions, in the tables of a store."""

    def __init__(self, store: PostgresStore) -> None:
        self._store = store

    def last(self) -> tuple[int, str | None]:
        """Return the number and the text of the last request."""
        number, text = self._store._read("SELECT last_reload, reload FROM {s}.state")[0]
        return int(number), text

    def post(self, text: str) -> int:
        """Leave a request for the others, and return its number."""
        with self._store._turn(), self._store._writing() as writer:
            return writer.post_reload(text)
