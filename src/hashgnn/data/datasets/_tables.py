"""The tables of a data set, read from its files before ids are numbered."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

ITEM_SCHEMA = pa.schema(
    [("item_id", pa.int64()), ("title", pa.string()), ("year", pa.int16()), ("genres", pa.list_(pa.string()))]
)


@dataclass(frozen=True)
class Tables:
    """The rows of a data set.

    Attributes
    ----------
    interactions : pyarrow.Table
        Columns user_id, item_id (int64) and, where known, weight (float32) and timestamp (int64).
    test : pyarrow.Table or None
        The held-out rows, where the publisher has split; ``interactions`` then holds the training rows.
    items : pyarrow.Table or None
        Columns item_id, title, year (null where unknown), genres; one row per item.
    """

    interactions: pa.Table
    test: pa.Table | None = None
    items: pa.Table | None = None
