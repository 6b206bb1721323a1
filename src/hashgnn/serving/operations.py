"""Routes for those who run the service: health, metrics, reload."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from hashgnn.errors import HashGNNError
from hashgnn.serving.api_models import HealthResponse, ReloadRequest, ReloadResponse
from hashgnn.serving.json_text import dumps
from hashgnn.serving.keys import Keys
from hashgnn.serving.metrics import CONTENT_TYPE
from hashgnn.serving.problems import ProblemError, responses
from hashgnn.serving.routes import JSON, described, read
from hashgnn.serving.service import Service


def operation_routes(service: Service) -> APIRouter:
    """Return the routes beside the API."""
    router = APIRouter()
    token = service.settings.admin_token
    tokens = Keys([] if token is None else [token])

    @router.get("/health/live", responses={200: {"model": HealthResponse}})
    async def live() -> Response:
        """Say that the process answers."""
        return Response(dumps({"status": "live", "model_version": None}), media_type=JSON)

    @router.get("/health/ready", responses={200: {"model": HealthResponse}, **responses(503)})
    async def ready() -> Response:
        """Say whether requests should be sent here."""
        if not service.ready:
            raise ProblemError(503, "the service is not ready", {"Retry-After": "1"})
        name = service.held.current.version.name
        return Response(dumps({"status": "ready", "model_version": name}), media_type=JSON)

    @router.get(
        "/metrics",
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **responses(401)},
    )
    async def metrics() -> Response:
        """Return the metrics in Prometheus' text form."""
        service.metrics.waiting.set(service.gate.waiting)
        service.metrics.working.set(service.gate.working)
        return Response(service.metrics.text(), media_type=CONTENT_TYPE)

    if tokens:

        @router.post("/admin/reload", **described(ReloadRequest, ReloadResponse, 409))
        async def reload(request: Request) -> Response:
            """Open another version; the old one goes on if it cannot be used."""
            if not tokens.admit(dict(request.scope["headers"])):
                raise ProblemError(
                    401,
                    "the admin token is needed, as Authorization: Bearer TOKEN",
                    {"WWW-Authenticate": "Bearer"},
                )
            asked = await read(request, ReloadRequest)
            return Response(dumps(await run_in_threadpool(_reload, service, asked)), media_type=JSON)

    return router


def _reload(service: Service, asked: ReloadRequest) -> dict[str, object]:
    try:
        changed = service.reload(asked.version, asked.next_version, asked.share)
    except HashGNNError:
        # The sentence names a path; it is in the log.
        raise ProblemError(409, "the version was refused and the old one goes on; the log says why") from None
    held = service.held
    return {
        "version": held.current.version.name,
        "next_version": None if held.following is None else held.following.version.name,
        "share": held.share,
        "changed": changed,
    }
