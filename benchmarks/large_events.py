"""Seconds and memory of events beyond memory: prepare, stats, one epoch of fit, evaluate, at several sizes.

    python benchmarks/large_events.py work --events 1e6 3e6 1e7 --plot docs/images/beyond-memory.png

Each size is made by benchmarks/generated_events.py, and each command runs in a process of its own. What a size has
measured is kept in WORK/SIZE.json, and not measured again; its files are removed unless --keep is given. The peak is
that of the process, pages of mapped files included.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

SETTINGS = [
    *("--bits", "64", "--epochs", "1", "--set", "embedding_dim=32", "--set", "teacher=none"),
    *("--set", "encoder.input_table=false", "--set", "optimizer.batch_size=4096"),
    *("--set", "objective.item_share=0.002"),
]
MEASURED_USERS = 1000
STEPS = ("prepare", "stats", "fit", "evaluate")


def run(command: list[str]) -> dict[str, Any]:
    """Run a command of hashgnn in a process of its own; return what it took."""
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "hashgnn", *command], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    out = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"hashgnn {' '.join(command)} ended with {os.waitstatus_to_exitcode(status)}")
    return {
        "seconds": round(time.perf_counter() - started, 1),
        "processor_seconds": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_gb": round(usage.ru_maxrss / 2**20, 2),
        "out": out,
    }


def measure(work: Path, n_events: int, threads: int, steps: list[str], *, keep: bool) -> dict[str, Any]:
    """Measure some steps of one size, one after the other; what is done is read from its file."""
    name = f"{n_events / 1e6:g}m"
    note, events, held_out = work / f"{name}.json", work / name, work / f"{name}-held_out.parquet"
    prepared, model = work / f"{name}-prepared", work / f"{name}-model"
    found: dict[str, Any] = json.loads(note.read_text()) if note.exists() else {"events": n_events}

    def step(what: str, command: list[str]) -> None:
        if what not in found:
            found[what] = run(command)
            note.write_text(json.dumps(found, indent=1))

    def make_events() -> None:
        if not events.exists():
            generator = Path(__file__).with_name("generated_events.py")
            subprocess.run(
                [sys.executable, str(generator), str(events), "--events", f"{n_events}"], check=True
            )

    if all(what in found for what in steps):
        return found
    if "prepare" in steps or not prepared.exists():
        make_events()
        found.pop("prepare", None)
        step("prepare", ["data", "prepare", str(events), "-o", str(prepared), "--overwrite", "--json"])
    if "stats" in steps:
        step("stats", ["data", "stats", str(prepared), "--json"])
    if "fit" in steps:
        command = ["fit", str(prepared), "-o", str(model), "--threads", str(threads), "--overwrite", "--json"]
        step("fit", [*command, *SETTINGS])
    if "evaluate" in steps:
        make_events()
        command = ["evaluate", str(model), "--test", str(held_out), "--max-users", str(MEASURED_USERS)]
        step("evaluate", [*command, "--search", "hamming,hierarchical", "--json"])
    if not keep:
        for path in (events, prepared, model):
            shutil.rmtree(path, ignore_errors=True)
        held_out.unlink(missing_ok=True)
    return found


def row(found: dict[str, Any]) -> list[str]:
    """Return a size as a row of the table."""
    document = next((json.loads(found[what]["out"]) for what in ("prepare", "fit") if what in found), {})
    cells = [f"{found['events']:,}"]
    cells += [f"{document[name]:,}" if document else "–" for name in ("n_users", "n_items", "n_interactions")]
    for what in ("prepare", "fit", "evaluate"):
        one = found.get(what)
        shown = ("seconds", "processor_seconds", "peak_gb")
        cells += ["–"] * 3 if one is None else [f"{one[key]:,.{int(key == 'peak_gb')}f}" for key in shown]
    return cells


def draw(measured: list[dict[str, Any]], path: Path) -> None:
    """Draw processor seconds and peak memory of reading and training over the events, both axes logarithmic."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    names = {"prepare": "data prepare", "fit": "fit, one epoch"}
    for what, colour in (("prepare", "#2a78b5"), ("fit", "#c2571a")):
        points = [(one["events"], one[what]) for one in measured if what in one]
        events = [n for n, _ in points]
        for axes, key in ((left, "processor_seconds"), (right, "peak_gb")):
            values = [taken[key] for _, taken in points]
            axes.plot(events, values, "o-", color=colour, label=names[what])
            axes.annotate(
                f"{values[-1]:,.0f}" if key == "processor_seconds" else f"{values[-1]:.1f}",
                (events[-1], values[-1]),
                textcoords="offset points",
                xytext=(0, 7) if what == "prepare" or key == "peak_gb" else (0, -16),
                ha="center",
                color=colour,
            )
    first = next(one for one in measured if "fit" in one)
    span = [first["events"], max(one["events"] for one in measured if "fit" in one)]
    taken = first["fit"]["processor_seconds"]
    linear = [taken, taken * span[1] / span[0]]
    left.plot(span, linear, ":", color="#777777", label="linear in events")
    right.axhline(20, ls="--", color="#777777", lw=1)
    right.annotate("20 GB", (span[0], 20), textcoords="offset points", xytext=(0, 4), color="#555555")
    for axes, title in ((left, "processor seconds"), (right, "GB at the peak")):
        axes.set(xscale="log", yscale="log", xlabel="events", title=title)
        axes.grid(alpha=0.3)
        axes.margins(y=0.15)
        axes.spines[["top", "right"]].set_visible(False)
    left.legend(frameon=False)
    figure.savefig(path, dpi=150)


def main() -> None:
    """Measure each size and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path, help="folder for files and figures")
    parser.add_argument("--events", type=float, nargs="+", default=[1e6, 3e6, 1e7])
    parser.add_argument("--steps", nargs="+", default=list(STEPS), choices=STEPS, help="of all sizes")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--keep", action="store_true", help="keep events, interactions and models")
    parser.add_argument("--plot", type=Path)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    sizes = sorted({int(n) for n in args.events})
    measured = [measure(args.work, n, args.threads, args.steps, keep=args.keep) for n in sizes]
    heads = [f"{what}, s | processor s | GB" for what in ("prepare", "fit", "evaluate")]
    print(f"| events | users | items | interactions | {' | '.join(heads)} |")
    print("|---" * 13 + "|")
    for found in measured:
        print(f"| {' | '.join(row(found))} |")
    if args.plot is not None:
        draw(measured, args.plot)


if __name__ == "__main__":
    main()
