"""The demo, step by step."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from hashgnn._extras import check_extra
from hashgnn._files import check_writable_file
from hashgnn.benchmarking.assessment import SideTable, assess, report_content
from hashgnn.cli._demo.source import GENERATED_PREFIX, as_implicit, load_source
from hashgnn.cli._output import Output
from hashgnn.cli._training_run import RunFolder
from hashgnn.data import split
from hashgnn.evaluation.report import Example, write_report
from hashgnn.recommender import HashGNN
from hashgnn.runs import Callback, Run

_METRICS = ("recall@20", "ndcg@20")
_BASELINES = ("popularity", "itemknn", "ease")
_HELD_OUT = 0.2
_SEED = 0


def run_demo(output: Path, out: Output, *, offline: bool, threads: int | None) -> None:
    """Fetch or generate, split, train, assess, recommend, save, and write the report.

    What the end needs is checked before anything begins. The report is the one of ``hashgnn evaluate --report``.
    """
    started = time.perf_counter()
    RunFolder(output / "model").check(overwrite=True, resume=False)
    check_writable_file(output / "report.html")
    check_extra("torch", extra="train", purpose="the demo")
    source = load_source(out, offline=offline)
    if source.is_generated:
        out = out.with_prefix(GENERATED_PREFIX)
    plots = out.can_plot("the report will have no plots")
    rated = source.interactions
    out.note(
        f"{source.name}: {len(rated):,} interactions of {rated.n_users:,} users and {rated.n_items:,} items, "
        f"{source.where_from}"
    )
    train, test = split.temporal_per_user(rated, _HELD_OUT, rng=_SEED)
    out.note(
        f"held out: the last fifth of each user's interactions, {len(test):,}; training on {len(train):,}"
    )
    with out.warnings_as_notes():
        model = HashGNN().fit(
            as_implicit(train),
            rng=_SEED,
            n_threads=threads,
            progress=out.progress,
            callbacks=[_EpochNotes(out)] if out.progress is False else [],
        )
        trained = model.state_.training
        out.note(f"trained {trained['epochs']} epochs in {trained['seconds']:.1f} seconds")
        found = assess(model, test, baselines=_BASELINES, metrics=_METRICS, rng=_SEED, progress=out.progress)
    model.save(output / "model", overwrite=True)
    titles = pa.table({"item_id": list(source.titles), "title": list(source.titles.values())})
    content = report_content(
        model,
        test,
        found,
        title="hashgnn demo",
        data_set=source.name,
        items=SideTable("item", titles, model.state_.items.ids),
        commands=["hashgnn demo" + (" --offline" if offline else "")],
        train=train,
        data={"source": source.where_from, "split": "the last fifth of each user's interactions held out"},
        generated=source.is_generated,
        rng=_SEED,
    )
    write_report(output / "report.html", content, plots=plots)
    seconds = time.perf_counter() - started
    if out.as_json:
        out.document(
            {
                "data": {"name": source.name, "source": source.where_from, "generated": source.is_generated},
                **found.to_dict(),
                "recommended": [_document(example) for example in content.examples],
                "model": output / "model",
                "report": output / "report.html",
                "seconds": seconds,
            }
        )
        return
    out.line(found.verdict)
    out.line()
    title, heading, rows = found.tables()[0]
    out.table(heading, rows, title=title)
    _print_examples(out, content.examples)
    out.line()
    out.line(f"model: {output / 'model'}   report: {output / 'report.html'}   {seconds:.0f} seconds in all")
    out.line(f"next: hashgnn recommend {output / 'model'} --users {content.examples[0].user_id} -k 10")


class _EpochNotes(Callback):
    """A note an epoch where the library, whose lines have no prefix, is silent."""

    def __init__(self, out: Output) -> None:
        self._out = out

    def on_epoch_end(self, run: Run) -> None:
        """Say what the progress report would."""
        from hashgnn.training.callbacks.progress_report import epoch_line

        self._out.note(epoch_line(run))


def _print_examples(out: Output, examples: Sequence[Example]) -> None:
    for example in examples:
        out.line()
        out.line(example.user)
        found = [f"{'*' if one.held_out else ' '} {one.title}" for one in example.recommended]
        n_lines = max(len(example.liked), len(found))
        columns = [[*titles, *[""] * (n_lines - len(titles))] for titles in (example.liked, found)]
        out.table(["had liked", "is recommended"], list(zip(*columns, strict=True)))
    out.line()
    out.line("* was held out: the user did choose it later")


def _document(example: Example) -> dict[str, Any]:
    recommended = [
        {"item_id": one.item_id, "title": one.title, "held_out": one.held_out} for one in example.recommended
    ]
    return {
        "user_id": example.user_id,
        "liked": list(example.liked),
        "recommended": recommended,
        "held_out": list(example.held_out),
    }
