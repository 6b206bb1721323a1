"""``run_training``: a training function in this process, on several of this machine, or on those of Ray."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypedDict

import numpy as np

from hashgnn._checks import check_choice, check_threads
from hashgnn._extras import check_extra
from hashgnn.batch.reaching import check_address
from hashgnn.data import Interactions
from hashgnn.errors import ParameterError
from hashgnn.runs import RunOptions
from hashgnn.state import ModelState
from hashgnn.training.workers.joining import is_grouped, is_inside
from hashgnn.training.workers.local import run_local
from hashgnn.training.workers.ray_train import run_ray

#: The engines that can train.
ENGINES = ("local", "ray")


class WorkerOptions(TypedDict, total=False):
    """On which processes a model is trained.

    Attributes
    ----------
    engine : {"local", "ray"}, default="local"
    n_workers : int, optional
        Processes. With ``local``, ``None`` is this process alone, or those that ``torchrun`` has started. With
        ``ray``, it is one for each processor of the cluster but one, divided by ``n_threads``.
    address : str, optional
        Of a Ray cluster. ``None`` uses the session that is open, or starts one on this machine.
    """

    engine: str
    n_workers: int | None
    address: str | None


def run_training(
    function: Callable[..., ModelState],
    arguments: dict[str, Any],
    options: RunOptions,
    *,
    engine: str = "local",
    n_workers: int | None = None,
    address: str | None = None,
) -> ModelState:
    """Call :func:`~hashgnn.training.train` or :func:`~hashgnn.training.update` on one process or several.

    Parameters
    ----------
    function : callable
    arguments : dict
        Those of the function, without ``options``.
    options : RunOptions
    engine, n_workers, address
        As in :class:`WorkerOptions`.

    Raises
    ------
    ParameterError
        If an argument breaks its rule.
    MissingExtraError
        If Ray is not installed.
    EngineError
        If the processes do not start, or one of them is lost.
    """
    check_choice("engine", engine, ENGINES)
    if n_workers is not None:
        check_threads(n_workers, "n_workers")
    if address is not None and engine == "local":
        raise ParameterError('address must be None with engine="local"')
    name = f"{function.__module__}:{function.__qualname__}"
    if engine == "ray":
        check_extra("ray", extra="ray", purpose='engine="ray"')
        check_address("Ray", address or "")
    elif n_workers is None:
        return function(**arguments, options=options)
    if is_grouped() or is_inside():
        raise ParameterError(
            "n_workers and engine must be left out where torchrun or another launcher has started the processes, "
            "and inside another training"
        )
    given = arguments.get("interactions")
    if n_workers is not None and isinstance(given, Interactions):
        n_users = np.count_nonzero(np.bincount(given.user_index))
        if n_workers > n_users:
            raise ParameterError(
                f"n_workers must be at most the {n_users} users with interactions, got {n_workers}"
            )
    if engine == "ray":
        return run_ray(name, arguments, options, n_workers, address)
    assert n_workers is not None
    if n_workers == 1:
        return function(**arguments, options=options)
    return run_local(name, arguments, options, n_workers)
