"""Searches in PostgreSQL: one statement a query, exact or by an HNSW graph."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from hashgnn._types import Array
from hashgnn.codes import code_form
from hashgnn.engines.base import EngineVersion, Limits, Near
from hashgnn.engines.recent import Recent
from hashgnn.errors import ParameterError

_MAX_EF = 1000  # of pgvector
_MANY_RESULTS = 0.1  # share of the items: a graph is walked for fewer only


@dataclass(frozen=True)
class _Rows:
    """The table, the column and the index of a version's rows."""

    table: str
    version: EngineVersion
    column: str
    graph: bool


class PostgresSearch:
    """Writes the statements of searches and runs them.

    An exact search orders by ``(code <~> query) + 0, pos``, which no index of codes answers, so ties are in order.
    A search by graph is an iterative scan that goes on through the ties of the last result, put in order behind
    that. Where it ends with fewer results than it should have, the exact search answers.

    Parameters
    ----------
    psycopg : module
    name : str
        Of the view.
    ef : int
        Codes in view while a graph is walked; at least twice ``k``.
    exact_below : float
        A filter that leaves a smaller share of the items is searched exactly.
    similar_graph : bool
        Whether the codes without bias have a graph too.
    """

    def __init__(self, psycopg: Any, name: str, *, ef: int, exact_below: float, similar_graph: bool) -> None:
        self._psycopg, self._sql = psycopg, import_module("psycopg.sql")
        self._name, self._ef, self._exact_below, self._similar_graph = name, ef, exact_below, similar_graph
        self._tables: dict[str, str] = {}
        self._met: Recent[tuple[str, str], int] = Recent()

    def nearest(
        self,
        connection: Any,
        version: EngineVersion,
        codes: Array,
        k: int,
        limits: Sequence[Limits],
        biased: bool,
    ) -> list[Near] | None:
        """Return the nearest rows of each query; None if the version is no longer there."""
        rows = self._rows(connection, version, biased)
        if rows is None:
            return None
        found = []
        for query, limit in zip(code_form(codes, "bits"), limits, strict=True):
            near = self._one(connection, rows, query, k, limit)
            if not len(near[0]) and not self._is_there(connection, version):
                return None
            found.append(near)
        return found

    def reranked(
        self,
        connection: Any,
        version: EngineVersion,
        codes: Array,
        vectors: Array,
        k: int,
        n_candidates: int,
        limits: Sequence[Limits],
        biased: bool,
    ) -> list[Near] | None:
        """Return the best rows of each query by inner product among candidates; as :meth:`nearest`."""
        rows = self._rows(connection, version, biased)
        if rows is None:
            return None
        found = []
        for query, vector, limit in zip(code_form(codes, "bits"), vectors, limits, strict=True):
            text = "[" + ",".join(f"{value:.9g}" for value in vector.tolist()) + "]"
            near = self._one(connection, rows, query, n_candidates, limit, (text, k))
            if not len(near[0]) and not self._is_there(connection, version):
                return None
            found.append(near)
        return found

    def matching(self, connection: Any, version: EngineVersion, where: str) -> Array | None:
        """Return the positions that meet a condition, ascending; None if the version is no longer there."""
        rows = self._rows(connection, version, False)
        if rows is None:
            return None
        values: dict[str, Any] = {}
        statement = self._sql.SQL("SELECT pos FROM {} WHERE {} ORDER BY pos").format(
            self._sql.Identifier(rows.table), self._conditions(rows, Limits(where=where), values)
        )
        with self._refused(rows, where):
            found = connection.cursor(binary=True).execute(statement, values).fetchall()
        if not found and not self._is_there(connection, version):
            return None
        return np.fromiter((row[0] for row in found), np.int64, len(found))

    def _rows(self, connection: Any, version: EngineVersion, biased: bool) -> _Rows | None:
        table = self._tables.get(version.checksum)
        if table is None:
            query = self._sql.SQL("SELECT rows FROM {} WHERE number = %s").format(self._versions)
            row = connection.execute(query, (version.number,)).fetchone()
            if row is None:
                return None
            table = self._tables[version.checksum] = str(row[0])
        graph = version.index == "hnsw" and (biased or version.top is None or self._similar_graph)
        return _Rows(table, version, "biased" if biased else "code", graph)

    def _one(
        self,
        connection: Any,
        rows: _Rows,
        query: str,
        k: int,
        limit: Limits,
        rerank: tuple[str, int] | None = None,
    ) -> Near:
        n_items = rows.version.n_items
        left = limit.n_left(n_items)
        with self._refused(rows, limit.where):
            if limit.where is not None:
                left = min(left, self._count(connection, rows, limit.where))
            if not left:
                return np.empty(0, np.int64), np.empty(0, np.int64)
            wanted = min(k, left) if rerank is None else min(rerank[1], left)
            if rows.graph and k < _MANY_RESULTS * n_items and left >= self._exact_below * n_items:
                found = self._run(connection, rows, query, k, limit, rerank, graph=True)
                if len(found[0]) >= wanted:
                    return found
            return self._run(connection, rows, query, k, limit, rerank, graph=False)

    @contextmanager
    def _refused(self, rows: _Rows, where: str | None) -> Iterator[None]:
        """Say of a condition that the server does not take."""
        try:
            yield
        except self._psycopg.errors.UndefinedTable:
            raise
        except (self._psycopg.ProgrammingError, self._psycopg.DataError) as error:
            if where is None:
                raise
            names = ", ".join(rows.version.attributes)
            reason = str(error).splitlines()[0]
            raise ParameterError(
                f"where must be a condition in SQL on {names}, got {where!r:.200}; {reason}"
            ) from error

    def _run(
        self,
        connection: Any,
        rows: _Rows,
        query: str,
        k: int,
        limit: Limits,
        rerank: tuple[str, int] | None,
        *,
        graph: bool,
    ) -> Near:
        sql = self._sql.SQL
        width = rows.version.n_bits + (rows.version.n_extra if rows.column == "biased" else 0)
        distance = sql("({} <~> {}::bit({}))").format(
            self._sql.Identifier(rows.column), self._sql.Placeholder("query"), self._sql.Literal(width)
        )
        order = distance if graph else sql("{} + 0, pos").format(distance)
        if graph:
            ef = min(_MAX_EF, max(self._ef, 2 * k))
            connection.execute(sql("SET hnsw.ef_search = {}").format(self._sql.Literal(ef)))
            connection.execute("SET hnsw.iterative_scan = strict_order")
        values: dict[str, Any] = {"query": query, "k": k}
        selected = sql("SELECT pos, {} AS distance{} FROM {} WHERE {} ORDER BY {} {}").format(
            distance,
            sql(", embedding") if rerank is not None else sql(""),
            self._sql.Identifier(rows.table),
            self._conditions(rows, limit, values),
            order,
            sql("FETCH FIRST %(k)s ROWS WITH TIES" if graph else "LIMIT %(k)s"),
        )
        if graph:  # of those as near as the last one, the smallest positions
            selected = sql("SELECT * FROM ({}) AS tied ORDER BY distance, pos LIMIT %(k)s").format(selected)
        if rerank is None:
            ending = sql("SELECT pos, distance::integer FROM near ORDER BY distance, pos")
        else:
            values["vector"], values["best"] = rerank
            ending = sql(
                "SELECT pos, -(embedding <#> %(vector)s::halfvec) AS score FROM near "
                "ORDER BY score DESC, pos LIMIT %(best)s"
            )
        statement = sql("WITH near AS MATERIALIZED ({}) {}").format(selected, ending)
        cursor = connection.cursor(binary=True)
        found = cursor.execute(statement, values).fetchall()
        positions = np.fromiter((row[0] for row in found), np.int64, len(found))
        kind = np.int64 if rerank is None else np.float32
        return positions, np.fromiter((row[1] for row in found), kind, len(found))

    def _conditions(self, rows: _Rows, limit: Limits, values: dict[str, Any]) -> Any:
        """Return the conditions on a row; the version's entry is looked up in the same statement as the rows."""
        sql = self._sql.SQL
        values["number"] = rows.version.number
        parts = [
            sql("since <= %(number)s AND until > %(number)s"),
            sql("EXISTS (SELECT FROM {} WHERE number = %(number)s)").format(self._versions),
        ]
        if limit.allow is not None:
            values["allow"] = limit.allow.astype(np.int32).tolist()
            parts.append(sql("pos = ANY(%(allow)s::integer[])"))
        if limit.block is not None:
            values["block"] = limit.block.astype(np.int32).tolist()
            parts.append(sql("pos <> ALL(%(block)s::integer[])"))
        if limit.where is not None:
            parts.append(sql("({})").format(sql(limit.where.replace("%", "%%"))))
        return sql(" AND ").join(parts)

    def _count(self, connection: Any, rows: _Rows, where: str) -> int:
        """Return how many items of a version meet a condition; counted once."""

        def count() -> int:
            values: dict[str, Any] = {}
            statement = self._sql.SQL("SELECT count(*) FROM {} WHERE {}").format(
                self._sql.Identifier(rows.table), self._conditions(rows, Limits(where=where), values)
            )
            return int(connection.execute(statement, values).fetchone()[0])

        return self._met.get((rows.version.checksum, where), count)

    def _is_there(self, connection: Any, version: EngineVersion) -> bool:
        query = self._sql.SQL("SELECT document FROM {} WHERE number = %s").format(self._versions)
        row = connection.execute(query, (version.number,)).fetchone()
        return row is not None and version.checksum in row[0]

    @property
    def _versions(self) -> Any:
        return self._sql.Identifier(f"{self._name}_versions")
