"""The group that a process trains in: alone, as ``torchrun`` has started it, or as whoever opened torch.distributed."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import Literal

import torch

# The defaults of its functions keep the process group that is open when it is imported, as an optimiser does at its
# first step. Then destroying the group would not end its threads, and one of them may abort a process that exits.
import torch.distributed.nn.functional
from torch import distributed
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from hashgnn._launched import Launched
from hashgnn.errors import EngineError, ParameterError
from hashgnn.runs import RunOptions
from hashgnn.training.device import resolve_device
from hashgnn.training.workers.group import ALONE, Group, JoinedGroup, open_board

# What a run of this thread does: "script" joins what is open, and each process goes on with the model; "first" was
# started by hashgnn, and the first process has the model; "busy" is inside such a run, where a callback trains alone.
_ROLE: ContextVar[Literal["script", "first", "busy"]] = ContextVar("_ROLE", default="script")
_IS_PRIVATE = threading.Event()  # the process group was opened by hashgnn, for one run
_NETWORK = "GLOO_SOCKET_IFNAME"


@contextmanager
def training_group(options: RunOptions) -> Iterator[tuple[Group, RunOptions]]:
    """Yield the group of this process, and the options of its part of the run.

    A process group of ``torch.distributed`` that is open is used as it is. Otherwise one is opened where
    ``torchrun`` has started this process, and closed at the end. The first process has the seed, callbacks, log,
    checkpoint and progress for all.

    Raises
    ------
    EngineError
        If the processes do not find one another.
    ParameterError
        If the open process group cannot carry tensors of the CPU.
    """
    if not is_grouped():
        yield ALONE, options
        return
    launched = Launched.from_environment()
    is_ours = not distributed.is_initialized()
    if is_ours:
        assert launched is not None
        _open(launched, options.device)
    try:
        group, own = _joined(options, launched)
        token = _ROLE.set("busy")
        try:
            yield group, own
        finally:
            _ROLE.reset(token)
            if isinstance(group, JoinedGroup) and group.board is not None:
                group.board.close()
    finally:
        if is_ours:
            distributed.destroy_process_group()


@contextmanager
def first_has_result() -> Iterator[None]:
    """Keep the open process group for one run inside the block, whose state is left in the first process.

    The others end with :class:`~hashgnn.training.workers.group.HelperDone`.
    """
    token = _ROLE.set("first")
    _IS_PRIVATE.set()
    try:
        yield
    finally:
        _IS_PRIVATE.clear()
        _ROLE.reset(token)


def is_grouped() -> bool:
    """Return whether this thread would train in a group that is there already."""
    role = _ROLE.get()
    if role == "busy" or not distributed.is_available() or (_IS_PRIVATE.is_set() and role != "first"):
        return False
    return distributed.is_initialized() or Launched.from_environment() is not None


def is_inside() -> bool:
    """Return whether this thread is inside a run of several processes, as its callbacks are."""
    return _ROLE.get() == "busy"


def backend_for(device: torch.device, local_size: int) -> str:
    """Return the backends of torch.distributed: NCCL on GPUs where each process has one of its own, else Gloo."""
    if device.type == "cuda" and torch.cuda.device_count() >= local_size and distributed.is_nccl_available():
        return "cpu:gloo,cuda:nccl"
    return "gloo"


@contextmanager
def loopback_only() -> Iterator[None]:
    """Let Gloo use the loopback inside the block, where all processes are on this machine."""
    before = os.environ.get(_NETWORK)
    name = {"linux": "lo", "darwin": "lo0"}.get(sys.platform)
    if before is None and name is not None:
        os.environ[_NETWORK] = name
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(_NETWORK, None)


def _open(launched: Launched, device: str) -> None:
    backend = backend_for(resolve_device(device), launched.local_size)
    is_one_machine = launched.local_size == launched.size
    try:
        if is_one_machine:
            with loopback_only():
                distributed.init_process_group(
                    backend, store=_store_of(launched), rank=launched.rank, world_size=launched.size
                )
        else:
            distributed.init_process_group(backend)
    except (RuntimeError, ValueError, distributed.DistError) as error:
        first = str(error).partition("\n")[0][:200].rstrip(".")
        raise EngineError(
            f"process {launched.rank} of {launched.size} does not find the others, {first}"
        ) from error


def _store_of(launched: Launched) -> Store:
    """Return the store of torchrun, with keys of this start of the processes alone.

    torchrun keeps one store for all starts, and the addresses of processes that are gone with it. On several machines
    each counts its starts for itself, so there is no number that all processes know.
    """
    store, _, _ = next(rendezvous("env://"))
    return PrefixStore(f"start-{launched.n_restarts}", store)


def _joined(options: RunOptions, launched: Launched | None) -> tuple[Group, RunOptions]:
    if "gloo" not in str(distributed.get_backend_config()):
        raise ParameterError(
            "the process group must carry tensors of the CPU, as backend='cpu:gloo,cuda:nccl' does, got "
            f"{distributed.get_backend()!r}"
        )
    rank, size = distributed.get_rank(), distributed.get_world_size()
    local = launched or Launched(rank, size, rank, size)
    group: Group = ALONE
    if size > 1:
        joined = JoinedGroup(rank, size, local.local_size, _ROLE.get() == "script")
        group = replace(joined, board=open_board(joined))
    seed = group.share(options.seed)
    device = resolve_device(options.device)
    if device.type == "cuda" and device.index is None:
        options = replace(options, device=f"cuda:{local.local_rank % torch.cuda.device_count()}")
    if local.n_restarts and options.checkpoint_dir is not None:
        options = replace(options, resume=True)
    if not group.is_first:
        options = replace(
            options, progress=False, checkpoint_dir=None, resume=False, log_path=None, callbacks=()
        )
    return group, replace(options, seed=seed)
