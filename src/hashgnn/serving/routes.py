"""The routes of the API: read a body, ask the service, hand its document back."""

from __future__ import annotations

from typing import Any, TypeVar

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ValidationError

from hashgnn.serving.api_models import (
    EncodeRequest,
    EncodeResponse,
    InteractionsRequest,
    InteractionsResponse,
    ItemsResponse,
    ModelResponse,
    RecommendRequest,
    RecommendResponse,
    SimilarItemsRequest,
    SimilarItemsResponse,
)
from hashgnn.serving.problems import ProblemError, from_validation, responses
from hashgnn.serving.service import Service

M = TypeVar("M", bound=BaseModel)

JSON = "application/json"
REQUESTS: list[type[BaseModel]] = [
    RecommendRequest,
    SimilarItemsRequest,
    EncodeRequest,
    InteractionsRequest,
]

_MAX_QUERY, _MAX_LIMIT = 200, 100


def api_routes(service: Service) -> APIRouter:
    """Return the routes under ``/v1``."""
    router = APIRouter(prefix="/v1")

    @router.post("/recommend", **described(RecommendRequest, RecommendResponse, 404))
    async def recommend(request: Request) -> Response:
        """Rank items for users, or for histories of items."""
        asked = await read(request, RecommendRequest)
        note(request, asked.search, n=len(asked.users or asked.histories or ()), k=asked.k)
        short = service.is_short(asked)
        return _json(await service.gate.run(lambda check: service.recommend(asked, check), short=short))

    @router.post("/similar-items", **described(SimilarItemsRequest, SimilarItemsResponse, 404))
    async def similar_items(request: Request) -> Response:
        """Rank the items most alike to some items."""
        asked = await read(request, SimilarItemsRequest)
        note(request, asked.search, n=len(asked.items), k=asked.k)
        short = service.is_short(asked)
        return _json(await service.gate.run(lambda check: service.similar(asked, check), short=short))

    @router.post("/encode", **described(EncodeRequest, EncodeResponse, 404))
    async def encode(request: Request) -> Response:
        """Return codes and embeddings of histories, items or users."""
        asked = await read(request, EncodeRequest)
        return _json(await service.gate.run(lambda check: service.encode(asked)))

    @router.post("/interactions", **described(InteractionsRequest, InteractionsResponse, 404))
    async def interactions(request: Request) -> Response:
        """Keep what users did; recommendations take it into account at once."""
        asked = await read(request, InteractionsRequest)
        note(request, "", n=len(asked.interactions))
        return _json(await service.writing.run(lambda check: service.interactions(asked)))

    @router.get(
        "/items",
        responses={200: {"model": ItemsResponse}, **responses(401, 422, 429, 503)},
        openapi_extra={
            "parameters": [
                _parameter("query", {"type": "string", "maxLength": _MAX_QUERY, "default": ""}),
                _parameter("limit", {"type": "integer", "minimum": 1, "maximum": _MAX_LIMIT, "default": 20}),
            ]
        },
    )
    async def items(request: Request) -> Response:
        """Find items by their id or metadata; an empty query gives the most popular ones."""
        query, limit = _items_asked(request)
        return _json(await service.gate.run(lambda check: service.items(query, limit)))

    @router.get("/model", responses={200: {"model": ModelResponse}, **responses(401, 429, 503)})
    async def model() -> Response:
        """Describe the model that answers."""
        return _json(await service.gate.run(lambda check: service.model()))

    return router


async def read(request: Request, model: type[M]) -> M:
    """Return the body as a checked document.

    Raises
    ------
    ProblemError
        415 if it is not JSON by its type, 400 if not by its content, 422 if a field breaks its rule.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != JSON:
        raise ProblemError(415, f"the content type must be {JSON}")
    try:
        return model.model_validate_json(await request.body())
    except ValidationError as error:
        raise from_validation(error) from None


def note(request: Request, search: str, **fields: Any) -> None:
    """Leave what the metrics and the log line of a request tell: sizes, never ids."""
    state = request.scope["state"]
    state["search"] = search
    state["log"] = {"search": search, **fields} if search else fields


def described(asked: type[BaseModel], answered: type[BaseModel], *statuses: int) -> dict[str, Any]:
    """Return the OpenAPI description of a route that reads and writes JSON."""
    reference = {"schema": {"$ref": f"#/components/schemas/{asked.__name__}"}}
    every = (400, 401, 408, 413, 415, 422, 429, 503)
    return {
        "responses": {200: {"model": answered}, **responses(*sorted({*every, *statuses}))},
        "openapi_extra": {"requestBody": {"required": True, "content": {JSON: reference}}},
    }


def _parameter(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "schema": schema}


def _items_asked(request: Request) -> tuple[str, int]:
    query = request.query_params.get("query", "")
    if len(query) > _MAX_QUERY:
        raise ProblemError(422, f"query must have at most {_MAX_QUERY} characters, got {len(query)}")
    text = request.query_params.get("limit", "20")
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= _MAX_LIMIT):
        raise ProblemError(422, f"limit must be an integer from 1 to {_MAX_LIMIT}")
    return query, int(text)


def _json(document: bytes) -> Response:
    return Response(document, media_type=JSON)
