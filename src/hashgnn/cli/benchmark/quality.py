"""``hashgnn benchmark quality``: methods compared on held-out interactions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from hashgnn._files import check_writable
from hashgnn.cli._option_values import chosen_settings, comma_list, integer_list, limit_threads
from hashgnn.cli._options import Debug, Json, Quiet
from hashgnn.cli._output import Output
from hashgnn.cli._signals import stop_explained
from hashgnn.errors import ParameterError

_WHAT, _RUN = "What is compared", "Run"


def quality(
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            help="Folder of the run; default: runs/SUITE. Cells that it already holds are not measured again.",
            show_default=False,
        ),
    ] = None,
    suite: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="paper, default, parts, bytes, relaxations, coders, closed-forms or floats; sets every option that is not given.",
        ),
    ] = "paper",
    data: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME|NAME=TRAIN,TEST",
            help="A folder under --data-dir, a public data set, or files; may be repeated.",
            rich_help_panel=_WHAT,
        ),
    ] = None,
    data_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Folder of data sets; default: $HASHGNN_DATA.", rich_help_panel=_WHAT
        ),
    ] = None,
    methods: Annotated[
        str | None,
        typer.Option(
            metavar="A,B",
            help="Names, or expressions like default+epochs=4 and itq:lightgcn.",
            rich_help_panel=_WHAT,
        ),
    ] = None,
    add: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="Methods in addition to those of the suite.", rich_help_panel=_WHAT),
    ] = None,
    bits: Annotated[
        str | None, typer.Option(metavar="N,N", help="Widths of codes.", rich_help_panel=_WHAT)
    ] = None,
    search: Annotated[
        str | None,
        typer.Option(
            metavar="WAY,WAY", help="Search ways; default: all that a method has.", rich_help_panel=_WHAT
        ),
    ] = None,
    metrics: Annotated[
        str | None,
        typer.Option(
            metavar="A@N,B@N", help="Metrics; the first is tested and plotted.", rich_help_panel=_WHAT
        ),
    ] = None,
    seeds: Annotated[
        str,
        typer.Option(metavar="N", help="How many seeds to run: 0 to N - 1.", rich_help_panel=_WHAT),
    ] = "3",
    seed_list: Annotated[
        str | None,
        typer.Option(metavar="N,N", help="These seeds instead of --seeds.", rich_help_panel=_WHAT),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Setting of every method that has a recipe.",
            rich_help_panel=_WHAT,
        ),
    ] = None,
    oversampling: Annotated[
        int,
        typer.Option(
            metavar="N",
            help="Hierarchical search re-ranks N candidates per result of the largest cut.",
            rich_help_panel=_WHAT,
        ),
    ] = 5,
    reference: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Method that the others are compared with.", rich_help_panel=_WHAT),
    ] = None,
    test: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="Significance test: t, wilcoxon or bootstrap.", rich_help_panel=_WHAT
        ),
    ] = "t",
    threads: Annotated[
        int, typer.Option(metavar="N", help="Threads to train with.", rich_help_panel=_RUN)
    ] = 1,
    read_only: Annotated[
        bool,
        typer.Option("--no-fit", help="Fit nothing; summarise the cells that exist.", rich_help_panel=_RUN),
    ] = False,
    no_plots: Annotated[
        bool, typer.Option("--no-plots", help="Write no plots.", rich_help_panel=_RUN)
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Fit and evaluate methods on data sets, widths and seeds, and say which differences are significant.

    Every cell is a file in DIR/cells. A run that was stopped continues with the same command. DIR gets
    table.md, table.csv, tests.md, summary.json and plots. Epochs are chosen on a part of the training
    interactions.

    Examples:
      hashgnn benchmark quality --suite paper

      hashgnn benchmark quality --suite default --data gowalla --bits 64,128,256 -o runs/gowalla

      hashgnn benchmark quality --data mine=train.csv,test.csv --methods default,itq:lightgcn,gf-cf
    """
    limit_threads(threads)
    from hashgnn.benchmarking.quality import (
        SUITES,
        Plan,
        compare_quality,
        load_data_set,
        parse_method,
        summarise_quality,
        write_summary,
    )

    out = Output(as_json, quiet)
    chosen = SUITES[_known("--suite", suite, SUITES)]
    names = [*(comma_list("--methods", methods) if methods else chosen.methods)]
    names += comma_list("--add", add) if add else []
    folder = output or Path("runs") / suite
    plan = Plan(
        methods=[parse_method(name).with_settings(chosen_settings(settings)) for name in names],
        bits=integer_list("--bits", bits) if bits else chosen.bits,
        seeds=_seeds(seeds, seed_list),
        metrics=comma_list("--metrics", metrics) if metrics else chosen.metrics,
        search=comma_list("--search", search) if search else None,
        oversampling=oversampling,
    )
    named = [method.name for method in plan.methods]
    reference_method = reference or (chosen.reference if chosen.reference in named else named[0])
    _known("--reference", reference_method, named)
    check_writable(folder / "cells")
    no_plots = no_plots or not out.can_plot("no plots are drawn")
    failed: list[dict[str, str]] = []

    def note_failed(cell: Any, error: Exception) -> None:
        failed.append({"cell": str(cell), "reason": str(error)})
        out.note(f"{cell}: left out; {error}")

    with out.warnings_as_notes(), stop_explained(out, lambda: _kept(folder)):
        loaded = [load_data_set(one, data_dir, progress=out.progress) for one in data or chosen.data]
        for one in loaded:
            out.note(
                f"{one.name}: {len(one.train):,} training and {len(one.test):,} test interactions of "
                f"{one.train.n_users:,} users and {one.train.n_items:,} items; {one.source}"
            )
        n_cells = sum(1 for _ in plan.cells(loaded))
        results = compare_quality(
            folder,
            plan,
            loaded,
            n_threads=threads,
            progress=out.progress,
            on_done=lambda result: out.note(_summary(result, plan.metrics[0])),
            on_failed=note_failed,
            only_read=read_only,
        )
    if len(results) < n_cells:
        out.note(f"{len(results)} of {n_cells} cells are measured")
    if not results:
        reason = failed[0]["reason"] if failed else "run it without --no-fit"
        raise ParameterError(f"{folder}: holds no cell of this comparison; {reason}")
    summary = summarise_quality(results, plan.metrics, reference_method, test=test)
    summary = write_summary(summary, results, folder, plots=not no_plots)
    if as_json:
        counts = {"n_cells": n_cells, "n_measured": len(results), "failed": failed}
        out.document({"folder": folder, **counts, **summary.to_dict()})
        return
    out.table(*summary.table())
    if summary.tests:
        title = f"\n{reference_method} against the others, {plan.metrics[0]}, test {test}, p adjusted by Holm's method"
        out.table(*summary.test_table(), title=title)
    out.note(f"{folder}: table.md, table.csv, tests.md, summary.json, {len(summary.plots)} plots")


def _kept(folder: Path) -> str:
    kept = f"{folder}: keeps the cells that are measured" if folder.exists() else "no cell was begun"
    return f"{kept}; run the same command to continue"


def _summary(result: Any, metric: str) -> str:
    found = ", ".join(f"{way} {values[metric]:.4f}" for way, values in result.values["metrics"].items())
    return f"{result.cell}: {found}; {result.values['processor_seconds']:,.0f} s"


def _known(option: str, value: str, known: Any) -> str:
    from hashgnn._checks import check_choice

    return check_choice(option, value, known)


def _seeds(count: str, listed: str | None) -> list[int]:
    """Return the seeds 0 to ``count - 1``, or those of a list."""
    if listed is not None:
        return integer_list("--seed-list", listed)
    if not count.isdigit() or count == "0":
        raise ParameterError(
            f"--seeds must be a number of seeds >= 1, got {count!r}; name single seeds with --seed-list 4,7"
        )
    return list(range(int(count)))
