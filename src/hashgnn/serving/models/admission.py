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


class TimeLimit:
    """The moment at which a request is given up; a call raises once it is over.

    Parameters
    ----------
    seconds : float
        From now on.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds, self._end = seconds, time.monotonic() + seconds

    @property
    def remaining(self) -> float:
        """Seconds that are left, at least 0."""
        return max(0.0, self._end - time.monotonic())

    def __call__(self) -> None:
        """Raise :class:`RequestError` if the time is over."""
        if time.monotonic() > self._end:
            raise _too_slow(self._seconds)


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

    async def run(
        self, work: Callable[[TimeLimit], T], *, short: bool = False, outcome_counts: bool = False
    ) -> T:
        """Run a function in a thread. Its argument raises, where it is called, when the time is over.

        Parameters
        ----------
        work : callable
        short : bool, default=False
            Whether the work takes about a millisecond. It then runs in the event loop, which saves a change
            of threads. Requests that have arrived meanwhile are counted first, so the queue stays bounded.
        outcome_counts : bool, default=False
            Whether the work changes something, so that the answer must not be a failure while it goes on. Work that has begun is then waited for; it must itself end in time. Work that has not begun
            when the time is over never begins.

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
        limit = TimeLimit(self.time_limit)

        def timed() -> T:
            limit()
            return work(limit)

        submitted = self._pool.submit(copy_context().run, timed)
        self._admitted += 1
        future = asyncio.wrap_future(submitted)
        # A thread cannot be stopped: its place is free when it has really ended, not when its caller left.
        future.add_done_callback(self._leave)
        try:
            return await asyncio.wait_for(asyncio.shield(future), self.time_limit + 0.05)
        except TimeoutError:
            if outcome_counts and not submitted.cancel():
                return await asyncio.shield(future)
            raise _too_slow(self.time_limit) from None

    async def _run_inline(self, work: Callable[[TimeLimit], T]) -> T:
        self._admitted += 1
        try:
            await asyncio.sleep(0)
            return work(TimeLimit(self.time_limit))
        finally:
            self._admitted -= 1

    def close(self) -> None:
        """Wait for the work that runs, and accept no more."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _leave(self, future: asyncio.Future[Any]) -> None:
        self._admitted -= 1
        if not future.cancelled():
            future.exception()  # marks the error as read: its caller may have left


def _too_slow(limit: float) -> RequestError:
    detail = f"the request took longer than {limit:g} seconds; send a smaller one"
    return RequestError(Reason.TOO_SLOW, detail, retry_after=_RETRY_AFTER)
