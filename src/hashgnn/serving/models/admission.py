"""How many requests run and wait at a time; those beyond are refused at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, TypeVar

from hashgnn.serving.wire.errors import Reason, RequestError

T = TypeVar("T")

_RETRY_AFTER = 1  # seconds


class RequestQueue:
    """A fixed number of threads with a bounded queue in front of them.

    Parameters
    ----------
    n_threads : int
    capacity : int
        Requests that may wait. One more is refused at once.
    time_limit : float
        Seconds from arrival to answer.
    """

    def __init__(self, n_threads: int, capacity: int, time_limit: float) -> None:
        self._pool = ThreadPoolExecutor(n_threads, thread_name_prefix="search")
        self._n_threads, self._places, self.time_limit = n_threads, n_threads + capacity, time_limit
        self._admitted = 0

    @property
    def waiting(self) -> int:
        """Requests that wait for a thread."""
        return max(0, self._admitted - self._n_threads)

    @property
    def working(self) -> int:
        """Requests that have a thread."""
        return min(self._admitted, self._n_threads)

    async def run(self, work: Callable[[Callable[[], None]], T], *, short: bool = False) -> T:
        """Run a function in a thread. Its argument is a function that raises when the time is over.

        Parameters
        ----------
        work : callable
        short : bool, default=False
            Whether the work takes about a millisecond. It then runs in the event loop, which saves a change
            of threads. Requests that have arrived meanwhile are counted first, so the queue stays bounded.

        Raises
        ------
        RequestError
            ``BUSY`` if the queue is full, ``TOO_SLOW`` if the time is over.
        """
        if self._admitted >= self._places:
            raise RequestError(
                Reason.BUSY, "the service is busy; try again after a second", retry_after=_RETRY_AFTER
            )
        if short:
            return await self._run_inline(work)
        deadline = time.monotonic() + self.time_limit

        def check() -> None:
            if time.monotonic() > deadline:
                raise _too_slow(self.time_limit)

        def timed() -> T:
            check()
            return work(check)

        self._admitted += 1
        future = asyncio.get_running_loop().run_in_executor(self._pool, copy_context().run, timed)
        # A thread cannot be stopped: its place is free when it has really ended, not when its caller left.
        future.add_done_callback(self._leave)
        try:
            return await asyncio.wait_for(asyncio.shield(future), self.time_limit + 0.05)
        except TimeoutError:
            raise _too_slow(self.time_limit) from None

    async def _run_inline(self, work: Callable[[Callable[[], None]], T]) -> T:
        self._admitted += 1
        try:
            await asyncio.sleep(0)
            return work(_no_check)
        finally:
            self._admitted -= 1

    def close(self) -> None:
        """Wait for the work that runs, and accept no more."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _leave(self, future: asyncio.Future[Any]) -> None:
        self._admitted -= 1
        if not future.cancelled():
            future.exception()  # marks the error as read: its caller may have left


def _no_check() -> None:
    """Do nothing: short work ends before the time limit matters."""


def _too_slow(limit: float) -> RequestError:
    detail = f"the request took longer than {limit:g} seconds; send a smaller one"
    return RequestError(Reason.TOO_SLOW, detail, retry_after=_RETRY_AFTER)
