"""Middleware of every request: id, key, size limit, metrics, log line and unhandled errors."""

from __future__ import annotations

import asyncio
import logging
import math
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from hashgnn.errors import EngineError, ParameterError, UnknownIdError
from hashgnn.serving.http.api_keys import sent_key
from hashgnn.serving.http.key_file import WatchedKeys
from hashgnn.serving.http.openapi_security import KEYED
from hashgnn.serving.http.problems import INTERNAL_ERROR, error_response
from hashgnn.serving.http.rate_limits import RateLimits
from hashgnn.serving.models.metrics import Metrics
from hashgnn.serving.models.service import Service
from hashgnn.serving.wire.errors import Reason, RequestError
from hashgnn.serving.wire.logs import REQUEST_ID, log

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Scope = MutableMapping[str, Any]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Handler = Callable[[Request], Awaitable[Response]]

_VALID_ID = re.compile(rb"[A-Za-z0-9_.:-]{1,64}")
_UNITS = (("second", 1), ("minute", 60), ("hour", 3600))
_SECURITY = [
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        b"font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
]


class RequestMiddleware:
    """ASGI middleware around the web application.

    Parameters
    ----------
    app : ASGI application
    metrics : Metrics
    keys : WatchedKeys
        Of the API; health checks and the page need none, ``/admin`` has a token of its own.
    rates : RateLimits
        How many requests each key may send.
    body_limit : int
        Bytes.
    time_limit : float
        Seconds that the body of a request may take to arrive.
    log_requests : bool
    service : Service
        The service behind the application, for the program that runs it.
    post_handlers : mapping of path to a coroutine function
        Frequent ``POST`` routes. They are called without the router, which saves a fifth of the time of a request.
    """

    def __init__(
        self,
        app: App,
        metrics: Metrics,
        keys: WatchedKeys,
        rates: RateLimits,
        *,
        body_limit: int,
        time_limit: float,
        log_requests: bool,
        service: Service,
        post_handlers: Mapping[str, Handler],
    ) -> None:
        self._app, self._metrics, self.service = app, metrics, service
        self._keys, self._rates = keys, rates
        self._post_handlers = post_handlers
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
        method = scope["method"]
        # HEAD is answered as GET, by a copy of the scope: the server goes by its own and sends no body.
        is_head = method == "HEAD"
        if is_head:
            scope = {**scope, "method": "GET"}

        async def send_more(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), *extra]
            elif is_head:
                message = {**message, "body": b""}
            await send(message)

        try:
            try:
                self._admit(scope["path"], headers, state)
                body = await self._body(headers, receive)
                handler = self._post_handlers.get(scope["path"]) if scope["method"] == "POST" else None
                if handler is None:
                    await self._app(scope, body, send_more)
                else:
                    state["route"] = scope["path"]
                    await (await handler(Request(scope, body)))(scope, body, send_more)
            except (RequestError, UnknownIdError, ParameterError, EngineError) as error:
                await error_response(as_request_error(error), request_id)(scope, receive, send_more)
            except Exception:
                log(logging.ERROR, "internal error", exc_info=True)
                if not status:
                    await error_response(INTERNAL_ERROR, request_id)(scope, receive, send_more)
        finally:
            self._record(scope, method, status, time.perf_counter() - started)
            REQUEST_ID.reset(before)

    def _admit(self, path: str, headers: dict[bytes, bytes], state: dict[str, Any]) -> None:
        """Refuse a request without a key, with a wrong one, or with one whose rate is used up."""
        keys = self._keys.current
        if not keys or not path.startswith(KEYED):
            return
        key = keys.find(headers)
        if key is None and sent_key(headers) is None:
            raise RequestError(Reason.UNAUTHENTICATED, "an API key is needed, as Authorization: Bearer KEY")
        if key is None:
            raise RequestError(Reason.UNAUTHENTICATED, "this key was refused")
        state["key"], state["caller"] = key.name, key.caller
        wait = self._rates.take(key)
        if wait:
            raise RequestError(
                Reason.RATE_USED_UP,
                f"the rate of this key is used up, at most {_per_time(key.rate)}",
                retry_after=math.ceil(wait),
            )

    async def _body(self, headers: dict[bytes, bytes], receive: Receive) -> Receive:
        """Read the body, which must be small and arrive in time, and return a ``receive`` that delivers it."""
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
            raise RequestError(
                Reason.BODY_TOO_SLOW, f"the body must arrive within {self._time_limit:g} seconds"
            ) from None
        delivered = False

        async def deliver() -> Message:
            nonlocal delivered
            if delivered:
                return await receive()
            delivered = True
            return {"type": "http.request", "body": b"".join(parts), "more_body": False}

        return deliver

    def _too_large(self) -> RequestError:
        return RequestError(Reason.TOO_LARGE, f"the body must have at most {self._body_limit} bytes")

    def _record(self, scope: Scope, method: str, status: int, seconds: float) -> None:
        state = scope["state"]
        # A path that no route has is not a label: callers could make any number of them.
        route = state.get("route") or getattr(scope.get("route"), "path", None) or "other"
        method = method if method in ("GET", "POST", "DELETE", "HEAD", "OPTIONS") else "other"
        self._metrics.requests.labels(route, method, str(status)).inc()
        self._metrics.seconds.labels(route, state.get("search", "")).observe(seconds)
        fields = state.get("log", {})
        if "key" in state:
            fields = {"key": state["key"], **fields}
            self._metrics.key_requests.labels(state["key"], str(status)).inc()
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
                **fields,
            )


def as_request_error(error: Exception) -> RequestError:
    """Return an error as one with a reason.

    The others that a caller may cause are an id of another type than those of the model, and an argument of the
    library that breaks its rule. Ids that are unknown have a reason already.
    """
    if isinstance(error, RequestError):
        return error
    if isinstance(error, EngineError):
        log(logging.ERROR, "engine failed", detail=str(error))  # its sentence has an address
        return RequestError(
            Reason.UNAVAILABLE, "the engine that holds the items cannot answer now", retry_after=1
        )
    return RequestError(Reason.INVALID, str(error))


def _per_time(rate: float | None) -> str:
    """Return a rate in words."""
    assert rate is not None  # only keys with a rate are refused
    unit, seconds = next((pair for pair in _UNITS if rate * pair[1] >= 1), _UNITS[-1])
    return f"{rate * seconds:g} per {unit}"


def _request_id(headers: dict[bytes, bytes]) -> str:
    requested = headers.get(b"x-request-id", b"")
    return requested.decode() if _VALID_ID.fullmatch(requested) else secrets.token_hex(8)
