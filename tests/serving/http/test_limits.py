"""Limits of requests, keys, and what the metrics and logs say of them."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import httpx
import pytest

from hashgnn.serving import ServiceSettings
from hashgnn.serving.http.api_keys import ApiKey, ApiKeys
from hashgnn.serving.wire.logs import JsonLines

BODY = {"users": ["u1"], "k": 3}


def test_too_many_results_are_refused(model_folder: Path, open_client: Any) -> None:
    for client in open_client(ServiceSettings(model=model_folder, result_limit=10, watch=0)):
        refused = client.post("/v1/recommend", json={"users": ["u1", "u2"], "k": 6})
        assert (refused.status_code, refused.json()["detail"]) == (
            422,
            "rows times k must be at most 10, got 2 times 6; send smaller batches",
        )
        assert client.post("/v1/recommend", json={"users": ["u1", "u2"], "k": 5}).status_code == 200


def test_k_beyond_the_catalogue_gives_what_there_is(client: httpx.Client) -> None:
    body = {"users": ["u1"], "k": 1000, "filter_seen": False}
    assert len(client.post("/v1/recommend", json=body).json()["results"][0]["items"]) == 30


def test_keys_are_needed_everywhere_but_for_health(model_folder: Path, open_client: Any) -> None:
    settings = ServiceSettings(model=model_folder, api_keys=("one", "two"), watch=0)
    for client in open_client(settings):
        assert client.get("/health/ready").status_code == 200
        for path in ("/v1/model", "/metrics", "/openapi.json", "/v1/nothing"):
            refused = client.get(path)
            assert refused.status_code == 401
            assert refused.headers["www-authenticate"] == "Bearer"
            assert refused.headers["content-type"] == "application/problem+json"
        for headers in ({"Authorization": "Bearer two"}, {"X-API-Key": "one"}):
            assert client.post("/v1/recommend", json=BODY, headers=headers).status_code == 200
        for headers in ({"Authorization": "Basic two"}, {"X-API-Key": "on"}, {"X-API-Key": "one,two"}):
            assert client.post("/v1/recommend", json=BODY, headers=headers).status_code == 401


def test_every_key_is_compared_whichever_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[bool] = []

    def count(one: bytes, other: bytes) -> bool:
        assert len(one) == len(other) == 32
        compared.append(one == other)
        return one == other

    monkeypatch.setattr("hmac.compare_digest", count)
    keys = ApiKeys([ApiKey.of(secret) for secret in ("a", "a much longer key", "c")])
    assert keys.find({b"x-api-key": b"a"})
    assert compared == [True, False, False]


def test_settings_do_not_show_keys() -> None:
    settings = ServiceSettings(model=Path("m"), api_keys=("hidden",), admin_token="hidden too")
    assert "hidden" not in repr(settings)


def test_metrics_count_by_route_and_search_way(client: httpx.Client) -> None:
    client.post("/v1/recommend", json={"users": ["u1", "u2"], "search": "float", "k": 3})
    client.post("/v1/recommend", json={"users": ["u1"], "search": "hamming", "k": 3})
    client.post("/v1/recommend", json={"users": 1})
    for number in range(3):
        client.get(f"/v1/made-up-{number}")
    text = client.get("/metrics").text
    for line in (
        'hashgnn_requests_total{method="POST",route="/v1/recommend",status="200"} 2.0',
        'hashgnn_errors_total{route="/v1/recommend",status="422"} 1.0',
        'hashgnn_errors_total{route="other",status="404"} 3.0',
        'hashgnn_request_seconds_count{route="/v1/recommend",search="float"} 1.0',
        'hashgnn_candidates_scanned_total{search="float"} 60.0',
        'hashgnn_candidates_scanned_total{search="hamming"} 30.0',
        'hashgnn_model_info{role="current",version="v1"} 1.0',
        "hashgnn_queue_depth 0.0",
    ):
        assert line in text
    assert float(text.split("\nhashgnn_resident_memory_bytes ")[1].split()[0]) > 1e7
    assert "made-up" not in text


def test_a_log_line_has_the_request_id_and_no_user(client: httpx.Client, service: Any) -> None:
    lines: list[str] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(JsonLines().format(record))

    logger, handler, level = logging.getLogger("hashgnn.serving"), Kept(), logging.INFO
    logger.addHandler(handler)
    before, client.app._log = logger.level, True  # type: ignore[attr-defined]
    logger.setLevel(level)
    try:
        answer = client.post("/v1/recommend", json=BODY, headers={"X-Request-ID": "abc-1"})
        client.post("/v1/recommend", json=BODY, headers={"X-Request-ID": "not an id"})
    finally:
        logger.setLevel(before)
        logger.removeHandler(handler)
    assert answer.headers["x-request-id"] == "abc-1"
    first, second = map(json.loads, lines)
    assert first["request_id"] == "abc-1"
    assert second["request_id"] != "not an id"
    assert (first["route"], first["status"], first["search"], first["n"]) == (
        "/v1/recommend",
        200,
        "hierarchical",
        1,
    )
    assert first["milliseconds"] > 0
    assert "u1" not in "".join(lines)


def test_an_internal_error_shows_nothing_of_itself(
    client: httpx.Client, service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(request: object, check: object) -> bytes:
        raise RuntimeError("secret of /srv/models")

    monkeypatch.setattr(service(client), "recommend", fail)
    answer = client.post("/v1/recommend", json=BODY)
    assert answer.status_code == 500
    assert answer.json()["detail"] == "internal error of the service; its log has the request id"
    assert "secret" not in answer.text


def test_answers_may_not_load_anything_from_elsewhere(client: httpx.Client) -> None:
    policy = client.get("/health/live").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert "http" not in policy


def test_what_is_logged_while_a_request_is_answered_has_its_id(
    model_folder: Path, open_client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings = ServiceSettings(model=model_folder, watch=0, admin_token="a token")
    headers = {"Authorization": "Bearer a token", "X-Request-ID": "abc-2"}
    caplog.set_level(logging.WARNING, "hashgnn.serving")
    for client in open_client(settings):
        assert client.post("/admin/reload", json={"version": "none"}, headers=headers).status_code == 409
    (record,) = (record for record in caplog.records if record.message == "reload")
    line = json.loads(JsonLines().format(record))
    assert (line["request_id"], line["accepted"]) == ("abc-2", False)
    assert "none: holds no model that can be read" in line["detail"]
