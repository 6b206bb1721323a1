"""Bytes, seconds and money for a hundred million and a billion items, and for as many interactions as they bring.

    python benchmarks/plan.py
    python benchmarks/plan.py --items 3e8 --interactions 2e10 --requests 500 --memory 256 --core-hour 0.05

Nothing is measured here. Every line is reckoned from a figure that another command measured on two cores, and the first
table names it. Prices are those of the caller: the defaults are round numbers near the list prices of general virtual
machines. The page docs/guide/planning.md holds what the first command prints.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

HOURS_A_MONTH = 730
FILLED = 0.7  # of a machine's memory, at most
THREADS_TWICE = 1.9  # speed of two threads


class Figure(NamedTuple):
    """One measured figure."""

    value: float
    unit: str
    what: str
    command: str


_GROWN = "hashgnn benchmark search --grow gowalla --items 1000000"
_TEN = "hashgnn benchmark search --items 10000000"

MEASURED = {
    "scan": Figure(0.216, "ns", "one item in a scan of 128-bit codes with bias, one thread", _GROWN),
    "lists": Figure(0.121, "ms", "a query over lists, re-ranked, a million items, index recall .95", _GROWN),
    "growth": Figure(1.65, "×", "the same with ten times the items", _TEN),
    "build": Figure(7.6, "s", "processor time to build lists of a million of ten million items", _TEN),
    "batch": Figure(
        5816, "users/s", "all users, a million items, k = 100, one process", "benchmarks/batch.py"
    ),
    "read": Figure(95.5, "s", "processor time to prepare 100 million events", "benchmarks/large_events.py"),
    "event": Figure(11.5, "bytes", "an event in parquet, ids as text", "benchmarks/large_events.py"),
    "stored": Figure(16.0, "bytes", "an interaction in the prepared folder", "benchmarks/large_events.py"),
    "before": Figure(
        25.6,
        "s",
        "processor time before the first epoch, a million interactions",
        "benchmarks/preparation.py",
    ),
    "epoch": Figure(
        20.0, "s", "processor time of an epoch, a million interactions", "benchmarks/large_events.py"
    ),
    "table": Figure(
        6144, "bytes", "an item while training: two tables of 256 floats with Adam's two moments", "reckoned"
    ),
    "postgres": Figure(2.7, "s", "export of a million items into PostgreSQL, exact", "benchmarks/engines.py"),
    "lancedb": Figure(10.5, "s", "the same into LanceDB with lists", "benchmarks/engines.py"),
}
