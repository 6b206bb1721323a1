"""``prepare_interactions``: files of events, read in pieces, to a folder of interactions that is mapped."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from hashgnn._addresses import address_of, path_of
from hashgnn._checks import check_int
from hashgnn._files import atomic_directory, check_writable, scratch_directory
from hashgnn._processors import available_processors
from hashgnn._progress import Advance
from hashgnn._progress import progress as progress_bar
from hashgnn._tensors import read_tensors
from hashgnn._types import Array
from hashgnn.data._id_columns import chosen, column_of
from hashgnn.data.ids import IdMap
from hashgnn.data.readers._typing import first_among_numbers
from hashgnn.data.readers.formats import open_sources
from hashgnn.data.stored.codes import Vocabulary, encode
from hashgnn.data.stored.core import core_members
from hashgnn.data.stored.folder import (
    COLUMNS,
    StoredInteractions,
    check_replaceable,
    is_stored,
    open_interactions,
    write_id_files,
    write_manifest,
)
from hashgnn.data.stored.pieces import Piece, PiecedSource
from hashgnn.data.stored.rows import DTYPES, Buckets, ColumnWriter, Spool
from hashgnn.data.weighting import HalfLife, Moment, Weighting, event_role, requested, weigh_rows
from hashgnn.errors import DataError, DataWarning, ParameterError

_ROWS = 4_000_000  # of a piece, and of a bucket: some 500 MB of work with text ids
_MOST = 2**31 - 1  # rows: SciPy's matrices count them in 32 bits


def prepare_interactions(
    path: str | os.PathLike[str],
    folder: str | Path,
    *,
    format: str | None = None,
    delimiter: str | None = None,
    decimal: str | None = None,
    max_decompressed: int | None = None,
    user: str | None = None,
    item: str | None = None,
    weight: str | None = None,
    timestamp: str | None = None,
    event_column: str | None = None,
    event_weights: Mapping[str, float] | None = None,
    half_life: HalfLife | None = None,
    reference_time: Moment | None = None,
    user_k: int | None = None,
    item_k: int | None = None,
    overwrite: bool = False,
    scratch: str | Path | None = None,
    rows_per_piece: int = _ROWS,
    progress: bool | None = None,
) -> StoredInteractions:
    """Read interactions in pieces and write them to a folder, in memory that does not grow with the events.

    The folder holds what :func:`read_interactions` would return: the same ids in the same order, the same rows. They
    are mapped when it is opened. Only the distinct ids are in memory, not as Python objects but as bytes.

    Parameters
    ----------
    path : str or Path
        As for :func:`read_interactions`. Parquet files are read by groups of rows, files of other formats whole, one
        after the other.
    folder : str or Path
        Where to write. It appears when all is written.
    format, delimiter, decimal, max_decompressed, user, item, weight, timestamp
        As for :func:`read_interactions`.
    event_column, event_weights, half_life, reference_time
        What types of events and ages weigh; see :meth:`Interactions.from_frame`.
    user_k, item_k : int or None, default=None
        Keep the largest part in which every user has ``user_k`` items and every item ``item_k`` users, as
        :meth:`Interactions.k_core`. One of them alone counts for its side only.
    overwrite : bool, default=False
        Replace prepared interactions at ``folder``. Anything else there is never replaced.
    scratch : str, Path or None, default=None
        Folder for temporary files, some 30 bytes an event; ``None`` is the parent of ``folder``.
    rows_per_piece : int, default=4000000
        Rows in memory at a time.
    progress : bool or None, default=None
        ``None`` shows a bar where stderr is a terminal; ``False`` is silent.

    Returns
    -------
    StoredInteractions
        The folder, opened.

    Raises
    ------
    DataError
        If a file is missing, broken, or a row breaks a rule; its file and row are named.
    ParameterError
        If an argument breaks its rule, or ``folder`` holds what may not be replaced.
    StorageError
        If it cannot be written, as on a full disk; nothing of it stays.

    See Also
    --------
    open_interactions : Opens the folder again; :func:`read_interactions` does so too.

    Examples
    --------
    >>> import pyarrow as pa, pyarrow.parquet, tempfile
    >>> place = Path(tempfile.mkdtemp())
    >>> rows = pa.table({"user_id": ["u2", "u1", "u2", "u2"], "item_id": [7, 9, 9, 7]})
    >>> pyarrow.parquet.write_table(rows, place / "events.parquet")
    >>> prepare_interactions(place / "events.parquet", place / "prepared")
    StoredInteractions(n=3, n_users=2, n_items=2, n_merged=1)
    """
    wanted = requested(event_column, event_weights, half_life, reference_time, None)
    cores = None
    if user_k is not None or item_k is not None:
        cores = tuple(
            check_int(name, 1 if value is None else value, minimum=1)
            for name, value in (("user_k", user_k), ("item_k", item_k))
        )
    rows_per_piece = check_int("rows_per_piece", rows_per_piece, minimum=1)
    if address_of(folder) is not None:
        raise ParameterError(f"folder must be on this machine, where it can be mapped, got {str(folder)!r}")
    target = path_of(folder)
    check_writable(target)
    check_replaceable(target, overwrite=overwrite)
    if is_stored(path):
        raise ParameterError(
            f"{os.fspath(path)}: holds prepared interactions already; name the files of events"
        )
    name, sources = open_sources(path, format, delimiter, decimal, max_decompressed)
    roles = {"user": user, "item": item, "weight": weight, "timestamp": timestamp}
    source = PiecedSource(name, sources, roles | event_role(wanted, event_column, event_weights))
    with scratch_directory(target if scratch is None else path_of(scratch) / target.name) as place:
        work = _Work(
            source,
            wanted,
            reference_time,
            place,
            rows_per_piece,
            times_named=timestamp is not None,
            progress=progress,
        )
        work.read()
        with atomic_directory(target, replace=overwrite) as made:
            work.write(made, cores)
    return open_interactions(target, verify=False)


class _Work:
    """One run: rows as codes of their pieces, then as places in the joined ids, then sorted by user and item."""

    def __init__(
        self,
        source: PiecedSource,
        wanted: Weighting | None,
        reference: Moment | None,
        place: Path,
        n_rows: int,
        *,
        times_named: bool,
        progress: bool | None,
    ) -> None:
        self._progress = progress
        self._source, self._wanted, self._reference = source, wanted, reference
        self._place, self._n_rows = place, n_rows
        self._needs_times = times_named or (wanted is not None and wanted.half_life is not None)
        self._has_times = source.columns["timestamp"] is not None
        has_weights = source.columns["weight"] is not None or wanted is not None
        self._columns = ["user", "item"] + ["weight"] * has_weights + ["time"] * self._has_times
        self._vocabularies = {role: Vocabulary(place, role) for role in ("user", "item")}
        self._lengths: list[int] = []
        self._counts: list[Array] = []
        self._weighting = wanted
        self._n_threads = min(2, available_processors())

    def read(self) -> None:
        """Read all pieces; afterwards their rows and their ids lie in the scratch folder."""
        newest = None
        if self._wanted is not None and self._wanted.half_life is not None:
            newest = self._source.newest(self._n_rows)
        self._spool = Spool(self._place, "rows", self._columns)
        n_untimed = n_read = n_dropped = 0
        with (
            ThreadPoolExecutor(self._n_threads, thread_name_prefix="ids") as threads,
            progress_bar("Reading rows", None, enabled=self._progress) as advance,
        ):
            for piece in self._source.pieces(self._n_rows, needs_times=self._needs_times):
                advance(len(piece))
                n_read, n_untimed = n_read + len(piece), n_untimed + piece.n_untimed
                users, items, weights, times, weighting = self._weighed(piece, newest)
                n_dropped += len(piece) - len(users)
                if not len(users):
                    continue
                self._weighting = weighting
                (user_ids, user_codes), (item_ids, item_codes) = threads.map(encode, (users, items))
                self._vocabularies["user"].add(user_ids)
                self._vocabularies["item"].add(item_ids)
                self._counts.append(np.bincount(user_codes, minlength=len(user_ids)))
                self._lengths.append(len(user_codes))
                rows: dict[str, Any] = {
                    "user": user_codes,
                    "item": item_codes,
                    "weight": weights,
                    "time": times,
                }
                if self._has_times and times is None:
                    rows["time"] = np.zeros(len(user_codes), np.int64)  # they will be left out
                self._spool.append(**{column: rows[column] for column in self._columns})
        if not self._lengths:
            if n_dropped:
                raise DataError(
                    f"{self._source.name}: interactions must not be empty, all {n_read} rows are events of weight 0"
                )
            raise DataError(f"{self._source.name}: the files hold no rows")
        if n_untimed:
            column = self._source.columns["timestamp"]
            warnings.warn(
                f"{column} is empty in {n_untimed} of {n_read} rows; times are left out",
                DataWarning,
                stacklevel=3,
            )
            self._columns.remove("time")

    def _weighed(self, piece: Piece, newest: int | None) -> tuple[Any, ...]:
        event = self._source.columns.get("event")
        events = None if event is None else (event, piece.events)
        return weigh_rows(
            self._wanted,
            piece.users,
            piece.items,
            piece.weights,
            piece.times,
            events,
            self._reference,
            newest=newest,
        )

    def write(self, folder: Path, cores: tuple[int, ...] | None) -> None:
        """Write the files of the folder."""
        comma = self._source.decimal_comma
        with ThreadPoolExecutor(self._n_threads, thread_name_prefix="ids") as threads:
            (users, user_places), (items, item_places) = threads.map(
                lambda role: self._vocabularies[role].join(
                    as_text=role in self._source.as_text, decimal_comma=comma
                ),
                ("user", "item"),
            )
        self._warn_of_text(users, items)
        if sum(self._lengths) > _MOST:
            raise DataError(f"{self._source.name}: must hold at most {_MOST} rows, got {sum(self._lengths)}")
        counts = np.zeros(len(users), np.int64)
        for places, of_piece in zip(user_places, self._counts, strict=True):
            np.add.at(counts, places, of_piece)
        buckets = Buckets(self._place, counts, self._columns, self._n_rows)
        start = 0
        with progress_bar("Sorting", len(self._lengths) + len(buckets), enabled=self._progress) as advance:
            for length, of_users, of_items in zip(self._lengths, user_places, item_places, strict=True):
                rows = {column: self._spool.column(column, start, length) for column in self._columns}
                rows["user"], rows["item"] = of_users[rows["user"]], of_items[rows["item"]]
                buckets.add(**rows)
                start += length
                advance()
            self._spool.remove()
            merged = _counted(buckets.merged(len(items), n_threads=self._n_threads), advance)
            n_rows = _write_rows(folder, merged, len(users), self._columns)
        if cores is not None:
            users, items, n_rows = _cut(folder, users, items, self._columns, cores, self._n_rows)
            start = n_rows  # the rows that fell out were no repeated ones
        write_id_files(folder, users, items)
        write_manifest(
            folder,
            {
                "n_users": len(users),
                "n_items": len(items),
                "n_interactions": n_rows,
                "n_merged": start - n_rows,
            },
            {"path": self._source.name, "columns": dict(self._source.columns)},
            self._weighting,
        )

    def _warn_of_text(self, users: IdMap, items: IdMap) -> None:
        """Say where ids are text though the first of them look like numbers."""
        for role, ids in (("user", users), ("item", items)):
            if role not in self._source.as_text or ids.kind != "str":
                continue
            column = column_of(ids)
            row = first_among_numbers(column)
            if row is not None:
                warnings.warn(
                    f"{self._source.name}: {self._source.columns[role]} is {column[row].as_py()[:40]!r}, so the whole "
                    "column is text though most entries are integers",
                    DataWarning,
                    stacklevel=4,
                )


Rows = tuple[Array, Array, Array | None, Array | None]


def _counted(blocks: Iterable[Rows], advance: Advance) -> Iterator[Rows]:
    for block in blocks:
        yield block
        advance()


def _write_rows(folder: Path, blocks: Iterable[Rows], n_users: int, columns: Sequence[str]) -> int:
    """Write merged rows, block by block in order of their users, and where each user's begin; return their number."""
    degrees = np.zeros(n_users, np.int64)
    with ExitStack() as stack:
        files = {
            column: stack.enter_context(ColumnWriter(folder / COLUMNS[column], DTYPES[column]))
            for column in columns
        }
        for users, items, weights, times in blocks:
            rows = {"user": users, "item": items, "weight": weights, "time": times}
            for column, file in files.items():
                values = rows[column]
                assert values is not None
                file.append(values)
            if len(users):
                first = int(users[0])
                of_users = np.bincount(users - first)
                degrees[first : first + len(of_users)] += of_users
    with ColumnWriter(folder / COLUMNS["start"], np.int64) as file:
        file.append(np.concatenate([[0], np.cumsum(degrees)]))
    return int(degrees.sum())


def _cut(
    folder: Path, users: IdMap, items: IdMap, columns: Sequence[str], cores: tuple[int, ...], n_block: int
) -> tuple[IdMap, IdMap, int]:
    """Reduce the rows of a folder to their core; return the ids that are left and the number of rows."""
    stored = {column: read_tensors(folder / COLUMNS[column])[0]["values"] for column in columns}
    n_rows = len(stored["user"])

    def blocks() -> Iterator[dict[str, Array]]:
        for start in range(0, n_rows, n_block):
            yield {column: values[start : start + n_block] for column, values in stored.items()}

    kept_users, kept_items = core_members(
        lambda: ((rows["user"], rows["item"]) for rows in blocks()), len(users), len(items), *cores
    )
    if not kept_users.any():
        raise DataError(f"no interactions are left in the core with user_k={cores[0]}, item_k={cores[1]}")
    new_users, new_items = np.cumsum(kept_users) - 1, np.cumsum(kept_items) - 1

    def left() -> Iterator[Rows]:
        for rows in blocks():
            kept = kept_users[rows["user"]] & kept_items[rows["item"]]
            yield (
                new_users[rows["user"][kept]],
                new_items[rows["item"][kept]],
                rows["weight"][kept] if "weight" in rows else None,
                rows["time"][kept] if "time" in rows else None,
            )

    made = folder / "core"
    made.mkdir()
    n_left = _write_rows(made, left(), int(kept_users.sum()), columns)
    for file in made.iterdir():
        file.replace(folder / file.name)  # what is mapped stays readable
    made.rmdir()
    return chosen(users, np.flatnonzero(kept_users)), chosen(items, np.flatnonzero(kept_items)), n_left
