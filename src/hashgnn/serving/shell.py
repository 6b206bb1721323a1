"""Around every request: its id, its size, its key, its time, its log line, and a net under what goes wrong."""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from hashgnn.serving.keys import Keys
from hashgnn.serving.logs import REQUEST_ID, log
from hashgnn.serving.metrics import Metrics
from hashgnn.serving.problems import ProblemError, problem_response
from hashgnn.serving.service import Service

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Scope = MutableMapping[str, Any]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Handler = Callable[[Request], Awaitable[Response]]

MISTAKE = "a mistake of the service; its log has the request id"

_GIVEN_ID = re.compile(rb"[A-Za-z0-9_.:-]{1,64}")
_KEYED = ("/v1/", "/metrics", "/openapi.json")
_SECURITY = [
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        b"font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
]


class Shell:
    """ASGI middleware.

    Parameters
    ----------
    app : ASGI application
    metrics : Metrics
    keys : Keys
        Of the API; health checks and the page need none, ``/admin`` has a token of its own.
    body_limit : int
        Bytes.
    time_limit : float
        Seconds that the body of a request may take to arrive.
    log_requests : bool
    service : Service
        What is inside, for the program around.
    direct : mapping of (method, path) to a coroutine function
        Routes that are asked often: called from here, which saves a fifth of the time of a request.
    """

    def __init__(
        self,
        app: App,
        metrics: Metrics,
        keys: Keys,
        *,
        body_limit: int,
        time_limit: float,
        log_requests: bool,
        service: Service,
        direct: Mapping[tuple[str, str], Handler],
    ) -> None:
        self._app, self._metrics, self._keys, self.service = app, metrics, keys, service
        self._direct = direct
        self._body_limit, self._time_limit, self._log = body_limit, time_limit, log_requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        headers = dict(scope["headers"])
        request_id = _request_id(headers)
        before = REQUEST_ID.set(request_id)
        state = scope.setdefault("state", {})
        state["request_id"] = request_id
        extra = [*_SECURITY, (b"x-request-id", request_id.encode())]
        status = 0

        async def send_more(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), *extra]
            await send(message)

        try:
            try:
                self._admit(scope["path"], headers)
                body = await self._body(headers, receive)
                handler = self._direct.get((scope["method"], scope["path"]))
                if handler is None:
                    await self._app(scope, body, send_more)
                else:
                    state["route"] = scope["path"]
                    await (await handler(Request(scope, body)))(scope, body, send_more)
            except ProblemError as problem:
                await problem_response(problem, request_id)(scope, receive, send_more)
            except Exception:
                log(logging.ERROR, "mistake", exc_info=True)
                if not status:
                    await problem_response(ProblemError(500, MISTAKE), request_id)(scope, receive, send_more)
        finally:
            self._note(scope, status, time.perf_counter() - started)
            REQUEST_ID.reset(before)

    def _admit(self, path: str, headers: dict[bytes, bytes]) -> None:
        if self._keys and path.startswith(_KEYED) and not self._keys.admit(headers):
            raise ProblemError(
                401, "an API key is needed, as Authorization: Bearer KEY", {"WWW-Authenticate": "Bearer"}
            )

    async def _body(self, headers: dict[bytes, bytes], receive: Receive) -> Receive:
        """Read the body, which must be small and come in time, and return what hands it on."""
        length = headers.get(b"content-length")
        if length is None and b"transfer-encoding" not in headers:
            return receive
        if length is not None and (not length.isdigit() or int(length[:20]) > self._body_limit):
            raise self._too_large()
        parts, size = [], 0
        try:
            async with asyncio.timeout(self._time_limit):
                while True:
                    message = await receive()
                    if message["type"] != "http.request":
                        break
                    parts.append(message.get("body", b""))
                    size += len(parts[-1])
                    if size > self._body_limit:
                        raise self._too_large()
                    if not message.get("more_body"):
                        break
        except TimeoutError:
            raise ProblemError(
                408, f"the body must arrive within {self._time_limit:g} seconds", {"Connection": "close"}
            ) from None
        handed = False

        async def hand_on() -> Message:
            nonlocal handed
            if handed:
                return await receive()
            handed = True
            return {"type": "http.request", "body": b"".join(parts), "more_body": False}

        return hand_on

    def _too_large(self) -> ProblemError:
        return ProblemError(
            413, f"the body must have at most {self._body_limit} bytes", {"Connection": "close"}
        )

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        state = scope["state"]
        # A path that no route has is not a label: callers could make any number of them.
        route = state.get("route") or getattr(scope.get("route"), "path", None) or "other"
        method = scope["method"] if scope["method"] in ("GET", "POST", "HEAD", "OPTIONS") else "other"
        self._metrics.requests.labels(route, method, str(status)).inc()
        self._metrics.seconds.labels(route, state.get("search", "")).observe(seconds)
        if status >= 400:
            self._metrics.errors.labels(route, str(status)).inc()
        if self._log:
            log(
                logging.INFO,
                "request",
                method=method,
                route=route,
                status=status,
                milliseconds=round(seconds * 1000, 3),
                **state.get("log", {}),
            )


def _request_id(headers: dict[bytes, bytes]) -> str:
    given = headers.get(b"x-request-id", b"")
    return given.decode() if _GIVEN_ID.fullmatch(given) else secrets.token_hex(8)
