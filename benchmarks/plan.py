"""Bytes, seconds and money for a hundred million and a billion items, and for as many interactions as they bring.

    python benchmarks/plan.py
    python benchmarks/plan.py --items 3e8 --interactions 2e10 --requests 500 --memory 256 --core-hour 0.05

Nothing is measured here. Every line is reckoned from a figure that another command measured on two cores, and the first
table names it. Prices are assumptions: give your own. The page docs/guide/planning.md holds what the first command prints.
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
_ENGINES = "benchmarks/engines.py"

MEASURED = {
    "scan": Figure(0.207, "ns", "one item in a scan of 128-bit codes with bias, one thread", _GROWN),
    "codes": Figure(
        0.026, "ms", "a query by code over lists, a million items, .95 of the best by code", _GROWN
    ),
    "rows": Figure(
        0.095, "ms", "a query over lists of rows, floats mapped, .95 of the best by floats", _GROWN
    ),
    "floats": Figure(0.092, "ms", "the same with the floats in memory", _GROWN),
    "growth": Figure(1.65, "×", "a query over lists, re-ranked, for each of ten times the items", _TEN),
    "build": Figure(16, "s", "processor time to build lists of rows of a million items", _GROWN),
    "build growth": Figure(
        1.5, "×", "building lists of codes, an item, for each of ten times the items", _TEN
    ),
    "answer": Figure(1.0, "ms", "a request over HTTP without its search", "benchmarks/rules_in_service.py"),
    "read": Figure(78, "s", "processor time to prepare 100 million events", _LARGE),
    "event": Figure(11.5, "bytes", "an event in parquet, ids as text", _LARGE),
    "stored": Figure(16, "bytes", "an interaction in the prepared folder, with its time", _LARGE),
    "held": Figure(
        100, "bytes", "an interaction in the memory of a process that trains, at the peak", _LARGE
    ),
    "table": Figure(512, "bytes", "an item there: one table of 32 floats, Adam's moments, gradients", _LARGE),
    "ridge": Figure(
        25.6, "s", "processor time to choose a teacher and make its lists, a million interactions", _PREPARED
    ),
    "epoch": Figure(4.0, "s", "processor time of a fit of one narrow epoch, a million events", _LARGE),
    "postgres": Figure(2.7, "s", "export of a million items into PostgreSQL, exact", _ENGINES),
    "lancedb": Figure(10.5, "s", "the same into LanceDB with lists", _ENGINES),
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

    @property
    def threads(self) -> float:
        """Processor seconds that it does in a second."""
        return self.cores / 2 * THREADS_TWICE

    def holding(self, n_bytes: float) -> int:
        """Machines whose memory holds so much."""
        return max(1, math.ceil(n_bytes / (FILLED * self.memory * 1e9)))


def value(name: str) -> float:
    """Return a measured figure."""
    return MEASURED[name].value


class Kept(NamedTuple):
    """What is held of an item, and how it is searched: by a scan, or over lists in the time of a figure."""

    name: str
    bytes_per_item: float
    figure: str


KEPT = (
    Kept("codes with bias, scanned", 17, "scan"),
    Kept("codes in lists", 22.5, "codes"),
    Kept("lists of rows of 64 bytes; floats on the disk", 91, "rows"),
    Kept("lists of rows of 64 bytes and floats in half precision", 603, "floats"),
)


def seconds_a_query(kept: Kept, n_items: float) -> float:
    """Return the processor seconds of one query over so many items of one machine."""
    if kept.figure == "scan":
        return n_items * value("scan") * 1e-9
    return value(kept.figure) * 1e-3 * value("growth") ** math.log10(max(n_items, 1e6) / 1e6)


def item_rows(n_items: float, requests: float, machine: Machine) -> list[list[str]]:
    """Return a row for each way to hold the items."""
    rows = []
    for kept in KEPT:
        n_bytes = n_items * kept.bytes_per_item
        shards = machine.holding(n_bytes)
        each = seconds_a_query(kept, n_items / shards)
        busy = requests * (each + value("answer") * 1e-3) / machine.threads  # machines' worth a shard
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
        ("build the lists", value("build") * millions * value("build growth") ** math.log10(n_items / 1e6)),
        (f"recommend for {power(users)} users, over lists", users * seconds_a_query(lists, n_items)),
        ("export into PostgreSQL, exact", value("postgres") * millions),
        ("export into LanceDB, with lists", value("lancedb") * millions),
    )
    return [[name, f"{seconds / 3600:,.2g} core-hours"] for name, seconds in jobs]


def interaction_rows(n_interactions: float, n_items: float, machine: Machine) -> list[list[str]]:
    """Return what a training run over so many interactions takes."""
    millions = n_interactions / 1e6
    stages = (
        ("prepare the events", value("read") * millions / 100),
        ("choose a teacher, where there is one", value("ridge") * millions),
        ("one narrow epoch", value("epoch") * millions),
    )
    tables = n_items * value("table")
    fits = max(0.0, (FILLED * machine.memory * 1e9 - tables) / value("held"))
    prices = sum(seconds for _, seconds in stages) / 3600 / machine.threads * machine.hour
    return [
        ["events in parquet", size(n_interactions * value("event"))],
        ["prepared folder, mapped", size(n_interactions * value("stored"))],
        ["memory of a process that trains", size(n_interactions * value("held") + tables)],
        ["of it for items", size(tables)],
        ["of the interactions, a machine can train on", f"{min(1.0, fits / n_interactions):.1%}"],
        *([name, f"{seconds / 3600:,.1f} core-hours"] for name, seconds in stages),
        ["all three", money(prices)],
    ]


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


def plan(items: Sequence[float], interactions: Sequence[float], requests: float, machine: Machine) -> str:
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
        parts.append(table(["what", "reckoned"], interaction_rows(number, n_items, machine)))
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
    parser.add_argument("--core-hour", type=float, default=0.035, help="dollars (default: 0.035)")
    parser.add_argument("--gigabyte-hour", type=float, default=0.0045, help="dollars (default: 0.0045)")
    given = parser.parse_args()
    for name, found in vars(given).items():
        if any(not 0 < one < math.inf for one in (found if isinstance(found, list) else [found])):
            parser.error(f"--{name.replace('_', '-')} must be above 0")
    machine = Machine(given.memory, given.cores, given.core_hour, given.gigabyte_hour)
    print(plan(given.items, given.interactions, given.requests, machine))


if __name__ == "__main__":
    main()
