"""The cache folder of fetched files, and the lock under which processes share it."""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hashgnn._files import storage_errors


def cache_folder(cache_dir: str | Path | None = None) -> Path:
    """Return the folder for fetched files; it need not exist yet.

    The first of these that is set: ``cache_dir``, the variable ``HASHGNN_CACHE``, the user's cache folder
    (``XDG_CACHE_HOME``, else ``~/Library/Caches`` on macOS and ``~/.cache`` elsewhere) with ``hashgnn``.
    """
    if cache_dir is not None:
        return Path(cache_dir)
    if named := os.environ.get("HASHGNN_CACHE"):
        return Path(named)
    if base := os.environ.get("XDG_CACHE_HOME"):
        return Path(base) / "hashgnn"
    home = Path.home()
    return (home / "Library" / "Caches" if sys.platform == "darwin" else home / ".cache") / "hashgnn"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Create ``folder`` and hold it for this process while the block runs; others wait."""
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
