"""A group of threads in one process: the mathematics of several processes, without starting any."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import torch

from hashgnn.training.workers.group import Group

T = TypeVar("T")


@dataclass
class Meeting:
    """Where the threads of a group lay down what they exchange."""

    size: int
    values: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.values = [None] * self.size
        self.barrier = threading.Barrier(self.size, timeout=60)

    def exchange(self, rank: int, value: Any) -> list[Any]:
        self.values[rank] = value
        self.barrier.wait()
        found = list(self.values)
        self.barrier.wait()
        return found


@dataclass(frozen=True)
class ThreadGroup(Group):
    """One thread of a group."""

    meeting: Meeting = field(default_factory=lambda: Meeting(1))

    def _all(self, x: torch.Tensor) -> torch.Tensor:
        return torch.stack(self.meeting.exchange(self.rank, x.detach().clone()))

    def sum_(self, x: torch.Tensor) -> torch.Tensor:
        return x.copy_(self._all(x).sum(dim=0))

    def max_(self, x: torch.Tensor) -> torch.Tensor:
        return x.copy_(self._all(x).amax(dim=0))

    def gather(self, x: torch.Tensor) -> torch.Tensor:
        return self._all(x)

    def gather_first(self, x: torch.Tensor) -> torch.Tensor | None:
        found = self._all(x)
        return found if self.is_first else None

    def broadcast_(self, x: torch.Tensor) -> torch.Tensor:
        return x.copy_(self._all(x)[0])

    def share(self, value: T) -> T:
        shared: T = self.meeting.exchange(self.rank, value)[0]
        return shared

    def join(self, rows: Any) -> Any:
        return np.concatenate(self.meeting.exchange(self.rank, rows))


def together(size: int, work: Callable[[Group], T]) -> list[T]:
    """Return what ``work`` returns in each thread of a group."""
    meeting = Meeting(size)
    found: list[Any] = [None] * size
    failed: list[BaseException] = []

    def run(rank: int) -> None:
        try:
            found[rank] = work(ThreadGroup(rank, size, size, meeting=meeting))
        except BaseException as error:
            failed.append(error)
            meeting.barrier.abort()

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    others = [error for error in failed if not isinstance(error, threading.BrokenBarrierError)]
    if failed:
        raise (others or failed)[0]
    return found
