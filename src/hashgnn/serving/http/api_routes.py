"""The routes of the API: read a body, call the service, return its document."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from hashgnn.serving.http.json_bodies import described, json_response, read
from hashgnn.serving.http.problems import described_problems
from hashgnn.serving.models.service import Service
from hashgnn.serving.wire.answer_schemas import (
    DeletionResponse,
    EncodeResponse,
    InteractionsResponse,
    ItemDeletionResponse,
    ItemsResponse,
    ModelResponse,
    NewItemsResponse,
    RecommendResponse,
    SimilarItemsResponse,
)
from hashgnn.serving.wire.attribute_schemas import AttributesRequest, AttributesResponse
from hashgnn.serving.wire.errors import Reason, RequestError
from hashgnn.serving.wire.explain_schemas import ExplainRequest, ExplainResponse
from hashgnn.serving.wire.schemas import (
    MAX_ID,
    EncodeRequest,
    InteractionsRequest,
    NewItemsRequest,
    RecommendRequest,
    SimilarItemsRequest,
)

REQUESTS: list[type[BaseModel]] = [
    RecommendRequest,
    SimilarItemsRequest,
    EncodeRequest,
    ExplainRequest,
    InteractionsRequest,
    AttributesRequest,
    NewItemsRequest,
]

_MAX_QUERY, _MAX_LIMIT, _MAX_KEY = 200, 100, 255


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

    @router.post("/explain", **described(ExplainRequest, ExplainResponse, 404))
    async def explain(request: Request) -> Response:
        """Say because of which items of a history some items have their scores."""
        body = await read(request, ExplainRequest)
        _note(request, body.search, n=len(body.items))
        return json_response(await service.searches.run(lambda check: service.explain(body)))

    @router.post("/encode", **described(EncodeRequest, EncodeResponse, 404))
    async def encode(request: Request) -> Response:
        """Return codes and embeddings of histories, items or users."""
        body = await read(request, EncodeRequest)
        return json_response(await service.searches.run(lambda check: service.encode(body)))

    @router.post(
        "/interactions",
        **described(InteractionsRequest, InteractionsResponse, 404, parameters=[_IDEMPOTENCY_KEY]),
    )
    async def interactions(request: Request) -> Response:
        """Store what users did; recommendations take it into account at once."""
        body, key = await read(request, InteractionsRequest), _idempotency_key(request)
        _note(request, "", n=len(body.interactions))
        return json_response(
            await service.writes.run(
                lambda limit: service.interactions(body, limit, key), outcome_counts=True
            )
        )

    @router.delete(
        "/interactions",
        responses={200: {"model": DeletionResponse}, **described_problems(401, 404, 422, 429, 503)},
        openapi_extra={
            "parameters": [
                _parameter("user", _ID_TEXT, required=True, description="Whose interactions to delete."),
                _parameter("item", _ID_TEXT, description="Only those with this item; all without it."),
            ]
        },
    )
    async def delete_interactions(request: Request) -> Response:
        """Delete what a user did, or did with one item; later answers use nothing of it.

        Also what the model was trained on: the user is answered from what is left, or as an unknown one.
        To delete what is not there is no error.
        """
        if await request.body():
            raise RequestError(
                Reason.INVALID, "this request takes no body; user and item are parameters of its address"
            )
        user, item = _deleted_ids(request)
        return json_response(
            await service.writes.run(
                lambda limit: service.delete_interactions(user, item, limit), outcome_counts=True
            )
        )

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

    @router.post("/items", **described(NewItemsRequest, NewItemsResponse, 404, parameters=[_IDEMPOTENCY_KEY]))
    async def add_items(request: Request) -> Response:
        """Add new items by their first users, their side features, or both.

        They are recommended, found as similar, and count in histories from the next answer on.
        """
        body, key = await read(request, NewItemsRequest), _idempotency_key(request)
        _note(request, "", n=len(body.items))
        return json_response(
            await service.writes.run(lambda limit: service.add_items(body, limit, key), outcome_counts=True)
        )

    @router.delete(
        "/items",
        responses={200: {"model": ItemDeletionResponse}, **described_problems(401, 404, 422, 429, 503)},
        openapi_extra={
            "parameters": [_parameter("item", _ID_TEXT, required=True, description="The new item.")]
        },
    )
    async def delete_item(request: Request) -> Response:
        """Remove an item that was added while the service runs; interactions with it stay.

        To remove what is not there is no error. An item that the model was trained on is refused.
        """
        if await request.body():
            raise RequestError(
                Reason.INVALID, "this request takes no body; item is a parameter of its address"
            )
        item = _deleted_item(request)
        return json_response(
            await service.writes.run(lambda limit: service.delete_item(item, limit), outcome_counts=True)
        )

    @router.patch("/items/attributes", **described(AttributesRequest, AttributesResponse, 404))
    async def attributes(request: Request) -> Response:
        """Change attributes of items; every later answer sees it."""
        body = await read(request, AttributesRequest)
        _note(request, "", n=len(body.changes))
        return json_response(
            await service.writes.run(
                lambda limit: service.change_attributes(body, limit), outcome_counts=True
            )
        )

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


def _parameter(
    name: str, schema: dict[str, Any], *, place: str = "query", required: bool = False, description: str = ""
) -> dict[str, Any]:
    about = {"description": description} if description else {}
    return {"name": name, "in": place, "required": required, "schema": schema, **about}


_ID_TEXT = {"type": "string", "minLength": 1, "maxLength": MAX_ID}
_IDEMPOTENCY_KEY = _parameter(
    "Idempotency-Key",
    {"type": "string", "minLength": 1, "maxLength": _MAX_KEY, "pattern": "^[!-~]+$"},
    place="header",
    description="Any text that names this request among those of the caller. For 24 hours the same request with the "
    "same key is stored once and gets the first answer; another body with it is refused.",
)


def _idempotency_key(request: Request) -> str | None:
    """Return the key of a write, with who sent it; another API key's is another key."""
    values = request.headers.getlist("idempotency-key")
    if not values:
        return None
    if len(values) > 1 or len(values[0]) > _MAX_KEY or not re.fullmatch("[!-~]+", values[0]):
        raise RequestError(
            Reason.INVALID, f"Idempotency-Key must be 1 to {_MAX_KEY} visible ASCII characters, given once"
        )
    caller = request.scope["state"].get("caller")
    # A blank is in no key, so that what callers of a service with keys send is no other caller's.
    return values[0] if caller is None else f"{caller} {values[0]}"


def _given(request: Request, names: tuple[str, ...]) -> list[tuple[str, str]]:
    """Return the parameters of an address; one of another name is refused, as a field of a body is."""
    try:
        query = request.scope["query_string"].decode("ascii")
        given = parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=10)
    except ValueError:
        raise RequestError(
            Reason.INVALID, "the query must be a few parameters, percent-encoded in UTF-8"
        ) from None
    for name, _ in given:
        if name not in names:
            raise RequestError(Reason.INVALID, f"{name[:64]!r} is not a parameter of this request")
    return given


def _deleted_ids(request: Request) -> tuple[str, str | None]:
    """Return whose interactions a request deletes, and with which item; a slip must not delete more than meant."""
    given = _given(request, ("user", "item"))
    for name, text in given:
        if not 1 <= len(text) <= MAX_ID:
            raise RequestError(Reason.INVALID, f"{name} must be text of 1 to {MAX_ID} characters")
    names = [name for name, _ in given]
    if names.count("user") != 1 or names.count("item") > 1:
        raise RequestError(Reason.INVALID, "user must be given once, and item at most once")
    values = dict(given)
    return values["user"], values.get("item")


def _deleted_item(request: Request) -> str:
    given = _given(request, ("item",))
    if len(given) != 1 or not 1 <= len(given[0][1]) <= MAX_ID:
        raise RequestError(Reason.INVALID, f"item must be given once, as text of 1 to {MAX_ID} characters")
    return given[0][1]


def _items_query(request: Request) -> tuple[str, int]:
    given = _given(request, ("query", "limit"))
    values = dict(given)
    if len(values) < len(given):
        raise RequestError(Reason.INVALID, "query and limit must be given once at most")
    query = values.get("query", "")
    if len(query) > _MAX_QUERY:
        raise RequestError(
            Reason.INVALID, f"query must have at most {_MAX_QUERY} characters, got {len(query)}"
        )
    text = values.get("limit", "20")
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= _MAX_LIMIT):
        raise RequestError(Reason.INVALID, f"limit must be an integer from 1 to {_MAX_LIMIT}")
    return query, int(text)
