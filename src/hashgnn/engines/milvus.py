"""``MilvusEngine``: Milvus, codes as binary vectors; by the file of milvus-lite or a server."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from typing import Any, ClassVar, NoReturn, Self
from urllib.parse import unquote, urlsplit

import numpy as np

from hashgnn._extras import require
from hashgnn._types import Array
from hashgnn.batch.reaching import first_line
from hashgnn.engines.address import EngineAddress
from hashgnn.engines.base import OPEN_END, Engine, EngineVersion, Limits, Near
from hashgnn.engines.milvus_marks import MilvusMarks
from hashgnn.engines.recent import Recent
from hashgnn.engines.rows import ItemRows
from hashgnn.engines.ties import listed, nearest, sent_and_kept
from hashgnn.errors import EngineError, ParameterError

_INSERT = 4096  # rows in one call
_LONGEST = 16384  # results of one search, by Milvus
_MANY_RESULTS = 0.1  # share of the items: lists are probed for fewer only
_LARGEST_TEXT = 65535
_ENDED = 1 << 62  # in the key of a row that has an end


class MilvusEngine(Engine):
    """Milvus. A collection for codes and one for codes with their item bias, and one that names our versions.

    Milvus has no transactions. A row says from which version and before which one it is there, and a search names
    its version. A row that ends is written with its end before the old one is deleted. So a reader finds it once
    or twice, and never misses it. The rest of a sync that failed is undone by the next one. Rows of a version that is no longer named are deleted by the sync after that.
    """

    name = "Milvus"
    extra = "milvus"
    dialect = "milvus"
    indexes = ("exact", "ivf")
    options: ClassVar[Mapping[str, str]] = {
        "table": "name of the collections, as prefix",
        "database": "name of the database",
        "secure": "true for TLS",
        "index": "exact (BIN_FLAT) or ivf (BIN_IVF_FLAT, of a server), at an export",
        "lists": "lists of an IVF index, 1 to 65536",
        "probes": "lists that a query reads",
        "exact_below": "a filter that leaves fewer items than this share of them, in percent, is searched exactly",
        "rerank": "here",
        "timeout": "seconds that a call may take",
    }

    def __init__(self, address: EngineAddress, pymilvus: Any) -> None:
        super().__init__(address)
        address.check_options(self.options)
        self._table = address.name("table", "hashgnn_items")
        self._lists = address.number("lists", 0, minimum=0, maximum=65536)
        self._probes = address.number("probes", 0, minimum=0, maximum=65536)
        self._exact_below = address.number("exact_below", 25, minimum=0, maximum=100) / 100
        self._timeout = address.number("timeout", 60, minimum=1, maximum=86400)
        self._pymilvus, self._error = pymilvus, pymilvus.MilvusException
        self.index  # noqa: B018  checked before anything is opened
        logging.getLogger("pymilvus").setLevel(logging.CRITICAL)  # what it logs it raises as well
        try:
            self._client = pymilvus.MilvusClient(**self._connection())
        except (self._error, OSError) as error:
            raise EngineError(f"{address}: cannot be reached, {_said(error)}") from error
        self._marks = MilvusMarks(self, self._client, pymilvus, f"{self._table}_versions", self._timeout)
        self._seen: set[str] = set()
        self._met: Recent[tuple[str, str], int] = Recent()

    @classmethod
    def connect(cls, address: EngineAddress) -> Self:
        """Open a connection; see :meth:`Engine.connect`."""
        return cls(address, require("pymilvus", extra=cls.extra, purpose="Milvus"))

    def versions(self) -> list[EngineVersion]:
        """Return the versions that are there; see :meth:`Engine.versions`."""
        with self._errors("reading versions"):
            return [version for version, _ in self._marks.read()]

    def create(self, version: EngineVersion, rows: Iterator[ItemRows], *, replace: bool) -> float:
        """Write a first version; see :meth:`Engine.create`."""
        with self._errors("the export"):
            held = self._marks.read()
            if held and not replace:
                self.refuse("holds an export already, another process has written it")
            prefix = f"{self._table}_r{version.number}"
            columns = _columns(version)
            for column in columns:
                self._make(f"{prefix}_{column}", _width(version, column))
            self._insert(prefix, columns, version, rows)
            began = time.perf_counter()
            for column in columns:
                self._make_index(f"{prefix}_{column}", version, column)
            seconds = time.perf_counter() - began
            self._marks.write(version, prefix, keep_from=version.number)
            for name in self._client.list_collections():
                ours = name.startswith(f"{self._table}_r") and not name.startswith(f"{prefix}_")
                if ours and name.removeprefix(f"{self._table}_r").partition("_")[0].isdigit():
                    self._client.drop_collection(name)
        return seconds

    def change(self, old: EngineVersion, new: EngineVersion, gone: Array, rows: Iterator[ItemRows]) -> None:
        """Write what changed; see :meth:`Engine.change`."""
        with self._errors("the sync"):
            held = self._marks.read()
            if not held or held[-1][0].number != old.number:
                self.refuse("was changed by another process meanwhile; nothing was changed")
            prefix = held[-1][1]
            columns = _columns(old)
            oldest = held[0][0].number
            for column in columns:
                name = f"{prefix}_{column}"
                self._undo(name, old.number)
                # Readers of versions that are no longer named may still be at work on the rows of the last one.
                self._client.delete(name, filter=f"until <= {oldest}", timeout=self._timeout)
            self._insert(prefix, columns, new, rows)
            for column in columns:
                for start in range(0, len(gone), _INSERT):
                    positions = ",".join(map(str, gone[start : start + _INSERT].tolist()))
                    chosen = f"until == {OPEN_END} and since <= {old.number} and pos in [{positions}]"
                    self._move(f"{prefix}_{column}", chosen, new.number)
            self._marks.write(new, prefix, keep_from=old.number)

    def attribute_digests(self, version: EngineVersion) -> Array:
        """Return the digests of a version's attributes; see :meth:`Engine.attribute_digests`."""
        digests = np.zeros(version.n_items, np.int64)
        prefix = self._prefix(version)
        with self._errors("reading attributes"):
            for start in range(0, version.n_items, _INSERT):
                part = f"{_there(version)} and pos >= {start} and pos < {start + _INSERT}"
                found = self._query(f"{prefix}_code", part, ["pos", "digest"])
                for row in found:
                    digests[row["pos"]] = row["digest"]
        return digests

    def matching(self, version: EngineVersion, where: str) -> Array:
        """Return the positions that meet a condition; see :meth:`Engine.matching`."""
        self.check_process()
        name, found = f"{self._prefix(version)}_code", list[int]()
        for start in range(0, version.n_items, _INSERT):
            part = f"{_there(version)} and pos >= {start} and pos < {start + _INSERT} and ({where})"
            try:
                found += [row["pos"] for row in self._query(name, part, ["pos"])]
            except self._error as error:
                self._search_failed(version, where, error)
        return np.unique(np.array(found, np.int64))

    def search(
        self, version: EngineVersion, codes: Array, k: int, limits: Sequence[Limits], *, biased: bool
    ) -> list[Near]:
        """Find the nearest rows, query by query; see :meth:`Engine.search`."""
        self.check_process()
        column = "biased" if biased else "code"
        name = f"{self._prefix(version)}_{column}"
        found = [
            self._one(name, column, version, code.tobytes(), k, limit)
            for code, limit in zip(codes, limits, strict=True)
        ]
        with self._errors("a search"):
            if not self._marks.holds(version):  # looked up behind the searches: its rows were whole till then
                self.refuse_missing(version)
        self._seen.add(version.checksum)
        return found

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _one(
        self, name: str, column: str, version: EngineVersion, code: bytes, k: int, limits: Limits
    ) -> Near:
        n_items = version.n_items
        left = limits.n_left(n_items)
        if limits.where is not None:
            left = min(left, self._count(name, version, limits.where))
        if not left:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        sent, keep = sent_and_kept(limits, n_items)
        parts = [_there(version), listed(sent, "[]"), f"({limits.where})" if limits.where else ""]
        condition = " and ".join(part for part in parts if part)
        n_rows = 2 * (left if keep is None else n_items)
        in_lists = version.index == "ivf" and column == _columns(version)[-1]
        n_lists = self._n_lists(version)

        def fetch(probes: int) -> Callable[[int], Near]:
            return lambda limit: self._fetch(name, version, code, condition, limit, probes, limits.where)

        if in_lists and k < _MANY_RESULTS * n_items and left >= self._exact_below * n_items:
            near = nearest(fetch(self._probes or max(1, n_lists // 4)), k, n_rows, keep)
            if len(near[0]) >= min(k, left):
                return near
        return nearest(fetch(n_lists if in_lists else 0), k, n_rows, keep)

    def _fetch(
        self,
        name: str,
        version: EngineVersion,
        code: bytes,
        condition: str,
        limit: int,
        probes: int,
        where: str | None,
    ) -> Near:
        parts = [condition]
        if limit > _LONGEST:  # all rows, so many positions at a time
            step = _LONGEST // 2  # a row may be there twice
            starts = range(0, version.n_items, step)
            parts = [f"{condition} and pos >= {start} and pos < {start + step}" for start in starts]
        options: dict[str, Any] = {"metric_type": "HAMMING"}
        if probes:
            options["params"] = {"nprobe": probes}
        level = {} if version.checksum in self._seen else {"consistency_level": "Strong"}
        hits: list[Any] = []
        for part in parts:
            try:
                hits += self._client.search(
                    name,
                    [code],
                    anns_field="vector",
                    filter=part,
                    limit=min(limit, _LONGEST),
                    output_fields=["pos"],
                    search_params=options,
                    timeout=self._timeout,
                    **level,
                )[0]
            except self._error as error:
                self._search_failed(version, where, error)
        positions = np.fromiter((hit["entity"]["pos"] for hit in hits), np.int64, len(hits))
        distances = np.fromiter((round(hit["distance"]) for hit in hits), np.int64, len(hits))
        return positions, distances

    def _count(self, name: str, version: EngineVersion, where: str) -> int:

        def count() -> int:
            try:
                rows = self._query(name, f"{_there(version)} and ({where})", ["count(*)"])
            except self._error as error:
                self._search_failed(version, where, error)
            return int(rows[0]["count(*)"])

        return self._met.get((version.checksum, where), count)

    def _search_failed(self, version: EngineVersion, where: str | None, error: Exception) -> NoReturn:
        with self._errors("a search"):
            if not self._marks.holds(version, strong=True):
                self.refuse_missing(version)
        if where is not None:
            names = ", ".join(version.attributes)
            raise ParameterError(
                f"where must be a condition of Milvus on {names}, got {where!r:.200}; {_said(error)}"
            ) from error
        self.refuse(f"a search failed, {_said(error)}", error)

    def _prefix(self, version: EngineVersion) -> str:
        with self._errors("reading versions"):
            prefix = self._marks.prefix_of(version)
        if prefix is None:
            self.refuse_missing(version)
        return prefix

    def _connection(self) -> dict[str, Any]:
        place, options = self.address.place, self.address.options
        wait = {"timeout": min(10, self._timeout)}
        if place.startswith("/") or place.endswith(".db"):
            return {"uri": unquote(place), **wait}
        parts = urlsplit(f"//{place}")
        scheme = "https" if self.address.choice("secure", "false", ("true", "false")) == "true" else "http"
        token = os.environ.get("MILVUS_TOKEN", "")
        if parts.username:
            token = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        host = place.rpartition("@")[2].rstrip("/")
        named = {"db_name": options["database"]} if "database" in options else {}
        return {"uri": f"{scheme}://{host}", "token": token, **named, **wait}

    def _make(self, name: str, width: int) -> None:
        """Make an empty collection, in place of what an export that failed has left."""
        if self._client.has_collection(name):
            self._client.drop_collection(name)
        kinds = self._pymilvus.DataType
        schema = self._client.create_schema(auto_id=False, enable_dynamic_field=True)
        schema.add_field("id", kinds.INT64, is_primary=True)
        for field in ("pos", "since", "until"):
            schema.add_field(field, kinds.INT64)
        schema.add_field("item_id", kinds.VARCHAR, max_length=_LARGEST_TEXT)
        schema.add_field("vector", kinds.BINARY_VECTOR, dim=width)
        self._client.create_collection(name, schema=schema, timeout=self._timeout)

    def _make_index(self, name: str, version: EngineVersion, column: str) -> None:
        in_lists = version.index == "ivf" and column == _columns(version)[-1]
        index = self._client.prepare_index_params()
        if in_lists:
            index.add_index(
                "vector",
                index_type="BIN_IVF_FLAT",
                metric_type="HAMMING",
                params={"nlist": self._n_lists(version)},
            )
            self._client.flush(name)
        else:
            index.add_index("vector", index_type="BIN_FLAT", metric_type="HAMMING")
        self._client.create_index(name, index)
        self._client.load_collection(name)

    def _insert(
        self, prefix: str, columns: Sequence[str], version: EngineVersion, rows: Iterator[ItemRows]
    ) -> None:
        for block in rows:
            shared = _shared_fields(block, version)
            for column in columns:
                codes = block.codes.packed if column == "code" else block.biased
                assert codes is not None
                made = [{**row, "vector": code.tobytes()} for row, code in zip(shared, codes, strict=True)]
                for start in range(0, len(made), _INSERT):
                    part = made[start : start + _INSERT]
                    self._client.insert(f"{prefix}_{column}", part, timeout=self._timeout)

    def _undo(self, name: str, number: int) -> None:
        """Take back what a sync to a later version has left unfinished."""
        self._client.delete(name, filter=f"since > {number}", timeout=self._timeout)
        while self._move(name, f"until > {number} and until < {OPEN_END}", OPEN_END) == _INSERT:
            pass

    def _move(self, name: str, condition: str, until: int) -> int:
        """Replace rows by others with another end; return how many there were, at most ``_INSERT``."""
        found = self._query(name, condition, ["*"], limit=_INSERT)
        if found:
            made = []
            for row in found:
                vector = row["vector"]
                ended = 0 if until == OPEN_END else _ENDED
                key = row["since"] << 32 | row["pos"] | ended
                made.append(
                    {
                        **row,
                        "id": key,
                        "until": until,
                        "vector": vector[0] if isinstance(vector, list) else vector,
                    }
                )
            self._client.upsert(name, made, timeout=self._timeout)
            self._client.delete(name, ids=[row["id"] for row in found], timeout=self._timeout)
        return len(found)

    def _query(self, name: str, condition: str, fields: list[str], limit: int | None = None) -> list[Any]:
        bounded = {} if limit is None else {"limit": limit}
        rows = self._client.query(
            name,
            filter=condition,
            output_fields=fields,
            consistency_level="Strong",
            timeout=self._timeout,
            **bounded,
        )
        return [dict(row) for row in rows]

    def _n_lists(self, version: EngineVersion) -> int:
        return self._lists or max(1, min(version.n_items // 256, int(np.sqrt(version.n_items))))

    @contextmanager
    def _errors(self, doing: str) -> Iterator[None]:
        try:
            yield
        except self._error as error:
            self.refuse(f"{doing} failed, {_said(error)}; readers see what they saw", error)


def _columns(version: EngineVersion) -> tuple[str, ...]:
    return ("code",) if version.top is None else ("code", "biased")


def _width(version: EngineVersion, column: str) -> int:
    return version.n_bits + (version.n_extra if column == "biased" else 0)


def _there(version: EngineVersion) -> str:
    return f"since <= {version.number} and until > {version.number}"


def _shared_fields(rows: ItemRows, version: EngineVersion) -> list[dict[str, Any]]:
    """Return the rows as Milvus takes them, without their vector; an attribute without a value is left out."""
    made = [
        {
            "id": version.number << 32 | position,
            "pos": position,
            "since": version.number,
            "until": OPEN_END,
            "item_id": item,
        }
        for position, item in zip(rows.positions.tolist(), rows.ids, strict=True)
    ]
    if rows.attributes is not None:
        names = rows.attributes.table.column_names
        values = zip(*rows.attributes.columns(), strict=True)
        for row, digest, row_values in zip(made, rows.attributes.digests.tolist(), values, strict=True):
            row["digest"] = digest
            for name, value in zip(names, row_values, strict=True):
                if value is not None:
                    row[name] = value.isoformat() if isinstance(value, date) else value
    return made


def _said(error: Exception) -> str:
    return first_line(Exception(getattr(error, "message", None) or str(error)))
