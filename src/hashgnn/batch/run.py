"""``run_batch``: makes the missing parts of a job on an engine, and writes the manifest."""

from __future__ import annotations

import os
import sys
import time
import warnings
from collections.abc import Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, TypedDict

from hashgnn._checks import check_choice, check_threads
from hashgnn._extras import check_extra
from hashgnn._progress import progress as progress_bar
from hashgnn.batch.folder import BatchResult, OutputFolder
from hashgnn.batch.job import PartJob
from hashgnn.batch.local import run_local
from hashgnn.batch.ray_data import run_ray
from hashgnn.batch.reaching import check_address
from hashgnn.batch.spark import run_spark
from hashgnn.batch.writing import PartRecord, PartWriter, raise_error
from hashgnn.errors import EngineError, ParameterError, ResultWarning

#: The engines that can run a batch.
ENGINES = ("local", "ray", "spark")
_SECONDS_BETWEEN_LINES = 10.0


class EngineOptions(TypedDict, total=False):
    """How a batch is run, which changes nothing in its files.

    Attributes
    ----------
    engine : {"local", "ray", "spark"}, default="local"
    n_workers : int, optional
        Processes. ``None`` is one for each processor of this machine or of the Ray cluster, divided by
        ``n_threads``; Spark decides itself.
    n_threads : int, default=1
        Threads of the search in each process.
    address : str, optional
        Of a Ray cluster, or Spark's master. ``None`` uses the session that is open, or starts one on this
        machine.
    progress : bool, optional
        ``False`` prints nothing; otherwise stderr gets a bar on a terminal, and lines where it is none.
    """

    engine: str
    n_workers: int | None
    n_threads: int
    address: str | None
    progress: bool | None


def run_batch(
    job: PartJob,
    output: str | Path,
    *,
    engine: str = "local",
    n_workers: int | None = None,
    n_threads: int = 1,
    address: str | None = None,
    progress: bool | None = None,
    noun: str = "rows",
    overwrite: bool = False,
    name: str | None = None,
) -> BatchResult:
    """Make the parts of a job that are not there yet, and the manifest over all.

    Parameters
    ----------
    job : PartJob
    output : str or Path
        A new or an empty folder, or one that an earlier run of the same job has left; a path at which every
        worker sees it, or an address such as ``s3://bucket/lists``.
    engine, n_workers, n_threads, address, progress
        See :class:`EngineOptions`.
    noun : str
        Name of the rows in lines of progress.
    overwrite : bool, default=False
        Replace the answers to another request in the folder.
    name : str, optional
        Name of the output in the last line; ``None`` is its path.

    Raises
    ------
    ParameterError
        If an argument breaks its rule, or the folder holds something else.
    MissingExtraError
        If the engine is not installed.
    EngineError
        If the engine cannot be reached or its workers fail. Finished parts stay, and the same call goes on.
    StorageError
        If writing failed, as on a full disk.

    Warns
    -----
    ResultWarning
        If rows have no result; they are counted.
    """
    started = time.perf_counter()
    check_choice("engine", engine, ENGINES)
    check_threads(n_threads)
    if n_workers is not None:
        check_threads(n_workers, "n_workers")
    if address is not None and engine == "local":
        raise ParameterError('address must be None with engine="local"')
    _check_engine(engine, address)
    folder = OutputFolder(output, job, overwrite=overwrite)
    writer = PartWriter(job, folder.place.name)
    with folder.opened():
        records = folder.finished_parts()
        todo = [number for number in range(job.n_parts) if number not in records]
        report = _Report(job, noun, progress, sum(job.rows_of(number) for number in records))
        if todo:
            folder.begin(todo)
            options = (n_workers, n_threads, address)
            with report, closing(_made(engine, writer, todo, folder, options)) as made:
                for one in made:
                    if isinstance(one, int):
                        report.made(one)
                        continue
                    raise_error(one)
                    records[one["part"]] = one
                    report.made(one["part"])
        missing = [number for number in todo if number not in records]
        if missing:
            raise EngineError(f"{engine} ended without {len(missing)} of {job.n_parts} parts; run it again")
        result = folder.finish(records, len(todo), time.perf_counter() - started)
    report.summary(name or str(result.path), result)
    if result.n_empty:
        warnings.warn(
            f"{result.n_empty} of {result.n_rows} {noun} have no item left; the files hold no row of them",
            ResultWarning,
            stacklevel=3,
        )
    return result


def _check_engine(engine: str, address: str | None) -> None:
    """Raise before anything in the output changes if the engine is not installed or nothing answers."""
    if engine == "ray":
        check_extra("ray", extra="ray", purpose='engine="ray"')
        check_address("Ray", address or "")
    elif engine == "spark":
        check_extra("pyspark", extra="spark", purpose='engine="spark"')
        check_address("Spark", address or "")


def _made(
    engine: str,
    writer: PartWriter,
    todo: Sequence[int],
    folder: OutputFolder,
    options: tuple[int | None, int, str | None],
) -> Generator[PartRecord | int, None, None]:
    n_workers, n_threads, address = options
    if engine == "ray":
        yield from run_ray(writer, todo, n_workers, n_threads, address)
    elif engine == "spark":
        yield from run_spark(writer, todo, n_workers, n_threads, address, folder.count_parts)
    else:
        yield from run_local(writer, todo, n_workers or max(1, _processors() // n_threads))


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Report:
    """A bar on a terminal, a line every ten seconds elsewhere."""

    def __init__(self, job: PartJob, noun: str, enabled: bool | None, n_before: int) -> None:
        self._job, self._noun, self._is_silent = job, noun, enabled is False
        self._n_before, self._n_made = n_before, 0
        self._seen: set[int] = set()
        self._bar: Any = None
        self._advance: Any = None
        self._started = self._last_line = time.perf_counter()

    def __enter__(self) -> _Report:
        self._bar = progress_bar(self._noun, self._job.n_rows, enabled=False if self._is_silent else None)
        self._advance = self._bar.__enter__()
        self._advance(self._n_before)
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.__exit__(None, None, None)

    def made(self, number: int) -> None:
        if number in self._seen:
            return
        self._seen.add(number)
        rows = self._job.rows_of(number)
        self._n_made += rows
        self._advance(rows)
        now = time.perf_counter()
        if now - self._last_line >= _SECONDS_BETWEEN_LINES:
            self._last_line = now
            speed = self._n_made / (now - self._started)
            self._print(
                f"{self._n_before + self._n_made:,} of {self._job.n_rows:,} {self._noun}, {speed:,.0f} a second"
            )

    def summary(self, name: str, result: BatchResult) -> None:
        there = result.n_parts - result.n_made
        before = f", {there} of {result.n_parts} parts were there" if there else ""
        self._print(
            f"{name}: {result.n_results:,} results for {result.n_rows:,} {self._noun} "
            f"in {result.n_parts} parts{before}"
        )

    def _print(self, line: str) -> None:
        if not self._is_silent:
            print(line, file=sys.stderr, flush=True)
