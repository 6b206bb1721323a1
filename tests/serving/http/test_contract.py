"""The OpenAPI document and the service agree: generated requests, good and bad, against every route."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode

from hashgnn.serving import ServiceSettings, create_app


@pytest.fixture(scope="module")
def api_schema(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    store = tmp_path_factory.mktemp("store") / "events.db"
    app = create_app(
        ServiceSettings(
            model=model_folder, interactions=store, watch=0, log_requests=False, admin_token="a token"
        )
    )
    app.service.start()

    async def always_started(scope: Any, receive: Any, send: Any) -> None:
        # The client would start and end the service around every request.
        if scope["type"] == "http":
            await app(scope, receive, send)
            return
        for event in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{event}.complete"})

    yield schemathesis.openapi.from_asgi("/openapi.json", always_started)
    app.service.close()


ROUTES = [
    ("/v1/recommend", "POST"),
    ("/v1/similar-items", "POST"),
    ("/v1/encode", "POST"),
    ("/v1/explain", "POST"),
    ("/v1/interactions", "POST"),
    ("/v1/interactions", "DELETE"),
    ("/v1/items", "GET"),
    ("/v1/items/attributes", "PATCH"),
    ("/v1/model", "GET"),
    ("/admin/reload", "POST"),
    ("/health/live", "GET"),
    ("/health/ready", "GET"),
    ("/metrics", "GET"),
]


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize(("path", "method"), ROUTES)
def test_every_answer_is_one_that_the_document_promises(
    api_schema: Any, path: str, method: str, mode: GenerationMode
) -> None:
    operation = api_schema[path][method]
    if mode.is_negative and method == "GET" and path != "/v1/items":
        pytest.skip("it takes nothing, so nothing can be wrong")

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    def ask(case: Any) -> None:
        if mode.is_positive and case.headers and "Idempotency-Key" in case.headers:
            case.headers["Idempotency-Key"] = str(uuid.uuid4())  # short ones come twice
        if mode.is_positive and path in ("/v1/recommend", "/v1/encode") and isinstance(case.body, dict):
            _give_times(case.body)
        response = case.call()
        if response.status_code != 413:  # of a body of megabytes, whatever else is wrong with it
            case.validate_response(response)

    ask()


def _give_times(body: dict[str, Any]) -> None:
    """Give each item of the histories a time, or none: no schema says that two lists are as long as each other."""
    histories = body.get("histories")
    body.pop("timestamps", None)
    if histories is not None and body.get("history_weighting") is not None:
        body["timestamps"] = [[float(place) for place in range(len(row))] for row in histories]


def test_the_document_names_every_route(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    assert set(document["paths"]) == {
        "/v1/recommend",
        "/v1/similar-items",
        "/v1/encode",
        "/v1/explain",
        "/v1/items",
        "/v1/items/attributes",
        "/v1/model",
        "/v1/interactions",
        "/health/live",
        "/health/ready",
        "/metrics",
    }
    recommend = document["paths"]["/v1/recommend"]["post"]
    body_ref = recommend["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    fields = document["components"]["schemas"][body_ref.rsplit("/", 1)[1]]["properties"]
    assert set(fields) == {
        "users",
        "histories",
        "timestamps",
        "history_weighting",
        "k",
        "search",
        "oversampling",
        "allow",
        "block",
        "filter_seen",
        "on_unknown",
        "explain",
        "where",
        "boost",
        "max_per",
        "diversity",
        "now",
    }
