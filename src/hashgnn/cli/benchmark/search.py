"""``hashgnn benchmark search``: searches timed on this machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from hashgnn.cli._options import Debug, Json, K, Quiet, Threads, comma_list, limit_threads
from hashgnn.cli._output import Output
from hashgnn.cli._signals import stop_explained
from hashgnn.errors import ParameterError

_COLUMNS = (
    "engine",
    "qps",
    "single_query_ms",
    "single_query_p99_ms",
    "build_seconds",
    "bytes_per_item",
    "candidates",
    "index_recall",
    "recall@20",
    "ratio_to_ours",
    "single_ratio_to_ours",
)


def search(
    items: Annotated[int, typer.Option(metavar="N", help="Generated items.")] = 1_000_000,
    bits: Annotated[int, typer.Option(metavar="N", help="Width of a code of a generated item.")] = 128,
    model: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Saved model to search instead of generated items; needs --test."),
    ] = None,
    test: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Held-out interactions of the model's users.")
    ] = None,
    k: K = 100,
    queries: Annotated[int, typer.Option(metavar="N", help="Queries in a batch.")] = 256,
    threads: Threads = 1,
    build_threads: Annotated[
        int | None,
        typer.Option(metavar="N", help="Threads that build the indexes; default: --threads."),
    ] = None,
    engines: Annotated[
        str | None, typer.Option(metavar="A,B", help="Which of our engines; default: all.")
    ] = None,
    peers: Annotated[
        str,
        typer.Option(
            metavar="A,B",
            help="Engines of other libraries: names, all or none. Most need the extra benchmark.",
        ),
    ] = "faiss-binary-flat,faiss-flat-ip",
    rounds: Annotated[int, typer.Option(metavar="N", help="Rounds; times are medians over them.")] = 5,
    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.png", help="Plot of quality against time and memory; needs the extra plots."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the generated items.")] = 0,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Compare the speed of our search engines and others, in turns in one run.

    The items are generated, or those of a model. ratio_to_ours is the other engine's time per query divided
    by ours: above 1, ours is faster. Approximate engines search until their index recall is .95; hierarchical
    search scans all codes and re-ranks 500. With --model, recall@20 is measured on the held-out interactions.

    Examples:
      hashgnn benchmark search --items 100000 --bits 128 --peers faiss-binary-flat --json

      hashgnn benchmark search --model models/v1 --test held_out.parquet --peers all --plot search.png
    """
    limit_threads(threads)
    from hashgnn.benchmarking import ENGINES, PEERS, benchmark_search, plot_search
    from hashgnn.benchmarking.search import check_plot, machine

    if plot is not None:
        check_plot(plot)
    out = Output(as_json, quiet)
    workload = _workload(model, test, seed, out)
    what = f"{items:,} generated items, {bits} bits"
    if model is not None and workload is not None:
        what = f"{model.resolve().name}, {len(workload.items):,} items, {workload.n_bits} bits"
    measured_on = machine(threads)
    out.note(f"{what}, k={k}, batches of {queries}; {measured_on}")
    with stop_explained(out, lambda: "nothing was measured to the end; run the same command again"):
        rows = benchmark_search(
            n_items=items,
            n_bits=bits,
            k=k,
            n_queries=queries,
            n_threads=threads,
            n_build_threads=build_threads,
            peers=_peers(peers, PEERS),
            engines=ENGINES if engines is None else comma_list("--engines", engines),
            n_rounds=rounds,
            workload=workload,
            rng=seed,
            progress=out.progress,
        )
    if out.as_json:
        out.document({"machine": measured_on, "rows": rows})
    else:
        _print(out, rows)
    if plot is not None:
        plot_search(rows, plot, title=f"{what}, k={k}, {threads} thread{'s' * (threads > 1)}")
        out.note(f"plot: {plot}")


def _print(out: Output, rows: Sequence[Mapping[str, Any]]) -> None:
    shown = [name for name in _COLUMNS if any(row[name] is not None for row in rows)]
    out.table([name.replace("_", "\n") for name in shown], [[row[name] for name in shown] for row in rows])


def _peers(chosen: str, every: Sequence[str]) -> Sequence[str]:
    if chosen == "none":
        return ()
    return every if chosen == "all" else comma_list("--peers", chosen)


def _workload(model: Path | None, test: Path | None, seed: int, out: Output) -> Any:
    if (model is None) != (test is None):
        raise ParameterError("--model and --test must be given together, got one of them")
    if model is None or test is None:
        return None
    from hashgnn.benchmarking import model_workload
    from hashgnn.cli._reading import Columns, known_ids, open_model, read_interactions

    loaded = open_model(model)
    with out.warnings_as_notes():
        held_out = read_interactions(test, Columns(), out, known=known_ids(loaded))
        return model_workload(loaded, held_out, rng=seed)
