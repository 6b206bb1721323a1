"""Memory of a process that lives long: what one version needed goes back to the system before the next one."""

from __future__ import annotations

import ctypes
import gc

_ARENA_MAX = -8  # M_ARENA_MAX of glibc's malloc.h
_ARENAS = 2


def bound_arenas() -> None:
    """Keep the C library from giving each thread a heap of its own, each of which keeps the most that it ever held.

    To be called before there are threads. Python's own lock lets few of them allocate at once.
    """
    change = getattr(ctypes.CDLL(None), "mallopt", None)
    if change is not None:
        change(_ARENA_MAX, _ARENAS)


def release_memory() -> None:
    """Return to the system the memory that opening a version needed, where the allocators can."""
    import pyarrow as pa

    gc.collect()
    pa.default_memory_pool().release_unused()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
