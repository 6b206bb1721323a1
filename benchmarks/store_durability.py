"""The store of new interactions under SIGKILL: whatever was acknowledged is there after a restart.

    python benchmarks/store_durability.py
    python benchmarks/store_durability.py --store postgres

A child process appends from several threads and acknowledges each append over a pipe, after it has returned.
It is killed at a random moment, again and again, on one file; then the store is opened, checked for damage,
and compared with what was acknowledged. Afterwards appends a second are measured for 1 and 16 callers, each
append a single interaction, returned when it is on the disk.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from hashgnn.serving.store import InteractionStore

_CHILD = """
import os, sys, threading
from hashgnn.serving.store import InteractionStore
path, run, n_callers, pipe = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
store = InteractionStore.open(path)
def caller(number):
    count = 0
    while True:
        user = f"{run}-{number}"
        store.append([user, user], [2 * count, 2 * count + 1])
        os.write(pipe, f"{user} {count}\\n".encode())
        count += 1
for number in range(n_callers):
    threading.Thread(target=caller, args=(number,)).start()
"""


def kill_while_writing(path: str | Path, run: int, n_callers: int, after: float) -> dict[str, int]:
    """Kill a writer some seconds after its first append; return how many appends of each user it acknowledged."""
    reading, writing = os.pipe()
    child = subprocess.Popen(
        [sys.executable, "-c", _CHILD, str(path), str(run), str(n_callers), str(writing)], pass_fds=[writing]
    )
    os.close(writing)
    with os.fdopen(reading) as pipe:
        lines = [pipe.readline()]
        timer = threading.Timer(after, child.send_signal, [signal.SIGKILL])
        timer.start()
        lines += pipe.readlines()
        timer.join()
    if child.wait() != -signal.SIGKILL:
        raise SystemExit(f"the writer ended by itself, with {child.returncode}")
    acknowledged: dict[str, int] = {}
    for line in lines:
        if line.endswith("\n"):
            user, number = line.split()
            acknowledged[user] = int(number) + 1
    return acknowledged


def lost(path: str | Path, acknowledged: dict[str, int]) -> tuple[int, int]:
    """Return how many acknowledged appends are missing, and how many appends are there in half."""
    missing = halves = 0
    with InteractionStore.open(path) as store:
        for user, count in acknowledged.items():
            history = store.history(user)
            missing += len(set(range(2 * count)) - set(history))
            halves += len(history) % 2
    return missing, halves


def appends_a_second(place: str | Path, n_callers: int, seconds: float) -> float:
    """Return the appends that callers in one process get done, each waiting for the disk."""
    done = [0] * n_callers
    with InteractionStore.open(place) as store:
        until = time.perf_counter() + seconds

        def caller(number: int) -> None:
            while time.perf_counter() < until:
                store.append([number], [done[number]])
                done[number] += 1

        threads = [threading.Thread(target=caller, args=(number,)) for number in range(n_callers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if store.count != sum(done):
            raise SystemExit(f"{store.count} interactions are kept, {sum(done)} were acknowledged")
    return sum(done) / seconds


def places(store: str, parent: Path | None, stack: ExitStack) -> Callable[[str], str]:
    """Return what says where a store of a name is."""
    if store == "sqlite":
        folder = stack.enter_context(tempfile.TemporaryDirectory(dir=parent))
        return lambda name: str(Path(folder) / f"{name}.db")
    if store == "postgres":
        sys.path.append(str(Path(__file__).resolve().parent.parent))
        from benchmarks.postgres_server import KillableServer

        return stack.enter_context(KillableServer(parent)).url
    return lambda name: f"{store}{'&' if '?' in store else '?'}store={name}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--store",
        default="sqlite",
        help="sqlite, postgres (a server is started), or postgresql://user@host/db",
    )
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--callers", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement of speed")
    parser.add_argument("--folder", type=Path, help="on the disk to test; else the one of temporary files")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    moments = random.Random(options.seed)  # noqa: S311 - moments of a kill
    totals = {"kills": options.kills, "acknowledged": 0, "lost": 0, "torn": 0}
    with ExitStack() as stack:
        place = places(options.store, options.folder, stack)
        for run in range(options.kills):
            found = kill_while_writing(place("kills"), run, options.callers, moments.uniform(0, 0.3))
            missing, halves = lost(place("kills"), found)
            totals["acknowledged"] += sum(found.values())
            totals["lost"] += missing
            totals["torn"] += halves
        speeds = {n: appends_a_second(place(f"speed{n}"), n, options.seconds) for n in (1, 16)}
    result = {
        **totals,
        "appends_a_second": {str(n): round(speed) for n, speed in speeds.items()},
        "machine": f"{platform.machine()}, {os.cpu_count()} processors",
    }
    if options.json:
        print(json.dumps(result))
    else:
        print(
            f"{totals['kills']} kills: {totals['acknowledged']:,} appends of two interactions acknowledged, "
            f"{totals['lost']} interactions lost, {totals['torn']} appends in half"
        )
        for n, speed in speeds.items():
            print(f"{n:2} callers: {speed:,.0f} appends a second")
    if totals["lost"] or totals["torn"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
