"""The bounded queue: how many requests run, how many wait, and for how long."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from hashgnn.serving.models.admission import RequestQueue
from hashgnn.serving.wire.errors import Reason, RequestError
from hashgnn.serving.wire.logs import REQUEST_ID


def test_a_full_queue_refuses_at_once_and_frees_its_places() -> None:
    async def fill() -> None:
        queue, go = RequestQueue(n_threads=2, capacity=1, time_limit=20), threading.Event()
        inside = [asyncio.create_task(queue.run(lambda check: go.wait(20))) for _ in range(3)]
        await asyncio.sleep(0.05)
        assert (queue.working, queue.waiting) == (2, 1)
        with pytest.raises(RequestError) as refused:
            await queue.run(lambda check: True)
        assert (refused.value.reason, refused.value.retry_after) == (Reason.BUSY, 1)
        go.set()
        assert await asyncio.gather(*inside) == [True] * 3
        assert await queue.run(lambda check: "again") == "again"
        queue.close()

    asyncio.run(fill())


def test_what_takes_too_long_is_given_up_and_keeps_its_thread_until_it_ends() -> None:
    async def exceed() -> None:
        queue, go = RequestQueue(n_threads=1, capacity=0, time_limit=0.05), threading.Event()
        with pytest.raises(RequestError) as late:
            await queue.run(lambda check: go.wait(20))
        assert late.value.reason is Reason.TOO_SLOW
        with pytest.raises(RequestError) as refused:
            await queue.run(lambda check: True)
        assert refused.value.reason is Reason.BUSY
        go.set()
        while queue.working:
            await asyncio.sleep(0.01)
        assert await queue.run(lambda check: 7) == 7
        queue.close()

    asyncio.run(exceed())


def test_a_search_stops_between_blocks_when_its_time_is_over() -> None:
    async def search() -> int:
        queue, blocks = RequestQueue(n_threads=1, capacity=0, time_limit=0.05), 0

        def work(check: Any) -> None:
            nonlocal blocks
            while True:
                check()
                blocks += 1
                time.sleep(0.005)

        with pytest.raises(RequestError, match="longer than 0.05 seconds"):
            await queue.run(work)
        queue.close()
        return blocks

    assert 1 <= asyncio.run(search()) <= 11


def test_short_searches_run_inline_and_are_bounded_like_the_others() -> None:
    async def ask() -> None:
        queue = RequestQueue(n_threads=1, capacity=1, time_limit=20)
        here = threading.get_ident()
        threads = await asyncio.gather(
            *(queue.run(lambda check: threading.get_ident(), short=True) for _ in range(3)),
            return_exceptions=True,
        )
        assert threads[:2] == [here, here]
        assert isinstance(threads[2], RequestError)
        assert threads[2].reason is Reason.BUSY
        assert queue.working == queue.waiting == 0
        queue.close()

    asyncio.run(ask())


def test_a_thread_of_the_queue_knows_the_request() -> None:
    async def read_id() -> str | None:
        queue = RequestQueue(n_threads=1, capacity=0, time_limit=20)
        REQUEST_ID.set("abc-3")
        try:
            return await queue.run(lambda check: REQUEST_ID.get())
        finally:
            queue.close()

    assert asyncio.run(read_id()) == "abc-3"


def test_a_write_that_has_begun_is_waited_for_and_one_that_has_not_never_begins() -> None:
    async def write() -> None:
        queue, go = RequestQueue(n_threads=1, capacity=1, time_limit=0.05), threading.Event()
        written: list[str] = []

        def work(limit: Any) -> str:
            assert go.wait(20)
            assert limit.remaining == 0
            written.append("the first")
            return "its outcome"

        first = asyncio.create_task(queue.run(work, outcome_counts=True))
        await asyncio.sleep(0)
        with pytest.raises(RequestError) as late:
            await queue.run(lambda limit: written.append("the second"), outcome_counts=True)
        assert late.value.reason is Reason.TOO_SLOW
        assert not first.done()
        go.set()
        assert await first == "its outcome"
        queue.close()
        assert written == ["the first"]
        assert queue.working == queue.waiting == 0

    asyncio.run(write())
