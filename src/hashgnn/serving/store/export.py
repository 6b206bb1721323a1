"""A store's interactions as a parquet file that ``hashgnn fit`` reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from hashgnn._files import atomic_file
from hashgnn.data import Deletions

_BLOCK_ROWS = 65536
_TYPES = {"int": pa.int64(), "str": pa.string()}


@dataclass(frozen=True)
class Export:
    """The result of an export.

    Attributes
    ----------
    path : Path
    count : int
        Interactions in the file.
    deletions : int
        Deletions in its metadata.
    left_out : int
        Interactions that training would refuse, because an id is empty; they are not in the file.
    after, upto : int
        The file holds the interactions with numbers in ``(after, upto]``. Numbers ascend in the order of
        arrival and are never used twice.
    """

    path: Path
    count: int
    after: int
    upto: int
    deletions: int = 0
    left_out: int = 0


class Moment(Protocol):
    """A store as one moment shows it; writers go on."""

    def cleared(self) -> int:
        """Return the largest number that was cleared."""

    def counts(self, after: int) -> tuple[int, int | None, int, int, int]:
        """Return how many interactions there are after a number, the largest, and of the usable ones: how many there
        are, have a weight, and have an event.
        """

    def deletions(self, after: int) -> list[tuple[int, int | str, int | str | None]]:
        """Return number, user and item of the deletions after a number, ascending."""

    def last_deletion(self, upto: int) -> int:
        """Return the largest number of a deletion up to a number, 0 without any."""

    def rows(
        self, after: int, n_rows: int, *, weighted: bool, with_event: bool
    ) -> Iterator[list[tuple[Any, ...]]]:
        """Yield the usable interactions after a number in parts: user, item, time, weight and event where wanted."""


def export_moment(moment: Moment, path: Path, after: int, about: Mapping[str, str]) -> Export:
    """Write the interactions and deletions after a number.

    The file's metadata names the store and the numbers, so that ``hashgnn update`` can refuse to
    count interactions twice, and holds the deletions. It also has the number of the last deletion that
    it leaves out, so that no model which has not heard of it is trained on the file. Without interactions
    and deletions, nothing is written.
    """
    since = after  # a deletion outlives what is cleared
    after = max(after, moment.cleared())
    count, last, usable, weighted, with_event = moment.counts(after)
    deletions, last_deletion = _deletions(moment.deletions(since))
    upto = max(last or after, last_deletion)
    if not usable and not deletions:
        return Export(path, 0, after, upto, 0, count)
    fields = [
        pa.field("user_id", _TYPES[about["users"]]),
        pa.field("item_id", _TYPES[about.get("items", "str")]),
        pa.field("timestamp", pa.timestamp("us", "UTC")),
    ]
    if weighted:
        fields.append(pa.field("weight", pa.float64()))
    if with_event:
        fields.append(pa.field("event", pa.string()))
    metadata = {
        b"hashgnn_store": about["store"].encode(),
        b"hashgnn_after": str(after).encode(),
        b"hashgnn_upto": str(upto).encode(),
        b"hashgnn_earlier_deletion": str(moment.last_deletion(since)).encode(),
        **deletions.to_metadata(),
    }
    schema = pa.schema(fields, metadata=metadata)
    blocks = moment.rows(after, _BLOCK_ROWS, weighted=bool(weighted), with_event=bool(with_event))
    with atomic_file(path) as temporary, pq.ParquetWriter(temporary, schema) as writer:
        for block in blocks:
            writer.write_table(_table(block, schema))
    return Export(path, usable, after, upto, len(deletions), count - usable)


def _deletions(rows: list[tuple[int, int | str, int | str | None]]) -> tuple[Deletions, int]:
    """Return deletions, and the largest number of one, 0 without any."""
    users = tuple((number, user) for number, user, item in rows if item is None)
    pairs = tuple((number, user, item) for number, user, item in rows if item is not None)
    return Deletions(users, pairs), rows[-1][0] if rows else 0


def _table(block: list[tuple[Any, ...]], schema: pa.Schema) -> pa.Table:
    columns = zip(*block, strict=True)
    arrays = [pa.array(values, field.type) for values, field in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)
