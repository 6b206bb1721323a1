"""The service in a thread, and a browser that opens its page."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from tests.browser import PATIENCE, SIZES, launched

from hashgnn.serving import ServiceSettings, create_app
from hashgnn.serving.process.server import listen

REFUSED = "Failed to load resource"  # the browser's own note of an answer that is an error


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with launched() as browser:
        yield browser


class Served:
    """A service in a thread of this process, which can be ended and begun again on its port."""

    def __init__(self, settings: ServiceSettings) -> None:
        self._settings, self._port = settings, 0
        self.begin()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def begin(self) -> None:
        self._listening = listen("127.0.0.1", self._port)
        self._port = self._listening.getsockname()[1]
        app = create_app(self._settings)
        config = uvicorn.Config(app, ws="none", log_config=None, timeout_graceful_shutdown=5)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._listening]})
        self._thread.start()

    def end(self) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._listening.close()

    def post(self, path: str, **body: Any) -> Any:
        answer = httpx.post(self.url + path, json=body, timeout=PATIENCE / 1000)
        assert answer.status_code == 200, answer.text
        return answer.json()["results"]


@pytest.fixture
def serve(model_folder: Path, titles: Path) -> Iterator[Callable[..., Served]]:
    with contextlib.ExitStack() as stack:

        def started(**options: Any) -> Served:
            settings = {"model": model_folder, "items": titles, "item_id": "movie", **options}
            served = Served(ServiceSettings(**settings, watch=0, log_requests=False))
            stack.callback(served.end)
            return served

        yield started


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., Any]]:
    """Open a page; at the end no script has failed and no other host was contacted."""
    with contextlib.ExitStack() as stack:

        def opened(served: Served, *, refused: bool = False, **options: Any) -> Any:
            context = browser.new_context(**{"viewport": SIZES["desktop"], **options})
            stack.callback(context.close)
            context.set_default_timeout(PATIENCE)
            page = context.new_page()
            # The page goes on asking for times when a test has seen enough.
            stack.callback(page.unroute_all, behavior="ignoreErrors")
            wrong: list[str] = []
            requested: set[str] = set()

            def check() -> None:
                faults = [text for text in wrong if not (refused and text.startswith(REFUSED))]
                assert faults == []
                assert {url for url in requested if not url.startswith((served.url, "data:"))} == set()

            stack.callback(check)
            page.on("console", lambda said: said.type in ("error", "warning") and wrong.append(said.text))
            page.on("pageerror", lambda error: wrong.append(str(error)))
            page.on("request", lambda request: requested.add(request.url))
            page.goto(served.url)
            return page

        yield opened
