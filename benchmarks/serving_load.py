"""Load on a service from another process on the same machine: rates, latencies, reloads, start, memory.

    python benchmarks/generated_model.py models/million/v1
    python benchmarks/serving_load.py models/million/v1 --second models/million/v2 --json load.json

The load is open: requests are due at times drawn beforehand (exponential gaps), whether or not earlier ones
were answered, and a latency counts from the moment a request was due. Single users are requested with k=100.
The highest sustained rate is the last one of a rising series at which the p99 stays below --limit
milliseconds and every request is answered 200.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import re
import signal
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hashgnn.recommender import HashGNN

TOKEN = "load"  # noqa: S105 - of the service that is started here
WAYS = ("hamming", "biased", "hierarchical", "float", "asymmetric")
BATCHES = (1, 8, 64)
CONNECTIONS = 128
ALONE = 2  # connections of the closed runs that fill the table


class Connection(asyncio.Protocol):
    """One kept-alive HTTP/1.1 connection; one request at a time."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._answer: asyncio.Future[int] | None = None
        self._wanted = -1
        self.closed = False

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def ask(self, request: bytes) -> asyncio.Future[int]:
        """Send a request and return its status to come."""
        self._answer = asyncio.get_running_loop().create_future()
        self._buffer.clear()
        self._wanted = -1
        self._transport.write(request)
        return self._answer

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._wanted < 0:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            length = re.search(rb"(?i)content-length: (\d+)", self._buffer[:end])
            self._wanted = end + 4 + int(length[1] if length else 0)
        if len(self._buffer) >= self._wanted and self._answer is not None and not self._answer.done():
            self._answer.set_result(int(self._buffer[9:12]))

    def connection_lost(self, error: Exception | None) -> None:
        self.closed = True
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(0)

    def close(self) -> None:
        """Hang up."""
        self._transport.close()


@dataclass
class Run:
    """The measurements of one load."""

    requested_rps: float
    seconds: float
    latencies: np.ndarray
    statuses: list[int]

    def summary(self) -> dict[str, Any]:
        """Return rates in requests a second and latencies in milliseconds."""
        p50, p99, worst = np.percentile(self.latencies, [50, 99, 100]) * 1000
        failed = sum(status != 200 for status in self.statuses)
        return {
            "requested_rps": round(self.requested_rps, 1),
            "rps": round(len(self.statuses) / self.seconds, 1),
            "p50_ms": round(float(p50), 2),
            "p99_ms": round(float(p99), 2),
            "max_ms": round(float(worst), 2),
            "requests": len(self.statuses),
            "failed": failed,
        }


def request(path: str, body: dict[str, Any]) -> bytes:
    """Return a request as it goes over the wire."""
    text = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {len(text)}\r\n\r\n"
    return head.encode() + text


async def connect(port: int, n: int) -> list[Connection]:
    loop = asyncio.get_running_loop()
    return [(await loop.create_connection(Connection, "127.0.0.1", port))[1] for _ in range(n)]


async def open_load(port: int, requests: list[bytes], rate: float, seconds: float, seed: int) -> Run:
    """Ask at times that are fixed beforehand."""
    gaps = np.random.default_rng(seed).exponential(1 / rate, int(rate * seconds))
    due = np.cumsum(gaps)
    free: asyncio.LifoQueue[Connection] = asyncio.LifoQueue()
    for connection in await connect(port, CONNECTIONS):
        free.put_nowait(connection)
    latencies, statuses = np.zeros(len(due)), [0] * len(due)
    tasks = []
    started = time.perf_counter()

    async def one(number: int) -> None:
        connection = await free.get()
        if connection.closed:  # it was idle for so long that the service hung up
            (connection,) = await connect(port, 1)
        statuses[number] = await connection.ask(requests[number % len(requests)])
        latencies[number] = time.perf_counter() - started - due[number]
        free.put_nowait(connection)

    for number, moment in enumerate(due.tolist()):
        wait = moment - (time.perf_counter() - started)
        if wait > 0:
            await asyncio.sleep(wait)
        tasks.append(asyncio.ensure_future(one(number)))
    await asyncio.gather(*tasks)
    took = time.perf_counter() - started
    while not free.empty():
        free.get_nowait().close()
    return Run(rate, took, latencies, statuses)


async def closed_load(port: int, requests: list[bytes], n: int, seconds: float) -> Run:
    """Ask on some connections, each as soon as its last request is answered."""
    latencies: list[float] = []
    statuses: list[int] = []
    until = time.perf_counter() + seconds

    async def ask(connection: Connection, first: int) -> None:
        number = first
        while time.perf_counter() < until:
            begun = time.perf_counter()
            statuses.append(await connection.ask(requests[number % len(requests)]))
            latencies.append(time.perf_counter() - begun)
            number += n
        connection.close()

    begun = time.perf_counter()
    await asyncio.gather(*(ask(one, place) for place, one in enumerate(await connect(port, n))))
    return Run(0.0, time.perf_counter() - begun, np.array(latencies), statuses)


class Service:
    """A service that is started for the measurement."""

    def __init__(self, model: Path, options: list[str]) -> None:
        command = [sys.executable, "-m", "hashgnn", "serve", str(model), "--port", "0", *options]
        environment = {**os.environ, "HASHGNN_ADMIN_TOKEN": TOKEN, "OMP_NUM_THREADS": "1"}
        begun = time.perf_counter()
        self.log = (model.parent / "serving_load.log").open("w+")
        self.process = subprocess.Popen(command, stderr=self.log, env=environment)
        self.port = self._port()
        self._wait()
        self.start_seconds = time.perf_counter() - begun

    def _port(self) -> int:
        while True:
            found = re.search(r"http://[^:]+:(\d+)", Path(self.log.name).read_text())
            if found:
                return int(found[1])
            if self.process.poll() is not None:
                raise SystemExit(Path(self.log.name).read_text())
            time.sleep(0.005)

    def _wait(self) -> None:
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health/ready", timeout=60):
                    return
            except OSError:
                time.sleep(0.005)

    def memory(self) -> dict[str, float]:
        """Return megabytes: resident, of them anonymous (its own), and its share of the mapped files."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        rollup = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text()
        values = dict(re.findall(r"(\w+):\s+(\d+) kB", status + rollup))
        return {name: round(int(values[key]) / 1024, 1) for name, key in
                (("resident", "VmRSS"), ("own", "RssAnon"), ("proportional", "Pss"))}  # fmt: skip

    def reload(self, version: str) -> float:
        """Switch to another version and return the seconds that took."""
        body = json.dumps({"version": version}).encode()
        headers = {"content-type": "application/json", "authorization": f"Bearer {TOKEN}"}
        message = urllib.request.Request(f"http://127.0.0.1:{self.port}/admin/reload", body, headers)
        begun = time.perf_counter()
        with urllib.request.urlopen(message, timeout=120) as answer:  # noqa: S310 - our own address
            assert json.load(answer)["version"] == version
        return time.perf_counter() - begun

    def stop(self) -> int:
        """End it and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        self.log.close()
        return code


def user_requests(model: Path, batch: int, k: int, search: str, seed: int) -> list[bytes]:
    users = HashGNN.load(model).user_ids.tolist()
    chosen = np.random.default_rng(seed).integers(0, len(users), (500, batch))
    return [
        request("/v1/recommend", {"users": [users[place] for place in row], "k": k, "search": search})
        for row in chosen.tolist()
    ]


def highest_rate(service: Service, requests: list[bytes], args: Any) -> list[dict[str, Any]]:
    """Raise the rate until the limit is passed twice in a row; return every run."""
    rows, missed, rate = [], 0, float(args.first_rate)
    while missed < 2:
        run = asyncio.run(open_load(service.port, requests, rate, args.seconds, seed=int(rate)))
        row = run.summary()
        row["sustained"] = row["p99_ms"] < args.limit and not row["failed"]
        missed = 0 if row["sustained"] else missed + 1
        rows.append(row)
        show(row)
        rate = round(rate * 1.25)
    return rows


async def load_with_reloads(
    service: Service, requests: list[bytes], rate: float, names: list[str]
) -> dict[str, Any]:
    """Reload ten times under requests for single users."""
    took: list[float] = []

    async def reload() -> None:
        for turn in range(10):
            await asyncio.sleep(0.3)
            took.append(await asyncio.to_thread(service.reload, names[(turn + 1) % 2]))

    estimate = 10 * (0.3 + service.start_seconds)
    reloading = asyncio.ensure_future(reload())
    runs = [await open_load(service.port, requests, rate, estimate, seed=1)]
    while not reloading.done():
        runs.append(await open_load(service.port, requests, rate, 1.0, seed=2 + len(runs)))
    await reloading
    together = Run(
        rate,
        sum(run.seconds for run in runs),
        np.concatenate([run.latencies for run in runs]),
        [status for run in runs for status in run.statuses],
    )
    return {**together.summary(), "reloads": len(took), "mean_reload_s": round(float(np.mean(took)), 2)}


def show(row: dict[str, Any]) -> None:
    print("  " + ", ".join(f"{name} {value}" for name, value in row.items()), flush=True)


def main() -> None:
    """Measure one model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument(
        "--second", type=Path, help="a version in the same folder; reloads alternate between the two"
    )
    parser.add_argument("--k", type=int, default=100)
    parser.add_argument("--limit", type=float, default=25.0, help="p99 in milliseconds")
    parser.add_argument("--first-rate", type=float, default=100.0)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--search", default="hierarchical", help="of the rates and reloads")
    parser.add_argument("--ways", default=",".join(WAYS), help="of the table; empty leaves it out")
    parser.add_argument("--serve", default="--no-log-requests", help="options of hashgnn serve")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    found: dict[str, Any] = {
        "model": args.model.name,
        "machine": f"{platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}",
        "load_average": [round(value, 2) for value in os.getloadavg()],
        "k": args.k,
    }
    service = Service(args.model, args.serve.split())
    try:
        found["start_to_ready_s"] = round(service.start_seconds, 2)
        found["memory_mb_at_start"] = service.memory()
        show(found)
        requests = user_requests(args.model, 1, args.k, args.search, 0)
        asyncio.run(open_load(service.port, requests, 50, 1.0, seed=0))  # pages of the tables come in
        print(f"single users, {args.search}: rising rates")
        found["rates"] = highest_rate(service, requests, args)
        sustained = [row for row in found["rates"] if row["sustained"]]
        found["highest_sustained"] = sustained[-1] if sustained else None
        if args.second is not None and sustained:
            print("ten reloads at half that rate")
            names = [args.model.name, args.second.name]
            half = sustained[-1]["requested_rps"] / 2
            found["reloads"] = asyncio.run(load_with_reloads(service, requests, half, names))
            found["reloads"]["memory_mb_afterwards"] = service.memory()
            show(found["reloads"])
        found["table"] = []
        print(f"as fast as {ALONE} connections go")
        for way in filter(None, args.ways.split(",")):
            for batch in BATCHES:
                run = asyncio.run(
                    closed_load(service.port, user_requests(args.model, batch, args.k, way, 1), ALONE, 2.0)
                )
                row = {"search": way, "batch": batch, **run.summary()}
                row["users_per_second"] = round(row["rps"] * batch)
                del row["requested_rps"]
                found["table"].append(row)
                show(row)
        found["memory_mb_at_end"] = service.memory()
        show(found["memory_mb_at_end"])
    finally:
        found["exit_code"] = service.stop()
    if args.json is not None:
        args.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
