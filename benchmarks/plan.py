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
_USERS = 1e8  # who get lists from each version


class Figure(NamedTuple):
    """One measured figure."""

    value: float
    unit: str
    what: str
    command: str


_GROWN = "hashgnn benchmark search --grow gowalla --items 1000000"
_TEN = "hashgnn benchmark search --items 10000000"
_LARGE = "benchmarks/large_events.py work --events 1e8"
_PREPARED = "benchmarks/preparation.py 14e6"

MEASURED = {
    "scan": Figure(0.216, "ns", "one item in a scan of 128-bit codes with bias, one thread", _GROWN),
    "lists": Figure(0.121, "ms", "a query over lists, re-ranked, a million items, index recall .95", _GROWN),
    "growth": Figure(1.65, "×", "the same with ten times the items", _TEN),
    "build": Figure(7.6, "s", "processor time to build lists of a million of ten million items", _TEN),
    "batch": Figure(
        5816, "users/s", "all users, a million items, k = 100, one process", "benchmarks/batch.py"
    ),
    "build growth": Figure(1.5, "×", "the same for each of ten times the items", _TEN),
    "answer": Figure(1.0, "ms", "a request over HTTP without its search", "benchmarks/rules_in_service.py"),
    "read": Figure(78, "s", "processor time to prepare 100 million events", _LARGE),
    "event": Figure(11.5, "bytes", "an event in parquet, ids as text", _LARGE),
    "stored": Figure(18, "bytes", "an interaction in the prepared folder", _LARGE),
    "held": Figure(50, "bytes", "an interaction in memory while training", _LARGE),
    "ridge": Figure(
        25.6, "s", "processor time of a teacher's ridge and lists, a million interactions", _PREPARED
    ),
    "epoch": Figure(
        4.0, "s", "processor time of one narrow epoch and all around it, a million events", _LARGE
    ),
    "table": Figure(
        1024, "bytes", "an item of such a model while training: 32 floats and Adam's moments", _LARGE
    ),
    "postgres": Figure(2.7, "s", "export of a million items into PostgreSQL, exact", "benchmarks/engines.py"),
    "lancedb": Figure(10.5, "s", "the same into LanceDB with lists", "benchmarks/engines.py"),
}


class Machine(NamedTuple):
    """What the caller rents."""

    memory: float  # gigabytes
    cores: int
    core_hour: float
    gigabyte_hour: float

    @property
    def hour(self) -> float:
        """Price of an hour."""
        return self.cores * self.core_hour + self.memory * self.gigabyte_hour

    def holding(self, n_bytes: float) -> int:
        """Machines whose memory holds so much."""
        return max(1, math.ceil(n_bytes / (FILLED * self.memory * 1e9)))


def value(name: str) -> float:
    """Return a measured figure."""
    return MEASURED[name].value


class Kept(NamedTuple):
    """What is held of an item, and how it is searched."""

    name: str
    bytes_per_item: float
    by_scan: bool


KEPT = (
    Kept("codes with bias, scanned", 17, True),
    Kept("codes in lists", 22.5, False),
    Kept("codes in lists and rows of 64 bytes; floats on the disk", 87, False),
    Kept("codes in lists and floats in half precision", 534.5, False),
)


def seconds_a_query(kept: Kept, n_items: float) -> float:
    """Return the processor seconds of one query over so many items of one machine."""
    if kept.by_scan:
        return n_items * value("scan") * 1e-9
    return value("lists") * 1e-3 * value("growth") ** math.log10(max(n_items, 1e6) / 1e6)


def item_rows(n_items: float, requests: float, machine: Machine) -> list[list[str]]:
    """Return a row for each way to hold the items."""
    rows = []
    for kept in KEPT:
        n_bytes = n_items * kept.bytes_per_item
        shards = machine.holding(n_bytes)
        each = seconds_a_query(kept, n_items / shards)
        busy = (
            requests * (each + value("answer") * 1e-3) / (machine.cores / 2 * THREADS_TWICE)
        )  # machines' worth a shard
        copies = max(1, math.ceil(busy / FILLED))
        n_machines = shards * copies
        rows.append(
            [
                kept.name,
                size(n_bytes),
                f"{shards:,}",
                duration(each),
                f"{n_machines:,}",
                money(n_machines * machine.hour * HOURS_A_MONTH),
            ]
        )
    return rows


def version_rows(n_items: float, users: float) -> list[list[str]]:
    """Return what each new version of the items costs."""
    millions, lists = n_items / 1e6, KEPT[-1]
    jobs = (
        ("build the lists", value("build") * millions * value("build growth") ** math.log10(n_items / 1e7)),
        (f"recommend for {power(users)} users, over lists", users * seconds_a_query(lists, n_items)),
        ("export into PostgreSQL, exact", value("postgres") * millions),
        ("export into LanceDB, with lists", value("lancedb") * millions),
    )
    return [[name, f"{seconds / 3600:,.2g} core-hours"] for name, seconds in jobs]


def interaction_rows(
    n_interactions: float, n_items: float, machine: Machine, hours: float
) -> list[list[str]]:
    """Return what a training run over so many interactions takes."""
    millions = n_interactions / 1e6
    rate = machine.cores / 2 * THREADS_TWICE  # processor seconds a second
    stages = (
        ("prepare the events", value("read") * millions / 100),
        ("a teacher, where there is one", value("ridge") * millions),
        ("one epoch", value("epoch") * millions),
    )
    total = sum(seconds for _, seconds in stages)
    tables = n_items * value("table")
    held = n_interactions * value("held") + tables
    n_machines = max(machine.holding(held), math.ceil(total / rate / 3600 / hours))
    rows = [
        ["events in parquet", size(n_interactions * value("event"))],
        ["prepared folder, mapped", size(n_interactions * value("stored"))],
        ["memory while training", size(held)],
        ["of it tables of items", size(tables)],
        *([name, f"{seconds / 3600:,.1f} core-hours"] for name, seconds in stages),
        [f"machines for a run in {hours:g} hours", f"{n_machines:,}"],
        ["one run", money(n_machines * machine.hour * total / rate / n_machines / 3600)],
    ]
    return rows


def size(n_bytes: float) -> str:
    """Return bytes in decimal units."""
    for unit, factor in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if n_bytes >= factor:
            number = n_bytes / factor
            return f"{number:,.0f} {unit}" if number >= 100 else f"{number:.3g} {unit}"
    return f"{n_bytes:,.0f} bytes"


def duration(seconds: float) -> str:
    """Return seconds in the unit that suits them."""
    number, unit = (seconds, "s") if seconds >= 1 else (seconds * 1e3, "ms")
    return f"{number:,.0f} {unit}" if number >= 10 else f"{number:.2g} {unit}"


def money(dollars: float) -> str:
    """Return dollars, rounded to two figures."""
    digits = 1 - math.floor(math.log10(max(dollars, 1)))
    return f"${round(dollars, digits):,.0f}"


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def power(number: float) -> str:
    """Return a number as people write it."""
    exponent = math.floor(math.log10(number) + 1e-9)
    lead = number / 10**exponent
    digits = str(exponent).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"10{digits}" if math.isclose(lead, 1) else f"{lead:.2g}·10{digits}"


def plan(
    items: Sequence[float], interactions: Sequence[float], requests: float, machine: Machine, hours: float
) -> str:
    """Return every table."""
    parts = [
        table(
            ["measured", "figure", "command"],
            ([one.what, f"{one.value:,g} {one.unit}", one.command] for one in MEASURED.values()),
        )
    ]
    for n_items in items:
        parts.append(
            f"{power(n_items)} items, {requests:,.0f} requests a second, machines of {machine.memory:,.0f} GB and "
            f"{machine.cores} cores:"
        )
        parts.append(
            table(
                ["held of an item", "memory", "shards", "a query on each", "machines", "a month"],
                item_rows(n_items, requests, machine),
            )
        )
        parts.append(table(["once a version", "reckoned"], version_rows(n_items, _USERS)))
    for number in interactions:
        n_items = number / 1e3
        parts.append(f"{power(number)} interactions, {power(n_items)} items:")
        parts.append(table(["what", "reckoned"], interaction_rows(number, n_items, machine, hours)))
    return "\n\n".join(parts)


def main() -> None:
    """Print the plan."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", type=float, nargs="+", default=[1e8, 1e9])
    parser.add_argument("--interactions", type=float, nargs="+", default=[1e9, 1e11])
    parser.add_argument("--requests", type=float, default=1000, help="a second (default: 1000)")
    parser.add_argument("--memory", type=float, default=128, help="GB of a machine (default: 128)")
    parser.add_argument("--cores", type=int, default=16, help="of a machine (default: 16)")
    parser.add_argument("--hours", type=float, default=8, help="that a training run may take (default: 8)")
    parser.add_argument("--core-hour", type=float, default=0.035, help="dollars (default: 0.035)")
    parser.add_argument("--gigabyte-hour", type=float, default=0.0045, help="dollars (default: 0.0045)")
    given = parser.parse_args()
    for name, found in vars(given).items():
        if any(not 0 < one < math.inf for one in (found if isinstance(found, list) else [found])):
            parser.error(f"--{name.replace('_', '-')} must be above 0")
    machine = Machine(given.memory, given.cores, given.core_hour, given.gigabyte_hour)
    print(plan(given.items, given.interactions, given.requests, machine, given.hours))


if __name__ == "__main__":
    main()
