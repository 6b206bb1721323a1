"""What filters cost over HTTP, while attributes of a thousand items a second change.

    python benchmarks/rules_in_service.py
    python benchmarks/rules_in_service.py --model models/million --workers 2

A generated model of a million items is served with a table of items. Requests without a filter, and with filters that
leave 50, 10, 1 and 0.1 percent, are sent in turn on one connection, in rounds with and without changes. Another
process sends the changes by ``PATCH /v1/items/attributes``, in bodies of many as a shop would. Printed are times with
and without changes, their ratio, and the ratio of each to requests without a filter under the same changes. Every
answer must have exactly k items. After each round the number of items that pass a filter must be that of the table
that the changes were drawn for.
"""

from __future__ import annotations

import argparse
import http.client
import json
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fresh_items import send
from generated_model import FIRST_ITEM, FIRST_USER, generated_state
from hashgnn.state import save_state

SHARES = (None, 0.5, 0.1, 0.01, 0.001)
K = 10


def write_table(path: Path, n_items: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Write a table of items, and return its columns ``share`` and ``in_stock``, which the filters look at."""
    rng = np.random.default_rng(0)
    share, in_stock = rng.random(n_items), rng.random(n_items) < 0.9
    table = {
        "item_id": FIRST_ITEM + np.arange(n_items),
        "price": rng.random(n_items) * 100,
        "in_stock": in_stock,
        "category": pa.array([f"c{n}" for n in range(50)]).take(pa.array(rng.integers(0, 50, n_items))),
        "share": share,
    }
    pq.write_table(pa.table(table), path)
    return share, in_stock


@contextmanager
def served(model: Path, items: Path, store: Path, n_workers: int) -> Iterator[int]:
    """Start a service, and yield its port."""
    words = ["serve", str(model), "--items", str(items), "--interactions", str(store), "--port", "0"]
    words += ["--workers", str(n_workers), "--watch", "0", "--no-log-requests"]
    process = subprocess.Popen([sys.executable, "-m", "hashgnn", *words], stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        lines = iter(process.stderr)
        yield next(int(found[1]) for line in lines if (found := re.search(r"http://[^:]+:(\d+)", line)))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def change_items(control: Connection, port: int, n_items: int, a_second: int, in_body: int) -> None:
    """Change random items at a steady rate, from "go" to "stop"; then answer with what was changed, and how long it took."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    rng = np.random.default_rng(1)
    while control.recv() == "go":
        begun, n, changed, took = time.perf_counter(), 0, {}, []
        while not control.poll(max(0.0, n / a_second - (time.perf_counter() - begun))):
            positions, numbers = rng.integers(0, n_items, in_body).tolist(), rng.random((in_body, 2)).tolist()
            changes = [
                {"item": FIRST_ITEM + position, "attributes": {"price": 100 * price, "share": share}}
                for position, (price, share) in zip(positions, numbers, strict=True)
            ]
            sent = time.perf_counter()
            send(connection, "PATCH", "/v1/items/attributes", {"changes": changes})
            took.append(time.perf_counter() - sent)
            changed |= dict(zip(positions, (share for _, share in numbers), strict=True))
            n += in_body
        control.recv()
        control.send((changed, n / (time.perf_counter() - begun), took))


def filter_of(share: float | None) -> dict[str, str]:
    """Return the rule of a request whose filter leaves a share of the items."""
    return {} if share is None else {"where": f"in_stock and share < {share / 0.9:.6f}"}


def ask(connection: http.client.HTTPConnection, users: list[int], share: float | None) -> tuple[float, int]:
    """Ask for some users, and return the milliseconds and how many items pass the filter."""
    body = {"users": users, "k": K, "filter_seen": False, **filter_of(share)}
    begun = time.perf_counter()
    answer = send(connection, "POST", "/v1/recommend", body)
    took = (time.perf_counter() - begun) * 1000
    rows = json.loads(answer)["results"]
    assert [len(row["items"]) for row in rows] == [K] * len(users)
    return took, rows[0].get("rules", {}).get("allowed", 0)


def measure(port: int, share: np.ndarray[Any, Any], in_stock: np.ndarray[Any, Any], args: Any) -> None:
    """Print a line for each kind of request."""
    parent, child = multiprocessing.Pipe()
    options = (child, port, args.items, args.changes, args.body)
    changer = multiprocessing.Process(target=change_items, args=options, daemon=True)
    changer.start()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    rng = np.random.default_rng(2)
    times: dict[tuple[int, float | None, bool], list[float]] = {}
    rates, writes = [], []
    for some in SHARES:  # the first use of a filter evaluates it over all items
        ask(connection, [FIRST_USER], some)
    for turn in range(2 * args.rounds):
        changing = turn % 2 == 1
        if changing:
            parent.send("go")
            time.sleep(0.2)
        for _ in range(args.repeats):
            for n_users, every in ((1, 1), (64, 8)):
                if rng.integers(every):
                    continue
                for some in SHARES:
                    users = (FIRST_USER + rng.integers(0, args.users, n_users)).tolist()
                    times.setdefault((n_users, some, changing), []).append(ask(connection, users, some)[0])
        if changing:
            parent.send("stop")
            changed, rate, took = parent.recv()
            share[list(changed)] = list(changed.values())
            rates.append(rate)
            writes += took
        for some in SHARES[1:]:
            assert some is not None
            expected = int((in_stock & (share < float(f"{some / 0.9:.6f}"))).sum())
            found = ask(connection, [FIRST_USER], some)[1]
            assert found == expected, f"{found} items pass, and {expected} should"
    parent.send("end")
    print(
        f"{np.mean(rates):,.0f} changes a second in bodies of {args.body}, which take "
        f"{1000 * np.median(writes):.1f} ms, p99 {1000 * np.quantile(writes, 0.99):.1f} ms"
    )
    print(
        "  users   items that pass   alone: median, p99   with changes: median, p99   ratio   to no filter: both"
    )
    for n_users in (1, 64):
        plain = [np.median(times[n_users, None, changing]) for changing in (False, True)]
        for some in SHARES:
            alone, during = times[n_users, some, False], times[n_users, some, True]
            medians = np.median(alone), np.median(during)
            name = "all, no filter" if some is None else f"{some:.1%}"
            print(
                f"  {n_users:5}   {name:>15}   {medians[0]:7.2f} {np.quantile(alone, 0.99):7.2f} ms   "
                f"{medians[1]:12.2f} {np.quantile(during, 0.99):9.2f} ms   {medians[1] / medians[0]:9.2f}   "
                f"{medians[0] / plain[0]:6.2f} {medians[1] / plain[1]:6.2f}"
            )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, help="one of generated_model.py; made where it is not given")
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--changes", type=int, default=1000, help="items that change a second")
    parser.add_argument("--body", type=int, default=50, help="changes in a request")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=4, help="with changes, and as many without")
    parser.add_argument("--repeats", type=int, default=60, help="requests of each kind in a round")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model, items = args.model, Path(folder) / "items.parquet"
        if model is None:
            model = Path(folder) / "model"
            save_state(generated_state(args.items, args.users), model)
        share, in_stock = write_table(items, args.items)
        print(f"{args.items:,} items, k={K}, {args.workers} workers, load {os.getloadavg()[0]:.1f}")
        with served(model, items, Path(folder) / "store.db", args.workers) as port:
            measure(port, share, in_stock, args)


if __name__ == "__main__":
    main()
