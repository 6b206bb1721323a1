"""Routes for operators: health, metrics, reload."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from hashgnn._json_text import dumps
from hashgnn.serving.http.api_keys import ApiKeys
from hashgnn.serving.http.json_bodies import described, json_response, read
from hashgnn.serving.http.problems import described_problems
from hashgnn.serving.models.metrics import CONTENT_TYPE
from hashgnn.serving.models.service import Service
from hashgnn.serving.wire.errors import Reason, RequestError
from hashgnn.serving.wire.schemas import HealthResponse, ReloadRequest, ReloadResponse


def admin_routes(service: Service) -> APIRouter:
    """Return the routes outside the API."""
    router = APIRouter()
    token = service.settings.admin_token
    tokens = ApiKeys([] if token is None else [token])

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

        @router.post("/admin/reload", **described(ReloadRequest, ReloadResponse, 409))
        async def reload(request: Request) -> Response:
            """Open another version; the old one stays active if it cannot be used."""
            if not tokens.admit(dict(request.scope["headers"])):
                raise RequestError(
                    Reason.UNAUTHENTICATED, "the admin token is needed, as Authorization: Bearer TOKEN"
                )
            body = await read(request, ReloadRequest)
            return json_response(await run_in_threadpool(service.reload, body))

    return router
