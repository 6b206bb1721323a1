"""A day of use of a service in less time: the requests, writes, reloads and exports of a day, with memory sampled.

    python benchmarks/day_of_use.py --minutes 20

What happens is what a day brings at the rates below, 72 times faster by default: 24 hours in 20 minutes. Every
count is that of the whole day; only the pauses between are shorter. Requests come at random times, from
clients that keep their connections. Each simulated hour ends with the loop of the guide: export the store, update
the model, save it as the next version, move the link, which the service sees by itself, clear the store, and
remove the version before the last. Four times a day one of two workers is ended and replaced; the other one lives
through the day.

Memory of its own (private pages), resident memory and open files of the service are sampled. They are flat if the
growth of a line through the samples of the last four fifths of the time (Theil and Sen) stays below 5 % of their
median or 4 MiB, whichever is more; for open files below 8. The rule holds for all processes together and
for the worker that lives through the day. Expected answers are 200, and 404 or 422 for the requests that are
wrong on purpose. A request on a connection that closed before a byte was answered, or that a worker which is
about to end answered 503, is sent once more, as clients do, and counted. The exit code is 1 where a request failed or something grew.
"""

from __future__ import annotations

import argparse
import asyncio
import heapq
import json
import math
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

try:
    from benchmarks.serving_load import Connection, Service, connect, request
except ModuleNotFoundError:  # as a script, which finds its neighbours by their names
    from serving_load import Connection, Service, connect, request  # type: ignore[no-redef]
DAY = {  # how often a day
    "recommend": 70_000,
    "history": 10_000,
    "similar": 8_000,
    "items": 5_000,
    "encode": 5_000,
    "wrong": 2_000,
    "interactions": 20_000,
    "metrics": 5_760,  # every 15 seconds
    "health": 8_640,  # every 10 seconds
}
RECYCLES = 4
HOURS = 24
N_USERS, N_ITEMS, N_EVENTS, MORE_USERS = 2000, 3000, 40_000, 200
CONNECTIONS = 16
TRAINING = ["--threads", "1", "--device", "cpu", "--quiet", "--epochs", "1"]
FIT = [*TRAINING, "--bits", "64", "--set", "embedding_dim=32", "--set", "teacher=none"]
FIT += ["--set", "objective.observed_target=all", "--set", "optimizer.batch_size=512"]
WARM_UP = 0.2  # of the time
MIB = 2**20
_PAUSE = 0.1  # seconds before a request is sent once more
_LEAVING = 15.0  # seconds in which a worker that was told to end may still answer 503


def hashgnn(*words: object) -> None:
    """Run a command at a low priority, as a machine that serves would."""
    command = ["nice", "-n", "10", sys.executable, "-m", "hashgnn", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"hashgnn {words[0]} ended with {done.returncode}: {done.stderr}")


def get(path: str) -> bytes:
    """Return a GET request as it goes over the wire."""
    return f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode()


class Requests:
    """The requests of a day, by kind, with the statuses that are right.

    Parameters
    ----------
    rng : Generator
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def of(self, kind: str) -> tuple[bytes, tuple[int, ...]]:
        """Draw a request."""
        draw = self._rng
        user, items = int(draw.integers(N_USERS)), draw.integers(N_ITEMS, size=8).tolist()
        if kind == "recommend":
            return request("/v1/recommend", {"users": [user], "k": 20}), (200,)
        if kind == "history":
            return request("/v1/recommend", {"histories": [items], "k": 20, "search": "biased"}), (200,)
        if kind == "similar":
            return request("/v1/similar-items", {"items": items[:2], "k": 10}), (200,)
        if kind == "items":
            return get(f"/v1/items?query={items[0]}&limit=5"), (200,)
        if kind == "encode":
            return request("/v1/encode", {"histories": [items]}), (200,)
        if kind == "wrong":
            wrong = {"users": ["nobody"], "k": 20} if user % 2 else {"users": [user], "k": 0}
            return request("/v1/recommend", wrong), (404, 422)
        if kind == "interactions":
            new = int(draw.integers(N_USERS + MORE_USERS))
            rows = [{"user": new, "item": item} for item in items[: 1 + user % 3]]
            return request("/v1/interactions", {"interactions": rows}), (200,)
        return get({"metrics": "/metrics", "health": "/health/ready"}[kind]), (200,)


class Sampler(threading.Thread):
    """Samples memory and open files of a service and its workers.

    Parameters
    ----------
    pid : int
        Of the supervisor.
    every : float
        Seconds.
    """

    def __init__(self, pid: int, every: float) -> None:
        super().__init__(daemon=True)
        self._pid, self._every = pid, every
        self._ended = threading.Event()
        self.samples: list[dict[str, float]] = []
        self.oldest = self.workers()[0]

    def workers(self) -> list[int]:
        """Return the process ids of the workers, oldest first."""
        text = Path(f"/proc/{self._pid}/task/{self._pid}/children").read_text()
        return sorted(map(int, text.split()))

    def run(self) -> None:
        begun = time.monotonic()
        while not self._ended.wait(self._every):
            try:
                found = [measured(pid) for pid in (self._pid, *self.workers())]
                own = measured(self.oldest)
            except OSError:
                continue  # a worker ended while it was looked at
            sample = {name: sum(one[name] for one in found) for name in own}
            sample |= {f"{name} of the oldest worker": value for name, value in own.items()}
            self.samples.append({"seconds": time.monotonic() - begun, "processes": len(found), **sample})

    def end(self) -> None:
        """Take no more samples."""
        self._ended.set()
        self.join()


def measured(pid: int) -> dict[str, float]:
    """Return private and resident bytes and the open files of a process."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    kib = {name: int(value) for name, value in re.findall(r"(\w+):\s+(\d+) kB", rollup)}
    return {
        "private": 1024.0 * (kib["Private_Clean"] + kib["Private_Dirty"]),
        "resident": 1024.0 * kib["Rss"],
        "open files": float(len(os.listdir(f"/proc/{pid}/fd"))),
    }


def growth(seconds: np.ndarray, values: np.ndarray) -> float:
    """Return what a line through the points rises from the first to the last: the median slope of all pairs."""
    first, second = np.triu_indices(len(seconds), 1)
    if not len(first):
        return 0.0
    slopes = (values[second] - values[first]) / (seconds[second] - seconds[first])
    return float(np.median(slopes) * (seconds[-1] - seconds[0]))


def judged(samples: list[dict[str, float]]) -> dict[str, dict[str, Any]]:
    """Return for each quantity its median, growth and whether it is flat, after the warm-up."""
    if not samples:
        return {}
    from_then = WARM_UP * samples[-1]["seconds"]
    kept = [sample for sample in samples if sample["seconds"] >= from_then]
    seconds = np.array([sample["seconds"] for sample in kept])
    found = {}
    for name in kept[0]:
        if name in ("seconds", "processes"):
            continue
        values = np.array([sample[name] for sample in kept])
        middle, risen = float(np.median(values)), growth(seconds, values)
        is_count = name.startswith("open files")
        limit = 8.0 if is_count else max(4.0 * MIB, 0.05 * middle)
        scale = 1.0 if is_count else MIB
        found[name] = {
            "median": round(middle / scale, 2),
            "growth": round(risen / scale, 2),
            "limit": round(limit / scale, 2),
            "flat": risen <= limit,
        }
    return found


class Day:
    """A simulated day on one service.

    Parameters
    ----------
    folder : Path
    seconds : float
        That it takes.
    share : float
        Of a day.
    seed : int
    """

    def __init__(self, folder: Path, seconds: float, share: float, seed: int) -> None:
        self._folder, self._seconds, self._share = folder, seconds, share
        self._rng = np.random.default_rng(seed)
        self._requests = Requests(self._rng)
        self.counts: Counter[str] = Counter()
        self.failed: list[str] = []
        self._versions, self._store = folder / "versions", folder / "store.db"
        self._hour = 0
        self._recycled = -math.inf

    def prepare(self) -> None:
        """Train the first version."""
        rng, self._versions = self._rng, self._folder / "versions"
        table = {"user_id": rng.integers(0, N_USERS, N_EVENTS), "item_id": rng.integers(0, N_ITEMS, N_EVENTS)}
        every = {"user_id": np.arange(N_ITEMS) % N_USERS, "item_id": np.arange(N_ITEMS)}
        events = {name: np.concatenate([table[name], every[name]]) for name in table}
        pq.write_table(pa.table(events), self._folder / "events.parquet")
        hashgnn("fit", self._folder / "events.parquet", "-o", self._versions / "v1", *FIT)
        (self._versions / "current").symlink_to("v1")

    def hour(self) -> None:
        """End an hour: export, update, move the link, clear, remove the version before the last."""
        self._hour += 1
        old, new = f"v{self._hour}", f"v{self._hour + 1}"
        model, export = self._versions / old, self._folder / "new.parquet"
        hashgnn(
            "interactions", "export", self._store, "-o", export, "--model", model, "--overwrite", "--quiet"
        )
        hashgnn("update", model, export, "-o", self._versions / new, *TRAINING)
        (self._versions / "next").symlink_to(new)
        (self._versions / "next").replace(self._versions / "current")
        hashgnn("interactions", "clear", self._store, "--model", self._versions / new, "--quiet")
        self.counts["hours ended"] += 1

    def remove_before_last(self) -> None:
        """Remove the version that no worker needs any more."""
        if self._hour >= 2:
            shutil.rmtree(self._versions / f"v{self._hour - 1}", ignore_errors=True)

    async def live(self, service: Service, sampler: Sampler) -> None:
        """Let the day pass."""
        due = self._schedule()
        loop = asyncio.get_running_loop()
        free: asyncio.LifoQueue[Connection] = asyncio.LifoQueue()
        for connection in await connect(service.port, CONNECTIONS):
            free.put_nowait(connection)
        begun = loop.time()
        tasks: set[asyncio.Task[Any]] = set()
        side = asyncio.Lock()  # one hour ends at a time
        while due:
            moment, _, kind = heapq.heappop(due)
            await asyncio.sleep(max(0.0, begun + moment - loop.time()))
            if kind == "hour":
                job: Any = self._end_hour(side)
            elif kind == "recycle":
                job = self._recycle(sampler)
            else:
                job = self._ask(service.port, free, kind)
            task = asyncio.ensure_future(job)
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        await asyncio.gather(*tasks)
        self.counts["late seconds"] = round(loop.time() - begun - self._seconds)
        while not free.empty():
            free.get_nowait().close()

    def _schedule(self) -> list[tuple[float, int, str]]:
        """Return what is due and when, in order of time."""
        due: list[tuple[float, int, str]] = []
        for kind, count in DAY.items():
            n = max(1, round(count * self._share))
            due += [(moment, 0, kind) for moment in self._rng.uniform(0, self._seconds, n).tolist()]
        for name, count in (("hour", HOURS), ("recycle", RECYCLES)):
            n = max(1, round(count * self._share))
            due += [((number + 0.5) * self._seconds / n, 1, name) for number in range(n)]
        heapq.heapify(due)
        return due

    async def _end_hour(self, side: asyncio.Lock) -> None:
        async with side:
            await asyncio.to_thread(self.hour)
            await asyncio.sleep(3)  # every worker looks for a new version each second
            await asyncio.to_thread(self.remove_before_last)

    async def _recycle(self, sampler: Sampler) -> None:
        workers = sampler.workers()
        if len(workers) > 1:
            self._recycled = time.monotonic()
            os.kill(workers[-1], signal.SIGTERM)
            self.counts["workers recycled"] += 1

    async def _ask(self, port: int, free: asyncio.LifoQueue[Connection], kind: str) -> None:
        message, right = self._requests.of(kind)
        connection = await free.get()
        if connection.closed:
            (connection,) = await connect(port, 1)
        status = await connection.ask(message)
        while (status == 0 and connection.closed) or (
            status == 503 and time.monotonic() < self._recycled + _LEAVING
        ):
            self.counts["sent once more"] += 1
            connection.close()
            await asyncio.sleep(_PAUSE)
            (connection,) = await connect(port, 1)
            status = await connection.ask(message)
        free.put_nowait(connection)
        self.counts[kind] += 1
        if status not in right:
            self.failed.append(f"{kind} was answered {status}")


def measure(folder: Path, *, minutes: float, hours: float, seed: int) -> dict[str, Any]:
    """Let a day, or some hours of one, pass in some minutes; return what happened."""
    day = Day(folder, 60 * minutes, hours / HOURS, seed)
    day.prepare()
    options = [
        "--no-log-requests",
        "--workers",
        "2",
        "--interactions",
        str(folder / "store.db"),
        "--queue",
        "256",
    ]
    service = Service(folder / "versions", options)
    sampler = Sampler(service.process.pid, min(5.0, 60 * minutes / 40))
    sampler.start()
    try:
        asyncio.run(day.live(service, sampler))
    finally:
        sampler.end()
        code = service.stop()
    return {
        "minutes": minutes,
        "hours": hours,
        "counts": dict(day.counts),
        "failed": len(day.failed),
        "first_failures": day.failed[:5],
        "samples": len(sampler.samples),
        "memory_in_mib": judged(sampler.samples),
        "exit_code": code,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--hours", type=float, default=24.0, help="that are simulated in them")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    machine = f"{platform.machine()}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}"
    print(
        f"{options.hours:g} hours in {options.minutes:g} minutes, seed {options.seed}; {machine}", flush=True
    )
    print(f"a day: {DAY}, {HOURS} updates and exports, {RECYCLES} recycled workers", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), minutes=options.minutes, hours=options.hours, seed=options.seed)
    for name, value in found.items():
        print(f"{name}: {value}" if name != "memory_in_mib" else "memory, MiB, and open files:")
        if name == "memory_in_mib":
            for what, row in value.items():
                print(f"  {what}: {row}")
    if options.json is not None:
        options.json.write_text(json.dumps({"machine": machine, **found}, indent=1) + "\n")
    grown = not all(row["flat"] for row in found["memory_in_mib"].values())
    if found["failed"] or grown or found["exit_code"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
