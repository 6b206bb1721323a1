"""Whether the files of an open store are still the ones at its path."""

from __future__ import annotations

import os
from pathlib import Path

_NEEDED_BYTES = 1 << 20  # free on the disk: less is a full disk
_PARTS = ("", "-wal", "-shm")  # the database, its log, and the index of the log that processes share


class FilesWatch:
    """Compares the files at a path with those that were opened there.

    A process that has a file open writes on after the file was removed or replaced; what it writes is lost.

    Parameters
    ----------
    path : Path
        Of a database that is open, in the write-ahead mode.
    """

    def __init__(self, path: Path) -> None:
        self._files = [path.with_name(path.name + part) for part in _PARTS]
        self._opened = [_identity(file) for file in self._files]
        self._largest, self._is_cut = 0, False

    def problem(self) -> str | None:
        """Return what is wrong, for a sentence that begins with the store; None where nothing is."""
        return self.loss() or self._no_room()

    def loss(self) -> str | None:
        """Return why what is written would be lost; None where it would not.

        Only names and sizes are looked at: to open and close the file here would drop the locks of SQLite.
        """
        found = [_identity(file) for file in self._files]
        if found[0] is None:
            return "its file is gone"
        if found[0] != self._opened[0]:
            return "its file was replaced by another"
        if found != self._opened:
            return "the log next to its file is gone or was replaced"
        try:
            size = os.stat(self._files[0]).st_size
        except OSError as error:
            return f"its file cannot be reached, {error.strerror}"
        self._is_cut |= size < self._largest
        self._largest = max(self._largest, size)
        return "its file was cut short" if self._is_cut else None

    def _no_room(self) -> str | None:
        """Return why the next write may fail; SQLite has the last word on each."""
        try:
            disk = os.statvfs(self._files[0].parent)
        except OSError as error:
            return f"its disk cannot be reached, {error.strerror}"
        if disk.f_flag & os.ST_RDONLY:
            return "its disk is read-only"
        if disk.f_bavail * disk.f_frsize < _NEEDED_BYTES:
            return "the disk is full"
        return None


def _identity(file: Path) -> tuple[int, int] | None:
    """Return what tells a file from every other, None where there is none."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
