"""Ten thousand bad requests of many kinds: each is refused with a problem document, and the service lives."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hashgnn.serving import ServiceSettings, create_app

N_REQUESTS = 10_000
LIMIT = 20_000  # bytes of a body
JSON = [(b"content-type", b"application/json")]

Request = tuple[str, bytes, bytes, list[tuple[bytes, bytes]], bytes]  # method, path, query, headers, body

GOOD: dict[str, dict[str, Any]] = {
    "/v1/recommend": {
        "users": ["u1"],
        "k": 3,
        "search": "hamming",
        "allow": ["i1"],
        "filter_seen": True,
        "explain": 2,
    },
    "/v1/similar-items": {"items": ["i1"], "k": 3, "oversampling": 2},
    "/v1/explain": {"history": ["i1", "i2"], "items": ["i3"], "reasons": 2},
    "/v1/encode": {"histories": [["i1", "i2"]]},
    "/v1/interactions": {"interactions": [{"user": "u1", "item": "i1", "weight": 1.0}]},
    "/admin/reload": {"version": "v1", "share": 0.5},
}
WRONG: list[Any] = [
    None, True, 0, -1, 2**70, -(2**70), 1e308, 0.5, "", "x", "ü\u0000", "a" * 600, [], {}, [[]], [None],
    [True], [0.5], [{}], [[[["i1"]]]], {"a": 1}, ["i1"] * 1200, [["i1"]] * 1100, [1, "a"], "hamming ", "FLOAT",
]  # fmt: skip
ODD_TEXTS = [
    b'{"users": ["\\ud800"]}', b'{"users": [NaN]}', b'{"users": [1e999]}', b'{"k": 1' + b"0" * 5000 + b"}",
    b"[" * 9000, b'{"users":' * 900, b"\xff\xfe{}", b"\xef\xbb\xbf{}", b"null", b"[]", b"0", b'"', b"", b"{",
    b'{"users": ["u1"], "users": 1}', b'{"users": ["u1"]} {}', b'{"interactions": [{"user": "u1"}]}',
    b'{"__proto__": {}}', b"{'users': ['u1']}", b'{"users": ["u1"], "k": 1e2}', b'{"users": ["u1"], "k": Infinity}',
]  # fmt: skip
ODD_PATHS = [
    b"/nothing", b"/v1", b"/v1/", b"/v1/recommend/", b"//v1/recommend", b"/../../etc/passwd", b"/v1/%00",
    b"/v1/recommend%2f", b"/\xff\xfe", b"/admin", b"/admin/reload/now", b"/health", b"/.git/config", b"/v1/users/u1",
]  # fmt: skip
ODD_QUERIES = [
    b"limit=0", b"limit=101", b"limit=-1", b"limit=1e1", b"limit=", b"limit=" + b"9" * 5000, b"limit=%d9%a3",
    b"limit=None", b"query=" + b"q" * 201, b"limit=1.0", b"query=a&limit=x",
]  # fmt: skip


def wrong_field(rng: random.Random) -> Request:
    path = rng.choice(list(GOOD))
    body = dict(GOOD[path])
    field = rng.choice([*body, "unexpected", "users", "histories", "k"])
    body[field] = rng.choice(WRONG)
    return "POST", path.encode(), b"", JSON, json.dumps(body).encode()


def cut_or_changed(rng: random.Random) -> Request:
    path = rng.choice(list(GOOD))
    body = bytearray(json.dumps(GOOD[path]).encode())
    if rng.random() < 0.5:
        body = body[: rng.randrange(len(body))]
    else:
        for _ in range(rng.randint(1, 4)):
            body[rng.randrange(len(body))] = rng.randrange(256)
    return "POST", path.encode(), b"", JSON, bytes(body)


def odd_text(rng: random.Random) -> Request:
    return "POST", rng.choice(list(GOOD)).encode(), b"", JSON, rng.choice(ODD_TEXTS)


def noise(rng: random.Random) -> Request:
    return "POST", rng.choice(list(GOOD)).encode(), b"", JSON, rng.randbytes(rng.randrange(300))


def odd_path(rng: random.Random) -> Request:
    method = rng.choice(["GET", "POST", "PUT", "DELETE", "PATCH", "TRACE", "OPTIONS", "\u017fET"])
    return method, rng.choice(ODD_PATHS), b"", JSON, b"{}"


def odd_method(rng: random.Random) -> Request:
    method = rng.choice(["GET", "PUT", "DELETE", "PATCH", "TRACE", "BREW"])
    return method, rng.choice(list(GOOD)).encode(), b"", JSON, b"{}"


def odd_query(rng: random.Random) -> Request:
    return "GET", b"/v1/items", rng.choice(ODD_QUERIES), [], b""


def odd_headers(rng: random.Random) -> Request:
    headers = rng.choice(
        [
            [],
            [(b"content-type", b"text/plain")],
            [(b"content-type", b"application/json\xff")],
            [(b"content-type", b"multipart/form-data; boundary=x")],
            [*JSON, (b"content-length", b"-5")],
            [*JSON, (b"content-length", b"9" * 4000)],
            [*JSON, (b"content-length", "٣".encode())],
            [*JSON, (b"x-request-id", b"\r\nset-cookie: a=b"), (b"accept", b"\x00")],
        ]
    )
    return "POST", rng.choice(list(GOOD)).encode(), b"", headers, b"[]"


def too_large(rng: random.Random) -> Request:
    body = json.dumps({"users": ["u1"], "allow": ["i" * 20] * 1500}).encode()
    headers = [*JSON, (b"content-length", str(len(body)).encode())] if rng.random() < 0.5 else JSON
    return "POST", rng.choice(list(GOOD)).encode(), b"", headers, body


KINDS: list[Callable[[random.Random], Request]] = [
    wrong_field, cut_or_changed, odd_text, noise, odd_path, odd_method, odd_query, odd_headers, too_large,
]  # fmt: skip
# What these make may be a good request by chance: a field replaced by a value that it may have.
MAY_BE_GOOD = {wrong_field, cut_or_changed, odd_text}


@pytest.fixture
def app(model_folder: Path) -> Iterator[Any]:
    settings = ServiceSettings(
        model=model_folder, body_limit=LIMIT, watch=0, log_requests=False, admin_token="a token"
    )
    app = create_app(settings)
    app.service.start()
    yield app
    app.service.close()


async def call(app: Any, request: Request) -> tuple[int, dict[bytes, bytes], bytes]:
    """Return status, headers and body that an ASGI application answers with; the body comes in two parts."""
    method, path, query, headers, body = request
    if b"content-length" not in dict(headers):
        headers = [*headers, (b"transfer-encoding", b"chunked")]
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
        "path": path.decode("utf-8", "replace"), "raw_path": path, "query_string": query, "root_path": "",
        "headers": headers, "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80),
    }  # fmt: skip
    half = len(body) // 2
    parts = [
        {"type": "http.request", "body": body[:half], "more_body": True},
        {"type": "http.request", "body": body[half:], "more_body": False},
    ]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return parts.pop(0) if parts else {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    content = b"".join(message.get("body", b"") for message in sent[1:])
    return sent[0]["status"], dict(sent[0]["headers"]), content


def test_ten_thousand_bad_requests_are_refused_and_none_hurts(app: Any) -> None:
    rng = random.Random(0)
    seen: Counter[tuple[str, int]] = Counter()

    async def ask_all() -> None:
        for number in range(N_REQUESTS):
            kind = KINDS[number % len(KINDS)]
            request = kind(rng)
            status, headers, body = await call(app, request)
            seen[kind.__name__, status] += 1
            assert status < 500, (request, body)
            if status == 200:
                assert kind in MAY_BE_GOOD or request[0] == "OPTIONS", (request, body)
            else:
                assert headers[b"content-type"] == b"application/problem+json", (request, status, body)
                document = json.loads(body)
                assert document["status"] == status
                assert document["detail"]
                assert "\n" not in document["detail"]
                assert "Traceback" not in document["detail"]
            assert headers[b"x-content-type-options"] == b"nosniff"
            assert b"\n" not in headers[b"x-request-id"]
        good = GOOD["/v1/recommend"]
        status, _, body = await call(app, ("POST", b"/v1/recommend", b"", JSON, json.dumps(good).encode()))
        assert (status, len(json.loads(body)["results"])) == (200, 1)

    asyncio.run(ask_all())
    statuses = {status for _, status in seen}
    assert {200, 400, 401, 404, 405, 413, 415, 422} >= statuses >= {400, 404, 405, 413, 415, 422}


@pytest.mark.parametrize(
    ("path", "body", "status", "sentence"),
    [
        (
            "/v1/recommend",
            b"{",
            400,
            "the body must be valid JSON; it is not at line 1, column 1",
        ),
        ("/v1/recommend", b"{}", 422, "the body: exactly one of users, histories must be given, got none"),
        (
            "/v1/recommend",
            b'{"users": ["u1"], "histories": [["i1"]]}',
            422,
            "the body: exactly one of users, histories must be given, got users and histories",
        ),
        ("/v1/recommend", b'{"users": ["u1"], "k": 0}', 422, "k must be at least 1, got 0"),
        ("/v1/recommend", b'{"users": ["u1"], "k": "3"}', 422, 'k must be an integer, got "3"'),
        ("/v1/recommend", b'{"users": ["u1"], "k": 2.5}', 422, "k must be an integer, got 2.5"),
        ("/v1/recommend", b'{"users": [1]}', 422, "user ids of this model are text, got 1"),
        ("/v1/recommend", b'{"users": ["u1"], "K": 1}', 422, "K is not a field of this request"),
        ("/v1/similar-items", b'{"items": ["i1", "i99"]}', 404, "items[1] is not an item of the model"),
        ("/v1/similar-items", b'{"items": [true]}', 422, "items[0] must be an integer or text, got true"),
        (
            "/v1/recommend",
            b'{"users": ["u1"], "on_unknown": "fold-in"}',
            422,
            "on_unknown must be 'error', 'skip', 'popular' or 'fold_in', got \"fold-in\"",
        ),
        (
            "/v1/interactions",
            b'{"interactions": [{"user": "u1"}]}',
            422,
            "interactions[0].item is missing",
        ),
        (
            "/v1/recommend",
            b'{"users": ["u1"], "k": 0, "search": "fast"}',
            422,
            "k must be at least 1, got 0; 1 more fault after this one",
        ),
        (
            "/v1/interactions",
            b'{"interactions": [{"user": "u1", "item": "i1"}]}',
            404,
            "this service keeps no interactions; start it with --interactions FILE",
        ),
    ],
)
def test_a_refusal_is_one_sentence(app: Any, path: str, body: bytes, status: int, sentence: str) -> None:
    answered, _, content = asyncio.run(call(app, ("POST", path.encode(), b"", JSON, body)))
    document = json.loads(content)
    assert (answered, document["detail"]) == (status, sentence)
    assert set(document) == {"type", "title", "status", "detail", "request_id"}
