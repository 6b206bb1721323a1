"""Locks: what one process at a time may work on. A lock names its holder, and ends with it."""

from __future__ import annotations

import errno
import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from hashgnn.errors import StorageError

_TRIES, _PAUSE = 5, 0.02  # another process that only asks holds a lock for a moment
_MAX_NOTE = 4096
_HELD: set[int] = set()  # descriptors of the locks of this process


@contextmanager
def held(target: Path, doing: str, remedy: str) -> Iterator[None]:
    """Hold the lock of a file or folder while the block runs.

    The lock is a file next to the target, or in a folder whose parent may not be written. The system gives it free when the process ends, in whatever way, so
    that a file left by a killed process stops nobody. Where the file system has no locks, there is none.

    Parameters
    ----------
    target : Path
        It need not exist.
    doing : str
        What the holder does, for the error of others: ``"tuning"``.
    remedy : str
        What others may do instead of waiting: ``"name another file"``.

    Raises
    ------
    StorageError
        If another process, or another thread of this one, holds it; the message names the holder.
    """
    path = _lock_path(target)
    descriptor = _take(path, target, remedy)
    owner = os.getpid()
    _HELD.add(descriptor)
    try:
        note = {"pid": os.getpid(), "host": socket.gethostname(), "doing": doing, "since": _now()}
        with suppress(OSError):  # on a full disk the lock holds without the name of its holder
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(note).encode(), 0)
        yield
    finally:
        if os.getpid() == owner:
            path.unlink(missing_ok=True)
            _HELD.discard(descriptor)
            os.close(descriptor)


def _leave_locks() -> None:
    """Close the locks of the parent in a forked process, which would keep them when the parent is killed."""
    while _HELD:
        os.close(_HELD.pop())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_locks)


def check_free(target: Path, remedy: str) -> None:
    """Raise :class:`StorageError` if a process holds the lock of a file or folder."""
    path = _lock_path(target)
    if path.exists():
        descriptor = _take(path, target, remedy)
        path.unlink(missing_ok=True)  # of a process that was killed
        os.close(descriptor)


def locked(descriptor: int) -> bool | None:
    """Lock an open file or folder; return whether that went well, ``None`` where there are no locks."""
    if sys.platform == "win32":
        return None
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return False if error.errno in (errno.EWOULDBLOCK, errno.EACCES) else None
    return True


def _lock_path(target: Path) -> Path:
    place = target.absolute()
    if place.is_dir() and not os.access(place.parent, os.W_OK):  # a mounted folder, for instance
        return place / ".lock"
    return place.parent / f".{place.name.lstrip('.')}.lock"


def _take(path: Path, target: Path, remedy: str) -> int:
    """Return the locked descriptor of a lock file, or raise :class:`StorageError`."""
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    for _ in range(_TRIES):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, flags, 0o666)
        except OSError as error:
            reason = f"{path}: could not be written, {error.strerror}; nothing was changed"
            raise StorageError(reason) from error
        if locked(descriptor) is not False and has_name(descriptor, path):
            return descriptor
        os.close(descriptor)
        time.sleep(_PAUSE)
    raise StorageError(_sentence(path, target, remedy))


def has_name(descriptor: int, path: Path) -> bool:
    """Return whether an open file or folder still stands at a path, from which others may have removed it."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _sentence(path: Path, target: Path, remedy: str) -> str:
    try:
        with path.open("rb") as file:
            note = json.loads(file.read(_MAX_NOTE))
        pid, host, doing, since = (note[name] for name in ("pid", "host", "doing", "since"))
    except (OSError, ValueError, TypeError, KeyError):
        return f"{target}: another process is at work there; wait until it has ended, or {remedy}"
    return f"{target}: process {pid} on {host} has been {doing} there since {since}; wait until it has ended, or {remedy}"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
