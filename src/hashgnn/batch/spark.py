"""The engine ``spark``: Python workers of Spark's executors, through ``mapInArrow``."""

from __future__ import annotations

import os
import queue
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Any

import pyarrow as pa

from hashgnn._extras import require
from hashgnn.batch.reaching import check_address, first_line
from hashgnn.batch.writing import RECORD, PartRecord, PartWriter
from hashgnn.errors import EngineError

_SECONDS_BETWEEN_LOOKS = 0.5
_MOST_PARTS = 8  # of a task
_LIGHT = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"  # Java that waits for Python need not compile and collect in parallel
_SCHEMA = "part long, rows long, results long, empty long, bytes long, sha256 string, error_kind string, error string"


def run_spark(
    writer: PartWriter,
    numbers: Sequence[int],
    n_workers: int | None,
    n_threads: int,
    address: str | None,
    finished: Callable[[Sequence[int]], list[int]],
) -> Iterator[PartRecord | int]:
    """Yield the number of each part when its file is there, and at the end the record of each.

    A session of Spark that is active is used. Otherwise one is made, of the master at ``address`` or of this
    machine, and stopped at the end.

    Raises
    ------
    MissingExtraError
        If Spark is not installed.
    EngineError
        If the master cannot be reached, Java is missing, or the job fails.
    """
    require("pyspark", extra="spark", purpose='engine="spark"')
    sql = import_module("pyspark.sql")
    session = sql.SparkSession.getActiveSession()
    is_ours = session is None
    if session is None:
        session = _connect(sql, n_workers, n_threads, address)
    try:
        yield from _run(session, writer, list(numbers), finished)
    finally:
        if is_ours:
            with suppress(Exception):
                session.stop()


def _run(
    session: Any,
    writer: PartWriter,
    numbers: list[int],
    finished: Callable[[Sequence[int]], list[int]],
) -> Iterator[PartRecord | int]:
    shares = parts_of_tasks(numbers, _slots(session))

    def write(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for place in batch["id"].to_pylist():
                for number in shares[place]:
                    # Some are there, where Spark gives the task of a lost executor to another.
                    yield pa.RecordBatch.from_pylist([writer.write_once(number)], schema=RECORD)

    places = session.range(0, len(shares), 1, numPartitions=len(shares))
    outcome: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def collect() -> None:
        try:
            with _no_future_warnings():
                frame = places.mapInArrow(write, _SCHEMA)
            outcome.put([row.asDict() for row in frame.collect()])
        except BaseException as error:
            outcome.put(error)

    threading.Thread(target=collect, name="spark", daemon=True).start()
    waiting, records = list(numbers), None
    while records is None:
        with suppress(queue.Empty):
            records = outcome.get(timeout=_SECONDS_BETWEEN_LOOKS)
        there = finished(waiting)
        waiting = [number for number in waiting if number not in set(there)]
        yield from there
    if isinstance(records, BaseException):
        raise EngineError(
            f"Spark gave up, {first_line(records)}; the same call goes on from here"
        ) from records
    yield from records


def parts_of_tasks(numbers: Sequence[int], n_slots: int | None) -> list[list[int]]:
    """Return the parts of each task: many in the first ones, one in the last ones.

    A task costs Spark and its Python worker a tenth of a second. Parts that are left at the end go one by one, so that
    nobody waits for long. ``n_slots`` is how many tasks run at a time; ``None`` makes each part a task.

    Examples
    --------
    >>> [len(parts) for parts in parts_of_tasks(range(30), 2)]
    [8, 6, 4, 3, 3, 2, 1, 1, 1, 1]
    """
    shares: list[list[int]] = []
    start = 0
    while start < len(numbers):
        size = 1 if n_slots is None else -(-(len(numbers) - start) // (2 * n_slots))
        shares.append(list(numbers[start : start + min(size, _MOST_PARTS)]))
        start += len(shares[-1])
    return shares


def _slots(session: Any) -> int | None:
    """Return how many tasks run at a time, ``None`` where executors may come later."""
    if session.conf.get("spark.dynamicAllocation.enabled", "false") == "true":
        return None
    cpus = int(session.conf.get("spark.task.cpus", "1"))
    return max(1, int(session.sparkContext.defaultParallelism) // cpus)


def _connect(sql: Any, n_workers: int | None, n_threads: int, address: str | None) -> Any:
    master = (
        address or os.environ.get("SPARK_MASTER") or f"local[{n_workers * n_threads if n_workers else '*'}]"
    )
    if master.startswith("local"):
        # The workers of this machine are to find what this interpreter finds.
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        os.environ.setdefault("PYSPARK_DRIVER_PYTHON", sys.executable)
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    check_address("Spark", master)
    builder = (
        sql.SparkSession.builder.master(master)
        .appName("hashgnn")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.log.level", "OFF")
        .config("spark.task.cpus", str(n_threads))
        .config("spark.executorEnv.OMP_NUM_THREADS", "1")
    )
    if master.startswith("local"):
        builder = builder.config("spark.driver.host", "127.0.0.1").config(
            "spark.driver.bindAddress", "127.0.0.1"
        )
        for process in ("driver", "executor"):
            builder = builder.config(f"spark.{process}.defaultJavaOptions", _LIGHT)
    try:
        with _no_future_warnings():
            return builder.getOrCreate()
    except Exception as error:
        raise EngineError(f"Spark at {master} cannot be reached, {first_line(error)}") from error


@contextmanager
def _no_future_warnings() -> Iterator[None]:
    """Keep Spark's warnings of newer libraries, which it does not use here, from the reader."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield
