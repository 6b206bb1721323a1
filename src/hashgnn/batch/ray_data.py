"""The engine ``ray``: a pool of Ray Data's actors."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any

import pyarrow as pa

from hashgnn.batch.local import ONE_THREAD
from hashgnn.batch.ray_session import ray_session
from hashgnn.batch.reaching import first_line
from hashgnn.batch.writing import PartRecord, PartWriter
from hashgnn.errors import EngineError


class _Actor:
    """The object that Ray makes in each worker: it keeps the job, and so the opened model, from part to part."""

    def __init__(self, writer: PartWriter) -> None:
        self._writer = writer

    def __call__(self, numbers: pa.Table) -> pa.Table:
        return pa.Table.from_batches([self._writer(numbers)])


def run_ray(
    writer: PartWriter, numbers: Sequence[int], n_workers: int | None, n_threads: int, address: str | None
) -> Iterator[PartRecord]:
    """Yield the record of each part as it is written.

    A session of Ray that is already open is used. Otherwise one is opened: of the cluster at ``address``, or
    of this machine; it is closed at the end.

    Raises
    ------
    MissingExtraError
        If Ray is not installed.
    EngineError
        If the cluster cannot be reached, or its workers fail.
    """
    with ray_session(n_workers, n_threads, address) as ray:
        yield from _records(ray, writer, numbers, n_workers, n_threads)


def _records(
    ray: Any, writer: PartWriter, numbers: Sequence[int], n_workers: int | None, n_threads: int
) -> Iterator[PartRecord]:
    data = import_module("ray.data")
    n_cpus = int(ray.cluster_resources().get("CPU", 0))
    if n_cpus < n_threads:
        raise EngineError(
            f"Ray has {n_cpus} processors, and n_threads={n_threads} needs as many for a worker"
        )
    size = min(n_workers or n_cpus, n_cpus // n_threads)
    # A block for each part: Ray would merge small ones, and one block has one worker.
    dataset = data.from_arrow([pa.table({"part": [number]}) for number in numbers])
    _be_quiet(dataset)
    made = dataset.map_batches(
        _Actor,
        fn_constructor_args=(writer,),
        batch_size=1,
        batch_format="pyarrow",
        compute=data.ActorPoolStrategy(size=min(size, len(numbers))),
        num_cpus=n_threads,
        runtime_env={"env_vars": ONE_THREAD},
    )
    try:
        for batch in made.iter_batches(batch_size=None, batch_format="pyarrow"):
            yield from batch.to_pylist()
    except ray.exceptions.RayError as error:
        raise EngineError(f"Ray gave up, {first_line(error)}; the same call goes on from here") from error


def _be_quiet(dataset: Any) -> None:
    context = dataset.context
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
