"""A session of Ray: the one that is open, or one that is opened for a call."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from hashgnn._extras import require
from hashgnn.batch.reaching import check_address, first_line
from hashgnn.errors import EngineError


@contextmanager
def ray_session(
    n_workers: int | None,
    n_threads: int,
    address: str | None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Any]:
    """Yield the package ``ray``, connected.

    A session that is already open is used, and left open. Otherwise one is opened: of the cluster at ``address``,
    or of this machine, with variables for its workers; it is closed at the end.

    Raises
    ------
    MissingExtraError
        If Ray is not installed.
    EngineError
        If the cluster cannot be reached.
    """
    ray = require("ray", extra="ray", purpose='engine="ray"')
    if ray.is_initialized():
        yield ray
        return
    _connect(ray, n_workers, n_threads, address, environment)
    try:
        yield ray
    finally:
        ray.shutdown()


def _connect(
    ray: Any,
    n_workers: int | None,
    n_threads: int,
    address: str | None,
    environment: Mapping[str, str] | None,
) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # errors reach this process in any case
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    address = address or os.environ.get("RAY_ADDRESS")
    if address is None:
        # One processor more than the workers have, so that Ray's own tasks never wait for them.
        n_cpus = (n_workers or os.cpu_count() or 1) * n_threads + 1
        options |= {"num_cpus": n_cpus, "include_dashboard": False, "_node_ip_address": "127.0.0.1"}
        if environment:
            options["runtime_env"] = {"env_vars": dict(environment)}
    else:
        check_address("Ray", address)
    try:
        ray.init(address=address or "local", **options)
    except (ConnectionError, OSError, RuntimeError, ValueError) as error:
        where = f"Ray at {address}" if address else "Ray on this machine"
        raise EngineError(f"{where} cannot be reached, {first_line(error)}") from error
