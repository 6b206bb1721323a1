"""``hashgnn check``: whether a saved model may take the place of the one that serves."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from hashgnn.cli._options import Debug, Json, K, Model, Quiet, Search
from hashgnn.cli._output import Output

_LIMITS = "Limits"
_FAILED = 1  # exit code


def _share(text: str) -> Any:
    """Return an option between 0 and 1."""
    return typer.Option(metavar="X", min=0, max=1, help=text, rich_help_panel=_LIMITS)


def check(
    model: Model,
    against: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The version that it shall replace.")
    ] = None,
    items: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.parquet", help="Item metadata; default: item_metadata.parquet in each folder."
        ),
    ] = None,
    item_id: Annotated[
        str, typer.Option(metavar="COLUMN", help="Column of item ids in --items.")
    ] = "item_id",
    k: K = 10,
    search: Search = "hierarchical",
    lists: Annotated[
        int, typer.Option(metavar="N", min=0, help="Users whose lists are compared, an even sample.")
    ] = 100,
    show: Annotated[int, typer.Option(metavar="N", min=0, help="Lists to print side by side.")] = 3,
    min_known_users: Annotated[
        float,
        _share("Share of the old users that it must know."),
    ] = 0.5,
    min_known_items: Annotated[
        float,
        _share("Share of the old items that it must know."),
    ] = 0.5,
    allow_new_ids: Annotated[
        bool,
        typer.Option(
            "--allow-new-ids",
            help="Take ids of another kind, or too few known ones.",
            rich_help_panel=_LIMITS,
        ),
    ] = False,
    min_metadata: Annotated[
        float,
        _share("Share of items that must have metadata, where there is any."),
    ] = 0.5,
    max_dead_bits: Annotated[
        float,
        _share("Share of bits that may be dead."),
    ] = 0.2,
    min_entropy: Annotated[
        float,
        _share("Least mean entropy of a bit, in bits."),
    ] = 0.5,
    max_collisions: Annotated[
        float,
        _share("Share of items whose code another item may have too."),
    ] = 0.5,
    min_overlap: Annotated[
        float,
        _share("Least mean share of common items in the lists."),
    ] = 0.1,
    max_bytes: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, help="Largest size of the folder.", rich_help_panel=_LIMITS),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Check a saved model, alone or against the version that it shall replace.

    The kind of ids, the share of known ones, item metadata, the health of the codes, finite tables and answers,
    and the lists of some users are compared with limits. The exit code is 0 if all checks pass, and 1 if one
    fails. A folder that is no saved model, or is damaged, is exit code 2.

    Examples:
      hashgnn check models/v1

      hashgnn check models/v2 --against models/v1 --min-overlap 0.3
    """
    from hashgnn.checking import CheckLimits, check_model

    out = Output(as_json, quiet)
    found = check_model(
        model,
        against,
        items=items,
        item_id=item_id,
        limits=CheckLimits(
            min_known_users=min_known_users,
            min_known_items=min_known_items,
            allow_new_ids=allow_new_ids,
            min_metadata=min_metadata,
            max_dead_bits=max_dead_bits,
            min_entropy=min_entropy,
            max_collisions=max_collisions,
            min_overlap=min_overlap,
            max_bytes=max_bytes,
        ),
        k=k,
        n_lists=lists,
        n_shown=show,
        search=search,
    )
    if as_json:
        out.document(found.to_dict())
    else:
        _print(out, found)
    if not found.passed:
        raise typer.Exit(_FAILED)


def _print(out: Output, found: Any) -> None:
    out.table(*found.table())
    for pair in found.lists.shown:
        out.line()
        common = "" if pair.overlap is None else f", {100 * pair.overlap:.0f} % in common"
        title = f"user {pair.user}{common}"
        if pair.old is None:
            out.table(("rank", found.new.name), _ranked(pair.new), title=title)
        else:
            names = (f"{found.old.name} (old)", f"{found.new.name} (new)")
            out.table(("rank", *names), _ranked(pair.old, pair.new), title=title)
    out.line()
    out.line(found.summary)


def _ranked(*lists: tuple[tuple[Any, str | None], ...]) -> list[list[Any]]:
    """Return a row for each rank, with an item of each list, by its title where there is one."""
    from hashgnn.data._id_kinds import printed

    texts = [
        [printed(item) if title is None else f"{title} ({printed(item)})" for item, title in row]
        for row in lists
    ]
    length = max(map(len, texts), default=0)
    return [[rank + 1, *(row[rank] if rank < len(row) else "" for row in texts)] for rank in range(length)]
