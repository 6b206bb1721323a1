"""The web application: routes, problem documents, the page, and what runs beside them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.routing import APIRoute
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

from hashgnn import __version__
from hashgnn.serving.api_models import Problem, ReloadRequest
from hashgnn.serving.keys import Keys
from hashgnn.serving.operations import operation_routes
from hashgnn.serving.problems import ProblemError, problem_response
from hashgnn.serving.routes import REQUESTS, api_routes
from hashgnn.serving.service import Service, new_service
from hashgnn.serving.settings import ServiceSettings
from hashgnn.serving.shell import MISTAKE, Shell

PAGE = Path(__file__).parent / "page"

_SENTENCES = {404: "there is nothing at this path", 405: "this path does not take this method"}


def create_app(settings: ServiceSettings, service: Service | None = None) -> Shell:
    """Return the service as an ASGI application.

    Its model is opened when the application starts, or before by ``app.service.start()``.

    Parameters
    ----------
    settings : ServiceSettings
    service : Service, optional
        What answers, where it has been made already.

    Raises
    ------
    HashGNNError
        When it starts, if the model or the item metadata cannot be used.
    """
    service = service or new_service(settings)
    api = FastAPI(
        title="hashgnn",
        version=__version__,
        description="Recommendations by learned hash codes.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lambda app: _life(service),
    )
    routes = api_routes(service)
    api.include_router(routes)
    api.include_router(operation_routes(service))
    api.mount("/", _Page(directory=PAGE, html=True), name="page")
    api.add_exception_handler(ProblemError, _on_problem)
    api.add_exception_handler(HTTPException, _on_http)
    api.add_exception_handler(Exception, _on_mistake)
    api.openapi = lambda: _openapi(api)  # type: ignore[method-assign]
    return Shell(
        api,
        service.metrics,
        Keys(settings.api_keys),
        body_limit=settings.body_limit,
        time_limit=settings.time_limit,
        log_requests=settings.log_requests,
        service=service,
        direct={
            ("POST", route.path): route.endpoint
            for route in routes.routes
            if isinstance(route, APIRoute) and "POST" in (route.methods or ())
        },
    )


class _Page(StaticFiles):
    """The page's files; a browser asks whether they have changed, so that an upgrade shows at once."""

    def file_response(self, *given: Any, **options: Any) -> Response:
        response = super().file_response(*given, **options)
        response.headers["cache-control"] = "no-cache"
        return response


@contextlib.asynccontextmanager
async def _life(service: Service) -> AsyncIterator[None]:
    if service.life.held is None:
        service.start()
    watcher = asyncio.create_task(_watch(service)) if service.settings.watch else None
    try:
        yield
    finally:
        if watcher is not None:
            watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watcher
        service.close()


async def _watch(service: Service) -> None:
    while True:
        await asyncio.sleep(service.settings.watch)
        service.metrics.tick()
        await asyncio.to_thread(service.look)


async def _on_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)
    return problem_response(error, request.scope["state"]["request_id"])


async def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    detail = _SENTENCES.get(error.status_code, "the request cannot be answered")
    headers = dict(error.headers or {})
    return problem_response(
        ProblemError(error.status_code, detail, headers), request.scope["state"]["request_id"]
    )


async def _on_mistake(request: Request, error: Exception) -> Response:
    return problem_response(ProblemError(500, MISTAKE), request.scope["state"]["request_id"])


def _openapi(api: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document; bodies are read by hand, so their schemas are added by hand."""
    if api.openapi_schema is None:
        document = FastAPI.openapi(api)
        models = [(model, "validation") for model in (*REQUESTS, ReloadRequest, Problem)]
        _, schemas = models_json_schema(models, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]
        document.setdefault("components", {}).setdefault("schemas", {}).update(schemas["$defs"])
        api.openapi_schema = document
    return api.openapi_schema
