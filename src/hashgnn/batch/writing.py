"""``PartWriter``: makes parts of a job and writes each to its file, whole or not at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from hashgnn import errors
from hashgnn._files import sha256_file
from hashgnn.batch.job import PartJob
from hashgnn.batch.place import Place, place_of
from hashgnn.errors import HashGNNError

METADATA = b"hashgnn"
_BLOCK = 1 << 20

PartRecord: TypeAlias = dict[str, Any]
"""A written part: ``part``, ``rows``, ``results``, ``empty``, ``bytes``, ``sha256``; or its ``error``."""

RECORD = pa.schema(
    [
        ("part", pa.int64()),
        ("rows", pa.int64()),
        ("results", pa.int64()),
        ("empty", pa.int64()),
        ("bytes", pa.int64()),
        ("sha256", pa.string()),
        ("error_kind", pa.string()),
        ("error", pa.string()),
    ]
)


def part_name(number: int) -> str:
    """Return the name of a part's file.

    Examples
    --------
    >>> part_name(7)
    'part-00007.parquet'
    """
    return f"part-{number:05}.parquet"


@dataclass(frozen=True)
class PartWriter:
    """Takes numbers of parts, writes their files, and returns what it has written, in Arrow's record batches.

    An error of the library is a record too, so that every engine hands it on as it is.

    Attributes
    ----------
    job : PartJob
    folder : str
        A path at which every worker sees it, or an address.
    """

    job: PartJob
    folder: str

    def __call__(self, numbers: pa.RecordBatch | pa.Table) -> pa.RecordBatch:
        """Write the parts of the column ``part``, and return a record of each."""
        return pa.RecordBatch.from_pylist(
            [self.write(number) for number in numbers["part"].to_pylist()], schema=RECORD
        )

    def over(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield the records of each batch of numbers, as Spark's ``mapInArrow`` calls it."""
        for batch in batches:
            yield self(batch)

    def write_once(self, number: int) -> PartRecord:
        """Return the record of a part, which is written where its file is not there yet."""
        try:
            place = place_of(self.folder)
            known = None
            if place.size(part_name(number)) is not None:
                known = read_record(place, self.job.digest, number)
        except HashGNNError as error:
            return {"part": number, "error_kind": type(error).__name__, "error": str(error)}
        return known or self.write(number)

    def write(self, number: int) -> PartRecord:
        """Write a part, and return its record."""
        try:
            return self._write(number)
        except HashGNNError as error:
            return {"part": number, "error_kind": type(error).__name__, "error": str(error)}

    def _write(self, number: int) -> PartRecord:
        answered = self.job.part(number)
        place = place_of(self.folder)
        counts = {
            "part": number,
            "rows": answered.n_rows,
            "results": len(answered.table),
            "empty": answered.n_empty,
        }
        text = json.dumps({"request": self.job.digest, **counts})
        with place.writing(part_name(number)) as temporary:
            pq.write_table(
                answered.table.replace_schema_metadata({METADATA: text}),
                temporary,
                row_group_size=max(1, len(answered.table)),
                compression="zstd",
                compression_level=1,
                write_page_checksum=True,
            )
            size, checksum = temporary.stat().st_size, sha256_file(temporary)
        return {**counts, "bytes": size, "sha256": checksum}


def read_record(place: Place, digest: str, number: int) -> PartRecord | None:
    """Return the record of a part that was written before; ``None`` where the file is not that part."""
    name = part_name(number)
    try:
        with place.open(name) as file:
            metadata = pq.read_schema(file).metadata or {}
        found = json.loads(metadata.get(METADATA, b"{}"))
        if found.pop("request", None) != digest or found.get("part") != number:
            return None
        return {**found, "bytes": place.size(name), "sha256": checksum_at(place, name)}
    except (pa.ArrowException, OSError, ValueError):
        return None


def checksum_at(place: Place, name: str) -> str:
    """Return the SHA-256 of a file, hex digits."""
    digest = hashlib.sha256()
    with place.open(name) as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def raise_error(record: PartRecord) -> None:
    """Raise the error of a record, if it holds one."""
    if record.get("error") is not None:
        kind = getattr(errors, str(record.get("error_kind")), None)
        if isinstance(kind, type) and issubclass(kind, Exception):
            raise kind(record["error"])
        raise RuntimeError(f"{record.get('error_kind')}: {record['error']}")
