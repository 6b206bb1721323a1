"""``hashgnn recommend``: ranked items for some users, for a history, or for all users."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from hashgnn._files import check_writable_file
from hashgnn.cli._batch import check_single_file, engine_options, engine_url, is_folder, print_batch
from hashgnn.cli._options import (
    Address,
    Allow,
    AllowFile,
    Block,
    BlockFile,
    Debug,
    Engine,
    Histories,
    IndexRecall,
    Json,
    K,
    Model,
    OnUnknown,
    Oversampling,
    PartRows,
    Quiet,
    Search,
    SinceTraining,
    Threads,
    Workers,
    id_lines,
)
from hashgnn.cli._output import Output, print_ranked, write_ranked
from hashgnn.cli._reading import id_list, listed_ids, open_model, typed_ids
from hashgnn.cli._signals import stop_explained
from hashgnn.errors import ParameterError

_FOR_WHOM = "For whom (one of these)"
_BLOCK_USERS = 1024  # users ranked at a time for a file


def recommend(
    model: Model,
    users: Annotated[
        str | None, typer.Option(metavar="A,B", help="User ids.", rich_help_panel=_FOR_WHOM)
    ] = None,
    users_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="One user id a line.", rich_help_panel=_FOR_WHOM)
    ] = None,
    history: Annotated[
        str | None,
        typer.Option(
            metavar="I1,I2",
            help="Items of a user who is not in the training data.",
            rich_help_panel=_FOR_WHOM,
        ),
    ] = None,
    all_users: Annotated[
        bool,
        typer.Option("--all", help="Every user of the training data; needs -o.", rich_help_panel=_FOR_WHOM),
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE.parquet|FOLDER",
            help="Write a parquet file instead of printing, or for --all and --histories a folder of them.",
        ),
    ] = None,
    k: K = 10,
    search: Search = "hierarchical",
    oversampling: Oversampling = 5,
    filter_seen: Annotated[
        bool,
        typer.Option(
            "--filter-seen/--no-filter-seen", help="Leave out items that the user has interacted with."
        ),
    ] = True,
    allow: Allow = None,
    allow_file: AllowFile = None,
    block: Block = None,
    block_file: BlockFile = None,
    on_unknown: OnUnknown = "error",
    index_recall: IndexRecall = None,
    threads: Threads = 1,
    histories: Histories = None,
    since_training: SinceTraining = None,
    engine: Engine = None,
    workers: Workers = None,
    address: Address = None,
    part_rows: PartRows = 4096,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Rank items for users, by their ids or by the items that they have interacted with.

    Examples:
      hashgnn recommend models/v1 --users 1,2 -k 5

      hashgnn recommend models/v1 --history i42,i7 --search biased --json

      hashgnn recommend models/v1 --users-file users.txt --block i1,i2 --on-unknown popular

      hashgnn recommend models/v1 --users 1,2 --engine "postgresql://shop@db/main?table=items"

      hashgnn recommend models/v1 --all -o recommendations.parquet

      hashgnn recommend models/v1 --all -k 100 -o recommendations --engine local --workers 2

      hashgnn recommend models/v1 --histories histories --on-unknown skip -o recommendations --engine ray

    A folder has a file for every 4,096 users and a manifest. The same command goes on where a run was stopped.
    """
    out = Output(as_json, quiet)
    engine, holder = engine_url(engine)
    given = [users is not None, users_file is not None, history is not None, all_users, histories is not None]
    if sum(given) != 1:
        raise ParameterError(
            "recommend needs one of --users, --users-file, --history, --all and --histories, "
            f"got {sum(given)} of them"
        )
    if (all_users or histories is not None) and output is None:
        raise ParameterError("--all and --histories need an output, -o FOLDER or, for --all, -o FILE.parquet")
    in_parts = histories is not None or (all_users and is_folder(output, engine))
    if not in_parts:
        check_single_file(output, engine, workers, address, since_training)
    if output is not None and not in_parts:
        check_writable_file(output)
    if in_parts and holder is not None:
        raise ParameterError(
            "--engine must be local, ray or spark for a folder, got a URL; workers search the model"
        )
    loaded = open_model(model, index_recall=index_recall, engine=holder)
    user_ids, item_ids = loaded.state_.users.ids, loaded.state_.items.ids
    if loaded.index_recall < 1:
        out.note(f"index of {len(item_ids):,} items …")
        out.note(repr(loaded.item_index))
    options = {
        "k": k,
        "search": search,
        "oversampling": oversampling,
        "filter_seen": filter_seen,
        "allow": listed_ids("item", "--allow", allow, allow_file, item_ids),
        "block": listed_ids("item", "--block", block, block_file, item_ids),
        "on_unknown": on_unknown,
        "n_threads": threads,
    }
    with out.warnings_as_notes(), stop_explained(out, lambda: _unwritten(output, in_parts)):
        if in_parts:
            run = engine_options(out, engine, workers, threads, address)
            more = {"histories": histories, "since_training": since_training, "part_rows": part_rows}
            print_batch(out, loaded.recommend_all(output, **{**options, **more, **run}))
            return
        if history is not None:
            items = typed_ids("item", id_list("--history", history, item_ids), item_ids)
            blocks = iter([loaded.recommend_for_history([items], **options)])
        else:
            chosen = (
                user_ids.ids
                if all_users
                else typed_ids("user", _names(users, users_file, user_ids), user_ids)
            )
            blocks = _blocks(loaded, chosen, options, out)
        if output is None:
            print_ranked(out, list(blocks), {"k": k, "search": search})
            return
        written = write_ranked(blocks, output)
    if as_json:
        out.document(written)
    out.note("{path}: {n_results} recommendations for {n_users} users".format(**written))


def _unwritten(output: Path | None, in_parts: bool) -> str:
    if in_parts:
        return f"{output}: has the parts that are whole; run the same command again to go on"
    what = "nothing was printed" if output is None else f"{output}: is as it was"
    return f"{what}; run the same command again"


def _names(users: str | None, users_file: Path | None, known: Any) -> list[str]:
    if users is not None:
        return id_list("--users", users, known)
    assert users_file is not None
    return id_lines(users_file)


def _blocks(loaded: Any, chosen: Sequence[Any], options: dict[str, Any], out: Output) -> Iterator[Any]:
    """Rank block by block, so that all users of a large model need little memory."""
    from hashgnn._progress import progress

    with progress("recommending", len(chosen), enabled=out.progress) as advance:
        for start in range(0, len(chosen), _BLOCK_USERS):
            block = chosen[start : start + _BLOCK_USERS]
            yield loaded.recommend(block, **options)
            advance(len(block))
