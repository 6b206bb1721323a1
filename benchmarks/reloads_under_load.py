"""A service that is asked all the time while it reloads, also versions that are bad: no request may fail.

    python benchmarks/reloads_under_load.py

Single users are requested at times that are fixed beforehand, 200 a second by default. Meanwhile 50 reloads are
asked for over HTTP, spread evenly, of which 10 name a bad version: with a byte changed, cut short, copied in half,
or with the ids of another model. A bad version must be refused, and the one before must go on answering. The exit
code is 1 where a request failed, a good version was refused, or a bad one was taken.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import random
import shutil
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from hashgnn.serving import ServiceSettings
from hashgnn.state import save_state
from hashgnn.testing.states import random_state

try:
    from benchmarks.serving_load import TOKEN, Service, open_load, request
except ModuleNotFoundError:  # as a script, which finds its neighbours by their names
    from serving_load import TOKEN, Service, open_load, request  # type: ignore[no-redef]

N_GOOD = 4  # versions that take turns
N_USERS, N_ITEMS = 2000, 5000


def _save(folder: Path, number: int, **ids: Any) -> None:
    given = {"user_ids": N_USERS, "item_ids": N_ITEMS, **ids}
    save_state(random_state(**given, n_bits=64, dim=32, density=0.005, rng=number), folder)


def _change_byte(folder: Path, source: Path) -> None:
    shutil.copytree(source, folder)
    content = bytearray((folder / "item_index.hgx").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "item_index.hgx").write_bytes(content)


def _cut_short(folder: Path, source: Path) -> None:
    shutil.copytree(source, folder)
    os.truncate(folder / "embeddings.safetensors", (source / "embeddings.safetensors").stat().st_size // 2)


def _copy_half(folder: Path, source: Path) -> None:
    folder.mkdir()
    for file in sorted(source.iterdir())[: len(list(source.iterdir())) // 2]:
        shutil.copy(file, folder)


def _swap_ids(folder: Path, source: Path) -> None:
    shutil.copytree(source, folder)
    other = folder.with_name("other")
    _save(other, 99, item_ids=N_ITEMS + 1)
    shutil.copy(other / "items.arrow", folder / "items.arrow")
    shutil.rmtree(other)


def _other_ids(folder: Path, source: Path) -> None:
    _save(folder, 98, user_ids=list(range(N_USERS)), item_ids=list(range(N_ITEMS)))


BAD: dict[str, Callable[[Path, Path], None]] = {
    "a byte changed": _change_byte,
    "cut short": _cut_short,
    "copied in half": _copy_half,
    "item ids of another model": _swap_ids,
}
if "allow_new_ids" in ServiceSettings.model_fields:  # a service that keeps its callers' ids valid
    BAD["ids of another kind"] = _other_ids


def make_versions(folder: Path, n_bad: int) -> tuple[list[str], list[str]]:
    """Write good versions with a link to the first, and bad ones; return their names."""
    good = [f"v{number}" for number in range(N_GOOD)]
    for number, name in enumerate(good):
        _save(folder / name, number)
    (folder / "current").symlink_to(good[0])
    bad = [f"bad{number}" for number in range(n_bad)]
    for number, name in enumerate(bad):
        list(BAD.values())[number % len(BAD)](folder / name, folder / good[number % N_GOOD])
    return good, bad


def reload(port: int, name: str) -> int:
    """Ask for a version; return the status of the answer."""
    headers = {"content-type": "application/json", "authorization": f"Bearer {TOKEN}"}
    body = json.dumps({"version": name}).encode()
    message = urllib.request.Request(f"http://127.0.0.1:{port}/admin/reload", body, headers)
    try:
        with urllib.request.urlopen(message, timeout=120) as answer:  # noqa: S310 - our own address
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def active(port: int) -> str:
    """Return the name of the version that answers."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=60) as answer:
        return str(json.load(answer)["model_version"])


async def load_with_reloads(
    port: int, names: list[str], bad: set[str], rate: float, seconds: float
) -> dict[str, Any]:
    """Load the service, and reload in turn; return what happened."""
    faults: list[str] = []
    took: list[float] = []
    refused = 0

    async def reloads() -> None:
        nonlocal refused
        begun = time.perf_counter()
        for number, name in enumerate(names):
            await asyncio.sleep(max(0.0, begun + number * seconds / len(names) - time.perf_counter()))
            before = await asyncio.to_thread(active, port)
            asked = time.perf_counter()
            status = await asyncio.to_thread(reload, port, name)
            took.append(time.perf_counter() - asked)
            now = await asyncio.to_thread(active, port)
            if name in bad:
                refused += status != 200
                if status == 200 or now != before:
                    faults.append(f"{name} was answered {status}, {now} answers after {before}")
            elif status != 200 or now != name:
                faults.append(f"{name} was answered {status}, {now} answers")

    users = np.random.default_rng(0).integers(0, N_USERS, 500).tolist()
    requests = [request("/v1/recommend", {"users": [f"u{user}"], "k": 20}) for user in users]
    await open_load(port, requests, rate, 1.0, seed=0)  # pages of the tables come in
    reloading = asyncio.ensure_future(reloads())
    run = await open_load(port, requests, rate, seconds, seed=1)
    failed = [status for status in run.statuses if status != 200]
    while not reloading.done():
        more = await open_load(port, requests, rate, 1.0, seed=2)
        failed += [status for status in more.statuses if status != 200]
    await reloading
    return {
        **run.summary(),
        "failed": len(failed),
        "reloads": len(names),
        "bad": len(bad),
        "refused": refused,
        "mean_reload_s": round(float(np.mean(took)), 3),
        "faults": faults,
    }


def measure(
    folder: Path, *, rate: float, seconds: float, n_reloads: int, n_bad: int, seed: int
) -> dict[str, Any]:
    """Start a service, load it and reload; return what happened."""
    versions = folder / "versions"
    good, bad = make_versions(versions, n_bad)
    order: list[str] = [good[(number + 1) % N_GOOD] for number in range(n_reloads - n_bad)]
    moments = random.Random(seed)  # noqa: S311 - places of the bad ones
    for name in bad:
        order.insert(moments.randint(1, len(order)), name)
    service = Service(versions, ["--no-log-requests", "--queue", "256"])
    try:
        found = asyncio.run(load_with_reloads(service.port, order, set(bad), rate, seconds))
    finally:
        code = service.stop()
    return {**found, "kinds_of_bad": list(BAD)[:n_bad], "exit_code": code}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rate", type=float, default=200.0, help="requests a second")
    parser.add_argument("--seconds", type=float, default=100.0)
    parser.add_argument("--reloads", type=int, default=50)
    parser.add_argument("--bad", type=int, default=10, help="of the reloads")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    machine = f"{platform.machine()}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}"
    print(f"{N_USERS} users, {N_ITEMS} items, seed {options.seed}; {machine}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        found = measure(
            Path(folder),
            rate=options.rate,
            seconds=options.seconds,
            n_reloads=options.reloads,
            n_bad=options.bad,
            seed=options.seed,
        )
    print("\n".join(f"{name}: {value}" for name, value in found.items()))
    if options.json is not None:
        options.json.write_text(json.dumps({"machine": machine, **found}, indent=1) + "\n")
    if found["failed"] or found["faults"] or found["exit_code"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
