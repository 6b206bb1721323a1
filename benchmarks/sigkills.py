"""SIGKILLs at random moments, spread over fit, save, update, stores of services, reloads, and new items.

    python benchmarks/sigkills.py
    python benchmarks/sigkills.py --kills 100 --kinds fit,save

Each victim is a process that a fork server makes, which has torch and the service imported, so that a start
costs milliseconds. It is killed at a moment drawn evenly over the time that an undisturbed one takes, and the
next one goes on in the same folder. After every kill is checked: nothing that was acknowledged is lost, and no
folder is half-written. A chain of fits and updates that has come to its end must hold the model of an
undisturbed run, bit for bit. The exit code is 1 where something was lost.
"""

from __future__ import annotations

import argparse
import dataclasses
import http.client
import json
import multiprocessing
import os
import platform
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hashgnn._tensors import read_tensors
from hashgnn.errors import HashGNNError
from hashgnn.rules import ITEM_TABLE
from hashgnn.serving import ServiceSettings
from hashgnn.serving.store import InteractionStore
from hashgnn.state import ModelState, load_state, save_state
from hashgnn.testing.states import random_state

# How the kills are spread, in parts of a hundred.
SHARES = {"fit": 25, "save": 21, "update": 14, "store": 10, "reload": 10, "items": 10, "postgres": 10}
PRELOADED = [
    "hashgnn.cli.app",
    "hashgnn.recommender",
    "hashgnn.training",
    "hashgnn.cli._reading",
    "hashgnn.fold_in.history",
    "hashgnn.nn.encoders.history",
    "hashgnn.serving.http.app",
    "hashgnn.serving.process.worker_main",
    "pyarrow.parquet",
    "torch._dynamo",  # which the first optimiser of a process imports
]
TOKEN = "kills"  # noqa: S105 - of the services that are started here
EPOCHS = 12
TRAINING = ["--bits", "16", "--threads", "1", "--device", "cpu", "--quiet", "--set", "embedding_dim=8"]
TRAINING += ["--set", "teacher=none", "--set", "objective.observed_target=all"]
SETTINGS = [*TRAINING, "--set", f"optimizer.epochs={EPOCHS}", "--set", "validation.share=0.1"]
N_ITEMS = 5000


class Lost(Exception):
    """Something that was acknowledged is gone, or something is half-written."""


# --- the victims; each runs in a process of its own ---


def run_command(folder: str, words: list[str], ready: Connection) -> None:
    """Run a command of hashgnn."""
    from hashgnn.cli import main

    with (Path(folder) / "said.txt").open("a") as said:
        os.dup2(said.fileno(), 1)
        os.dup2(said.fileno(), 2)
    sys.argv = ["hashgnn", *words]
    ready.send_bytes(b"")
    main()


def save_again_and_again(path: str, first: int, ready: Connection) -> None:
    """Save one version after another to the same folder, and acknowledge each."""
    states = [random_state(400, 600, n_bits=64, dim=32, rng=number) for number in range(2)]
    with tempfile.TemporaryDirectory() as scratch:  # the first save of a process takes many times longer
        save_state(states[0], Path(scratch) / "warm")
    ready.send_bytes(b"")
    number = first
    while True:
        state = dataclasses.replace(states[number % 2], metrics={"number": number})
        save_state(state, path, overwrite=True)
        ready.send_bytes(str(number).encode())
        number += 1


def serve_model(folder: str, ready: Connection) -> None:
    """Serve the versions of a folder, with a store."""
    from hashgnn.serving.process.server import listen
    from hashgnn.serving.process.worker_main import serve

    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    settings = ServiceSettings(
        model=Path(folder) / "versions",
        interactions=Path(folder) / "store.db",
        admin_token=TOKEN,
        watch=0.05,
        new_items=1_000_000,
        log_requests=False,
    )
    with listen("127.0.0.1", 0) as listening:
        ready.send_bytes(str(listening.getsockname()[1]).encode())
        serve(settings, listening, lambda: None)  # kills come while it opens the model too


# --- killing ---


class Killer:
    """Starts victims and kills them.

    Parameters
    ----------
    folder : Path
    seed : int
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.moments = folder, random.Random(seed)  # noqa: S311 - moments of a kill
        self.counts: Counter[str] = Counter()
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(PRELOADED)

    def kill(
        self,
        span: float,
        target: Any,
        *args: Any,
        meanwhile: Callable[[bytes], Any] | None = None,
        patience: Callable[[], bool] = lambda: True,
    ) -> list[bytes]:
        """Start a victim, kill it within ``span`` seconds, and return what it acknowledged.

        ``meanwhile`` gets its first message, in another thread, and must return when the victim is gone.
        It is not killed before ``patience`` returns true. A victim that has ended by itself was not killed.
        """
        reading, writing = self._context.Pipe(duplex=False)
        victim = self._context.Process(target=target, args=(*args, writing), daemon=True)
        victim.start()
        writing.close()
        first = reading.recv_bytes()
        other = threading.Thread(target=meanwhile or (lambda _: None), args=(first,))
        other.start()
        while not patience() and victim.is_alive():
            time.sleep(0.01)
        victim.join(self.moments.uniform(0, span))
        victim.kill()
        victim.join()
        messages = [first]
        try:
            while True:
                messages.append(reading.recv_bytes())
        except (EOFError, OSError):
            reading.close()
        other.join()
        if victim.exitcode == -signal.SIGKILL:
            self.counts["kills"] += 1
            if self.counts["kills"] % 50 == 0:
                print(f"{self.folder.name}: {self.counts['kills']} kills", file=sys.stderr, flush=True)
        elif victim.exitcode == 0:
            self.counts["ended"] += 1
        else:
            raise Lost(f"{target.__name__} ended with {victim.exitcode}: {self.said()}")
        victim.close()
        return messages

    def undisturbed(self, target: Any, *args: Any) -> float:
        """Run a victim to its end, twice, and return the seconds that the second run took."""
        for _ in range(2):
            reading, writing = self._context.Pipe(duplex=False)
            victim = self._context.Process(target=target, args=(*args, writing), daemon=True)
            victim.start()
            begun = time.monotonic()
            victim.join()
            if victim.exitcode != 0:
                raise Lost(f"{target.__name__} ended with {victim.exitcode}: {self.said()}")
            reading.close()
            writing.close()
        return time.monotonic() - begun

    def said(self) -> str:
        """Return the last words of the victims."""
        found = [path.read_text()[-500:] for path in self.folder.rglob("said.txt")]
        return " | ".join(found)


def kill_training(killer: Killer, n: int, words: list[str], more: Callable[[Path], list[Path]]) -> None:
    """Kill runs of a command that trains to ``v9``; ``words`` may name the folder by ``{}``."""
    whole, broken = killer.folder / "whole", killer.folder / "broken"
    for folder in (whole, broken):
        folder.mkdir()
        inputs = {path.name for path in more(folder)} | {"said.txt"}

    def command(folder: Path, *options: str) -> tuple[Any, ...]:
        return run_command, str(folder), [*(word.format(folder) for word in words), *options]

    span = killer.undisturbed(*command(whole, "--overwrite"))
    expected = answers(load_state(whole / "v9"))
    before = {name: digest(broken / name) for name in inputs - {"said.txt"}}
    while killer.counts["kills"] < n:
        ended = killer.counts["ended"]
        killer.kill(1.1 * span, *command(broken, "--resume"))
        killer.counts["acknowledged"] += check_training(broken, expected)
        if {name: digest(broken / name) for name in before} != before:
            raise Lost("the inputs changed")
        if killer.counts["ended"] > ended:
            found = {path.name for path in broken.iterdir()}
            if found != inputs | {"v9", "v9.log.jsonl"}:
                raise Lost(f"a run that ended left {sorted(found)}")
            shutil.rmtree(broken / "v9")
            (broken / "v9.log.jsonl").unlink()
    killer.counts["seconds of one run, in ms"] = round(1000 * span)


def check_training(folder: Path, expected: Any) -> int:
    """Check what a killed run left; return how many epochs it had acknowledged in its log."""
    log = folder / "v9.log.jsonl"
    lines = log.read_bytes().split(b"\n")[:-1] if log.exists() else []  # the last may be cut
    events = [json.loads(line) for line in lines]
    epochs = [int(event["epoch"]) for event in events if event["event"] == "epoch"]
    if (folder / "v9").exists():
        if answers(load_state(folder / "v9", verify=True)) != expected:
            raise Lost("the model is not that of an undisturbed run")
        return max(epochs)
    # An epoch is logged, then its checkpoint is written.
    last = max(epochs, default=0)
    checkpoint = folder / ".v9.checkpoint" / "checkpoint.safetensors"
    held = 0
    if checkpoint.exists():
        held = json.loads(read_tensors(checkpoint)[1]["state"])["epoch"]
    if held < last - 1:
        raise Lost(f"epoch {last} was logged, the checkpoint holds {held}")
    return last


def answers(state: ModelState) -> Any:
    """Return what two equal models have in common, bit for bit."""
    sides = (state.users, state.items)
    return [
        (np.asarray(side.codes.packed).tobytes(), np.asarray(side.embeddings).tobytes()) for side in sides
    ]


def digest(path: Path) -> Any:
    """Return the bytes of a file, or of all files of a folder."""
    if path.is_dir():
        return {one.name: one.read_bytes() for one in sorted(path.iterdir())}
    return path.read_bytes()


def write_events(path: Path, seed: int, n_users: int) -> Path:
    """Write a small file of interactions."""
    rng = np.random.default_rng(seed)
    table = pa.table({"user_id": rng.integers(0, n_users, 1500), "item_id": rng.integers(0, 80, 1500)})
    pq.write_table(table, path)
    return path


# --- the kinds ---


def kill_fits(killer: Killer, n: int) -> None:
    """Kill ``hashgnn fit``, which goes on from its checkpoint."""
    words = ["fit", "{}/events.parquet", "-o", "{}/v9", *SETTINGS]
    kill_training(killer, n, words, lambda folder: [write_events(folder / "events.parquet", 0, 100)])


def kill_updates(killer: Killer, n: int) -> None:
    """Kill ``hashgnn update``; the old model stays."""
    old = killer.folder / "old"
    old.mkdir()
    write_events(old / "events.parquet", 0, 100)
    words = ["fit", str(old / "events.parquet"), "-o", str(old / "v8"), "--overwrite", *SETTINGS]
    killer.undisturbed(run_command, str(old), words)

    def inputs(folder: Path) -> list[Path]:
        shutil.copytree(old / "v8", folder / "v8")
        return [folder / "v8", write_events(folder / "new.parquet", 1, 120)]

    words = ["update", "{}/v8", "{}/new.parquet", "-o", "{}/v9", "--threads", "1", "--device", "cpu"]
    kill_training(killer, n, [*words, "--quiet", "--epochs", str(EPOCHS)], inputs)


def kill_saves(killer: Killer, n: int) -> None:
    """Kill saves that replace a model; each is whole, and none that was acknowledged is undone."""
    path = killer.folder / "model"
    last = -1
    state = random_state(400, 600, n_bits=64, dim=32)
    for _ in range(2):
        begun = time.monotonic()
        save_state(state, killer.folder / "first", overwrite=True)
        span = 4 * (time.monotonic() - begun)
    shutil.rmtree(killer.folder / "first")
    while killer.counts["kills"] < n:
        messages = killer.kill(span, save_again_and_again, str(path), last + 1)
        acknowledged = [int(message) for message in messages[1:]]
        killer.counts["acknowledged"] += len(acknowledged)
        last = acknowledged[-1] if acknowledged else last
        if path.exists():
            found = load_state(path, verify=True).metrics["number"]
            if found not in (last, last + 1):
                raise Lost(f"save {last} was acknowledged, the folder holds {found}")
            last = found
        elif last >= 0:
            raise Lost(f"save {last} was acknowledged, and there is no folder")
    save_state(random_state(), path, overwrite=True)
    left = [entry.name for entry in killer.folder.iterdir() if entry != path]
    if left:
        raise Lost(f"a save left {left}")


def kill_services(
    killer: Killer,
    n: int,
    *,
    reloads: bool,
    post: Callable[[int, str, Counter[str]], None] | None = None,
    check: Callable[[Path, Counter[str]], None] | None = None,
) -> None:
    """Kill a service that stores what ``post`` sends, interactions by default, and reloads meanwhile where ``reloads``."""
    post, check = post or post_interactions, check or check_store
    versions, store = killer.folder / "versions", killer.folder / "store.db"
    for number in (1, 2):
        save_state(
            random_state(50, N_ITEMS, n_bits=64, dim=16, density=0.01, rng=number), versions / f"v{number}"
        )
        table = pa.table({"item_id": [f"i{n}" for n in range(N_ITEMS)], "name": ["known"] * N_ITEMS})
        pq.write_table(table, versions / f"v{number}" / ITEM_TABLE)
    (versions / "current").symlink_to("v1")
    before = {f"v{number}": digest(versions / f"v{number}") for number in (1, 2)}
    span = 1.0 + start_seconds(killer)
    killer.counts.clear()
    while killer.counts["kills"] < n:
        run = killer.counts["kills"]
        acknowledged: Counter[str] = Counter()
        switched: list[int] = []

        def ask(
            first: bytes, run: int = run, found: Counter[str] = acknowledged, done: Any = switched
        ) -> None:
            port = int(first)
            callers = [
                threading.Thread(target=post, args=(port, f"{run}-{number}", found)) for number in range(3)
            ]
            if reloads:
                callers.append(threading.Thread(target=reload_versions, args=(port, versions, done)))
            for caller in callers:
                caller.start()
            for caller in callers:
                caller.join()

        killer.kill(span, serve_model, str(killer.folder), meanwhile=ask)
        if "refused" in acknowledged:
            raise Lost("a request was refused")
        if store.exists():
            check(store, acknowledged)
        elif acknowledged:
            raise Lost("the store is gone")
        if {name: digest(versions / name) for name in before} != before:
            raise Lost("a version changed")
        killer.counts["acknowledged"] += sum(acknowledged.values())
        killer.counts["reloads"] += len(switched)
    if killer.counts["ended"]:
        raise Lost("a service ended by itself")


def start_seconds(killer: Killer) -> float:
    """Return the seconds from the start of a service to its first answer."""
    begun = time.monotonic()
    answered: list[float] = []

    def ask(first: bytes) -> None:
        call(int(first), "/v1/recommend", {"users": ["u1"], "k": 2})
        answered.append(time.monotonic() - begun)

    killer.kill(0, serve_model, str(killer.folder), meanwhile=ask, patience=lambda: bool(answered))
    return answered[0]


def call(port: int, path: str, body: Any) -> tuple[int, Any]:
    """Post to a service on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        headers = {"content-type": "application/json", "authorization": f"Bearer {TOKEN}"}
        connection.request("POST", path, json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def post_interactions(port: int, user: str, acknowledged: Counter[str]) -> None:
    """Store pairs of interactions until the service is gone; count those that it acknowledged."""
    count = 0
    while True:
        rows = [{"user": user, "item": f"i{2 * count + part}"} for part in range(2)]
        try:
            status, _ = call(port, "/v1/interactions", {"interactions": rows})
        except (OSError, http.client.HTTPException, ValueError):
            return
        if status != 200:
            acknowledged["refused"] += 1
            return
        count += 1
        acknowledged[user] = count


def post_items(port: int, name: str, acknowledged: Counter[str]) -> None:
    """Add new items until the service is gone; each that was acknowledged must pass the next filter for it."""
    count = 0
    while True:
        item = f"new-{name}-{count}"
        users = [f"u{(count + part) % 50}" for part in range(3)]
        body = {"items": [{"item": item, "users": users, "attributes": {"name": item}}]}
        try:
            status, _ = call(port, "/v1/items", body)
            if status == 200:
                count += 1
                acknowledged[f"new-{name}"] = count
                asked = {"histories": [["i1"]], "k": 2, "where": f"name = '{item}'"}
                status, answer = call(port, "/v1/recommend", asked)
                if status == 200 and [one["id"] for one in answer["results"][0]["items"]] != [item]:
                    status = 0
        except (OSError, http.client.HTTPException, ValueError):
            return
        if status != 200:
            acknowledged["refused"] += 1
            return


def reload_versions(port: int, versions: Path, done: list[int]) -> None:
    """Move the link and reload until the service is gone; the version that was acknowledged must answer."""
    number = int(os.readlink(versions / "current")[1:])
    while True:
        number = 3 - number
        (versions / "next").unlink(missing_ok=True)
        (versions / "next").symlink_to(f"v{number}")
        (versions / "next").replace(versions / "current")
        try:
            status, answer = call(port, "/admin/reload", {"version": f"v{number}"})
            if status == 200:
                found = call(port, "/v1/recommend", {"users": ["u1"], "k": 2})[1]["model_version"]
                done.append(number)
                if not answer["version"] == found == f"v{number}":
                    os._exit(3)
        except (OSError, http.client.HTTPException, ValueError):
            return


def check_store(path: Path, acknowledged: Counter[str]) -> None:
    """Check that everything that was acknowledged is in the store, and no pair in half."""
    with InteractionStore.open(path) as store:
        for user, count in acknowledged.items():
            history = store.history(user)
            missing = {f"i{number}" for number in range(2 * count)} - set(history)
            if missing or len(history) % 2:
                raise Lost(f"{len(missing)} interactions of {user} are gone, {len(history)} are there")


def check_items(path: Path, acknowledged: Counter[str]) -> None:
    """Check that every new item that was acknowledged is in the store with its attributes, users and their interactions."""
    with InteractionStore.open(path) as store:
        users_of = {one.item: one.users for one in store.items.after(0)[0]}
        for name, count in acknowledged.items():
            missing = [item for item in (f"{name}-{n}" for n in range(count)) if item not in users_of]
            if missing:
                raise Lost(f"{len(missing)} new items of {name} are gone, {missing[0]} first")
        names = {item: (name, text) for _, item, name, text in store.attributes_of(list(users_of))}
        for item, users in users_of.items():
            if names.get(item) != ("name", json.dumps(item)):
                raise Lost(f"attributes of {item} are {names.get(item)}")
            if len(users) != 3 or any(item not in store.history(user) for user in users):
                raise Lost(f"of {item} a part is missing, its users are {users}")


def kill_item_services(killer: Killer, n: int) -> None:
    """Kill a service that takes new items, and moves between versions meanwhile."""
    kill_services(killer, n, reloads=True, post=post_items, check=check_items)


def kill_shared(killer: Killer, n: int) -> None:
    """Kill services that share a store in PostgreSQL, and its server."""
    sys.path.append(str(Path(__file__).resolve().parent.parent))
    from benchmarks import shared_store_kills

    try:
        killer.counts += shared_store_kills.kill_shared_store(killer.folder, n, killer.moments, PRELOADED)
    except shared_store_kills.Lost as error:
        raise Lost(str(error)) from error


KINDS: dict[str, Callable[[Killer, int], None]] = {
    "fit": kill_fits,
    "save": kill_saves,
    "update": kill_updates,
    "store": lambda killer, n: kill_services(killer, n, reloads=False),
    "items": kill_item_services,
    "reload": lambda killer, n: kill_services(killer, n, reloads=True),
    "postgres": kill_shared,
}


def run_kind(folder: Path, kind: str, n: int, seed: int) -> dict[str, Any]:
    """Kill as often as asked for; return the counts, and the fault where there is one."""
    (folder / kind).mkdir()
    killer = Killer(folder / kind, seed + 1000 * list(SHARES).index(kind))
    begun = time.monotonic()
    fault = None
    try:
        KINDS[kind](killer, n)
    except (Lost, HashGNNError) as error:
        fault = f"{type(error).__name__}: {error}"
    return {**killer.counts, "seconds": round(time.monotonic() - begun, 1), "fault": fault}


def run(folder: Path, kinds: dict[str, int], seed: int, jobs: int) -> dict[str, dict[str, Any]]:
    """Run several kinds, ``jobs`` at a time; return what each of them returned."""
    given = [(folder, kind, n, seed) for kind, n in kinds.items()]
    if jobs == 1:
        return {kind: run_kind(*one) for kind, one in zip(kinds, given, strict=True)}
    # Not in threads: when one starts a process, multiprocessing also asks for the ends of those of the others.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        return dict(zip(kinds, pool.map(run_kind, *zip(*given, strict=True)), strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=1000, help="of all kinds together")
    parser.add_argument("--kinds", default=",".join(SHARES), help="some of them")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2, help="kinds at a time")
    parser.add_argument("--folder", type=Path, help="on the disk to test; else the one of temporary files")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    chosen = {kind: SHARES[kind] for kind in options.kinds.split(",")}
    kinds = {kind: round(options.kills * share / sum(chosen.values())) for kind, share in chosen.items()}
    machine = f"{platform.machine()}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}"
    print(
        f"{options.kills} kills, seed {options.seed}, {options.jobs} kinds at a time; {machine}", flush=True
    )
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        found = run(Path(folder), kinds, options.seed, options.jobs)
    for kind, counts in found.items():
        print(f"{kind:7}" + ", ".join(f"{name} {value}" for name, value in counts.items()))
    total = sum(counts.get("kills", 0) for counts in found.values())
    print(f"{total} kills in {time.monotonic() - begun:.0f} seconds")
    if options.json is not None:
        options.json.write_text(
            json.dumps({"machine": machine, "seed": options.seed, **found}, indent=1) + "\n"
        )
    if any(counts["fault"] for counts in found.values()):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
