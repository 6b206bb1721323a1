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
from hashgnn.batch.writing import PartRecord, PartWriter
from hashgnn.errors import EngineError

_SECONDS_BETWEEN_LOOKS = 0.5
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
    def write(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            chosen = [numbers[place] for place in batch["id"].to_pylist()]
            yield from writer.over([pa.record_batch({"part": pa.array(chosen, pa.int64())})])

    # One part is one task: a lost executor costs the parts that it was making.
    places = session.range(0, len(numbers), 1, numPartitions=len(numbers))
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
