"""The demo, step by step."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from hashgnn import __version__
from hashgnn._extras import check_extra
from hashgnn._files import check_writable_file
from hashgnn.cli._demo.people import choose_people, compare
from hashgnn.cli._demo.source import GENERATED_PREFIX, as_implicit, load_source
from hashgnn.cli._output import Output
from hashgnn.cli._training_run import RunFolder
from hashgnn.codes import code_health
from hashgnn.data import split
from hashgnn.evaluation import evaluate, sample_distances
from hashgnn.evaluation.report import Example, Recommended, ReportContent, write_report
from hashgnn.recommender import HashGNN
from hashgnn.runs import Callback, Run

_METRICS = ["recall@20", "ndcg@20"]
_HELD_OUT = 0.2
_SEED = 0
_SHOWN_WAY = "hierarchical"


def run_demo(output: Path, out: Output, *, offline: bool, threads: int | None) -> None:
    """Fetch or generate, split, train, evaluate, recommend, save, and write the report.

    What the end needs is checked before anything begins.
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
        result = evaluate(model, train.csr, test.csr, metrics=_METRICS, rng=_SEED, progress=out.progress)
    people = compare(model, choose_people(train, test, rng=_SEED), train, test, source.titles, _SHOWN_WAY)
    model.save(output / "model", overwrite=True)
    content = _content(source, model, train, test, result, people)
    write_report(output / "report.html", content, plots=plots)
    seconds = time.perf_counter() - started
    if out.as_json:
        out.document(
            {
                "data": {"name": source.name, "source": source.where_from, "generated": source.is_generated},
                **result.to_dict(),
                "recommended": people,
                "model": output / "model",
                "report": output / "report.html",
                "seconds": seconds,
            }
        )
        return
    _print(out, result, people)
    out.line()
    out.line(f"model: {output / 'model'}   report: {output / 'report.html'}   {seconds:.0f} seconds in all")
    out.line(f"next: hashgnn recommend {output / 'model'} --users {people[0]['user_id']} -k 10")


class _EpochNotes(Callback):
    """A note an epoch where the library, whose lines have no prefix, is silent."""

    def __init__(self, out: Output) -> None:
        self._out = out

    def on_epoch_end(self, run: Run) -> None:
        """Say what the progress report would."""
        from hashgnn.training.callbacks.progress_report import epoch_line

        self._out.note(epoch_line(run))


def _print(out: Output, result: Any, people: list[dict[str, Any]]) -> None:
    out.table(*result.table(), title=result.summary)
    for person in people:
        out.line()
        out.line(f"user {person['user_id']}")
        liked = [*person["liked"], *[""] * (10 - len(person["liked"]))]
        found = [f"{'*' if one['held_out'] else ' '} {one['title']}" for one in person["recommended"]]
        found += [""] * (10 - len(found))
        out.table(["had liked", "is recommended"], list(zip(liked, found, strict=True)))
    out.line()
    out.line("* was held out: the user did choose it later")


def _content(
    source: Any, model: Any, train: Any, test: Any, result: Any, people: list[dict[str, Any]]
) -> ReportContent:
    state = model.state_
    examples = [
        Example(
            user=f"User {person['user_id']}",
            liked=person["liked"],
            recommended=[Recommended(one["title"], one["held_out"]) for one in person["recommended"]],
        )
        for person in people
    ]
    return ReportContent(
        title="hashgnn demo",
        data_set=source.name,
        evaluation=result,
        generated=source.is_generated,
        data={
            "source": source.where_from,
            "users": state.n_users,
            "items": state.n_items,
            "training interactions": len(train),
            "held-out interactions": len(test),
            "split": "the last fifth of each user's interactions held out",
        },
        configuration=state.config.to_dict(),
        history=state.training["history"],
        health={"items": code_health(state.items.codes), "users": code_health(state.users.codes)},
        distances=sample_distances(
            state.users.codes, state.items.codes, test.user_index, test.item_index, rng=_SEED
        ),
        examples=examples,
        commands=["hashgnn demo"],
        versions={"hashgnn": __version__, **state.training["versions"]},
    )
