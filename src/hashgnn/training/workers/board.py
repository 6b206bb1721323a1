"""``Board``: memory that the processes of one machine share, where each lays down what the others read."""

from __future__ import annotations

import mmap
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import torch

from hashgnn.errors import PeerLostError

#: The error of a process whose peer is gone.
PEER_LOST = (
    "another process of this training has ended or does not answer; the same run with resume=True goes on "
    "from the last checkpoint"
)

_FOLDER = Path("/dev/shm")  # noqa: S108  # a file of a random name, of this user alone
_PART = 1 << 20  # bytes of a process that the others read at a time; what is longer goes in parts
_PAGE = 4096
_ROW, _COUNT, _IS_CLOSED = 8, 0, 1  # numbers of a process in the head: a cache line
_SPIN, _PAUSE = 0.005, 0.0001  # seconds: a process that sleeps is called late, up to 3 ms after the others
_PROBE, _PATIENCE = 1.0, 1800.0
_BOTH = 2  # up to so many processes each adds all; more of them share the additions


class Board:
    """Sums and copies among the processes of one machine, without sockets.

    Every process calls the same methods in the same order. Sums are added in the order of the processes, so that all
    have the same bytes. There are two rooms, which take turns: nobody writes into one before all have read it.

    Parameters
    ----------
    path : Path
        Of the file that :meth:`make` has made. It may be removed when all processes have opened it.
    rank, size : int

    Raises
    ------
    OSError
        If the file cannot be opened, as on another machine.
    """

    def __init__(self, path: Path, rank: int, size: int) -> None:
        import fcntl

        self._rank, self._size = rank, size
        self._file = os.open(path, os.O_RDWR)
        self._memory = mmap.mmap(self._file, _length(size))
        # Held until this process ends, in whatever way: so the others see that it is gone.
        fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, rank)
        self._head = memoryview(self._memory).cast("q")
        self._meetings, self._turn = 0, 0

    @staticmethod
    def make(size: int) -> Path | None:
        """Return a new file for so many processes, or ``None`` where memory cannot be shared in this way.

        Numbers that one process writes in turn are seen in turn by another on x86-64, and not everywhere.
        """
        if sys.platform != "linux" or platform.machine() != "x86_64" or not os.access(_FOLDER, os.W_OK):
            return None
        try:
            file, name = tempfile.mkstemp(prefix="hashgnn-training-", dir=_FOLDER)
        except OSError:
            return None
        try:
            os.posix_fallocate(file, 0, _length(size))  # a container may have little of it
        except OSError:
            Path(name).unlink(missing_ok=True)
            return None
        finally:
            os.close(file)
        return Path(name)

    def close(self) -> None:
        """Let those who wait for this process know that it comes no more."""
        self._head[self._rank * _ROW + _IS_CLOSED] = 1
        self._head.release()
        with suppress(OSError):
            os.close(self._file)

    def sum_(self, x: torch.Tensor) -> None:
        """Add a contiguous tensor over the processes, in place."""
        for part, places in self._laid_down(x):
            if self._size <= _BOTH or len(part) < self._size:
                _add(part, places)
            else:
                bounds = [len(part) * r // self._size for r in range(self._size + 1)]
                own = slice(bounds[self._rank], bounds[self._rank + 1])
                # Of this process's place, the others read nothing else before they meet.
                mine = part[own]
                _add(mine, [place[own] for place in places])
                places[self._rank][own].copy_(mine)
                self._meet()
                for place, start, end in zip(places, bounds, bounds[1:], strict=False):
                    part[start:end].copy_(place[start:end])

    def max_(self, x: torch.Tensor) -> None:
        """Take the largest of each entry over the processes, in place, of a contiguous tensor."""
        for part, places in self._laid_down(x):
            part.copy_(places[0])
            for place in places[1:]:
                torch.maximum(part, place, out=part)

    def gather(self, x: torch.Tensor, found: torch.Tensor | None) -> None:
        """Write the contiguous tensors of all processes to ``found`` (size, ...), where it is given."""
        rows = None if found is None else found.view(self._size, -1)
        start = 0
        for part, places in self._laid_down(x):
            if rows is not None:
                for row, place in zip(rows, places, strict=True):
                    row[start : start + len(part)].copy_(place)
            start += len(part)

    def broadcast_(self, x: torch.Tensor) -> None:
        """Overwrite a contiguous tensor by that of the first process."""
        for part, places in self._laid_down(x, only_first=True):
            part.copy_(places[0])

    def _laid_down(
        self, x: torch.Tensor, *, only_first: bool = False
    ) -> Iterator[tuple[torch.Tensor, list[torch.Tensor]]]:
        """Yield each part of a tensor with what every process has laid down of it."""
        for part in torch.split(x.view(-1), _PART // x.element_size()) if x.numel() else ():
            places = self._places(len(part), x.dtype)
            if self._rank == 0 or not only_first:
                places[self._rank].copy_(part)
            self._meet()
            yield part, places

    def _places(self, length: int, dtype: torch.dtype) -> list[torch.Tensor]:
        """Return the places of all processes in the room whose turn it is."""
        self._turn = 1 - self._turn
        start = _head_bytes(self._size) + self._turn * self._size * _PART
        return [
            torch.frombuffer(self._memory, dtype=dtype, count=length, offset=start + rank * _PART)
            for rank in range(self._size)
        ]

    def _meet(self) -> None:
        """Wait until all processes have come as far as this one."""
        self._meetings += 1
        self._head[self._rank * _ROW + _COUNT] = self._meetings
        for rank in range(self._size):
            if self._head[rank * _ROW + _COUNT] < self._meetings:
                self._wait_for(rank)

    def _wait_for(self, rank: int) -> None:
        started = probed = time.monotonic()
        while self._head[rank * _ROW + _COUNT] < self._meetings:
            now = time.monotonic()
            if now < started + _SPIN:
                os.sched_yield()
                continue
            time.sleep(_PAUSE)
            if self._head[rank * _ROW + _IS_CLOSED]:
                is_lost = True
            elif now > probed + _PROBE:
                is_lost = self._is_gone(rank) or now > started + _PATIENCE
                probed = now
            else:
                is_lost = False
            if is_lost and self._head[rank * _ROW + _COUNT] < self._meetings:
                raise PeerLostError(PEER_LOST)

    def _is_gone(self, rank: int) -> bool:
        import fcntl

        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, rank)
        except OSError:
            return False
        fcntl.lockf(self._file, fcntl.LOCK_UN, 1, rank)
        return True


def _add(x: torch.Tensor, parts: list[torch.Tensor]) -> None:
    """Overwrite a tensor by the sum of the parts, in their order."""
    x.copy_(parts[0])
    for part in parts[1:]:
        x.add_(part)


def _head_bytes(size: int) -> int:
    return -(-size * _ROW * 8 // _PAGE) * _PAGE


def _length(size: int) -> int:
    return _head_bytes(size) + 2 * size * _PART
