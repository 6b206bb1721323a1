"""``hashgnn benchmark search``: searches timed on this machine."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from hashgnn.cli._option_values import comma_list, limit_threads
from hashgnn.cli._options import Debug, Json, K, Quiet, Threads
from hashgnn.cli._output import Output
from hashgnn.cli._signals import stop_explained
from hashgnn.errors import DataError, ParameterError

_COLUMNS = (
    "engine",
    "batch_ms",
    "single_query_ms",
    "single_query_p99_ms",
    "build_seconds",
    "bytes_per_item",
    "candidates",
    "requested_index_recall",
    "index_recall",
    "recall@20",
    "ndcg@20",
    "share_of_floats",
    "ours",
    "ratio_to_ours",
    "ratio_to_ours_single",
)


def search(
    items: Annotated[int, typer.Option(metavar="N", help="Generated or grown items.")] = 1_000_000,
    bits: Annotated[int, typer.Option(metavar="N", help="Width of a code of a generated item.")] = 128,
    model: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Saved model to search instead of generated items; needs --test."),
    ] = None,
    grow: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Saved model whose items are grown to --items; its users ask."),
    ] = None,
    length_spread: Annotated[
        float,
        typer.Option(
            metavar="S", help="With --grow: lengths of items are lognormal with this standard deviation."
        ),
    ] = 0.0,
    test: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Held-out interactions of the model's users; with --grow, end quality on its own items.",
        ),
    ] = None,
    k: K = 100,
    queries: Annotated[int, typer.Option(metavar="N", help="Queries in a batch.")] = 256,
    threads: Threads = 1,
    build_threads: Annotated[
        int | None,
        typer.Option(metavar="N", help="Threads that build the indexes; default: --threads."),
    ] = None,
    index_recall: Annotated[
        str | None,
        typer.Option(
            metavar="R,R",
            help="Index recall that engines are tuned to, a row for each; default: .95, 500 candidates of a scan.",
        ),
    ] = None,
    engines: Annotated[
        str | None, typer.Option(metavar="A,B", help="Which of our engines; default: all.")
    ] = None,
    peers: Annotated[
        str,
        typer.Option(
            metavar="A,B",
            help="Engines of other libraries: names, all or none. Most need the extra benchmark or rivals.",
        ),
    ] = "faiss-binary-flat,faiss-flat-ip",
    rounds: Annotated[int, typer.Option(metavar="N", help="Rounds; times are medians over them.")] = 5,
    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.png", help="Plot of quality against time and memory; needs the extra plots."
        ),
    ] = None,
    rows_from: Annotated[
        Path | None,
        typer.Option(
            "--rows", metavar="FILE", help="Plot what an earlier run printed by --json, and measure nothing."
        ),
    ] = None,
    keep: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder where peers that take long to build are kept."),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the generated items.")] = 0,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Compare the speed of our search engines and others, in turns in one run.

    The items are generated, those of a model, or grown from one. Approximate engines are tuned to the requested
    index recall. ratio_to_ours is the other engine's time per query divided by that of the engine in the column
    ours: above 1, ours is faster. With --test, recall@20 is measured on the held-out interactions. Peers that
    cannot run here are left out.

    Examples:
      hashgnn benchmark search --items 100000 --bits 128 --peers faiss-binary-flat --json

      hashgnn benchmark search --model models/v1 --test held_out.parquet --peers all --plot search.png

      hashgnn benchmark search --grow models/v1 --index-recall 0.95 --peers rabitqlib-ivf-4,scann,turbovec-4
    """
    limit_threads(threads)
    from hashgnn.benchmarking import ENGINES, PEERS, benchmark_search, plot_search
    from hashgnn.benchmarking.search import check_plot, machine, unusable, versions

    if plot is not None:
        check_plot(plot)
    out = Output(as_json, quiet)
    if rows_from is not None:
        _plot_saved(rows_from, plot, out)
        return
    recalls = None if index_recall is None else _shares("--index-recall", index_recall)
    every = _peers(peers, PEERS)
    left_out = unusable(every)
    usable = [name for name in every if name not in left_out]
    for name, reason in left_out.items():
        out.note(f"{name} is left out: {reason}")
    workload, judged = _workload(model, grow, test, items, length_spread, seed, out)
    what = f"{items:,} generated items, {bits} bits"
    if workload is not None:
        grown = f"grown from {grow.resolve().name}" if grow is not None else ""
        name = "" if model is None else f"{model.resolve().name}, "
        what = f"{name}{len(workload.items):,} items {grown}".strip() + f", {workload.n_bits} bits"
    measured_on = machine(threads)
    out.note(f"{what}, k={k}, batches of {queries}; {measured_on}")
    explained = stop_explained(out, lambda: "nothing was measured to the end; run the same command again")
    with explained, out.warnings_as_notes():
        rows = benchmark_search(
            n_items=items,
            n_bits=bits,
            k=k,
            n_queries=queries,
            n_threads=threads,
            n_build_threads=build_threads,
            index_recall=recalls,
            peers=usable or every,
            engines=ENGINES if engines is None else comma_list("--engines", engines),
            n_rounds=rounds,
            workload=workload,
            judged_on=judged,
            keep=keep,
            rng=seed,
            progress=out.progress,
        )
    title = f"{what}, k={k}, {threads} thread{'s' * (threads > 1)}"
    if out.as_json:
        out.document(
            {
                "machine": measured_on,
                "versions": versions([row["engine"] for row in rows]),
                "title": title,
                "left_out": left_out,
                "rows": rows,
            }
        )
    else:
        _print(out, rows)
    if plot is not None:
        plot_search(rows, plot, title=title)
        out.note(f"plot: {plot}")


def _plot_saved(file: Path, plot: Path | None, out: Output) -> None:
    """Draw the rows of an earlier run."""
    from hashgnn.benchmarking import plot_search

    if plot is None:
        raise ParameterError("--rows must be given with --plot, got it alone")
    try:
        saved = json.loads(file.read_text(encoding="utf-8"))
        rows, title = saved["rows"], saved.get("title", "")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"--rows must name a file that benchmark search --json printed, got {str(file)!r}: {error}"
        ) from None
    plot_search(rows, plot, title=title)
    out.note(f"plot: {plot}")


def _print(out: Output, rows: Sequence[Mapping[str, Any]]) -> None:
    shown = [name for name in _COLUMNS if any(row[name] is not None for row in rows)]
    out.table([name.replace("_", "\n") for name in shown], [[row[name] for name in shown] for row in rows])


def _peers(chosen: str, every: Sequence[str]) -> Sequence[str]:
    if chosen == "none":
        return ()
    return every if chosen == "all" else comma_list("--peers", chosen)


def _shares(name: str, text: str) -> list[float]:
    try:
        return [float(entry) for entry in comma_list(name, text)]
    except ValueError:
        raise ParameterError(f"{name} must be numbers like 0.95,0.99, got {text!r}") from None


def _workload(
    model: Path | None,
    grow: Path | None,
    test: Path | None,
    n_items: int,
    length_spread: float,
    seed: int,
    out: Output,
) -> tuple[Any, Any]:
    """Return what is searched, None where it is generated, and where end quality is judged if elsewhere."""
    if model is not None and grow is not None:
        raise ParameterError("--model and --grow must not be given together, got both")
    if length_spread and grow is None:
        raise ParameterError("--length-spread must be given with --grow, got it alone")
    if grow is None and (model is None) != (test is None):
        raise ParameterError("--model and --test must be given together, got one of them")
    folder = model if grow is None else grow
    if folder is None:
        return None, None
    from hashgnn._progress import progress as progress_bar
    from hashgnn.benchmarking import grown_workload, model_workload
    from hashgnn.benchmarking.search.grown import first_users
    from hashgnn.cli._reading import Columns, known_ids, open_model, read_interactions

    loaded, own = open_model(folder), None
    if test is not None:
        with out.warnings_as_notes():
            held_out = read_interactions(test, Columns(), out, known=known_ids(loaded))
            own = model_workload(loaded, held_out, rng=seed)
    if grow is None:
        return own, None
    with progress_bar("Growing items", None, enabled=out.progress):
        grown = grown_workload(loaded, n_items, length_spread=length_spread, rng=seed)
    return grown, None if own is None else first_users(own)
