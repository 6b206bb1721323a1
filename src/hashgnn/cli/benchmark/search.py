"""``hashgnn benchmark search``: searches timed on this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from hashgnn.cli._options import Debug, Json, K, Quiet, Threads, comma_list
from hashgnn.cli._output import Output

def search(
    items: Annotated[int, typer.Option(metavar="N", help="Generated items.")] = 1_000_000,
    bits: Annotated[int, typer.Option(metavar="N", help="Width of a code.")] = 128,
    k: K = 100,
    queries: Annotated[int, typer.Option(metavar="N", help="Queries in a batch.")] = 256,
    threads: Threads = 1,
    peers: Annotated[
        str, typer.Option(metavar="A,B", help="What to compare with; needs the extra benchmark.")
    ] = "faiss-binary-flat,faiss-flat-ip",
    rounds: Annotated[int, typer.Option(metavar="N", help="Times are medians over so many.")] = 5,
    seed: Annotated[int, typer.Option(metavar="N", help="Of the generated items.")] = 0,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Time our searches beside others on generated codes and embeddings, taking turns in one run.

    ratio_to_ours is the other's time a query divided by ours: above 1, ours is faster.

    Examples:
      hashgnn benchmark search --items 100000 --bits 128 --peers faiss-binary-flat --json
    """
    import os
    import platform

    from hashgnn.benchmarking import benchmark_search

    out = Output(as_json, quiet)
    machine = f"{platform.machine()}, {os.cpu_count()} processors, {threads} threads used"
    out.note(f"{items:,} generated items, {bits} bits, k={k}, batches of {queries}; {machine}")
    rows = benchmark_search(
        n_items=items,
        n_bits=bits,
        k=k,
        n_queries=queries,
        n_threads=threads,
        peers=comma_list("--peers", peers),
        n_rounds=rounds,
        rng=seed,
    )
    if out.as_json:
        out.document({"machine": machine, "rows": rows})
        return
    names = ("engine", "qps", "single_query_ms", "bytes_per_item", "index_recall", "ratio_to_ours")
    out.table(names, [[row[name] for name in names] for row in rows])
