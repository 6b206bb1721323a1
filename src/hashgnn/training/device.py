"""Where training runs: device, threads and precision. By design, none of it changes the learned model."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import torch
from threadpoolctl import threadpool_limits

from hashgnn._checks import check_threads
from hashgnn._locks import held
from hashgnn._processors import available_processors
from hashgnn.errors import ParameterError
from hashgnn.runs import RunOptions
from hashgnn.training.callbacks import RunLog

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of glibc's malloc.h
_FLOATS_OF_THREAD = 250_000  # measured: benchmarks/training_threads.py


@contextmanager
def prepared(
    options: RunOptions, step_floats: int, n_processes: int = 1
) -> Iterator[tuple[torch.device, int]]:
    """Check what a run needs before any work is done, and set it up inside the block.

    A folder for checkpoints belongs to one run at a time: its lock is held inside the block.

    Parameters
    ----------
    options : RunOptions
    step_floats : int
        Floats of the largest matrix of a step.
    n_processes : int, default=1
        Processes of this machine that train together, and share its processors.

    Yields
    ------
    device : torch.device
    n_threads : int
        Threads of torch on the CPU inside the block.
    """
    device = resolve_device(options.device)
    if options.log_path is not None:
        RunLog.create(options.log_path)
    with (
        _held(options.checkpoint_dir),
        threads(options.n_threads, step_floats, n_processes) as count,
        repeatable(device),
    ):
        yield device, count


def _held(checkpoint_dir: str | Path | None) -> AbstractContextManager[None]:
    if checkpoint_dir is None:
        return nullcontext()
    return held(Path(checkpoint_dir), "training", "name another folder for checkpoints")


def resolve_device(device: str) -> torch.device:
    """Return the torch device of ``"auto"`` (CUDA where there is one), ``"cpu"``, ``"cuda"`` or ``"cuda:1"``."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        resolved = torch.device(device)
    except RuntimeError:
        raise ParameterError(f"device must be 'auto', 'cpu' or 'cuda[:n]', got {device!r}") from None
    if resolved.type not in ("cpu", "cuda"):
        raise ParameterError(f"device must be 'auto', 'cpu' or 'cuda[:n]', got {device!r}")
    if resolved.type == "cuda" and (resolved.index or 0) >= torch.cuda.device_count():
        found = torch.cuda.device_count()
        raise ParameterError(f"device must be present, got {device!r}, and {found} CUDA devices were found")
    return resolved


@contextmanager
def threads(n_threads: int | None, step_floats: int, n_processes: int = 1) -> Iterator[int]:
    """Set torch's thread count inside the block and put the former one back; yields the count.

    ``None`` takes as many as the work can use: one for each 250,000 of ``step_floats``, at most the
    processors that this process may use, divided among ``n_processes``. A step of fewer floats is over before a second thread has begun.
    The count depends on data, settings and machine, never on what else runs, as sums of another count round
    differently.
    """
    if n_threads is None:
        count = max(1, min(available_processors() // n_processes, step_floats // _FLOATS_OF_THREAD))
    else:
        count = check_threads(n_threads)
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    # The BLAS of NumPy and SciPy takes all processors in each process: two that do so wait for each other.
    of_blas = None if n_processes == 1 else max(1, available_processors() // n_processes)
    try:
        with threadpool_limits(limits=of_blas, user_api="blas"):
            yield count
    finally:
        torch.set_num_threads(before)


@contextmanager
def reused_memory() -> Iterator[None]:
    """Let the C library keep freed memory inside the block, and give it back at the end.

    Large tensors are otherwise mapped anew at every step, and a third of a step's time goes into the kernel's
    clearing of their pages. Steps of sampled items differ in size: after some hundred of them a heap is full of holes, so
    each epoch is a block of its own. Does nothing where the C library is not glibc.
    """
    mallopt = _mallopt()
    if mallopt is None:
        yield
        return
    mallopt(_M_MMAP_MAX, 0)
    mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
    try:
        yield
    finally:
        mallopt(_M_MMAP_MAX, 65536)  # glibc's defaults
        mallopt(_M_TRIM_THRESHOLD, 128 * 1024)
        ctypes.CDLL(None).malloc_trim(0)


@contextmanager
def repeatable(device: torch.device) -> Iterator[None]:
    """Let a GPU add in one order inside the block, so that a seed gives one result; costs a little time.

    An operation that has no such form warns and runs all the same. On the CPU nothing needs to change.
    """
    if device.type != "cuda":
        yield
        return
    # Read when cuBLAS is first used: products then have their work space to themselves.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    fills = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warn_only)
        torch.utils.deterministic.fill_uninitialized_memory = fills  # type: ignore[attr-defined]


def _mallopt() -> Callable[[int, int], int] | None:
    """Return glibc's ``mallopt``, or ``None`` under another C library."""
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    if not (hasattr(library, "gnu_get_libc_version") and hasattr(library, "mallopt")):
        return None
    function: Callable[[int, int], int] = library.mallopt
    return function


def mixed_precision(device: torch.device, *, enabled: bool = True) -> AbstractContextManager[object]:
    """Return an autocast context: bfloat16 products on CUDA where ``enabled``, nothing elsewhere.

    bfloat16 has float32's range, so no loss scaling is needed.
    """
    if enabled and device.type == "cuda":
        return torch.autocast("cuda", dtype=torch.bfloat16)
    return nullcontext()


def has_fast_bfloat16(device: torch.device) -> bool:
    """Return whether bfloat16 products run in hardware: on CUDA, and on processors with AVX-512 BF16 or AMX."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return device.type == "cpu" and bool(torch.cpu._is_avx512_bf16_supported())
