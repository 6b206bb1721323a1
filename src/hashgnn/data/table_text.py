"""The columns of a table as text: the printed form of ids, shortest decimals, lists as JSON."""

from __future__ import annotations

import json
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from hashgnn.data._id_kinds import plain, printed


def text_table(table: pa.Table) -> pa.Table:
    """Return a table whose columns CSV can hold; numbers, booleans and text stay as they are."""
    columns = {}
    for name in table.column_names:
        column = _decoded(table[name])
        kind = column.type
        if _is_nested(kind):
            texts = [
                None if value is None else json.dumps(value, default=str) for value in json_values(column)
            ]
            column = pa.chunked_array([pa.array(texts, pa.string())])
        elif pa.types.is_null(kind):
            column = column.cast(pa.string())
        elif not _is_plain(kind):
            column = pa.chunked_array([pa.array(json_values(column), pa.string())])
        columns[name] = column
    return pa.table(columns)


def json_lines(table: pa.Table) -> bytes:
    """Return a JSON object a row, each on a line of its own; what is absent or no finite number is null."""
    names = [json.dumps(name, ensure_ascii=False) for name in table.column_names]
    columns = [json_values(table[name]) for name in table.column_names]
    lines = []
    for row in zip(*columns, strict=True):
        fields = (
            f"{name}: {json.dumps(value, ensure_ascii=False, default=str)}"
            for name, value in zip(names, row, strict=True)
        )
        lines.append(f"{{{', '.join(fields)}}}\n")
    return "".join(lines).encode()


def json_values(column: pa.ChunkedArray) -> list[Any]:
    """Return a column as JSON values: shortest decimals, ids in their printed form.

    Examples
    --------
    >>> json_values(pa.chunked_array([pa.array([2.1, None], pa.float32())]))
    [2.1, None]
    """
    column = _decoded(column)
    kind = column.type
    if pa.types.is_floating(kind):
        finite = pc.if_else(pc.is_finite(column), column, None)
        # By way of text, which holds the shortest decimals that are the same float32.
        return [None if text is None else float(text) for text in finite.cast(pa.string()).to_pylist()]
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return _lists(column.combine_chunks())
    if _is_plain(kind) or _is_nested(kind) or pa.types.is_null(kind):
        return list(column.to_pylist())
    return [None if value is None else printed(plain(value)) for value in column.to_pylist()]


def _decoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def _is_nested(kind: pa.DataType) -> bool:
    return bool(pa.types.is_nested(kind)) and not isinstance(kind, pa.BaseExtensionType)


def _is_plain(kind: pa.DataType) -> bool:
    is_ = pa.types
    if isinstance(kind, pa.BaseExtensionType):
        return False
    return bool(
        is_.is_integer(kind)
        or is_.is_floating(kind)
        or is_.is_boolean(kind)
        or is_.is_string(kind)
        or is_.is_large_string(kind)
    )


def _lists(column: Any) -> list[Any]:
    array = pa.concat_arrays(column.chunks) if isinstance(column, pa.ChunkedArray) else column
    values = iter(json_values(pa.chunked_array([array.flatten()])))
    lengths = pc.list_value_length(array).to_pylist()
    return [None if length is None else list(islice(values, length)) for length in lengths]
