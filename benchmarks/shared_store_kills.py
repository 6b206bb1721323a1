"""SIGKILLs of two services that share a store in PostgreSQL, and of its server, while callers write through both.

    python benchmarks/sigkills.py --kinds postgres --kills 100

Each caller sends pairs of interactions, each pair with an idempotency key, to one service after the other until it is
acknowledged. After every kill all that was acknowledged must be in the store. In the end each pair must be there once
and whole, however often it was sent.
"""

from __future__ import annotations

import http.client
import json
import multiprocessing
import os
import random
import signal
import tempfile
import threading
import time
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from benchmarks.postgres_server import KillableServer

from hashgnn.errors import StorageError
from hashgnn.serving import ServiceSettings
from hashgnn.serving.store import InteractionStore
from hashgnn.state import save_state
from hashgnn.testing.states import random_state

N_SERVICES, N_CALLERS = 2, 4
_PATIENCE = 60.0  # seconds in which a server or a service must be back


class Lost(Exception):
    """Something that was acknowledged is gone, or something is there twice or in half."""


def serve_shared(model: str, url: str, ready: Connection) -> None:
    """Serve a model with a store that others use too; runs in a process of its own."""
    from hashgnn.serving.process.server import listen
    from hashgnn.serving.process.worker_main import serve

    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    settings = ServiceSettings(model=Path(model), interactions=url, watch=0.05, log_requests=False)
    with listen("127.0.0.1", 0) as listening:
        ready.send_bytes(str(listening.getsockname()[1]).encode())
        serve(settings, listening, lambda: None)


class Services:
    """Services that are started again when they were killed, or ended because the store was away.

    Parameters
    ----------
    model : Path
    url : str
    preloaded : list of str
        Modules that every service needs.
    """

    def __init__(self, model: Path, url: str, preloaded: list[str]) -> None:
        self._args = (str(model), url)
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(preloaded)
        self._processes: list[Any] = [None] * N_SERVICES
        self.ports = [0] * N_SERVICES
        for number in range(N_SERVICES):
            self._start(number)

    def _start(self, number: int) -> None:
        reading, writing = self._context.Pipe(duplex=False)
        process = self._context.Process(target=serve_shared, args=(*self._args, writing), daemon=True)
        process.start()
        writing.close()
        self.ports[number] = int(reading.recv_bytes())
        reading.close()
        self._processes[number] = process

    def kill(self, number: int) -> bool:
        """Kill one of them and start it again; say whether it was running."""
        process = self._processes[number]
        process.kill()
        process.join()
        was_killed: bool = process.exitcode == -signal.SIGKILL
        process.close()
        self._start(number)
        return was_killed

    def start_ended(self) -> int:
        """Start those again that have ended by themselves, as one does without its server; return how many."""
        ended = [number for number, process in enumerate(self._processes) if process.exitcode is not None]
        for number in ended:
            self._start(number)
        return len(ended)

    def close(self) -> None:
        """Kill all of them."""
        for process in self._processes:
            process.kill()
            process.join()


class Caller(threading.Thread):
    """Sends one pair after the other, each until it is acknowledged.

    Parameters
    ----------
    name : str
    ports : list of int
        Of the services, as they are now.
    """

    def __init__(self, name: str, ports: list[int]) -> None:
        super().__init__(daemon=True)
        self.name, self._ports = name, ports
        self.acknowledged, self.sent_again, self.fault = 0, 0, ""
        self.ended = threading.Event()

    def run(self) -> None:
        """Send until the end is asked for."""
        turn = 0
        while not self.ended.is_set() and not self.fault:
            count = self.acknowledged
            rows = [{"user": self.name, "item": f"i{2 * count + part}"} for part in range(2)]
            turn += 1
            status = self._post(
                self._ports[turn % N_SERVICES], rows, f"{self.name} {count}".replace(" ", "-")
            )
            if status == 200:
                self.acknowledged += 1
            elif status in (None, 429, 503):
                self.sent_again += 1
                time.sleep(0.01)
            else:
                self.fault = f"a request was answered with {status}"

    def _post(self, port: int, rows: list[dict[str, str]], key: str) -> int | None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE)
        try:
            body = json.dumps({"interactions": rows})
            headers = {"content-type": "application/json", "idempotency-key": key}
            connection.request("POST", "/v1/interactions", body, headers)
            answer = connection.getresponse()
            answer.read()
            return answer.status
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()


def kill_shared_store(folder: Path, n: int, moments: random.Random, preloaded: list[str]) -> Counter[str]:
    """Kill services and the server ``n`` times; return what was killed and acknowledged.

    Raises
    ------
    Lost
    """
    counts: Counter[str] = Counter()
    save_state(random_state(50, 5000, n_bits=64, dim=16, density=0.01), folder / "v1")
    with KillableServer() as server:
        url = server.url("kills")
        services = Services(folder / "v1", url, preloaded)
        callers = [Caller(f"caller{number}", services.ports) for number in range(N_CALLERS)]
        try:
            for caller in callers:
                caller.start()
            _wait_for(callers, counts)
            while counts["kills"] < n:
                time.sleep(moments.uniform(0, 0.4))
                victim = moments.randrange(N_SERVICES + 1)
                if victim < N_SERVICES:
                    was_killed = services.kill(victim)
                    counts["services"] += was_killed
                    counts["kills"] += was_killed
                else:
                    server.kill()
                    time.sleep(moments.uniform(0, 0.2))
                    server.start()
                    counts["servers"] += 1
                    counts["kills"] += 1
                counts["ended without the server"] += services.start_ended()
                _check(url, {caller.name: caller.acknowledged for caller in callers})
            counts["ended without the server"] += services.start_ended()
            _wait_for(callers, counts)
            for caller in callers:
                caller.ended.set()
            for caller in callers:
                caller.join(_PATIENCE)
            _check_once(url, folder, callers)
        finally:
            services.close()
        faults = [caller.fault for caller in callers if caller.fault]
        if faults:
            raise Lost(faults[0])
        counts["acknowledged"] = sum(caller.acknowledged for caller in callers)
        counts["sent again"] = sum(caller.sent_again for caller in callers)
    return counts


def _wait_for(callers: list[Caller], counts: Counter[str]) -> None:
    """Wait until every caller has got one more acknowledgement: the services work again after whatever was killed."""
    before = [caller.acknowledged for caller in callers]
    deadline = time.monotonic() + _PATIENCE
    while any(caller.acknowledged <= then for caller, then in zip(callers, before, strict=True)):
        if time.monotonic() > deadline:
            raise Lost(f"the services did not come back within {_PATIENCE:g} seconds")
        time.sleep(0.02)
    counts["recovered"] += 1


def _opened(url: str) -> InteractionStore:
    """Open the store, whose server may still be starting."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            return InteractionStore.open(url)
        except StorageError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _check(url: str, acknowledged: dict[str, int]) -> None:
    """Check that what was acknowledged is in the store, and nothing in half."""
    with _opened(url) as store:
        for user, count in acknowledged.items():
            history = store.history(user)
            missing = {f"i{number}" for number in range(2 * count)} - set(history)
            if missing or len(history) % 2:
                raise Lost(f"{len(missing)} interactions of {user} are gone, {len(history)} are there")


def _check_once(url: str, folder: Path, callers: list[Caller]) -> None:
    """Check that every pair is there once, and none that was never sent."""
    with _opened(url) as store, tempfile.TemporaryDirectory(dir=folder) as place:
        found = store.export(Path(place) / "all.parquet")
        table = pq.read_table(Path(place) / "all.parquet")
        if store.count != found.count:
            raise Lost(f"the store counts {store.count} interactions and holds {found.count}")
    rows = Counter(zip(table["user_id"].to_pylist(), table["item_id"].to_pylist(), strict=True))
    twice = [row for row, count in rows.items() if count > 1]
    if twice:
        raise Lost(f"{len(twice)} interactions are there twice, {twice[0]} first")
    of_user = Counter(user for user, _ in rows)
    for caller in callers:
        # The last one may be kept without an answer.
        if of_user[caller.name] not in (2 * caller.acknowledged, 2 * caller.acknowledged + 2):
            raise Lost(
                f"{caller.name} has {of_user[caller.name]} interactions, sent {caller.acknowledged} pairs"
            )
