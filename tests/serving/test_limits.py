"""Limits: size, batch, time, a bounded queue, keys; and what the metrics and logs tell of them."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from hashgnn.serving import ServiceSettings
from hashgnn.serving.api_models import RecommendRequest, SimilarItemsRequest
from hashgnn.serving.gate import Gate
from hashgnn.serving.keys import Keys
from hashgnn.serving.logs import REQUEST_ID, JsonLines
from hashgnn.serving.problems import ProblemError
from hashgnn.state import save_state
from hashgnn.testing.states import random_state

ASKED = {"users": ["u1"], "k": 3}


def test_a_full_queue_refuses_at_once_and_frees_its_places() -> None:
    async def fill() -> None:
        gate, go = Gate(n_threads=2, queue=1, time_limit=20), threading.Event()
        inside = [asyncio.create_task(gate.run(lambda check: go.wait(20))) for _ in range(3)]
        await asyncio.sleep(0.05)
        assert (gate.working, gate.waiting) == (2, 1)
        with pytest.raises(ProblemError) as refused:
            await gate.run(lambda check: True)
        assert (refused.value.status, refused.value.headers) == (429, {"Retry-After": "1"})
        go.set()
        assert await asyncio.gather(*inside) == [True] * 3
        assert await gate.run(lambda check: "again") == "again"
        gate.close()

    asyncio.run(fill())


def test_what_takes_too_long_is_given_up_and_keeps_its_thread_until_it_ends() -> None:
    async def exceed() -> None:
        gate, go = Gate(n_threads=1, queue=0, time_limit=0.05), threading.Event()
        with pytest.raises(ProblemError) as late:
            await gate.run(lambda check: go.wait(20))
        assert late.value.status == 503
        with pytest.raises(ProblemError) as refused:
            await gate.run(lambda check: True)
        assert refused.value.status == 429
        go.set()
        while gate.working:
            await asyncio.sleep(0.01)
        assert await gate.run(lambda check: 7) == 7
        gate.close()

    asyncio.run(exceed())


def test_a_search_stops_between_blocks_when_its_time_is_over() -> None:
    async def search() -> int:
        gate, blocks = Gate(n_threads=1, queue=0, time_limit=0.05), 0

        def work(check: Any) -> None:
            nonlocal blocks
            while True:
                check()
                blocks += 1
                time.sleep(0.005)

        with pytest.raises(ProblemError, match="longer than 0.05 seconds"):
            await gate.run(work)
        gate.close()
        return blocks

    assert 1 <= asyncio.run(search()) <= 11


def test_a_request_may_not_ask_for_too_many_results(model_folder: Path, open_client: Any) -> None:
    for client in open_client(ServiceSettings(model=model_folder, result_limit=10, watch=0)):
        refused = client.post("/v1/recommend", json={"users": ["u1", "u2"], "k": 6})
        assert (refused.status_code, refused.json()["detail"]) == (
            422,
            "rows times k must be at most 10, got 2 times 6; ask in smaller batches",
        )
        assert client.post("/v1/recommend", json={"users": ["u1", "u2"], "k": 5}).status_code == 200


def test_k_beyond_the_catalogue_gives_what_there_is(client: httpx.Client) -> None:
    asked = {"users": ["u1"], "k": 1000, "filter_seen": False}
    assert len(client.post("/v1/recommend", json=asked).json()["results"][0]["items"]) == 30


def test_keys_are_asked_for_everywhere_but_for_health(model_folder: Path, open_client: Any) -> None:
    settings = ServiceSettings(model=model_folder, api_keys=("one", "two"), watch=0)
    for client in open_client(settings):
        assert client.get("/health/ready").status_code == 200
        for path in ("/v1/model", "/metrics", "/openapi.json", "/v1/nothing"):
            refused = client.get(path)
            assert refused.status_code == 401
            assert refused.headers["www-authenticate"] == "Bearer"
            assert refused.headers["content-type"] == "application/problem+json"
        for headers in ({"Authorization": "Bearer two"}, {"X-API-Key": "one"}):
            assert client.post("/v1/recommend", json=ASKED, headers=headers).status_code == 200
        for headers in ({"Authorization": "Basic two"}, {"X-API-Key": "on"}, {"X-API-Key": "one,two"}):
            assert client.post("/v1/recommend", json=ASKED, headers=headers).status_code == 401


def test_every_key_is_compared_whichever_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[bool] = []

    def count(one: bytes, other: bytes) -> bool:
        assert len(one) == len(other) == 32
        compared.append(one == other)
        return one == other

    monkeypatch.setattr("hmac.compare_digest", count)
    keys = Keys(["a", "a much longer key", "c"])
    assert keys.admit({b"x-api-key": b"a"})
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
        answer = client.post("/v1/recommend", json=ASKED, headers={"X-Request-ID": "abc-1"})
        client.post("/v1/recommend", json=ASKED, headers={"X-Request-ID": "not an id"})
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


def test_a_mistake_inside_shows_nothing_of_itself(
    client: httpx.Client, service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(asked: object, check: object) -> bytes:
        raise RuntimeError("secret of /srv/models")

    monkeypatch.setattr(service(client), "recommend", fail)
    answer = client.post("/v1/recommend", json=ASKED)
    assert answer.status_code == 500
    assert answer.json()["detail"] == "a mistake of the service; its log has the request id"
    assert "secret" not in answer.text


def test_answers_may_not_load_anything_from_elsewhere(client: httpx.Client) -> None:
    policy = client.get("/health/live").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert "http" not in policy


def test_short_searches_run_in_place_and_are_bounded_like_the_others() -> None:
    async def ask() -> None:
        gate = Gate(n_threads=1, queue=1, time_limit=20)
        here = threading.get_ident()
        threads = await asyncio.gather(
            *(gate.run(lambda check: threading.get_ident(), short=True) for _ in range(3)),
            return_exceptions=True,
        )
        assert threads[:2] == [here, here]
        assert isinstance(threads[2], ProblemError)
        assert threads[2].status == 429
        assert gate.working == gate.waiting == 0
        gate.close()

    asyncio.run(ask())


def test_what_is_short_is_told_by_what_is_read(
    client: httpx.Client, service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = service(client)
    assert inside.is_short(RecommendRequest(users=["u1"], k=30))
    assert not inside.is_short(RecommendRequest(users=["u1"] * 100, k=30))
    assert inside.is_short(SimilarItemsRequest(items=["i1"], k=5))
    state = inside.held.current.version.state
    monkeypatch.setattr("hashgnn.serving.service._SHORT_BYTES", 3 * state.n_items * state.n_bits // 8)
    ways = {
        way: inside.is_short(RecommendRequest(users=["u1"], search=way)) for way in ("biased", "asymmetric")
    }
    assert ways == {"biased": True, "asymmetric": False}  # four planes of a float query


@pytest.mark.parametrize(("index_recall", "is_short"), [(1.0, False), (0.2, True)])
def test_a_search_in_lists_is_told_by_the_lists_that_it_reads(
    index_recall: float,
    is_short: bool,
    tmp_path: Path,
    open_client: Any,
    service: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    state = random_state(20, 3000, rng=3)
    save_state(state, tmp_path / "v1")
    monkeypatch.setattr("hashgnn.index.build.SCAN_LIMIT", 1000)
    monkeypatch.setattr("hashgnn.serving.service._SHORT_BYTES", state.n_items * state.n_bits // 16)
    for client in open_client(ServiceSettings(model=tmp_path / "v1", watch=0, index_recall=index_recall)):
        inside = service(client)
        assert inside.is_short(RecommendRequest(users=["u1"], search="biased")) is is_short
        assert not inside.is_short(RecommendRequest(users=["u1"], search="float"))


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


def test_a_thread_of_the_gate_knows_the_request(client: httpx.Client, service: Any) -> None:
    async def ask() -> str | None:
        gate = Gate(n_threads=1, queue=0, time_limit=20)
        REQUEST_ID.set("abc-3")
        try:
            return await gate.run(lambda check: REQUEST_ID.get())
        finally:
            gate.close()

    assert asyncio.run(ask()) == "abc-3"
