"""Watching with two workers: their samples and counts add up, and HEAD leaves a connection usable."""

from __future__ import annotations

import re
import time
from pathlib import Path

import httpx
from tests.serving.process.test_process import Start, start, versions

__all__ = ["start", "versions"]  # fixtures


def value(text: str, name: str) -> float:
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    return 0.0 if found is None else float(found[1])


def test_samples_of_two_workers_add_up(versions: Path, tmp_path: Path, start: Start) -> None:
    n = 40
    options = ("--workers", "2", "--recall-sample", "1", "--recall-cpu", "1", "--no-log-requests")
    store = ("--interactions", str(tmp_path / "events.db"))
    with start(versions / "v1", *options, *store) as service:
        for place in range(n):  # a connection each, so that both workers get some
            body = {"users": [f"u{place}", "nobody"], "k": 5, "search": "hamming", "explain": 2}
            rows = service.post("/v1/recommend", body).json()["results"]
            assert [row["explanation"] for row in rows] == ["sum", "popularity"]
            found = service.post("/v1/explain", {"user": f"u{place}", "items": [rows[0]["items"][0]["id"]]})
            assert found.json()["items"][0]["reasons"]
        row = {"interactions": [{"user": "u1", "item": "i1"}]}
        for _ in range(10):
            service.post("/v1/interactions", row, headers={"Idempotency-Key": "once"})
        until = time.monotonic() + 120
        while True:
            text = httpx.get(service.url + "/metrics", timeout=120).text
            outcomes = [
                value(text, f'hashgnn_recall_samples_total{{outcome="{outcome}"}}')
                for outcome in ("measured", "dropped")
            ]
            if sum(outcomes) == n and outcomes[0] == value(
                text, 'hashgnn_index_recall_count{search="hamming"}'
            ):
                break
            assert time.monotonic() < until, text
            time.sleep(0.1)
        recall = value(text, 'hashgnn_index_recall_sum{search="hamming"}')
        assert recall == outcomes[0] > 0  # a scan is exact
        labels = 'known="{}",route="/v1/recommend",side="user"'
        assert value(text, f"hashgnn_ids_total{{{labels.format('yes')}}}") == n
        assert value(text, f"hashgnn_ids_total{{{labels.format('no')}}}") == n
        assert value(text, "hashgnn_interactions_repeated_total") == 9
        assert value(text, "hashgnn_interactions_total") == 1
        assert 0 < value(text, "hashgnn_model_loaded_age_seconds") < 3600


def test_head_leaves_the_connection_usable(versions: Path, start: Start) -> None:
    with start(versions / "v1") as service, httpx.Client(base_url=service.url, timeout=120) as client:
        for path in ("/v1/model", "/metrics", "/", "/v1/items"):
            head = client.head(path)
            assert (head.status_code, head.content) == (200, b"")
            assert int(head.headers["content-length"]) > 0
            assert client.get(path).status_code == 200
        assert client.head("/v1/recommend").status_code == 405
        assert client.post("/v1/recommend", json={"users": ["u1"]}).status_code == 200
