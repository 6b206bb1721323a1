"""A model and recommendations as HTML for notebooks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hashgnn.answering.fitted_model import FittedModel
from hashgnn.config import ModelConfig
from hashgnn.data._id_kinds import printed
from hashgnn.evaluation._html import table, tag
from hashgnn.evaluation._notebook import notebook

_ROWS, _RANKS = 8, 10  # rows of a result, and results of a row, that are shown


def model_html(config: ModelConfig, fitted: FittedModel | None) -> str:
    """Return a model as a table of facts, and what an item costs by each search way."""
    facts: list[list[Any]] = [
        ["encoder", config.encoder.name],
        ["code", f"{config.n_bits} bits" + (" and an item bias" if config.item_bias else "")],
    ]
    if fitted is None:
        return notebook(table([], [*facts, ["state", "not fitted"]], caption="HashGNN", class_="texts"))
    state = fitted.state
    facts += [
        ["embedding", f"{state.dim:,} floats"],
        ["users", f"{state.n_users:,}"],
        ["items", f"{state.n_items:,}"],
        ["interactions", f"{state.seen.nnz:,}"],
    ]
    training = state.training
    if "epochs" in training and "seconds" in training:
        facts.append(["training", f"{training['epochs']:,} epochs in {training['seconds']:,.1f} seconds"])
    numbers = {name: value for name, value in state.metrics.items() if isinstance(value, int | float)}
    facts += [[f"{name}, validation", f"{value:.4f}"] for name, value in numbers.items()]
    ways = fitted.items_for_users
    sizes: list[list[Any]] = [[way, f"{ways.bytes_per_item(way):,.0f}"] for way in ways.names]
    return notebook(
        table([], facts, caption="HashGNN", class_="texts"), table(["search way", "bytes per item"], sizes)
    )


def recommendations_html(
    columns: tuple[str, str], query_ids: Sequence[Any], lists: Sequence[list[Any]]
) -> str:
    """Return the first rows of a result side by side, the best of each on top.

    Parameters
    ----------
    columns : tuple of str
        Names of the two kinds of ids.
    query_ids : sequence of n ids
    lists : sequence of n lists of ids
    """
    query, result = columns
    n, most = len(query_ids), max(map(len, lists), default=0)
    if not most:
        return notebook(tag("p", f"no {result} for {n:,} of {query}", class_="summary"))
    caption = f"{result} by rank, a column for each {query}"
    shown = [[printed(one) for one in row[:_RANKS]] for row in lists[:_ROWS]]
    longest = max(map(len, shown))
    body = [
        [str(rank + 1), *(row[rank] if rank < len(row) else "" for row in shown)] for rank in range(longest)
    ]
    heading = ["rank", *(printed(one) for one in query_ids[:_ROWS])]
    parts = [table(heading, body, caption=caption, class_="texts")]
    left = [f"{n - _ROWS:,} more of {query}"] if n > _ROWS else []
    left += ["lower ranks"] if most > _RANKS else []
    return notebook(*parts, *([tag("p", "and " + ", ".join(left), class_="note")] if left else []))
