"""``PostgresEngine``: PostgreSQL with pgvector, codes as bit columns."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Any, ClassVar, Self

import numpy as np

from hashgnn._extras import require
from hashgnn._types import Array
from hashgnn.engines.address import EngineAddress
from hashgnn.engines.base import OPEN_END, Engine, EngineVersion, Limits, Near
from hashgnn.engines.postgres_copy import SQL_TYPES, copied
from hashgnn.engines.postgres_pool import PostgresPool, engine_errors, said
from hashgnn.engines.postgres_search import PostgresSearch
from hashgnn.engines.rows import ItemRows
from hashgnn.errors import ParameterError

_OLDEST = (0, 7)  # bit columns and halfvec
_OLDEST_HNSW = (0, 8)  # iterative scans, without which a filter leaves too few results


class PostgresEngine(Engine):
    """PostgreSQL with the extension pgvector.

    A table ``NAME_rows_N`` has the rows, ``NAME_versions`` an entry for each version, and a view ``NAME`` shows the
    newest one. An export or a sync is one transaction. A search reads its version in one statement.
    """

    name = "PostgreSQL"
    extra = "pgvector"
    indexes = ("exact", "hnsw")
    keeps_floats = True
    dialect = "postgresql"
    options: ClassVar[Mapping[str, str]] = {
        "table": "name of the view; tables have it as prefix",
        "index": "exact or hnsw, at an export",
        "m": "links of a code in an HNSW graph, 2 to 100",
        "ef_construction": "codes in view while a graph is built, 4 to 1000",
        "similar": "hnsw builds a second graph, over codes without bias, for similar items; else exact",
        "indexed": "attributes with an index of their own, as price,category",
        "ef": "codes in view while an HNSW graph is searched, 1 to 1000",
        "exact_below": "a filter that leaves fewer items than this share of them, in percent, is searched exactly",
        "rerank": "here or engine",
        "timeout": "seconds that a search may take",
    }

    def __init__(self, address: EngineAddress, psycopg: Any) -> None:
        super().__init__(address)
        self._table = address.name("table", "hashgnn_items")
        self._m = address.number("m", 16, minimum=2, maximum=100)
        self._ef_construction = address.number("ef_construction", 128, minimum=4, maximum=1000)
        self._similar = address.choice("similar", "exact", ("exact", "hnsw"))
        self._indexed = [name for name in address.options.get("indexed", "").split(",") if name]
        timeout = address.number("timeout", 30, minimum=1, maximum=86400)
        self._psycopg, self._sql = psycopg, import_module("psycopg.sql")
        self._pool = PostgresPool(psycopg, address.without(self.options), timeout)
        self._search = PostgresSearch(
            psycopg,
            self._table,
            ef=address.number("ef", 1000, minimum=1, maximum=1000),
            exact_below=address.number("exact_below", 25, minimum=0, maximum=100) / 100,
            similar_graph=self._similar == "hnsw",
        )

    @classmethod
    def connect(cls, address: EngineAddress) -> Self:
        """Open a connection once, to see that the server answers; see :meth:`Engine.connect`."""
        psycopg = require("psycopg", extra=cls.extra, purpose="PostgreSQL")
        engine = cls(address, psycopg)
        engine.index  # noqa: B018  checked before anything is written
        with engine._pool.connect():
            return engine

    def versions(self) -> list[EngineVersion]:
        """Return the versions that are there; see :meth:`Engine.versions`."""
        rows: list[tuple[int, str]] = self._pool.run(self._documents)
        return [self.read_entry(number, document) for number, document in rows]

    def create(self, version: EngineVersion, rows: Iterator[ItemRows], *, replace: bool) -> float:
        """Write a first version in one transaction; see :meth:`Engine.create`."""
        unknown = [name for name in self._indexed if name not in version.attributes]
        if unknown:
            raise ParameterError(f"indexed must name attributes of the export, got {', '.join(unknown)}")
        with self._writing("the export") as connection:
            self._check_extension(connection, make=True, hnsw=version.index == "hnsw")
            held = self._documents(connection)
            if held and not replace:
                self.refuse("holds an export already, another process has written it")
            name = f"{self._table}_rows_{version.number}"
            table = self._identifier(name)
            connection.execute(self._sql.SQL("CREATE TABLE {} ({})").format(table, self._columns(version)))
            self._copy(connection, name, version, rows)
            began = time.perf_counter()
            self._make_indexes(connection, name, version)
            seconds = time.perf_counter() - began
            self._put(connection, version, name, keep_from=version.number)
            self._show(connection, version, name, fresh=True)
            for old in self._row_tables(connection):
                if old != name:
                    connection.execute(self._sql.SQL("DROP TABLE {}").format(self._identifier(old)))
        return seconds

    def change(self, old: EngineVersion, new: EngineVersion, gone: Array, rows: Iterator[ItemRows]) -> None:
        """Write what changed in one transaction; see :meth:`Engine.change`."""
        with self._writing("the sync") as connection:
            held = self._documents(connection)
            if not held or held[-1][0] != old.number:
                self.refuse("was changed by another process meanwhile; nothing was changed")
            name = self._rows_of(connection, old)
            table = self._identifier(name)
            end = self._sql.SQL("UPDATE {} SET until = %s WHERE until = %s AND pos = ANY(%s)").format(table)
            connection.execute(end, (new.number, OPEN_END, gone.tolist()))
            prune = self._sql.SQL("DELETE FROM {} WHERE until <= %s").format(table)
            connection.execute(prune, (old.number,))
            self._copy(connection, name, new, rows)
            self._put(connection, new, name, keep_from=old.number)
            self._show(connection, new, name, fresh=False)

    def attribute_digests(self, version: EngineVersion) -> Array:
        """Return the digests of a version's attributes; see :meth:`Engine.attribute_digests`."""
        digests = np.zeros(version.n_items, np.int64)

        def read(connection: Any) -> None:
            query = self._sql.SQL("SELECT pos, digest FROM {} WHERE since <= %s AND until > %s").format(
                self._identifier(self._rows_of(connection, version))
            )
            cursor = connection.cursor(binary=True)
            pairs = np.array(cursor.execute(query, (version.number, version.number)).fetchall(), np.int64)
            digests[pairs[:, 0]] = pairs[:, 1]

        with self._errors("reading attributes"):
            self._pool.run(read)
        return digests

    def matching(self, version: EngineVersion, where: str) -> Array:
        """Return the positions that meet a condition; see :meth:`Engine.matching`."""
        found: Array = self._answered(
            version, lambda connection: self._search.matching(connection, version, where)
        )
        return found

    def search(
        self, version: EngineVersion, codes: Array, k: int, limits: Sequence[Limits], *, biased: bool
    ) -> list[Near]:
        """Find the nearest rows, one statement a query; see :meth:`Engine.search`."""
        found: list[Near] = self._answered(
            version, lambda connection: self._search.nearest(connection, version, codes, k, limits, biased)
        )
        return found

    def rerank(
        self,
        version: EngineVersion,
        codes: Array,
        vectors: Array,
        k: int,
        n_candidates: int,
        limits: Sequence[Limits],
        *,
        biased: bool,
    ) -> list[Near]:
        """Find candidates and re-rank them in the same statement; see :meth:`Engine.rerank`."""
        found: list[Near] = self._answered(
            version,
            lambda connection: self._search.reranked(
                connection, version, codes, vectors, k, n_candidates, limits, biased
            ),
        )
        return found

    def close(self) -> None:
        """Close the connections that wait."""
        self._pool.close()

    def _answered(self, version: EngineVersion, work: Any) -> Any:
        try:
            found = self._pool.run(work)
        except self._psycopg.errors.UndefinedTable:
            self.refuse_missing(version)
        except self._psycopg.errors.QueryCanceled as error:
            self.refuse("a search took longer than its timeout", error)
        except self._psycopg.Error as error:
            self.refuse(f"a search failed, {said(error)}", error)
        if found is None:
            self.refuse_missing(version)
        return found

    def _documents(self, connection: Any) -> list[tuple[int, str]]:
        """Return number and document of each version, ascending; empty where there is no table of them."""
        there = connection.execute("SELECT to_regclass(%s)", (f"{self._table}_versions",)).fetchone()[0]
        if there is None:
            return []
        query = self._sql.SQL("SELECT number, document FROM {} ORDER BY number")
        found: list[tuple[int, str]] = connection.execute(
            query.format(self._identifier(f"{self._table}_versions"))
        ).fetchall()
        return found

    def _rows_of(self, connection: Any, version: EngineVersion) -> str:
        query = self._sql.SQL("SELECT rows FROM {} WHERE number = %s")
        table = self._identifier(f"{self._table}_versions")
        found = connection.execute(query.format(table), (version.number,)).fetchone()
        if found is None:
            self.refuse_missing(version)
        return str(found[0])

    def _row_tables(self, connection: Any) -> list[str]:
        prefix = f"{self._table}_rows_"
        query = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace"
        names = [str(row[0]) for row in connection.execute(query).fetchall()]
        return [name for name in names if re.fullmatch(re.escape(prefix) + "[0-9]+", name)]

    @contextmanager
    def _writing(self, doing: str) -> Iterator[Any]:
        """Yield a connection in a transaction that no other export or sync of the same table shares."""
        connection = self._pool.connect()
        try:
            with self._errors(doing), connection.transaction():
                lock = "SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))"
                if not connection.execute(lock, (f"hashgnn {self._table}",)).fetchone()[0]:
                    self.refuse("another export or sync is running; wait for its end")
                yield connection
        finally:
            with suppress(self._psycopg.Error):
                connection.close()

    def _check_extension(self, connection: Any, *, make: bool, hnsw: bool) -> None:
        if make:
            try:
                with connection.transaction():
                    connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
            except self._psycopg.Error as error:
                self.refuse(f"the extension pgvector cannot be made there, {said(error)}", error)
        found = connection.execute("SELECT extversion FROM pg_extension WHERE extname = 'vector'").fetchone()
        version = tuple(int(part) for part in re.findall(r"[0-9]+", found[0])[:2]) if found else (0, 0)
        oldest = _OLDEST_HNSW if hnsw else _OLDEST
        if version < oldest:
            self.refuse(
                f"needs pgvector {'.'.join(map(str, oldest))} or newer, it has {found[0] if found else 'none'}"
            )

    def _columns(self, version: EngineVersion) -> Any:
        columns = ["pos integer NOT NULL", "since integer NOT NULL", "until integer NOT NULL"]
        columns.append(f"code bit({version.n_bits}) NOT NULL")
        if version.top is not None:
            columns.append(f"biased bit({version.n_bits + version.n_extra}) NOT NULL")
        if version.floats == "half":
            columns.append(f"embedding halfvec({version.dim}) NOT NULL")
        if version.attributes:
            columns.append("digest bigint NOT NULL")
        columns.append("item_id text NOT NULL")
        columns += [f'"{name}" {SQL_TYPES[kind]}' for name, kind in version.attributes.items()]
        return self._sql.SQL(", ".join(columns))

    def _copy(self, connection: Any, name: str, version: EngineVersion, rows: Iterator[ItemRows]) -> None:
        statement = self._sql.SQL("COPY {} FROM STDIN (FORMAT binary)").format(self._identifier(name))
        with connection.cursor() as cursor, cursor.copy(statement) as copy:
            for part in copied(rows, version.number, digests=bool(version.attributes)):
                copy.write(part)

    def _make_indexes(self, connection: Any, name: str, version: EngineVersion) -> None:
        """Index a table. Pages keep room, so that the end of a row needs no new entry in an index."""
        table, sql = self._identifier(name), self._sql.SQL
        connection.execute("SET LOCAL maintenance_work_mem = '1GB'")
        connection.execute(sql("ALTER TABLE {} ADD PRIMARY KEY (pos, since)").format(table))
        for column in self._indexed:
            statement = sql("CREATE INDEX ON {} ({})").format(table, self._identifier(column))
            connection.execute(statement)
        graphs = []
        if version.index == "hnsw":
            graphs.append("code" if version.top is None else "biased")
            if self._similar == "hnsw" and version.top is not None:
                graphs.append("code")
        for column in graphs:
            statement = sql(
                "CREATE INDEX ON {} USING hnsw ({} bit_hamming_ops) WITH (m = {}, ef_construction = {})"
            ).format(
                table,
                self._identifier(column),
                self._sql.Literal(self._m),
                self._sql.Literal(self._ef_construction),
            )
            connection.execute(statement)
        connection.execute(sql("ANALYZE {}").format(table))

    def _put(self, connection: Any, version: EngineVersion, name: str, *, keep_from: int) -> None:
        """Write the entry of a version, and take away those that are no longer kept."""
        sql, table = self._sql.SQL, self._identifier(f"{self._table}_versions")
        connection.execute(
            sql(
                "CREATE TABLE IF NOT EXISTS {} (number integer PRIMARY KEY, rows text NOT NULL, "
                "document text NOT NULL, made timestamptz NOT NULL DEFAULT now())"
            ).format(table)
        )
        connection.execute(sql("DELETE FROM {} WHERE number < %s").format(table), (keep_from,))
        statement = sql("INSERT INTO {} (number, rows, document) VALUES (%s, %s, %s)").format(table)
        connection.execute(statement, (version.number, name, version.model_dump_json()))

    def _show(self, connection: Any, version: EngineVersion, name: str, *, fresh: bool) -> None:
        """Let the view show a version."""
        sql, view = self._sql.SQL, self._identifier(self._table)
        if fresh:
            connection.execute(sql("DROP VIEW IF EXISTS {}").format(view))
        columns = ["item_id", "pos", "code"]
        columns += ["biased"] if version.top is not None else []
        columns += ["embedding"] if version.floats == "half" else []
        shown = sql(", ").join(self._identifier(column) for column in [*columns, *version.attributes])
        number = self._sql.Literal(version.number)
        statement = sql("CREATE OR REPLACE VIEW {} AS SELECT {} FROM {} WHERE since <= {} AND until > {}")
        connection.execute(statement.format(view, shown, self._identifier(name), number, number))

    def _identifier(self, name: str) -> Any:
        return self._sql.Identifier(name)

    def _errors(self, doing: str) -> Any:
        return engine_errors(self._psycopg, self.address, doing)
