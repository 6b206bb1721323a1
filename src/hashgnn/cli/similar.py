"""``hashgnn similar``: the items or users most similar to one."""

from __future__ import annotations

from typing import Annotated

import typer

from hashgnn.cli._options import Debug, Json, K, Model, Oversampling, Quiet, Search, Threads
from hashgnn.cli._output import Output, print_ranked
from hashgnn.cli._reading import id_list, open_model, typed_ids
from hashgnn.errors import ParameterError


def similar(
    model: Model,
    item: Annotated[str | None, typer.Option(metavar="ID", help="An item, or several: a,b.")] = None,
    user: Annotated[str | None, typer.Option(metavar="ID", help="A user, or several: a,b.")] = None,
    k: K = 10,
    search: Search = "hierarchical",
    oversampling: Oversampling = 5,
    threads: Threads = 1,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Rank the items most similar to an item, or the users most similar to a user.

    Examples:
      hashgnn similar models/v1 --item i42 -k 5

      hashgnn similar models/v1 --user u7 --search hamming --json
    """
    out = Output(as_json, quiet)
    if (item is None) == (user is None):
        raise ParameterError("similar needs either --item or --user, got both or none")
    loaded = open_model(model)
    options = {"k": k, "search": search, "oversampling": oversampling, "n_threads": threads}
    with out.warnings_as_notes():
        if item is not None:
            known = loaded.state_.items.ids
            ids = typed_ids("item", id_list("--item", item, known), known)
            found = loaded.similar_items(ids, **options)
        else:
            assert user is not None
            known = loaded.state_.users.ids
            ids = typed_ids("user", id_list("--user", user, known), known)
            found = loaded.similar_users(ids, **options)
    print_ranked(out, [found], {"k": k, "search": search})
