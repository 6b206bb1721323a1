"""``hashgnn evaluate``: the quality, size and speed of a saved model, by the standard protocol."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from hashgnn.cli._assessment import AssessmentFiles, check_report, run_assessment
from hashgnn.cli._lists import check_output, is_to_stdout, write_output
from hashgnn.cli._option_values import comma_list
from hashgnn.cli._options import (
    BytesPerItem,
    Debug,
    Decimal,
    Delimiter,
    EngineURL,
    EventColumn,
    EventWeights,
    FileFormat,
    IndexRecall,
    ItemColumn,
    Json,
    MaxDecompressed,
    Model,
    Oversampling,
    Quiet,
    TableOutput,
    UserColumn,
)
from hashgnn.cli._output import Output
from hashgnn.cli._reading import Columns, known_events, known_ids, open_model, read_interactions
from hashgnn.cli._signals import stop_explained
from hashgnn.errors import ParameterError

_NAMES = ("recall", "ndcg")
_ASSESSMENT = "Baselines, segments and the report"
_STOPPED = "nothing was measured to the end; run the same command again"


def evaluate(
    model: Model,
    test: Annotated[Path, typer.Option(metavar="FILE", help="Held-out interactions.", show_default=False)],
    train: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Interactions to mask; those the model was fitted on."),
    ] = None,
    user: UserColumn = None,
    item: ItemColumn = None,
    file_format: FileFormat = None,
    delimiter: Delimiter = None,
    decimal: Decimal = None,
    max_decompressed: MaxDecompressed = None,
    event_column: EventColumn = None,
    event_weights: EventWeights = None,
    k: Annotated[str, typer.Option("--k", "-k", metavar="N,N", help="Cuts.")] = "20,50",
    metrics: Annotated[
        str | None,
        typer.Option(metavar="A@N,B@N", help="Metrics with their cuts, instead of recall and ndcg at --k."),
    ] = None,
    search: Annotated[
        str | None, typer.Option(metavar="WAY,WAY", help="Search ways; all that the model has.")
    ] = None,
    served: Annotated[
        bool,
        typer.Option(
            "--served", help="Measure the lists that the model returns, approximate index included."
        ),
    ] = False,
    max_users: Annotated[
        int | None,
        typer.Option(metavar="N", help="Measure N of the users in FILE, spread evenly; default: all."),
    ] = None,
    index_recall: IndexRecall = None,
    bytes_per_item: BytesPerItem = None,
    oversampling: Oversampling = 5,
    baselines: Annotated[
        str | None,
        typer.Option(
            metavar="A,B",
            help="Baselines to fit on the model's training interactions: popularity, itemknn, ease, gf-cf, …",
            rich_help_panel=_ASSESSMENT,
        ),
    ] = None,
    beyond: Annotated[
        bool,
        typer.Option(
            "--beyond",
            help="Coverage, Gini, novelty, popularity bias, diversity, and segments, too.",
            rich_help_panel=_ASSESSMENT,
        ),
    ] = False,
    segments: Annotated[
        str | None,
        typer.Option(
            metavar="A,B",
            help="Columns of --items or --users to break quality down by.",
            rich_help_panel=_ASSESSMENT,
        ),
    ] = None,
    items: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Table of items: titles, attributes.", rich_help_panel=_ASSESSMENT),
    ] = None,
    users: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Table of users.", rich_help_panel=_ASSESSMENT)
    ] = None,
    title: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="Titles in --items; default: title or name.",
            rich_help_panel=_ASSESSMENT,
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.html", help="Write a report: one page, no network.", rich_help_panel=_ASSESSMENT
        ),
    ] = None,
    output: TableOutput = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files at --output and --report.")
    ] = False,
    engine: EngineURL = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Of the intervals' resamples.")] = 0,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Rank every item for every user with held-out interactions, and measure each search way.

    What a user had in training is masked. Rows of users and items that the model does not know are left out
    and counted. Where FILE has types of events, those that training left out, with a weight of 0, are left out
    here too; other weights do not count. The ranking is exact and ties go to the item that comes first, unless
    --served is given. JSON output also has the mean over all orders of the ties. Any option of baselines, segments
    and the report adds the metrics beyond accuracy and the segments.

    Examples:
      hashgnn evaluate models/v1 --test held_out.parquet

      hashgnn evaluate models/v1 --test held_out.parquet --k 20,50 --search hamming,hierarchical --json

      hashgnn evaluate models/v1 --test held_out.parquet -o quality.csv

      hashgnn evaluate models/v1 --test held_out.parquet --served --index-recall 0.95

      hashgnn evaluate models/v1 --test held_out.parquet --baselines popularity,itemknn --items titles.parquet --report report.html
    """
    from hashgnn._checks import check_choice
    from hashgnn.evaluation import evaluate as measure
    from hashgnn.evaluation.metrics import parse_metrics

    options = locals()
    out = Output(as_json, quiet)
    assessed = beyond or any(given is not None for given in (baselines, segments, report, items, users))
    if report is not None:
        check_report(report, overwrite=overwrite)
    if output is not None:
        check_output(output, overwrite=overwrite)
    wanted = comma_list("--metrics", metrics) if metrics else _at_cuts(k)
    ways = comma_list("--search", search) if search else None
    if index_recall is not None and index_recall < 1 and not served:
        raise ParameterError(
            f"--index-recall must be 1 where quality is measured exactly, got {index_recall:g}; add --served"
        )
    if bytes_per_item is not None and not served:
        raise ParameterError(
            f"--bytes-per-item is for searches that are served, got {bytes_per_item:g}, and quality is measured "
            "exactly; add --served"
        )
    if max_users is not None and assessed:
        raise ParameterError("--max-users is for a measurement without baselines, segments and a report")
    if engine is not None and not served:
        raise ParameterError(
            "--engine answers searches that are served, and quality is measured exactly; add --served"
        )
    loaded = open_model(model, index_recall=index_recall, bytes_per_item=bytes_per_item, engine=engine)
    # Options are checked before a file is read, which may take long.
    parse_metrics(wanted, n_items=loaded.state_.n_items)
    for way in ways or ():
        check_choice("search", way, loaded.search_ways)
    columns = Columns.of(options)
    with out.warnings_as_notes(), stop_explained(out, lambda: _STOPPED):
        events = known_events(loaded)
        held_out = read_interactions(test, columns, out, known=known_ids(loaded), weighting=events)
        masked: Any = loaded.state_.seen
        if train is not None:
            trained = read_interactions(train, columns, out, known=known_ids(loaded), weighting=events)
            masked = trained.csr
        if assessed:
            found = run_assessment(
                loaded,
                held_out,
                AssessmentFiles(model, test, report, items, users, title),
                out,
                baselines=comma_list("--baselines", baselines) if baselines is not None else [],
                metrics=wanted,
                search=ways,
                train=None if train is None else masked,
                served=served,
                oversampling=oversampling,
                segments=comma_list("--segments", segments) if segments is not None else [],
                rng=seed,
                silent=is_to_stdout(output),
            )
            if output is not None:
                write_output(found.to_frame(backend="pyarrow"), output, overwrite=overwrite)
            return
        result = measure(
            loaded,
            masked,
            held_out.csr,
            metrics=wanted,
            search=ways,
            max_users=max_users,
            served=served,
            oversampling=oversampling,
            rng=seed,
            progress=out.progress,
        )
    if output is not None:
        write_output(result.to_frame("pyarrow"), output, overwrite=overwrite)
        if is_to_stdout(output):
            return
    if out.as_json:
        out.document({**result.to_dict(), "index_recall": loaded.index_recall if served else 1.0})
        return
    out.table(*result.table(), title=result.summary)


def _at_cuts(text: str) -> list[str]:
    cuts = comma_list("--k", text)
    for cut in cuts:
        if not cut.isdigit() or int(cut) < 1:
            raise ParameterError(f"--k must be integers >= 1 like 20,50, got {cut!r}")
    return [f"{name}@{int(cut)}" for cut in cuts for name in _NAMES]
