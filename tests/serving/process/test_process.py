"""The service as a process: how it starts, how it ends, what several workers do."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import signal
import socket
import sqlite3
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

from hashgnn.serving.store import InteractionStore
from hashgnn.state import save_state
from hashgnn.testing.states import random_state

TOKEN = "a token"
USERS = [f"u{n}" for n in range(500)]


class Running:
    """A service that was started, and where it listens."""

    def __init__(self, process: subprocess.Popen[str], url: str, lines: list[str]) -> None:
        self.process, self.url, self.lines = process, url, lines

    def post(self, path: str, body: object, **options: object) -> httpx.Response:
        return httpx.post(self.url + path, json=body, timeout=120, **options)  # type: ignore[arg-type]

    def version(self) -> str:
        answer = self.post("/v1/recommend", {"users": ["u1"], "k": 3})
        assert answer.status_code == 200
        return str(answer.json()["model_version"])


Start = Callable[..., contextlib.AbstractContextManager[Running]]


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("versions")
    for number in (1, 2):
        save_state(
            random_state(500, 20_000, n_bits=64, dim=64, density=0.001, rng=number), folder / f"v{number}"
        )
    titles = pa.table({"item_id": ["i7"], "title": ["Seven"]})
    pyarrow.parquet.write_table(titles, folder / "v2" / "item_metadata.parquet")
    return folder


@pytest.fixture
def start() -> Start:
    @contextlib.contextmanager
    def started(folder: Path, *options: str) -> Iterator[Running]:
        command = [sys.executable, "-m", "hashgnn", "serve", str(folder), "--port", "0", *options]
        environment = {**os.environ, "HASHGNN_ADMIN_TOKEN": TOKEN, "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
        assert process.stderr is not None
        lines: list[str] = []
        url = None
        for line in process.stderr:
            lines.append(line)
            url = re.search(r"http://127\.0\.0\.1:\d+", line)
            if url is not None:  # the address comes last, when requests are answered
                break
        n_first = len(lines)
        reader = threading.Thread(target=lambda: lines.extend(process.stderr), daemon=True)  # type: ignore[arg-type]
        reader.start()
        try:
            assert url is not None, lines
            running = Running(process, url.group(), lines)
            assert httpx.get(running.url + "/health/ready", timeout=120).status_code == 200
            yield running
        finally:
            if process.poll() is None:
                process.terminate()
            process.wait(120)
            reader.join()
            process.stderr.close()
        assert [line for line in lines[n_first:] if not line.startswith("{")] == []  # JSON lines to the end

    return started


def _wait(true: Callable[[], bool], seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, f"not so after {seconds} seconds"
        time.sleep(0.05)


def test_sigterm_answers_what_was_begun(versions: Path, start: Start) -> None:
    with start(versions / "v1", "--drain", "10") as service, ThreadPoolExecutor(4) as pool:
        slow = {"users": USERS, "k": 100, "search": "float"}
        begun = [pool.submit(service.post, "/v1/recommend", slow) for _ in range(4)]
        working = re.compile(r"^hashgnn_requests_in_progress [1-9]", re.MULTILINE)
        _wait(lambda: working.search(httpx.get(service.url + "/metrics", timeout=120).text) is not None)
        service.process.send_signal(signal.SIGTERM)
        _wait(lambda: httpx.get(service.url + "/health/ready", timeout=120).status_code == 503)
        answers = [future.result() for future in begun]
        assert [answer.status_code for answer in answers] == [200] * 4
        assert all(len(answer.json()["results"]) == 500 for answer in answers)
        assert service.process.wait(120) == 0
        with pytest.raises(httpx.ConnectError):
            service.version()


def test_reloads_lose_no_request(versions: Path, start: Start) -> None:
    with (
        start(versions / "v1", "--no-log-requests") as service,
        ThreadPoolExecutor(2) as pool,
        contextlib.ExitStack() as ended,
    ):
        stop = threading.Event()

        def ask() -> list[int]:
            with httpx.Client(base_url=service.url, timeout=120) as client:
                statuses = []
                while not stop.is_set():
                    answer = client.post("/v1/recommend", json={"users": ["u3"], "k": 10})
                    statuses.append(answer.status_code)
                return statuses

        asking = [pool.submit(ask) for _ in range(2)]
        ended.callback(stop.set)
        for number in (2, 1, 2, 1, 2):
            headers = {"Authorization": f"Bearer {TOKEN}"}
            answer = service.post("/admin/reload", {"version": f"v{number}"}, headers=headers)
            assert answer.json()["version"] == f"v{number}"
            assert service.version() == f"v{number}"
            answer = service.post("/v1/recommend", {"histories": [[]], "allow": ["i7"]})
            seven = answer.json()["results"][0]["items"][0]["metadata"]
            assert seven == {1: None, 2: {"title": "Seven"}}[number]
        ended.close()
        statuses = [status for future in asking for status in future.result()]
        assert set(statuses) == {200}
        assert len(statuses) > 5


def test_workers_follow_a_reload_and_are_replaced_when_they_die(versions: Path, start: Start) -> None:
    with start(versions / "v1", "--workers", "2", "--watch", "0.1") as service:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        assert service.post("/admin/reload", {"version": "v2"}, headers=headers).status_code == 200
        _wait(lambda: all(service.version() == "v2" for _ in range(20)))
        workers = re.compile(r'hashgnn_resident_memory_bytes\{pid="(\d+)"\}')
        alive = set(workers.findall(httpx.get(service.url + "/metrics", timeout=120).text))
        assert len(alive) == 2
        os.kill(int(min(alive)), signal.SIGKILL)
        _wait(lambda: any("worker ended" in line for line in service.lines))
        _wait(lambda: set(workers.findall(httpx.get(service.url + "/metrics").text)) - alive != set())
        assert all(service.version() for _ in range(10))
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(120) == 0


def test_workers_end_with_a_supervisor_that_was_killed(versions: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "hashgnn",
        "serve",
        str(versions / "v1"),
        "--port",
        "0",
        "--workers",
        "2",
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    with process, process.stderr:
        started = iter(process.stderr.readline, "")
        lines = list(itertools.takewhile(lambda line: "http://" not in line, started))
        workers = [int(json.loads(line)["pid"]) for line in lines if '"worker started"' in line]
        assert len(workers) == 2
        process.kill()
        assert process.stderr.read().count("Finished server process") == 2  # and nobody has the pipe any more


@pytest.mark.parametrize("workers", ["1", "2"])
def test_what_cannot_be_served_ends_with_one_sentence(tmp_path: Path, workers: str) -> None:
    command = [sys.executable, "-m", "hashgnn", "serve", str(tmp_path / "none"), "--port", "0"]
    ended = subprocess.run(
        [*command, "--workers", workers], capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 2
    assert "holds no model that can be read, No such file or directory" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_serving_does_not_import_torch() -> None:
    code = "import hashgnn.serving.process.worker_main, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_head_that_is_too_long_or_too_slow_is_refused(versions: Path, start: Start) -> None:
    with start(versions / "v1", "--time-limit", "1") as service:

        def ask(*parts: bytes) -> bytes:
            with socket.create_connection(("127.0.0.1", int(service.url.rsplit(":", 1)[1])), 60) as line:
                answer = b""
                with contextlib.suppress(ConnectionError):
                    for part in parts:
                        line.sendall(part)
                with contextlib.suppress(ConnectionError):
                    while received := line.recv(65536):
                        answer += received
                return answer

        live = b"GET /health/live HTTP/1.1\r\nhost: a\r\n"
        for endless in ((live, b"x-more: " + b"a" * 300_000), (b"GET /" + b"a" * 300_000,)):
            assert ask(*endless) in (b"", b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
                                          b"content-length: 0\r\nconnection: close\r\n\r\n")  # fmt: skip
        for stopped in ((live,), (live + b"\r\n", live), (b"\0",)):
            assert b"Traceback" not in ask(*stopped)
        assert ask(live + b"x-long: " + b"a" * 60_000 + b"\r\nconnection: close\r\n\r\n").startswith(
            b"HTTP/1.1 200"
        )
        assert ask(live).startswith(b"HTTP/1.1 408")
        two = ask(live + b"\r\n" + live + b"connection: close\r\n\r\n")
        assert two.count(b"HTTP/1.1 200 OK") == 2
        assert service.version()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_terminal_that_is_closed_ends_the_service_as_sigterm_does(
    versions: Path, start: Start, workers: str
) -> None:
    with (
        start(versions / "v1", "--workers", workers, "--drain", "5") as service,
        ThreadPoolExecutor(4) as pool,
    ):
        children = Path(f"/proc/{service.process.pid}/task/{service.process.pid}/children")
        group = [service.process.pid, *map(int, children.read_text().split())]
        slow = {"users": USERS, "k": 100, "search": "float"}
        begun = [pool.submit(service.post, "/v1/recommend", slow) for _ in range(4)]
        time.sleep(0.1)
        for pid in reversed(group):
            os.kill(pid, signal.SIGHUP)
        assert [future.result().status_code for future in begun] == [200] * 4
        assert service.process.wait(120) == 0


def test_a_connection_that_sends_nothing_is_closed(versions: Path, start: Start) -> None:
    with start(versions / "v1", "--time-limit", "1") as service:
        port = int(service.url.rsplit(":", 1)[1])
        for sent in (b"", b"GET"):
            with socket.create_connection(("127.0.0.1", port), 60) as line:
                line.sendall(sent)
                assert line.recv(65536).startswith(b"HTTP/1.1 408")
                assert line.recv(65536) == b""


def test_a_write_that_was_refused_is_never_made(versions: Path, tmp_path: Path, start: Start) -> None:
    store = tmp_path / "events.db"
    options = ("--interactions", str(store), "--workers", "2", "--time-limit", "1", "--queue", "2")
    with start(versions / "v1", *options) as service, ThreadPoolExecutor(30) as pool:
        holder = sqlite3.connect(store, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")

        def tell(number: int) -> tuple[int, int]:
            body = {"interactions": [{"user": f"u{number}", "item": "i1"}]}
            return service.post("/v1/interactions", body).status_code, number

        refused = list(pool.map(tell, range(30)))  # some wait for the database, some in the queue
        assert {status for status, _ in refused} <= {429, 503}
        holder.execute("ROLLBACK")
        _wait(lambda: httpx.get(service.url + "/health/ready", timeout=120).status_code == 200)
        status, _ = tell(99)
        assert status == 200
        deleted = httpx.delete(service.url + "/v1/interactions", params={"user": "u99"}, timeout=120)
        assert deleted.json()["removed"] == 1
        holder.close()
    with InteractionStore.open(store) as opened:  # every writer has ended
        assert opened.count == 0


def test_workers_know_of_a_deletion_at_once(versions: Path, tmp_path: Path, start: Start) -> None:
    options = ("--interactions", str(tmp_path / "events.db"), "--workers", "2", "--watch", "0.1")
    with start(versions / "v1", *options) as service:

        def source() -> str:
            answer = service.post("/v1/recommend", {"users": ["u1"], "k": 3})
            return str(answer.json()["results"][0]["source"])

        assert {source() for _ in range(10)} == {"model"}
        answer = httpx.delete(service.url + "/v1/interactions", params={"user": "u1"}, timeout=120)
        assert answer.json()["removed"] == 0
        assert {source() for _ in range(20)} == {"popular"}
        headers = {"Authorization": f"Bearer {TOKEN}"}
        assert service.post("/admin/reload", {"version": "v2"}, headers=headers).status_code == 200
        _wait(lambda: all(service.version() == "v2" for _ in range(20)))
        assert {source() for _ in range(20)} == {"popular"}  # v2 was trained before the deletion too


def test_workers_know_of_a_new_item_at_once_and_after_a_crash(
    versions: Path, tmp_path: Path, start: Start
) -> None:
    options = ("--interactions", str(tmp_path / "events.db"), "--workers", "2", "--watch", "0.1")
    asked = {"items": ["new"], "k": 5}
    with start(versions / "v1", *options) as service:

        def answers(item: str) -> set[str]:
            found = [service.post("/v1/similar-items", {**asked, "items": [item]}) for _ in range(8)]
            return {json.dumps(one.json().get("results", one.status_code)) for one in found}

        assert answers("new") == {"404"}
        for number in range(3):
            body = {"items": [{"item": f"new{number}", "users": USERS[number : 20 + number]}]}
            assert service.post("/v1/items", body).json()["accepted"] == 1
            (row,) = answers(f"new{number}")
            assert row != "404"
        headers = {"Authorization": f"Bearer {TOKEN}"}
        assert service.post("/admin/reload", {"version": "v2"}, headers=headers).status_code == 200
        _wait(lambda: all(service.version() == "v2" for _ in range(20)))
        gone = httpx.delete(service.url + "/v1/items", params={"item": "new2"}, timeout=120)
        assert gone.json() == {"removed": 1, "stored": 2}
        assert answers("new2") == {"404"}
        (before,) = answers("new1")
        service.process.kill()
    with start(versions / "v2", *options) as service:
        assert answers("new1") == {before}
        assert answers("new2") == {"404"}


def test_a_repetition_after_a_crash_gets_the_first_answer(
    versions: Path, tmp_path: Path, start: Start
) -> None:
    options = ("--interactions", str(tmp_path / "events.db"))
    body, headers = {"interactions": [{"user": "u1", "item": "i1"}]}, {"Idempotency-Key": "7f9c-1"}
    with start(versions / "v1", *options) as service:
        first = service.post("/v1/interactions", body, headers=headers)
        service.process.kill()
    with start(versions / "v1", *options) as service:
        service.post("/v1/interactions", body)
        again = service.post("/v1/interactions", body, headers=headers)
        assert again.json() == first.json() == {"accepted": 1, "unknown_items": 0, "stored": 1}
        assert service.post("/v1/interactions", body).json()["stored"] == 3


def test_a_store_that_is_gone_makes_every_worker_not_ready(
    versions: Path, tmp_path: Path, start: Start
) -> None:
    store = tmp_path / "events.db"
    options = ("--interactions", str(store), "--workers", "2", "--watch", "0.1")
    with start(versions / "v1", *options) as service:
        store.unlink()

        def ready() -> tuple[int, str]:
            answer = httpx.get(service.url + "/health/ready", timeout=120)
            return answer.status_code, answer.json()["detail"]

        sentence = "the store of interactions cannot be written: its file is gone"
        assert {ready() for _ in range(20)} == {(503, sentence)}
        body = {"interactions": [{"user": "u1", "item": "i1"}]}
        assert {service.post("/v1/interactions", body).status_code for _ in range(10)} == {503}
        assert "\nhashgnn_store_healthy 0.0" in httpx.get(service.url + "/metrics", timeout=120).text
        assert not store.exists()
