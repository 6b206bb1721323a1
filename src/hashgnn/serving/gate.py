"""How many requests work and wait at a time; those beyond are told to come back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, TypeVar

from hashgnn.serving.problems import ProblemError

T = TypeVar("T")

_RETRY_AFTER = {"Retry-After": "1"}


class Gate:
    """A fixed number of threads and a bounded queue before them.

    Parameters
    ----------
    n_threads : int
    queue : int
        Requests that may wait; one more is refused with 429 at once.
    time_limit : float
        Seconds from arrival to answer.
    """

    def __init__(self, n_threads: int, queue: int, time_limit: float) -> None:
        self._pool = ThreadPoolExecutor(n_threads, thread_name_prefix="search")
        self._n_threads, self._places, self.time_limit = n_threads, n_threads + queue, time_limit
        self._inside = 0

    @property
    def waiting(self) -> int:
        """Requests that wait for a thread."""
        return max(0, self._inside - self._n_threads)

    @property
    def working(self) -> int:
        """Requests that have a thread."""
        return min(self._inside, self._n_threads)

    async def run(self, work: Callable[[Callable[[], None]], T], *, short: bool = False) -> T:
        """Run a function in a thread; it gets a function that raises when the time is over.

        Parameters
        ----------
        work : callable
        short : bool, default=False
            It takes about a millisecond: run it here, where it costs no change of threads. Requests that
            have come in meanwhile are counted first, so that the queue is bounded all the same.

        Raises
        ------
        ProblemError
            429 if the queue is full, 503 if the time is over.
        """
        if self._inside >= self._places:
            raise ProblemError(429, "the service is busy; try again after a second", _RETRY_AFTER)
        if short:
            return await self._run_here(work)
        deadline = time.monotonic() + self.time_limit

        def check() -> None:
            if time.monotonic() > deadline:
                raise _too_late(self.time_limit)

        def timed() -> T:
            check()
            return work(check)

        self._inside += 1
        future = asyncio.get_running_loop().run_in_executor(self._pool, copy_context().run, timed)
        # A thread cannot be stopped: its place is free when it has really ended, not when its caller left.
        future.add_done_callback(self._leave)
        try:
            return await asyncio.wait_for(asyncio.shield(future), self.time_limit + 0.05)
        except TimeoutError:
            raise _too_late(self.time_limit) from None

    async def _run_here(self, work: Callable[[Callable[[], None]], T]) -> T:
        self._inside += 1
        try:
            await asyncio.sleep(0)
            return work(_no_check)
        finally:
            self._inside -= 1

    def close(self) -> None:
        """Let what runs end, and take nothing more."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _leave(self, future: asyncio.Future[Any]) -> None:
        self._inside -= 1
        if not future.cancelled():
            future.exception()  # its caller may have gone; the error is then nobody's


def _no_check() -> None:
    """Of what is over before a look at the clock would say anything."""


def _too_late(limit: float) -> ProblemError:
    return ProblemError(503, f"the request took longer than {limit:g} seconds; ask for less", _RETRY_AFTER)
