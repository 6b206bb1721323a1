"""Interactions as a table, and tables as files."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def interaction_table(interactions: Any) -> Any:
    """Return :class:`~hashgnn.data.Interactions` as an Arrow table in external ids."""
    import pyarrow as pa

    columns = {
        "user_id": pa.array(interactions.user_ids.ids[interactions.user_index]),
        "item_id": pa.array(interactions.item_ids.ids[interactions.item_index]),
    }
    for name in ("weight", "timestamp"):
        values = getattr(interactions, name)
        if values is not None:
            columns[name] = pa.array(values)
    return pa.table(columns)


def write_parquet(table: Any, path: Path) -> None:
    """Write a table to a file that appears whole or not at all."""
    import pyarrow.parquet

    from hashgnn._files import atomic_file

    with atomic_file(path) as temporary:
        pyarrow.parquet.write_table(table, temporary)
