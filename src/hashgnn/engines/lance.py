"""``LanceEngine``: LanceDB, a folder or an object store that processes open by themselves."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, NoReturn, Self
from urllib.parse import unquote

import numpy as np
import pyarrow as pa

from hashgnn._extras import require
from hashgnn._types import Array
from hashgnn.engines.address import EngineAddress
from hashgnn.engines.attributes import kind_type
from hashgnn.engines.base import Engine, EngineVersion, Limits, Near
from hashgnn.engines.recent import Recent
from hashgnn.engines.rows import ItemRows
from hashgnn.engines.ties import listed, nearest, sent_and_kept
from hashgnn.errors import EngineError, HashGNNError, ParameterError

_MARKS = pa.schema([("number", pa.int64()), ("dataset", pa.int64()), ("document", pa.string())])
_RANGES = 2000  # of positions in one deletion
_MANY_RESULTS = 0.1  # share of the items: lists are probed for fewer only


class LanceEngine(Engine):
    """LanceDB: a table, each change of which is a version of its own, and a table that names ours.

    A reader opens the version that it wants, so it sees no later change. What an export or a sync that failed left
    behind is in no version that is named, and the next one starts from the last that is.
    """

    name = "LanceDB"
    extra = "lancedb"
    dialect = "lancedb"
    indexes = ("exact", "ivf")
    options: ClassVar[Mapping[str, str]] = {
        "table": "name of the table",
        "index": "exact or ivf, at an export",
        "lists": "lists of an IVF index, 1 to 65536",
        "probes": "lists that a query reads",
        "exact_below": "a filter that leaves fewer items than this share of them, in percent, is searched exactly",
        "rerank": "here",
    }

    def __init__(self, address: EngineAddress, database: Any) -> None:
        super().__init__(address)
        address.check_options(self.options)
        self._name = address.name("table", "hashgnn_items")
        self._lists = address.number("lists", 0, minimum=0, maximum=65536)
        self._probes = address.number("probes", 0, minimum=0, maximum=65536)
        self._exact_below = address.number("exact_below", 25, minimum=0, maximum=100) / 100
        self._database = database
        self._opened: dict[str, Any] = {}
        self._met: Recent[tuple[str, str], int] = Recent()
        self._lock = threading.Lock()

    @classmethod
    def connect(cls, address: EngineAddress) -> Self:
        """Open the folder; see :meth:`Engine.connect`."""
        lancedb = require("lancedb", extra=cls.extra, purpose="LanceDB")
        place = unquote(address.place)
        if not place:
            raise ParameterError(f"engine must name a folder, as lancedb:///data/shop, got {address}")
        try:
            database = lancedb.connect(place)
        except Exception as error:
            raise EngineError(f"{address}: cannot be reached, {_said(error)}") from error
        engine = cls(address, database)
        engine.index  # noqa: B018  checked before anything is written
        return engine

    def versions(self) -> list[EngineVersion]:
        """Return the versions that are there; see :meth:`Engine.versions`."""
        return [self.read_entry(mark["number"], mark["document"]) for mark in self._marks()]

    def create(self, version: EngineVersion, rows: Iterator[ItemRows], *, replace: bool) -> float:
        """Write a first version; see :meth:`Engine.create`."""
        with self._writing("the export"):
            batches = _Batches(rows, version)
            with batches.own_errors():
                table = self._database.create_table(
                    self._name, data=batches.reader(), schema=batches.schema, mode="overwrite"
                )
            began = time.perf_counter()
            self._make_indexes(table, version)
            seconds = time.perf_counter() - began
            self._mark(table, version, keep_from=version.number)
        return seconds

    def change(self, old: EngineVersion, new: EngineVersion, gone: Array, rows: Iterator[ItemRows]) -> None:
        """Write what changed; see :meth:`Engine.change`."""
        with self._writing("the sync"):
            mark = self._mark_of(old)
            if self.versions()[-1].number != old.number:
                self.refuse("was changed by another process meanwhile; nothing was changed")
            table = self._database.open_table(self._name)
            if table.version != mark["dataset"]:  # what a sync that failed has left
                table.checkout(mark["dataset"])
                table.restore()
            for condition in _ranges(gone):
                table.delete(condition)
            batches = _Batches(rows, new)
            with batches.own_errors():
                for batch in batches.made():
                    table.add(pa.Table.from_batches([batch]))
            self._mark(table, new, keep_from=old.number)

    def attribute_digests(self, version: EngineVersion) -> Array:
        """Return the digests of a version's attributes; see :meth:`Engine.attribute_digests`."""
        digests = np.zeros(version.n_items, np.int64)
        with self._writing("reading attributes"):
            found = self._table(version).search().select(["pos", "digest"]).limit(None).to_arrow()
        digests[found["pos"].to_numpy()] = found["digest"].to_numpy()
        return digests

    def matching(self, version: EngineVersion, where: str) -> Array:
        """Return the positions that meet a condition; see :meth:`Engine.matching`."""
        self.check_process()
        table = self._table(version)
        try:
            found = table.search().where(where).select(["pos"]).limit(None).to_arrow()
        except Exception as error:
            self._search_failed(version, where, error)
        positions: Array = found["pos"].to_numpy().astype(np.int64)
        return positions

    def search(
        self, version: EngineVersion, codes: Array, k: int, limits: Sequence[Limits], *, biased: bool
    ) -> list[Near]:
        """Find the nearest rows, query by query; see :meth:`Engine.search`."""
        self.check_process()
        table = self._table(version)
        return [
            self._one(table, version, code, k, limit, "biased" if biased else "code")
            for code, limit in zip(codes, limits, strict=True)
        ]

    def close(self) -> None:
        """Let the tables go."""
        self._opened.clear()

    def _one(
        self, table: Any, version: EngineVersion, code: Array, k: int, limits: Limits, column: str
    ) -> Near:
        n_items = version.n_items
        left = limits.n_left(n_items)
        if limits.where is not None:
            left = min(left, self._count(table, version, limits.where))
        if not left:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        sent, keep = sent_and_kept(limits, n_items)
        parts = [part for part in (listed(sent), f"({limits.where})" if limits.where else "") if part]
        condition = " AND ".join(parts)

        def fetch(limit: int, *, probes: int | None = None) -> Near:
            query = table.search(code, vector_column_name=column).distance_type("hamming")
            query = query.bypass_vector_index() if probes is None else query.nprobes(probes)
            if condition:
                query = query.where(condition, prefilter=True)
            try:
                found = query.select(["pos", "_distance"]).limit(limit).to_arrow()
            except Exception as error:
                self._search_failed(version, limits.where, error)
            return found["pos"].to_numpy().astype(np.int64), found["_distance"].to_numpy().astype(np.int64)

        in_lists = version.index == "ivf" and column == self._indexed(version)
        if in_lists and k < _MANY_RESULTS * n_items and left >= self._exact_below * n_items:
            probes = self._probes or max(1, self._n_lists(version) // 4)
            near = nearest(
                lambda limit: fetch(limit, probes=probes), k, left if keep is None else n_items, keep
            )
            if len(near[0]) >= min(k, left):
                return near
        return nearest(fetch, k, left if keep is None else n_items, keep)

    def _count(self, table: Any, version: EngineVersion, where: str) -> int:

        def count() -> int:
            try:
                n_rows = int(table.count_rows(where))
            except Exception as error:
                self._search_failed(version, where, error)
            return n_rows

        return self._met.get((version.checksum, where), count)

    def _search_failed(self, version: EngineVersion, where: str | None, error: Exception) -> NoReturn:
        if where is not None and isinstance(error, ValueError):
            names = ", ".join(version.attributes)
            raise ParameterError(
                f"where must be a condition in SQL on {names}, got {where!r:.200}; {_said(error)}"
            ) from error
        if not any(one.checksum == version.checksum for one in self.versions()):
            self.refuse_missing(version)
        self.refuse(f"a search failed, {_said(error)}", error)

    def _table(self, version: EngineVersion) -> Any:
        """Return the table as it was in a version; opened once."""
        with self._lock:
            table = self._opened.get(version.checksum)
            if table is None:
                mark = self._mark_of(version)
                with self._writing("reading"):
                    table = self._database.open_table(self._name)
                    table.checkout(mark["dataset"])
                self._opened[version.checksum] = table
        return table

    def _indexed(self, version: EngineVersion) -> str:
        return "code" if version.top is None else "biased"

    def _n_lists(self, version: EngineVersion) -> int:
        return self._lists or max(1, min(version.n_items // 256, int(np.sqrt(version.n_items))))

    def _make_indexes(self, table: Any, version: EngineVersion) -> None:
        if version.n_items >= 10_000:
            table.create_scalar_index("pos")
        if version.index == "ivf":
            from lancedb.index import IvfFlat

            config = IvfFlat(distance_type="hamming", num_partitions=self._n_lists(version))
            table.create_index(self._indexed(version), config=config)

    @property
    def _marks_name(self) -> str:
        return f"{self._name}_versions"

    def _marks(self) -> list[dict[str, Any]]:
        try:
            table = self._database.open_table(self._marks_name)
        except ValueError:  # there is none
            return []
        except Exception as error:
            raise EngineError(f"{self.address}: cannot be reached, {_said(error)}") from error
        rows: list[dict[str, Any]] = table.to_arrow().to_pylist()
        return sorted(rows, key=lambda row: int(row["number"]))

    def _mark_of(self, version: EngineVersion) -> dict[str, Any]:
        for mark in self._marks():
            if mark["number"] == version.number and version.checksum in mark["document"]:
                return mark
        self.refuse_missing(version)

    def _mark(self, table: Any, version: EngineVersion, *, keep_from: int) -> None:
        """Name a version of the table, which tags it, and no longer those before ``keep_from``."""
        tags = table.tags
        tags.create(f"hashgnn-{version.number}", table.version)
        row = {"number": version.number, "dataset": table.version, "document": version.model_dump_json()}
        marks = self._database.create_table(self._marks_name, schema=_MARKS, exist_ok=True)
        marks.add(pa.Table.from_pylist([row], schema=_MARKS))
        marks.delete(f"number < {keep_from:d}")
        for name in list(tags.list()):
            number = name.removeprefix("hashgnn-")
            if number != name and number.isdigit() and int(number) < keep_from:
                tags.delete(name)

    @contextmanager
    def _writing(self, doing: str) -> Iterator[None]:
        try:
            yield
        except HashGNNError:
            raise
        except (OSError, RuntimeError, ValueError) as error:
            if isinstance(error, _Cut):
                raise error.cause from None
            full = "No space left" in str(error)
            reason = "the disk is full" if full else _said(error)
            raise EngineError(f"{self.address}: {doing} failed, {reason}; nothing was changed") from error


class _Cut(RuntimeError):
    """An error of making the rows, which is not one of the engine."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__(str(cause))
        self.cause = cause


class _Batches:
    """Rows as Arrow record batches; an error of making them comes through the engine as it was."""

    def __init__(self, rows: Iterator[ItemRows], version: EngineVersion) -> None:
        self._rows, self._version, self._failed = rows, version, list[BaseException]()
        fields = [("pos", pa.int32()), ("item_id", pa.string()), ("code", _bytes(version.n_bits))]
        if version.top is not None:
            fields.append(("biased", _bytes(version.n_bits + version.n_extra)))
        if version.attributes:
            fields.append(("digest", pa.int64()))
        fields += [(name, kind_type(kind)) for name, kind in version.attributes.items()]
        self.schema = pa.schema(fields)

    def reader(self) -> pa.RecordBatchReader:
        return pa.RecordBatchReader.from_batches(self.schema, self.made())

    def made(self) -> Iterator[pa.RecordBatch]:
        try:
            for rows in self._rows:
                yield self._batch(rows)
        except BaseException as error:
            self._failed.append(error)
            raise

    @contextmanager
    def own_errors(self) -> Iterator[None]:
        try:
            yield
        except Exception:
            if self._failed:
                raise _Cut(self._failed[0]) from None
            raise

    def _batch(self, rows: ItemRows) -> pa.RecordBatch:
        columns: dict[str, Any] = {
            "pos": pa.array(rows.positions.astype(np.int32)),
            "item_id": pa.array(rows.ids, pa.string()),
            "code": _packed(rows.codes.packed),
        }
        if rows.biased is not None:
            columns["biased"] = _packed(rows.biased)
        if rows.attributes is not None:
            columns["digest"] = pa.array(rows.attributes.digests)
            table = rows.attributes.table.combine_chunks()
            for name in table.column_names:
                columns[name] = (
                    pa.concat_arrays(table[name].chunks)
                    if table[name].num_chunks
                    else pa.array([], table[name].type)
                )
        return pa.RecordBatch.from_arrays([columns[name] for name in self.schema.names], schema=self.schema)


def _bytes(n_bits: int) -> pa.DataType:
    return pa.list_(pa.uint8(), n_bits // 8)


def _packed(codes: Array) -> pa.Array:
    flat = pa.array(np.ascontiguousarray(codes).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, codes.shape[1])


def _ranges(positions: Array) -> Iterator[str]:
    """Yield conditions that together name some ascending positions."""
    if not len(positions):
        return
    breaks = np.flatnonzero(np.diff(positions) > 1)
    starts = np.concatenate([[0], breaks + 1])
    ends = np.concatenate([breaks, [len(positions) - 1]])
    pairs = [
        f"(pos >= {first} AND pos <= {last})"
        for first, last in zip(positions[starts].tolist(), positions[ends].tolist(), strict=True)
    ]
    for at in range(0, len(pairs), _RANGES):
        yield " OR ".join(pairs[at : at + _RANGES])


def _said(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:300].rstrip(".")
