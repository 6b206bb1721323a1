"""The routes of the API: read a body, call the service, return its document."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from hashgnn.serving.http.json_bodies import described, json_response, read
from hashgnn.serving.http.problems import described_problems
from hashgnn.serving.models.service import Service
from hashgnn.serving.wire.errors import Reason, RequestError
from hashgnn.serving.wire.schemas import (
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
        body = await read(request, RecommendRequest)
        _note(request, body.search, n=len(body.users or body.histories or ()), k=body.k)
        short = service.is_short(body)
        return json_response(
            await service.searches.run(lambda check: service.recommend(body, check), short=short)
        )

    @router.post("/similar-items", **described(SimilarItemsRequest, SimilarItemsResponse, 404))
    async def similar_items(request: Request) -> Response:
        """Rank the items most similar to some items."""
        body = await read(request, SimilarItemsRequest)
        _note(request, body.search, n=len(body.items), k=body.k)
        short = service.is_short(body)
        return json_response(
            await service.searches.run(lambda check: service.similar(body, check), short=short)
        )

    @router.post("/encode", **described(EncodeRequest, EncodeResponse, 404))
    async def encode(request: Request) -> Response:
        """Return codes and embeddings of histories, items or users."""
        body = await read(request, EncodeRequest)
        return json_response(await service.searches.run(lambda check: service.encode(body)))

    @router.post("/interactions", **described(InteractionsRequest, InteractionsResponse, 404))
    async def interactions(request: Request) -> Response:
        """Store what users did; recommendations take it into account at once."""
        body = await read(request, InteractionsRequest)
        _note(request, "", n=len(body.interactions))
        return json_response(await service.writes.run(lambda check: service.interactions(body)))

    @router.get(
        "/items",
        responses={200: {"model": ItemsResponse}, **described_problems(401, 422, 429, 503)},
        openapi_extra={
            "parameters": [
                _parameter("query", {"type": "string", "maxLength": _MAX_QUERY, "default": ""}),
                _parameter("limit", {"type": "integer", "minimum": 1, "maximum": _MAX_LIMIT, "default": 20}),
            ]
        },
    )
    async def items(request: Request) -> Response:
        """Find items by their id or metadata; an empty query gives the most popular ones."""
        query, limit = _items_query(request)
        return json_response(await service.searches.run(lambda check: service.items(query, limit)))

    @router.get("/model", responses={200: {"model": ModelResponse}, **described_problems(401, 429, 503)})
    async def model() -> Response:
        """Describe the model that answers."""
        return json_response(await service.searches.run(lambda check: service.model()))

    return router


def _note(request: Request, search: str, **fields: Any) -> None:
    """Leave what the metrics and the log line of a request report: sizes, never ids."""
    state = request.scope["state"]
    state["search"] = search
    state["log"] = {"search": search, **fields} if search else fields


def _parameter(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "schema": schema}


def _items_query(request: Request) -> tuple[str, int]:
    query = request.query_params.get("query", "")
    if len(query) > _MAX_QUERY:
        raise RequestError(
            Reason.INVALID, f"query must have at most {_MAX_QUERY} characters, got {len(query)}"
        )
    text = request.query_params.get("limit", "20")
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= _MAX_LIMIT):
        raise RequestError(Reason.INVALID, f"limit must be an integer from 1 to {_MAX_LIMIT}")
    return query, int(text)
