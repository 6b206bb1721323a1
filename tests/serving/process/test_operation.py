"""What an operator does to a running service: bad versions under load, keys that change, workers that are replaced."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.serving.process import test_process

from hashgnn.state import save_state
from hashgnn.testing.states import random_state

start = test_process.start  # a fixture
Start, Running, wait = test_process.Start, test_process.Running, test_process._wait
ADMIN = {"Authorization": f"Bearer {test_process.TOKEN}"}
BODY = {"users": ["u3"], "k": 5, "on_unknown": "error"}


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two good versions, and bad ones of several kinds."""
    folder = tmp_path_factory.mktemp("versions")
    for number in (1, 2):
        save_state(random_state(200, 300, rng=number), folder / f"v{number}")
    save_state(random_state(list(range(200)), 300), folder / "integers")
    save_state(random_state([f"s{n}" for n in range(200)], 300), folder / "strangers")
    for name in ("damaged", "bomb", "cut"):
        save_state(random_state(200, 300, rng=3), folder / name)
    file = folder / "damaged" / "item_index.hgx"
    raw = bytearray(file.read_bytes())
    raw[-1] ^= 1
    file.write_bytes(raw)
    long = pa.DictionaryArray.from_arrays(pa.array([0] * 300, pa.int32()), ["x" * 1_000_000])
    table = pa.table({"item_id": [f"i{n}" for n in range(300)], "title": long})
    pq.write_table(table, folder / "bomb" / "item_metadata.parquet", compression="zstd")
    (folder / "cut" / "manifest.json").write_bytes((folder / "v1" / "manifest.json").read_bytes()[:1000])
    return folder


@contextlib.contextmanager
def asked(service: Running, n: int = 2) -> Iterator[list[int]]:
    """Send requests without a pause while the block runs; the list has their statuses afterwards."""
    stop, statuses = threading.Event(), []

    def ask() -> list[int]:
        found = []
        with httpx.Client(base_url=service.url, timeout=120) as client:
            while not stop.is_set():
                found.append(client.post("/v1/recommend", json=BODY).status_code)
        return found

    with ThreadPoolExecutor(n) as pool:
        asking = [pool.submit(ask) for _ in range(n)]
        try:
            yield statuses
        finally:
            stop.set()
            for future in asking:
                statuses += future.result()


def test_reloads_of_bad_versions_lose_no_request(versions: Path, tmp_path: Path, start: Start) -> None:
    folder = tmp_path / "models"
    shutil.copytree(versions, folder)
    (folder / "pipe").mkdir()
    os.mkfifo(folder / "pipe" / "manifest.json")
    shutil.copytree(versions / "v2", folder / "pipe-inside")
    (folder / "pipe-inside" / "users.arrow").unlink()
    os.mkfifo(folder / "pipe-inside" / "users.arrow")
    bad = ("integers", "damaged", "strangers", "bomb", "pipe", "pipe-inside", "cut", "none", "..")
    with start(folder / "v1", "--no-log-requests", "--watch", "0") as service, asked(service) as statuses:
        for round_number in range(2):
            good = f"v{2 - round_number % 2}"
            for name in bad:
                answer = service.post("/admin/reload", {"version": name}, headers=ADMIN)
                assert answer.status_code == 409, name
            assert service.post("/admin/reload", {"version": good}, headers=ADMIN).json()["version"] == good
            assert service.version() == good
    assert set(statuses) == {200}
    assert len(statuses) > 20


def test_a_link_to_another_kind_of_ids_is_refused_by_every_worker_and_new_ones(
    versions: Path, tmp_path: Path, start: Start
) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    for name in ("v1", "v2", "integers"):
        shutil.copytree(versions / name, folder / name)
    (folder / "current").symlink_to("v1")

    def point_to(name: str) -> None:
        (folder / "new").symlink_to(name)
        (folder / "new").rename(folder / "current")

    with start(folder, "--workers", "2", "--watch", "0.1") as service:
        point_to("integers")
        wait(
            lambda: (
                sum("integers is refused, its user ids are integers" in line for line in service.lines) == 2
            )
        )
        pids = [json.loads(line)["pid"] for line in service.lines[1:] if "worker started" in line]
        os.kill(pids[0], signal.SIGKILL)
        wait(lambda: sum('"event":"ready"' in line for line in service.lines) == 3)
        assert {service.version() for _ in range(20)} == {"v1"}
        point_to("v2")
        wait(lambda: all(service.version() == "v2" for _ in range(20)))


def test_keys_change_while_two_workers_run(versions: Path, tmp_path: Path, start: Start) -> None:
    path = tmp_path / "keys"
    path.write_text("shop: old-secret\nlimited: slow-secret rate=1/h burst=7\n")
    with start(versions / "v1", "--workers", "2", "--api-keys-file", str(path)) as service:

        def status(secret: str) -> int:
            # A connection of its own each time, so that both workers are met.
            return service.post("/v1/recommend", BODY, headers={"X-API-Key": secret}).status_code

        assert [status("old-secret"), status("new-secret")] == [200, 401]
        statuses = [status("slow-secret") for _ in range(12)]
        assert statuses == [200] * 7 + [429] * 5, "workers share the rate"
        path.write_text("shop: new-secret\nshop: old-secret\n")
        wait(lambda: all(status("new-secret") == 200 for _ in range(20)))
        assert status("old-secret") == 200
        path.write_text("shop: new-secret\n")
        wait(lambda: all(status("old-secret") == 401 for _ in range(20)))
        path.write_text("nothing that could be read\n")
        wait(lambda: sum("the keys before stay" in line for line in service.lines) == 2)
        assert {status("new-secret") for _ in range(10)} == {200}
        metrics = httpx.get(service.url + "/metrics", headers={"X-API-Key": "new-secret"}, timeout=120).text
        assert 'hashgnn_key_requests_total{key="limited",status="429"} 5.0' in metrics
        assert re.search(r'hashgnn_key_files_total\{result="refused"\} 2\.0', metrics)
    text = "".join(service.lines)
    assert '"key":"shop"' in text
    assert "secret" not in text


def test_wrong_options_end_before_anything_starts(versions: Path, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("no-name\n")
    for options, said in (
        (("--api-keys-file", str(tmp_path / "keys")), "keys: line 1 must be NAME: KEY"),
        (("--api-keys-file", str(tmp_path / "none")), "none: cannot be read, No such file"),
        (("--workers", "100000"), "--workers must be at most 1024, got 100000"),
        (("--reload-timeout", "0"), "--reload-timeout must be above 0, got 0.0"),
        (("--next", str(versions / "integers"), "--next-share", "0.5"),
         "integers is refused, its user ids are integers, those before are text; allow_new_ids takes it all the same"),
    ):  # fmt: skip
        command = [sys.executable, "-m", "hashgnn", "serve", str(versions / "v1"), "--port", "0", *options]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert ended.returncode == 2, ended.stderr
        assert said in ended.stderr
        assert "Traceback" not in ended.stderr
