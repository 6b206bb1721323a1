"""Ids as typed on a command line, turned into the type that a model's ids have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hashgnn.errors import ParameterError


def typed_ids(side: str, texts: Sequence[str], known: Any) -> list[Any]:
    """Return ids that are written as text as ids of a model.

    Text stays text where the ids are text, and becomes an integer where they are integers. Other ids (dates,
    say) are found by how they print; what no id prints as stays text, which no id equals.

    Parameters
    ----------
    side : {"user", "item"}
        For the message.
    texts : list of str
    known : IdMap
        The ids of the model.

    Raises
    ------
    ParameterError
        If the ids are integers and a text is none.

    Examples
    --------
    >>> from hashgnn.data import IdMap
    >>> typed_ids("user", ["7", "12"], IdMap([7, 8, 12]))
    [7, 12]
    """
    if known.kind == "int":
        return [_integer(side, text) for text in texts]
    if known.kind == "str":
        return list(texts)
    printed = {str(value): value for value in known.ids.tolist()}
    return [printed.get(text, text) for text in texts]


def _integer(side: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ParameterError(f"{side} ids of this model are integers, got {text!r}") from None
