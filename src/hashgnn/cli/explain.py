"""``hashgnn explain``: because of which items of a user's history an item is recommended."""

from __future__ import annotations

from typing import Annotated

import typer

from hashgnn.cli._explaining import Reasons, print_explanations
from hashgnn.cli._options import Debug, Json, Model, OnUnknown, Quiet, Search
from hashgnn.cli._output import Output
from hashgnn.cli._reading import id_list, open_model, typed_ids
from hashgnn.errors import ParameterError

_FOR_WHOM = "For whom (one of these)"


def explain(
    model: Model,
    item: Annotated[str, typer.Option(metavar="ID", help="An item, or several: a,b.", show_default=False)],
    user: Annotated[
        str | None, typer.Option(metavar="ID", help="A user of the model.", rich_help_panel=_FOR_WHOM)
    ] = None,
    history: Annotated[
        str | None,
        typer.Option(
            metavar="I1,I2",
            help="Items of a user who is not in the training data.",
            rich_help_panel=_FOR_WHOM,
        ),
    ] = None,
    reasons: Reasons = 3,
    search: Search = "hierarchical",
    on_unknown: OnUnknown = "error",
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Say because of which items of a user's history an item has its score.

    Where the score is a sum over the history, as by the encoder history, each item has a part of it; the parts and
    the rest add up to the score. Where it is none, the items of the history most similar to the item are shown.

    Examples:
      hashgnn explain models/v1 --user u7 --item i42

      hashgnn explain models/v1 --history i1,i2 --item i42,i7 --reasons 5 --json
    """
    out = Output(as_json, quiet)
    given = sum(value is not None for value in (user, history))
    if given != 1:
        raise ParameterError(f"explain needs one of --user and --history, got {given} of them")
    loaded = open_model(model)
    users, items = loaded.state_.users.ids, loaded.state_.items.ids
    named = typed_ids("item", id_list("--item", item, items), items)
    if user is not None:
        ids = typed_ids("user", id_list("--user", user, users), users)
        if len(ids) != 1:
            raise ParameterError(f"--user must be one id, got {len(ids)}")
        whose = ids[0]
    else:
        assert history is not None
        whose = typed_ids("item", id_list("--history", history, items), items)
    with out.warnings_as_notes():
        found = loaded.explain(whose, named, reasons, search=search, on_unknown=on_unknown)
    print_explanations(out, [found], {"search": search})
