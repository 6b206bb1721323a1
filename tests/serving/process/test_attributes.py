"""Attributes that change while several workers answer: every one knows at once, and a kill loses none."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hashgnn.state import save_state
from hashgnn.testing.states import random_state


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "v1"
    save_state(random_state(20, 40), folder)
    table = pa.table({"item_id": [f"i{n}" for n in range(40)], "price": [1.0] * 40})
    pq.write_table(table, folder / "item_metadata.parquet")
    return folder


@contextmanager
def running(model: Path, store: Path) -> Iterator[str]:
    """Yield the address of a service with two workers, which is killed at the end."""
    command = [sys.executable, "-m", "hashgnn", "serve", str(model), "--port", "0", "--workers", "2"]
    options = ["--interactions", str(store), "--no-log-requests"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([*command, *options], stderr=subprocess.PIPE, text=True, env=environment)
    assert process.stderr is not None
    try:
        lines = iter(process.stderr)
        yield next(found.group() for line in lines if (found := re.search(r"http://127\.0\.0\.1:\d+", line)))
    finally:
        process.send_signal(signal.SIGKILL)
        process.stderr.read()  # until the workers have ended too
        process.wait(120)
        process.stderr.close()


def cheap(url: str) -> list[str]:
    body = {"users": ["u1"], "k": 60, "where": "price < 0", "filter_seen": False}
    answer = httpx.post(f"{url}/v1/recommend", json=body, timeout=120)  # a new connection, to any worker
    assert answer.status_code == 200, answer.text
    return sorted(item["id"] for item in answer.json()["results"][0]["items"])


def test_every_worker_knows_a_change_at_once_and_a_kill_loses_none(model: Path, tmp_path: Path) -> None:
    changed: list[str] = []
    for turn in range(2):
        with running(model, tmp_path / "events.db") as url:
            assert cheap(url) == sorted(changed)
            for n in range(10):
                item = f"i{10 * turn + n}"
                body = {"changes": [{"item": item, "attributes": {"price": -1}}]}
                assert httpx.patch(f"{url}/v1/items/attributes", json=body, timeout=120).status_code == 200
                changed.append(item)
                assert [cheap(url) for _ in range(4)] == [sorted(changed)] * 4


def test_every_worker_filters_new_items_at_once_and_a_kill_loses_none(model: Path, tmp_path: Path) -> None:
    posted: list[str] = []
    for turn in range(2):
        with running(model, tmp_path / "events.db") as url:
            assert cheap(url) == sorted(posted)
            for n in range(5):
                item = f"new{turn}-{n}"
                body = {
                    "items": [{"item": item, "users": ["u1"], "attributes": {"price": -1 if n % 2 else 5}}]
                }
                assert httpx.post(f"{url}/v1/items", json=body, timeout=120).status_code == 200
                if not n % 2:
                    assert [cheap(url) for _ in range(4)] == [sorted(posted)] * 4
                    changed = {"changes": [{"item": item, "attributes": {"price": -1}}]}
                    assert (
                        httpx.patch(f"{url}/v1/items/attributes", json=changed, timeout=120).status_code
                        == 200
                    )
                posted.append(item)
                assert [cheap(url) for _ in range(4)] == [sorted(posted)] * 4
