"""Changes of items' attributes in a store: the latest value of each, numbered, so that workers follow one another."""

from __future__ import annotations

from typing import NamedTuple


class AttributeRow(NamedTuple):
    """A value of an item: its id and the name of the column, and the value as JSON text."""

    item: int | str
    name: str
    value: str
