"""``Group``: the processes that train one model together, and what they tell one another."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from torch import distributed

from hashgnn._types import Array
from hashgnn.errors import PeerLostError
from hashgnn.training.workers.board import PEER_LOST, Board

T = TypeVar("T")


class HelperDone(Exception):
    """The training has ended in a process that helped; the first one of its group has the result."""


@dataclass(frozen=True)
class Group:
    """One process that trains alone: each exchange returns what it was given.

    Every process of a group runs the same code and calls the same methods in the same order. Tensors that they
    add or gather have one shape in all of them.

    Attributes
    ----------
    rank : int
        Number of this process, from 0.
    size : int
        Number of processes.
    local_size : int
        Of them on this machine.
    shares_result : bool
        Whether every process needs the fitted state, as where each of them runs the user's script.
    """

    rank: int = 0
    size: int = 1
    local_size: int = 1
    shares_result: bool = True

    @property
    def is_first(self) -> bool:
        """Whether this is the process that reports, keeps checkpoints and returns the result."""
        return self.rank == 0

    def part(self, n_rows: int) -> slice:
        """Return the rows of this process where rows are parted into blocks of nearly one size."""
        return slice(n_rows * self.rank // self.size, n_rows * (self.rank + 1) // self.size)

    def sum_(self, x: torch.Tensor) -> torch.Tensor:
        """Add a tensor over the processes, in place, and return it; every process gets the same bytes."""
        return x

    def max_(self, x: torch.Tensor) -> torch.Tensor:
        """Take the largest of each entry over the processes, in place, and return it."""
        return x

    def gather(self, x: torch.Tensor) -> torch.Tensor:
        """Return the tensors of all processes, (size, ...)."""
        return x.unsqueeze(0)

    def gather_first(self, x: torch.Tensor) -> torch.Tensor | None:
        """Return the tensors of all processes, (size, ...), in the first process and ``None`` in the others."""
        return x.unsqueeze(0)

    def broadcast_(self, x: torch.Tensor) -> torch.Tensor:
        """Overwrite a tensor by that of the first process, and return it."""
        return x

    def share(self, value: T) -> T:
        """Return the value of the first process; in the others it may be anything."""
        return value

    def join(self, rows: Array) -> Array:
        """Return the rows of all processes, one part after the other; parts may differ in length."""
        return rows

    def sum(self, value: float) -> float:
        """Return a number added over the processes."""
        return float(self.sum_(torch.tensor(value, dtype=torch.float64)).item())


@dataclass(frozen=True)
class JoinedGroup(Group):
    """The processes of ``torch.distributed``, whose default process group is open.

    Attributes
    ----------
    board : Board, optional
        Memory that all processes share: tensors of the CPU go there.
    """

    board: Board | None = None

    def sum_(self, x: torch.Tensor) -> torch.Tensor:
        if (board := self._board_for(x)) is not None:
            board.sum_(x)
        else:
            _exchange(distributed.all_reduce, x)
        return x

    def max_(self, x: torch.Tensor) -> torch.Tensor:
        if (board := self._board_for(x)) is not None:
            board.max_(x)
        else:
            _exchange(distributed.all_reduce, x, op=distributed.ReduceOp.MAX)
        return x

    def gather(self, x: torch.Tensor) -> torch.Tensor:
        x = x.contiguous()
        found = torch.empty((self.size, *x.shape), dtype=x.dtype, device=x.device)
        if (board := self._board_for(x)) is not None:
            board.gather(x, found)
        else:
            _exchange(distributed.all_gather, list(found.unbind()), x)
        return found

    def gather_first(self, x: torch.Tensor) -> torch.Tensor | None:
        x = x.contiguous()
        found = None
        if self.is_first:
            found = torch.empty((self.size, *x.shape), dtype=x.dtype, device=x.device)
        if (board := self._board_for(x)) is not None:
            board.gather(x, found)
        else:
            _exchange(distributed.gather, x, None if found is None else list(found.unbind()))
        return found

    def broadcast_(self, x: torch.Tensor) -> torch.Tensor:
        if (board := self._board_for(x)) is not None:
            board.broadcast_(x)
        else:
            _exchange(distributed.broadcast, x, src=0)
        return x

    def share(self, value: T) -> T:
        carried: list[Any] = [value if self.is_first else None]
        _exchange(distributed.broadcast_object_list, carried, src=0, device=torch.device("cpu"))
        shared: T = carried[0]
        return shared

    def join(self, rows: Array) -> Array:
        counts = self.gather(torch.tensor(len(rows))).tolist()
        if not max(counts):
            return rows
        room = np.zeros((max(counts), *rows.shape[1:]), rows.dtype)
        room[: len(rows)] = rows
        parts = self.gather(torch.from_numpy(room)).numpy()
        joined: Array = np.concatenate([part[:count] for part, count in zip(parts, counts, strict=True)])
        return joined

    def _board_for(self, x: torch.Tensor) -> Board | None:
        return self.board if x.device.type == "cpu" and x.is_contiguous() else None


def open_board(group: JoinedGroup) -> Board | None:
    """Return memory that the processes of a group share, or ``None`` where one of them cannot open it."""
    path = group.share(Board.make(group.size) if group.is_first else None)
    if path is None:
        return None
    board = None
    try:
        with suppress(OSError):
            board = Board(path, group.rank, group.size)
        n_open = int(group.sum(board is not None))
    finally:
        if group.is_first:
            path.unlink(missing_ok=True)
    if n_open == group.size:
        return board
    if board is not None:
        board.close()
    return None


ALONE = Group()


def _exchange(function: Any, *values: Any, **options: Any) -> None:
    try:
        function(*values, **options)
    except RuntimeError as error:
        # Gloo and NCCL know only that a connection was closed, or that nobody answered in time.
        raise PeerLostError(PEER_LOST) from error
