"""One rule for each kind of answer: methods, codings, repeated keys, ids, and what the OpenAPI document says of them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from hashgnn.errors import ParameterError
from hashgnn.recommender import HashGNN
from hashgnn.serving import ServiceSettings
from hashgnn.state import save_state
from hashgnn.testing.states import random_state

JSON = {"content-type": "application/json"}


@pytest.fixture
def client(model_folder: Path, tmp_path: Path, open_client: Any) -> Iterator[httpx.Client]:
    yield from open_client(
        ServiceSettings(
            model=model_folder, interactions=tmp_path / "events.db", admin_token="a token", watch=0
        )
    )


def refusal(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["detail"]


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/v1/recommend", "POST"),
        ("GET", "/v1/similar-items", "POST"),
        ("HEAD", "/v1/encode", "POST"),
        ("GET", "/v1/interactions", "DELETE, POST"),
        ("PUT", "/v1/interactions", "DELETE, POST"),
        ("PUT", "/v1/items", "DELETE, GET, HEAD, POST"),
        ("DELETE", "/v1/model", "GET, HEAD"),
        ("OPTIONS", "/v1/model", "GET, HEAD"),
        ("GET", "/admin/reload", "POST"),
        ("POST", "/health/ready", "GET, HEAD"),
        ("PATCH", "/metrics", "GET, HEAD"),
        ("POST", "/openapi.json", "GET, HEAD"),
        ("POST", "/", "GET, HEAD"),
        ("DELETE", "/style.css", "GET, HEAD"),
    ],
)
def test_a_path_that_does_not_take_a_method_says_which_it_takes(
    client: httpx.Client, method: str, path: str, allow: str
) -> None:
    answer = client.request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allow)
    if method != "HEAD":
        assert refusal(answer) == (405, "this path does not take this method")


READ = [
    "/v1/items?limit=3",
    "/v1/model",
    "/health/live",
    "/health/ready",
    "/metrics",
    "/openapi.json",
    "/",
    "/app.js",
]


@pytest.mark.parametrize("path", READ)
def test_head_is_answered_as_get_without_a_body(client: httpx.Client, path: str) -> None:
    read, head = client.get(path), client.head(path)
    assert (head.status_code, head.content) == (200, b"")
    changing = {"x-request-id", "date", *(["content-length"] if path in ("/metrics", "/v1/model") else [])}
    assert set(head.headers) == set(read.headers)
    for name in set(read.headers) - changing:
        assert head.headers[name] == read.headers[name], name


def test_head_is_refused_as_get_is_without_a_body(client: httpx.Client) -> None:
    for path, status in (("/nothing", 404), ("/v1/items?limit=0", 422), ("/v1/explain", 405)):
        answer = client.head(path)
        assert (answer.status_code, answer.content) == (status, b"")
    assert (
        'hashgnn_requests_total{method="HEAD",route="/v1/items",status="422"} 1.0'
        in client.get("/metrics").text
    )


def test_head_needs_a_key_where_get_does(model_folder: Path, open_client: Any) -> None:
    for client in open_client(ServiceSettings(model=model_folder, api_keys=("secret",), watch=0)):
        assert client.head("/v1/model").status_code == 401
        assert client.head("/v1/model", headers={"X-API-Key": "secret"}).status_code == 200


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "PUT", "OPTIONS"])
@pytest.mark.parametrize("path", ["/nothing", "/v1", "/v1/recommend/", "/v1/users/u1", "/admin", "/app.js/x"])
def test_nothing_is_at_a_path_whatever_the_method(client: httpx.Client, method: str, path: str) -> None:
    answer = client.request(method, path)
    assert refusal(answer) == (404, "there is nothing at this path")
    assert "allow" not in answer.headers


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "br", "deflate", "gzip, br", "zstd"])
def test_a_body_in_another_coding_is_named(client: httpx.Client, coding: str) -> None:
    body = gzip.compress(json.dumps({"users": ["u1"]}).encode())
    answer = client.post("/v1/recommend", content=body, headers={**JSON, "content-encoding": coding})
    sentence = "the body must come as it is, without a content encoding, got"
    assert refusal(answer) == (415, f"{sentence} {coding.lower()}")


def test_a_body_that_comes_as_it_is_may_say_so(client: httpx.Client) -> None:
    for headers in (
        {**JSON, "content-encoding": "identity"},
        {"content-type": "application/json; charset=utf-8"},
        {"content-type": 'Application/JSON;charset="UTF-8"'},
    ):
        assert client.post("/v1/recommend", content=b'{"users": ["u1"]}', headers=headers).status_code == 200
    answer = client.post(
        "/v1/recommend", content=b"{}", headers={"content-type": "application/json; charset=latin-1"}
    )
    assert refusal(answer) == (415, "the body must be in UTF-8, got latin-1")
    assert refusal(client.post("/v1/recommend", content=b"{}", headers={"content-type": "text/json"})) == (
        415,
        "the content type must be application/json",
    )


@pytest.mark.parametrize(
    ("path", "body", "key"),
    [
        ("/v1/recommend", '{"users": ["u1"], "k": 1, "k": 3}', "k"),
        ("/v1/recommend", '{"users": ["u1"], "users": ["u1"]}', "users"),
        ("/v1/recommend", '{"users": ["u1"], "\\u006b": 1, "k": 1}', "k"),
        ("/v1/interactions", '{"interactions": [{"user": "u1", "item": "i1", "item": "i2"}]}', "item"),
        (
            "/v1/interactions",
            '{"interactions": [{"user": "u1", "item": "i1"}, {"user": "u1", "user": "u2", "item": "i1"}]}',
            "user",
        ),
        ("/admin/reload", '{"version": "v1", "version": "v2"}', "version"),
    ],
)
def test_a_key_that_comes_twice_is_refused(client: httpx.Client, path: str, body: str, key: str) -> None:
    answer = client.post(path, content=body, headers={**JSON, "authorization": "Bearer a token"})
    assert refusal(answer) == (422, f"{key} must be given once, got it several times in one object")


def test_ids_that_look_like_keys_are_no_keys(client: httpx.Client) -> None:
    body = {"users": ["users", "k", 'a"k"b'], "k": 1, "allow": ["k", "allow"]}
    assert client.post("/v1/recommend", json=body).status_code == 200
    rows = [{"user": "user", "item": "item"}, {"user": "item", "item": "user"}]
    assert client.post("/v1/interactions", json={"interactions": rows}).json()["accepted"] == 2


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/recommend", {"users": ["u1", 7]}),
        ("/v1/recommend", {"users": [7], "on_unknown": "popular"}),
        ("/v1/recommend", {"histories": [["i1", 7]]}),
        ("/v1/recommend", {"users": ["u1"], "allow": [7]}),
        ("/v1/recommend", {"users": ["u1"], "block": [7]}),
        ("/v1/similar-items", {"items": [7]}),
        ("/v1/encode", {"users": [7]}),
        ("/v1/encode", {"items": [7.0]}),
        ("/v1/interactions", {"interactions": [{"user": 7, "item": "i1"}]}),
        ("/v1/interactions", {"interactions": [{"user": "u1", "item": 7}]}),
    ],
)
def test_an_id_of_another_type_is_refused_as_such_everywhere(
    client: httpx.Client, path: str, body: dict[str, Any]
) -> None:
    status, detail = refusal(client.post(path, json=body))
    assert (status, detail.endswith("ids of this model are text, got 7")) == (422, True), detail


@pytest.mark.parametrize(
    ("path", "body", "where"),
    [
        ("/v1/recommend", {"users": [""]}, "users[0]"),
        ("/v1/recommend", {"histories": [["i1", ""]]}, "histories[0][1]"),
        ("/v1/recommend", {"users": ["u1"], "block": [""]}, "block[0]"),
        ("/v1/similar-items", {"items": [""]}, "items[0]"),
        ("/v1/interactions", {"interactions": [{"user": "", "item": "i1"}]}, "interactions[0].user"),
        ("/v1/interactions", {"interactions": [{"user": "u1", "item": ""}]}, "interactions[0].item"),
    ],
)
def test_an_empty_id_is_refused_at_the_door(
    client: httpx.Client, path: str, body: dict[str, Any], where: str
) -> None:
    assert refusal(client.post(path, json=body)) == (422, f'{where} must not be empty, got ""')


def test_a_float_that_is_whole_is_an_integer_as_in_files(tmp_path: Path, open_client: Any) -> None:
    save_state(random_state([3, 5, 2**53 - 1], range(20)), tmp_path / "v1")
    for client in open_client(ServiceSettings(model=tmp_path / "v1", watch=0)):
        body = {"users": [3.0, 5, 9007199254740991.0], "allow": [1.0, 2], "filter_seen": False}
        rows = client.post("/v1/recommend", json=body).json()["results"]
        assert [row["user"] for row in rows] == [3, 5, 2**53 - 1]
        assert [row["source"] for row in rows] == ["model"] * 3
        assert {item["id"] for row in rows for item in row["items"]} == {1, 2}
        for wrong in (3.5, 2.0**53):  # the last may have been another number
            status, detail = refusal(client.post("/v1/recommend", json={"users": [wrong]}))
            assert (status, detail.startswith("users[0] must be an integer or text, got ")) == (422, True)


def test_an_empty_history_is_refused_as_by_the_library(client: httpx.Client, model_folder: Path) -> None:
    with pytest.raises(ParameterError) as raised:
        HashGNN.load(model_folder).recommend_for_history([["i1"], []], 3)
    body = {"histories": [["i1"], []], "on_unknown": "error"}
    assert refusal(client.post("/v1/recommend", json=body)) == (422, str(raised.value))
    body["histories"] = [["i1"], ["none of ours"]]
    assert refusal(client.post("/v1/recommend", json=body)) == (
        404,
        "histories[1] must name items of the model only; pass another on_unknown",
    )


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"[]", "the body must be an object"),
        (b"7", "the body must be an object, got 7"),
        (b'{"users": "u1"}', 'users must be a list, got "u1"'),
        (b'{"users": []}', "users must not be empty"),
        (b'{"users": [null]}', "users[0] must be an integer or text, got null"),
        (b'{"users": [1180591620717411303424]}',
         "users[0] must be an integer of 64 bits or text, got 1180591620717411303424"),
        (b'{"users": ["u1"], "k": 1001}', "k must be at most 1000, got 1001"),
        (b'{"users": ["u1"], "k": null}', "k must be an integer, got null"),
        (b'{"users": ["u1"], "k": 1e400}', "k must be an integer"),
        (b'{"users": ["u1"], "filter_seen": 1}', "filter_seen must be true or false, got 1"),
        (b'{"users": ["u1"], "search": 3}',
         "search must be 'hamming', 'biased', 'asymmetric', 'hierarchical' or 'float', got 3"),
        (b'{"users": ["' + b"u" * 513 + b'"]}', "users[0] must have at most 512 characters"),
        (b'{"users": ["u1"]', "the body must be valid JSON; it is not at line 1, column 16"),
        (b'{"users": ["\\ud800"]}', "the body must be valid JSON; it is not at line 1, column 19"),
    ],
)  # fmt: skip
def test_faults_are_told_in_words_of_the_house(client: httpx.Client, body: bytes, sentence: str) -> None:
    status, detail = refusal(client.post("/v1/recommend", content=body, headers=JSON))
    assert status in (400, 422)
    assert detail.startswith(sentence)
    assert "input" not in detail.lower()


def test_the_document_says_who_may_call(model_folder: Path, open_client: Any) -> None:
    settings = ServiceSettings(model=model_folder, api_keys=("one",), admin_token="two", watch=0)
    for client in open_client(settings):
        document = client.get("/openapi.json", headers={"X-API-Key": "one"}).json()
        schemes = document["components"]["securitySchemes"]
        assert {name: scheme["type"] for name, scheme in schemes.items()} == {
            "bearer": "http",
            "header": "apiKey",
            "admin": "http",
        }
        needed = {
            f"{method} {path}": [list(each) for each in operation["security"]]
            for path, operations in document["paths"].items()
            for method, operation in operations.items()
        }
        assert needed["post /v1/recommend"] == needed["delete /v1/interactions"] == [["bearer"], ["header"]]
        assert needed["get /metrics"] == [["bearer"], ["header"]]
        assert needed["post /admin/reload"] == [["admin"]]
        assert needed["get /health/ready"] == []


def test_without_keys_nothing_is_needed(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    assert document["paths"]["/v1/recommend"]["post"]["security"] == []


@pytest.mark.parametrize(("ids", "kind"), [(["a", "b", "c"], "string"), ([1, 2, 3], "integer")])
def test_the_document_says_what_ids_are(tmp_path: Path, open_client: Any, ids: list[Any], kind: str) -> None:
    save_state(random_state(ids, 5), tmp_path / "v1")
    for client in open_client(ServiceSettings(model=tmp_path / "v1", watch=0)):
        schemas = client.get("/openapi.json").json()["components"]["schemas"]
        (user,) = schemas["Interaction"]["properties"]["user"]["anyOf"]
        (item,) = schemas["Interaction"]["properties"]["item"]["anyOf"]
        assert (user["type"], item["type"]) == (kind, "string")
        users = schemas["RecommendRequest"]["properties"]["users"]["anyOf"][0]["items"]["anyOf"]
        assert [choice["type"] for choice in users] == [kind]


def test_the_document_says_how_a_row_is_named(client: httpx.Client) -> None:
    row = client.get("/openapi.json").json()["components"]["schemas"]["RecommendedRow"]
    assert row["properties"]["history"]["type"] == "integer"
    assert [choice["required"] for choice in row["oneOf"]] == [["user"], ["history"]]


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("/v1/items?q=evening", "'q' is not a parameter of this request"),
        ("/v1/items?query=a&k=5", "'k' is not a parameter of this request"),
        ("/v1/items?query=a&query=b", "query and limit must be given once at most"),
        ("/v1/items?limit=3&limit=5", "query and limit must be given once at most"),
        ("/v1/items?query=%ff", "the query must be a few parameters, percent-encoded in UTF-8"),
    ],
)
def test_parameters_of_an_address_are_as_strict_as_fields_of_a_body(
    client: httpx.Client, address: str, sentence: str
) -> None:
    assert refusal(client.get(address)) == (422, sentence)
