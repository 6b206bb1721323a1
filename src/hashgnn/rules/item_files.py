"""Files of items: read as a table, whose columns have types also where the file says nothing of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from hashgnn.data import IdMap
from hashgnn.data._times import read_times
from hashgnn.data.readers import read_table
from hashgnn.rules.columns import kind_of_type

_DATE = "^[0-9]{4}-[0-9]{2}-[0-9]{2}"
_TYPED = frozenset({".parquet", ".pq", ".arrow", ".feather", ".ipc"})  # files whose columns have types


def read_items(
    path: str | Path,
    item_ids: IdMap,
    *,
    id_column: str = "item_id",
    text: Sequence[str] = (),
    max_decompressed: int | None = None,
) -> pa.Table:
    """Read a file of items as a table; columns of a text file get the types that all their entries have.

    Those of ``text`` stay text.

    Raises
    ------
    DataError
        If it cannot be read.
    """
    kept = [*text] if item_ids.kind == "int" else [*text, id_column]
    table = read_table(path, text=kept, max_decompressed=max_decompressed)
    return table if set(Path(path).suffixes) & _TYPED else _typed(table, {*text, id_column})


def _typed(table: pa.Table, kept: Collection[str]) -> pa.Table:
    """Return a table of a text file with columns of text that hold only true and false, or only times, as such."""
    for place, field in enumerate(table.schema):
        column = table.column(place)
        if kind_of_type(field.type) != "text" or field.name in kept or column.null_count == len(column):
            continue
        text = column.cast(pa.large_string())
        words = pc.utf8_lower(text)
        if pc.all(pc.is_in(words.drop_null(), pa.array(["true", "false"], words.type))).as_py():
            table = table.set_column(place, field.name, pc.equal(words, pa.scalar("true", words.type)))
        elif pc.all(pc.match_substring_regex(words.drop_null(), _DATE)).as_py():
            times = read_times(text, field.name)
            if not isinstance(times, int):
                table = table.set_column(place, field.name, times)
    return table
