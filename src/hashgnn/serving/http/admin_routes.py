"""Routes for operators: health, metrics, reload."""

from __future__ import annotations

import anyio.to_thread
from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from hashgnn._json_text import dumps
from hashgnn.serving.http.api_keys import ApiKey, ApiKeys, sent_key
from hashgnn.serving.http.json_bodies import described, json_response, read
from hashgnn.serving.http.key_file import WatchedKeys
from hashgnn.serving.http.problems import described_problems
from hashgnn.serving.models.metrics import CONTENT_TYPE
from hashgnn.serving.models.service import Service
from hashgnn.serving.wire.answer_schemas import HealthResponse, ReloadResponse
from hashgnn.serving.wire.errors import Reason, RequestError
from hashgnn.serving.wire.schemas import ReloadRequest


def admin_routes(service: Service, keys: WatchedKeys) -> APIRouter:
    """Return the routes outside the API. ``keys`` are those of the API, which are not for operators."""
    router = APIRouter()
    one_reload = anyio.CapacityLimiter(1)  # one that takes long must not keep threads from health checks
    token = service.settings.admin_token
    tokens = ApiKeys([] if token is None else [ApiKey.of(token)])

    @router.get("/health/live", responses={200: {"model": HealthResponse}})
    async def live() -> Response:
        """Say that the process answers."""
        return json_response(dumps({"status": "live", "model_version": None}))

    @router.get("/health/ready", responses={200: {"model": HealthResponse}, **described_problems(503)})
    async def ready() -> Response:
        """Say whether requests should be sent here."""
        reason = await run_in_threadpool(service.not_ready)
        if reason is not None:
            raise RequestError(Reason.NOT_READY, reason, retry_after=1)
        return json_response(dumps({"status": "ready", "model_version": service.active.current.name}))

    @router.get(
        "/metrics",
        responses={
            200: {"content": {"text/plain": {"schema": {"type": "string"}}}},
            **described_problems(401),
        },
    )
    async def metrics() -> Response:
        """Return the metrics in Prometheus' text form."""
        await run_in_threadpool(service.store_problem)
        service.metrics.waiting.set(service.searches.waiting)
        service.metrics.working.set(service.searches.working)
        return Response(service.metrics.text(), media_type=CONTENT_TYPE)

    if tokens:

        @router.post("/admin/reload", **described(ReloadRequest, ReloadResponse, 403, 409))
        async def reload(request: Request) -> Response:
            """Open another version; the old one stays active if it cannot be used."""
            headers = dict(request.scope["headers"])
            if tokens.find(headers) is None:
                raise _refused(headers, keys)
            body = await read(request, ReloadRequest)
            return json_response(await anyio.to_thread.run_sync(service.reload, body, limiter=one_reload))

    return router


def _refused(headers: dict[bytes, bytes], keys: WatchedKeys) -> RequestError:
    """Return why a request without the admin token is refused."""
    if keys.current.find(headers) is not None:
        return RequestError(Reason.FORBIDDEN, "an API key is not for /admin, the admin token is needed")
    if sent_key(headers) is not None:
        return RequestError(Reason.UNAUTHENTICATED, "this token was refused")
    return RequestError(Reason.UNAUTHENTICATED, "the admin token is needed, as Authorization: Bearer TOKEN")
