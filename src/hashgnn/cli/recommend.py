"""``hashgnn recommend``: ranked items for some users, for a history, or for all users."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from hashgnn.cli._batch import check_no_engine, engine_options, engine_url, is_file, print_batch
from hashgnn.cli._explaining import Reasons, explained, print_explanations
from hashgnn.cli._lists import ListOutput
from hashgnn.cli._option_values import id_lines
from hashgnn.cli._options import (
    Address,
    Allow,
    AllowFile,
    Block,
    BlockFile,
    BytesPerItem,
    Debug,
    Engine,
    Histories,
    IndexRecall,
    Json,
    K,
    ListFormat,
    Model,
    OnUnknown,
    Oversampling,
    OverwriteFile,
    PartRows,
    Quiet,
    Search,
    SinceTraining,
    Threads,
    TitleColumns,
    Workers,
)
from hashgnn.cli._output import Output
from hashgnn.cli._reading import id_list, listed_ids, open_model, typed_ids
from hashgnn.cli._rules import (
    BoostOption,
    Diversity,
    ItemId,
    Items,
    MaxPer,
    Now,
    Where,
    read_items,
    rules_of,
    with_items,
)
from hashgnn.cli._signals import stop_explained
from hashgnn.cli._weighting import AgeHalfLife, LastN, PositionHalfLife, Session, weighting_of
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
    last_n: LastN = None,
    position_half_life: PositionHalfLife = None,
    age_half_life: AgeHalfLife = None,
    session: Session = None,
    all_users: Annotated[
        bool,
        typer.Option("--all", help="Every user of the training data; needs -o.", rich_help_panel=_FOR_WHOM),
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE|FOLDER",
            help="Write .parquet, .csv or .jsonl instead of printing; - is stdout. For --all and "
            "--histories a name without such a suffix is a folder of parquet.",
        ),
    ] = None,
    file_format: ListFormat = None,
    overwrite: OverwriteFile = False,
    title: TitleColumns = None,
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
    items: Items = None,
    item_id: ItemId = "item_id",
    where: Where = None,
    boost: BoostOption = None,
    max_per: MaxPer = None,
    diversity: Diversity = 0.0,
    now: Now = None,
    on_unknown: OnUnknown = "error",
    explain: Annotated[
        bool, typer.Option("--explain", help="Say because of which items of the history each item is there.")
    ] = False,
    reasons: Reasons = 3,
    index_recall: IndexRecall = None,
    bytes_per_item: BytesPerItem = None,
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

      hashgnn recommend models/v1 --history i42,i7,i3 --last-n 20 --position-half-life 5

      hashgnn recommend models/v1 --histories sessions.parquet --session 30m -o lists.parquet

      hashgnn recommend models/v1 --users-file users.txt --block i1,i2 --on-unknown popular

      hashgnn recommend models/v1 --users 1,2 --items items.parquet --where "in_stock and price < 30" --max-per brand=2

      hashgnn recommend models/v1 --users 1,2 --explain

      hashgnn recommend models/v1 --users 1,2 --items titles.parquet -o lists.csv

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
    if all_users and output is None:
        raise ParameterError("--all needs an output, -o FOLDER or -o FILE.csv")
    if explain and (output is not None or histories is not None):
        raise ParameterError(
            "--explain prints its reasons; leave out -o and --histories, or ask hashgnn explain for those of one user"
        )
    has_times = histories is not None or since_training is not None
    weighting = weighting_of(
        last_n,
        position_half_life,
        age_half_life,
        session,
        places=history is not None or has_times,
        times=has_times,
        needs="--history, --histories or --since-training",
    )
    rules = rules_of(where, boost, max_per, diversity, now)
    lists = ListOutput(output, file_format, overwrite, items, title, item_id, needs_titles=not rules)
    for_many = output is not None and not lists.is_stdout and (all_users or histories is not None)
    one_file = not for_many or is_file(output or Path(), file_format)
    in_parts = for_many and (holder is None or not one_file)
    if one_file:
        lists.check()
    if not in_parts:
        check_no_engine(engine=engine, workers=workers, address=address, since_training=since_training)
    if in_parts and holder is not None:
        raise ParameterError(
            "--engine must be local, ray or spark for a folder, got a URL; workers search the model"
        )
    loaded = open_model(model, index_recall=index_recall, bytes_per_item=bytes_per_item, engine=holder)
    if rules and not in_parts:
        loaded = with_items(loaded, read_items(items, item_id, loaded.state_.items.ids))
    user_ids, item_ids = loaded.state_.users.ids, loaded.state_.items.ids
    if loaded.index_recall < 1:
        out.note(f"index of {len(item_ids):,} items …")
        out.note(repr(loaded.item_index))
    if loaded.fitted.ranked_items is not None:
        out.note(repr(loaded.fitted.ranked_items))
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
    with out.warnings_as_notes(), stop_explained(out, lambda: _unwritten(output, in_parts, one_file)):
        if in_parts:
            run = engine_options(out, engine, workers, threads, address)
            more = {
                "histories": histories,
                "since_training": since_training,
                "history_weighting": weighting,
                "part_rows": part_rows,
            }
            made = loaded.recommend_all(output, **{**options, **more, **lists.in_parts, **rules, **run})
            print_batch(out, made, one_file=one_file)
            return
        items_of_history: list[Any] = []
        if histories is not None:
            blocks = _of_histories(loaded, histories, {"history_weighting": weighting, **options, **rules})
        elif history is not None:
            items_of_history = typed_ids("item", id_list("--history", history, item_ids), item_ids)
            ranked = loaded.recommend_for_history(
                [items_of_history], history_weighting=weighting, **options, **rules
            )
            blocks = iter([ranked])
        else:
            chosen = (
                user_ids.ids
                if all_users
                else typed_ids("user", _names(users, users_file, user_ids), user_ids)
            )
            blocks = _blocks(loaded, chosen, {**options, **rules}, out)
        if explain:
            histories_of_rows = None if history is None else [items_of_history]
            how = {"search": search, "on_unknown": on_unknown}
            found = explained(loaded, blocks, reasons, histories_of_rows, **how)
            print_explanations(out, found, {"k": k, "search": search})
            return
        lists.put(blocks, item_ids, out, {"k": k, "search": search}, "users")


def _unwritten(output: Path | None, in_parts: bool, one_file: bool) -> str:
    if in_parts and not one_file:
        return f"{output}: has the parts that are whole; run the same command again to go on"
    if in_parts:
        return f"{output}: is as it was; parts that are whole are kept; run the same command again to go on"
    what = "nothing was printed" if output is None else f"{output}: is as it was"
    return f"{what}; run the same command again"


def _of_histories(loaded: Any, path: Path, options: dict[str, Any]) -> Iterator[Any]:
    """Rank items for the histories of a file, block by block."""
    from hashgnn.recommender.history_files import recommend_for_file

    return recommend_for_file(loaded, path, block_rows=_BLOCK_USERS, **options)


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
