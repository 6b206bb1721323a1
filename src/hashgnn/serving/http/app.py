"""The web application: routes, problem documents, the page, and the task that watches for new versions."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio.to_thread
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.routing import APIRoute
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

from hashgnn import __version__
from hashgnn.errors import ParameterError, UnknownIdError
from hashgnn.serving.http.admin_routes import admin_routes
from hashgnn.serving.http.api_routes import REQUESTS, api_routes
from hashgnn.serving.http.key_file import WatchedKeys
from hashgnn.serving.http.middleware import RequestMiddleware, as_request_error
from hashgnn.serving.http.openapi_model import set_event_types, set_id_types
from hashgnn.serving.http.openapi_security import SCHEMES, required_schemes
from hashgnn.serving.http.problems import INTERNAL_ERROR, error_response, problem_response
from hashgnn.serving.http.rate_limits import RateLimits
from hashgnn.serving.models.service import Service, new_service
from hashgnn.serving.settings import ServiceSettings
from hashgnn.serving.wire.errors import RequestError
from hashgnn.serving.wire.logs import log
from hashgnn.serving.wire.schemas import Problem, ReloadRequest

_SIDE_THREADS = 8  # for what is not a request of the API
_LOOK = 1.0  # seconds between looks at the file of keys
PAGE = Path(__file__).parents[1] / "page"

_SENTENCES = {404: "there is nothing at this path", 405: "this path does not take this method"}


def create_app(settings: ServiceSettings, service: Service | None = None) -> RequestMiddleware:
    """Return the service as an ASGI application.

    Its model is opened when the application starts, or before by ``app.service.start()``.

    Parameters
    ----------
    settings : ServiceSettings
    service : Service, optional
        The service to use; by default one is made from the settings.

    Raises
    ------
    ParameterError
        If the file of keys cannot be used.
    HashGNNError
        When it starts, if the model or the item metadata cannot be used.
    """
    service = service or new_service(settings)
    metrics = service.metrics
    keys = WatchedKeys(
        settings.api_keys,
        settings.api_keys_file,
        lambda accepted: metrics.key_files.labels("accepted" if accepted else "refused").inc(),
    )
    rates = RateLimits(settings.runtime)
    api = FastAPI(
        title="hashgnn",
        version=__version__,
        description="Recommendations by learned hash codes.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lambda app: _lifespan(service, keys, rates),
    )
    routes = api_routes(service)
    admin = admin_routes(service, keys)
    api.include_router(routes)
    api.include_router(admin)
    api.state.methods = _methods_by_path(routes, admin)
    api.mount("/", _Page(directory=PAGE, html=True), name="page")
    api.add_exception_handler(RequestError, _on_request_error)
    api.add_exception_handler(UnknownIdError, _on_request_error)
    api.add_exception_handler(ParameterError, _on_request_error)
    api.add_exception_handler(HTTPException, _on_http_exception)
    api.add_exception_handler(Exception, _on_exception)
    api.openapi = lambda: _openapi(api, service, needs_key=bool(keys.current))  # type: ignore[method-assign]
    return RequestMiddleware(
        api,
        metrics,
        keys,
        rates,
        body_limit=settings.body_limit,
        time_limit=settings.time_limit,
        log_requests=settings.log_requests,
        service=service,
        post_handlers={
            route.path: route.endpoint
            for route in routes.routes
            if isinstance(route, APIRoute) and "POST" in (route.methods or ())
        },
    )


class _Page(StaticFiles):
    """The page's files; a browser checks for changes at each load, so an upgrade shows at once."""

    def file_response(self, *args: Any, **options: Any) -> Response:
        response = super().file_response(*args, **options)
        response.headers["cache-control"] = "no-cache"
        return response


@contextlib.asynccontextmanager
async def _lifespan(service: Service, keys: WatchedKeys, rates: RateLimits) -> AsyncIterator[None]:
    if not service.is_open:
        service.start()
    # Health checks and scrapes take a moment each; more threads for them would only keep more memory.
    anyio.to_thread.current_default_thread_limiter().total_tokens = _SIDE_THREADS
    watchers = []
    if service.settings.watch:
        watchers.append(asyncio.create_task(_watch(service)))
    if keys.watches:
        watchers.append(asyncio.create_task(_watch_keys(keys)))
    try:
        yield
    finally:
        for watcher in watchers:
            watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watcher
        service.close()
        rates.close()


async def _watch(service: Service) -> None:
    while True:
        await asyncio.sleep(service.settings.watch)
        service.metrics.update()
        try:
            await asyncio.to_thread(service.check_for_update)
        except Exception:  # a mistake must not end the watch
            log(logging.ERROR, "watching failed", exc_info=True)


async def _watch_keys(keys: WatchedKeys) -> None:
    while True:
        await asyncio.sleep(_LOOK)
        await asyncio.to_thread(keys.look)


async def _on_request_error(request: Request, error: Exception) -> Response:
    return error_response(as_request_error(error), request.scope["state"]["request_id"])


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status, headers = error.status_code, dict(error.headers or {})
    if status in _SENTENCES:
        # The page answers for every path that no route takes, so what it says of others is not true.
        allowed = _methods(request)
        status = 405 if allowed and request.method not in allowed else 404
        headers = {"Allow": ", ".join(allowed)} if status == 405 else {}
    detail = _SENTENCES.get(status, "the request cannot be answered")
    return problem_response(status, detail, request.scope["state"]["request_id"], headers)


def _methods_by_path(*routers: APIRouter) -> dict[str, set[str]]:
    """Return the methods of each path of some routers, and of the OpenAPI document."""
    methods = {"/openapi.json": {"GET", "HEAD"}}
    for router in routers:
        for route in router.routes:
            assert isinstance(route, APIRoute)
            takes = set(route.methods or ())
            methods.setdefault(route.path, set()).update(takes | {"HEAD"} if "GET" in takes else takes)
    return methods


def _methods(request: Request) -> list[str]:
    """Return the methods that a path takes; none where there is nothing."""
    found: set[str] = request.app.state.methods.get(request.scope["path"], set())
    name = request.scope["path"].lstrip("/") or "index.html"
    if not found and any(name == file.relative_to(PAGE).as_posix() for file in PAGE.rglob("*")):
        found = {"GET", "HEAD"}
    return sorted(found)


async def _on_exception(request: Request, error: Exception) -> Response:
    return error_response(INTERNAL_ERROR, request.scope["state"]["request_id"])


def _openapi(api: FastAPI, service: Service, *, needs_key: bool) -> dict[str, Any]:
    """Return the OpenAPI document; the routes read bodies themselves, so the schemas of bodies are added here.

    It says what the ids and the types of events of the model are that answers now.
    """
    version = service.active.current
    kinds, events = [version.state.users.ids.kind, version.state.items.ids.kind], [*version.event_weights]
    about = {"x-id-kinds": kinds, "x-event-types": events}
    if api.openapi_schema is None or not about.items() <= api.openapi_schema["info"].items():
        api.openapi_schema = None
        document = FastAPI.openapi(api)
        document["info"].update(about)
        models = [(model, "validation") for model in (*REQUESTS, ReloadRequest, Problem)]
        _, schemas = models_json_schema(models, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]
        components = document.setdefault("components", {})
        components.setdefault("schemas", {}).update(schemas["$defs"])
        for schema in schemas["$defs"].values():
            set_id_types(schema, *kinds)
            set_event_types(schema, events)
        components["securitySchemes"] = SCHEMES
        for path, operations in document["paths"].items():
            for operation in operations.values():
                operation["security"] = required_schemes(path, needs_key=needs_key)
        api.openapi_schema = document
    return api.openapi_schema
