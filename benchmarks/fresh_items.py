"""How soon a new item is in the answers: in the library, and in a service with two workers.

    python benchmarks/fresh_items.py
    python benchmarks/fresh_items.py --items 100000 --users 100000 --new 300 --json fresh.json

A generated model is served by two workers. New items are posted one after another, each with twenty first users,
and after each a request for similar items to it and one for a history are sent, on connections that stay open, so
that both workers answer. Every answer must have the item. Measured are the post, which ends when the item is on the
disk, and the first answers after it, which include what a worker does to learn of the item.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from generated_model import FIRST_ITEM, FIRST_USER, generated_state
from hashgnn.ranking import IndexLists
from hashgnn.recommender import HashGNN
from hashgnn.state import save_state

FIRST_NEW = 1_000
N_FIRST_USERS = 20
CONNECTIONS = 8  # of which each worker has some


def in_library(folder: Path, n_new: int) -> dict[str, Any]:
    """Add items one by one to a loaded model, and search after each."""
    fitted = HashGNN.load(folder).fitted
    begun = time.perf_counter()
    fitted = fitted.ready_for_items()
    ready = time.perf_counter() - begun
    rng = np.random.default_rng(0)
    options = fitted.items_for_users.options(100, "hierarchical")
    added, searched = [], []
    for number in range(n_new):
        audience = IndexLists.from_rows([rng.integers(0, fitted.state.n_users, N_FIRST_USERS)])
        begun = time.perf_counter()
        items = fitted.fold_in_items(audience)
        fitted = fitted.with_items([FIRST_NEW + number], items, audience, keep_seen=False)
        added.append(time.perf_counter() - begun)
        begun = time.perf_counter()
        queries = fitted.queries_of_histories(IndexLists.from_rows([[fitted.state.n_items - 1, 7]]))
        fitted.recommend(queries, options, queries.candidates(fitted.state.n_items))
        searched.append(time.perf_counter() - begun)
    return {
        "ready": 1000 * ready,
        "first": 1000 * added[0],
        "add": quantiles(added),
        "search": quantiles(searched),
    }


def in_service(folder: Path, store: Path, n_new: int, n_workers: int) -> dict[str, Any]:
    """Post items to a service one by one, and ask for each at once."""
    words = ["serve", str(folder), "--port", "0", "--interactions", str(store), "--workers", str(n_workers)]
    words += ["--watch", "0", "--no-log-requests"]
    process = subprocess.Popen([sys.executable, "-m", "hashgnn", *words], stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        port = 0
        for line in process.stderr:
            found = re.search(r"http://[^:]+:(\d+)", line)
            if found:
                port = int(found[1])
                break
        connections = [http.client.HTTPConnection("127.0.0.1", port, timeout=60) for _ in range(CONNECTIONS)]
        rng = np.random.default_rng(1)
        n_users = json.loads(send(connections[0], "GET", "/v1/model", None))["n_users"]
        for connection in connections:  # each has opened, and the first searches are made
            send(connection, "POST", "/v1/similar-items", {"items": [FIRST_ITEM], "k": 10})
            send(connection, "POST", "/v1/recommend", {"histories": [[FIRST_ITEM]], "k": 10})
        posted, similar, recommended, missing = [], [], [], 0
        for number in range(n_new):
            item = FIRST_NEW + number
            users = (FIRST_USER + rng.integers(0, n_users, N_FIRST_USERS)).tolist()
            ways = rng.permutation(CONNECTIONS)[:3]
            begun = time.perf_counter()
            send(connections[ways[0]], "POST", "/v1/items", {"items": [{"item": item, "users": users}]})
            posted.append(time.perf_counter() - begun)
            begun = time.perf_counter()
            answer = send(connections[ways[1]], "POST", "/v1/similar-items", {"items": [item], "k": 10})
            similar.append(time.perf_counter() - begun)
            body = {"histories": [[FIRST_ITEM + number]], "allow": [item, FIRST_ITEM + 1], "k": 2}
            begun = time.perf_counter()
            other = send(connections[ways[2]], "POST", "/v1/recommend", body)
            recommended.append(time.perf_counter() - begun)
            rows = json.loads(other)["results"][0]["items"]
            missing += item not in {row["id"] for row in rows} or not json.loads(answer)["results"]
        return {
            "first post": 1000 * posted[0],
            "post": quantiles(posted),
            "next answer": quantiles(similar),
            "answer after it": quantiles(recommended),
            "missing": missing,
        }
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def send(connection: http.client.HTTPConnection, method: str, path: str, body: Any) -> bytes:
    """Send a request on an open connection and return its answer, which must be good."""
    text = None if body is None else json.dumps(body)
    connection.request(method, path, text, {"content-type": "application/json"})
    answer = connection.getresponse()
    found = answer.read()
    if answer.status != 200:
        raise SystemExit(f"{path}: {answer.status} {found[:300]!r}")
    return found


def quantiles(seconds: list[float]) -> dict[str, float]:
    """Return the median, the 99th percentile and the largest, in milliseconds."""
    array = 1000 * np.array(seconds)
    return {
        "median": float(np.median(array)),
        "p99": float(np.quantile(array, 0.99)),
        "largest": float(array.max()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--users", type=int, default=50_000)
    parser.add_argument("--new", type=int, default=300, help="items to add")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    machine = f"{platform.machine()}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}"
    print(f"{options.items:,} items, {options.users:,} users, {options.new} new items; {machine}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "v1"
        save_state(generated_state(options.items, options.users), model)
        found = {
            "machine": machine,
            "library": in_library(model, options.new),
            "service": in_service(model, Path(folder) / "store.db", options.new, options.workers),
        }
    for place in ("library", "service"):
        for name, value in found[place].items():
            shown = (
                ", ".join(f"{kind} {number:.2f} ms" for kind, number in value.items())
                if isinstance(value, dict)
                else f"{value:.2f}"
            )
            print(f"{place}: {name}: {shown}")
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    if found["service"]["missing"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
