"""Threads of the numeric libraries, set before they are loaded."""

from __future__ import annotations

import os

_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def limit_threads(count: int) -> None:
    """Let BLAS and OpenMP use so many threads: they read these when they are loaded, and are not asked again."""
    for variable in _VARIABLES:
        os.environ[variable] = str(count)
