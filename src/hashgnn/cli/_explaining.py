"""Explanations on the command line: their options, a table, and a JSON document."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from hashgnn.cli._output import Output, json_id

_NONE = "–"  # in a cell without a reason

Reasons = Annotated[
    int, typer.Option("--reasons", metavar="N", help="Items of the history that are named for each item.")
]


def explained(model: Any, blocks: Iterator[Any], n: int, histories: list[Any] | None, **options: Any) -> Any:
    """Return the explanation of each row of some recommendations, one row after the other.

    Parameters
    ----------
    model : HashGNN
    blocks : iterator of Recommendations
    n : int
        Reasons of each item.
    histories : list of lists of item ids, or None
        Where the rows are of histories.
    **options
        Of :meth:`HashGNN.explain`.
    """
    return [
        model.explain(query if histories is None else histories[query], items, n, **options)
        for found in blocks
        for query, items in zip(found.query_ids.tolist(), found.lists(), strict=True)
    ]


def print_explanations(out: Output, explanations: list[Any], request: dict[str, Any]) -> None:
    """Print explanations: a JSON document, or a line an item and what the numbers are."""
    from hashgnn.data._id_kinds import printed

    if out.as_json:
        out.document({**request, "results": [_document(found) for found in explanations]})
        return
    tables = [found.table() for found in explanations]
    names = list(dict.fromkeys(name for columns, _ in tables for name in columns))
    rows = []
    for found, (columns, reasons) in zip(explanations, tables, strict=True):
        whose = "history" if found.query_id is None else printed(found.query_id)
        for rank, texts in enumerate(reasons, start=1):
            named = dict(zip(columns, texts, strict=True))
            item, score = printed(found.item_ids.tolist()[rank - 1]), float(found.scores[rank - 1])
            rows.append([whose, rank, item, score, *(named.get(name, _NONE) for name in names)])
    filled = [place for place in range(len(names)) if any(row[4 + place] != _NONE for row in rows)] or [0]
    rows = [[*row[:4], *(row[4 + place] for place in filled)] for row in rows]
    out.table(["user_id", "rank", "item_id", "score", *(names[place] for place in filled)], rows)
    for note in dict.fromkeys(found.note for found in explanations):
        out.note(note)


def _document(found: Any) -> dict[str, Any]:
    user = {} if found.query_id is None else {"user_id": json_id(found.query_id)}
    is_sum = found.kind == "sum"
    items = []
    for row, item in enumerate(found.item_ids.tolist()):
        numbers = zip(
            *(part[row].tolist() for part in (found.reason_ids, found.values, found.shares)), strict=True
        )
        reasons = [
            {"id": json_id(reason), **({"part": value, "share": share} if is_sum else {"similarity": value})}
            for reason, value, share in numbers
        ]
        ends = {"others": float(found.others[row]), "rest": float(found.rest[row])} if is_sum else {}
        items.append({"id": json_id(item), "score": float(found.scores[row]), "reasons": reasons, **ends})
    return {**user, "kind": found.kind, "note": found.note, "items": items}
