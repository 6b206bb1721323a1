"""Id maps as files: Arrow, which is mapped; parquet in models of format 1.

Both formats can hold much in few bytes: compressed buffers, dictionaries, runs. A file is read only where its
own bytes bound what comes out of it.
"""

from __future__ import annotations

import mmap as memory_maps
import os
import struct
from pathlib import Path
from typing import Any

import pyarrow as pa

from hashgnn._files import open_regular
from hashgnn.data.ids import IdMap
from hashgnn.data.readers._arrow_messages import MAGIC, is_compressed
from hashgnn.data.readers._parquet_headers import column_chunks
from hashgnn.data.readers.bounded_parquet import check_pages
from hashgnn.errors import DataError

_TYPES = (pa.int64(), pa.int32(), pa.string(), pa.large_string())

_CODECS = (0, 1)  # parquet's numbers of none and Snappy, which format 1 was written with
_ROWS = 1024  # of a parquet file, decoded at once
_GROWTH = 64  # bytes in memory for each byte of a parquet file, at most
_SLACK = 1 << 20


def write_ids(path: Path, ids: IdMap) -> None:
    """Write an id map as an Arrow file, uncompressed so that it can be mapped."""
    table = ids.to_arrow()
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


def read_ids(path: Path, n: int, *, mmap: bool) -> IdMap:
    """Read what :func:`write_ids` wrote, in place where ``mmap``.

    Parameters
    ----------
    path : Path
    n : int
        Ids that the manifest states.
    mmap : bool

    Raises
    ------
    DataError
        If the file is no such table, is compressed or encoded, or holds another number of ids.
    """
    content = _content(path, mmap=mmap)
    try:
        return IdMap.from_arrow(_read_table(path, content, n))
    except (pa.ArrowException, OSError, struct.error, StopIteration, EOFError) as error:
        raise DataError(f"{path.name} is no table of ids, {_first_line(error)}") from None


def read_parquet_ids(path: Path, n: int) -> IdMap:
    """Read the ids of a model of format 1.

    Raises
    ------
    DataError
        As :func:`read_ids`, or if the file becomes too large when it is decoded.
    """
    # read_table would import pyarrow's data sets, and pandas with them: a quarter of a second of a start.
    import pyarrow.parquet

    content = _content(path, mmap=True)
    try:
        with pyarrow.parquet.ParquetFile(pa.BufferReader(content), read_dictionary=["id"]) as file:
            return IdMap.from_arrow(_read_parquet(path, file, content, n))
    except (pa.ArrowException, OSError, UnicodeDecodeError, KeyError) as error:
        raise DataError(f"{path.name} is no table of ids, {_first_line(error)}") from None


def _content(path: Path, *, mmap: bool) -> Any:
    with open_regular(path, follow=False) as file:
        if not mmap or not os.fstat(file.fileno()).st_size:
            return pa.py_buffer(file.read())
        return pa.py_buffer(memory_maps.mmap(file.fileno(), 0, access=memory_maps.ACCESS_READ))


def _read_table(path: Path, content: Any, n: int) -> pa.Table:
    """Read the messages of an Arrow file one after the other, each looked at before it is decoded."""
    if content[: len(MAGIC)].to_pybytes() != MAGIC:
        raise DataError(f"{path.name} is no table of ids, it does not begin as an Arrow file")
    messages = pa.ipc.MessageReader.open_stream(pa.BufferReader(content[len(MAGIC) :]))
    first = messages.read_next_message()
    if first.type != "schema":  # of another kind, pyarrow would read a schema where there is none, and crash
        raise DataError(f"{path.name} is no table of ids, its first message is no schema")
    schema = pa.ipc.read_schema(first)
    _check_schema(path, schema)
    is_other = (schema.metadata or {}).get(b"id_kind") == b"other"
    batches, n_rows = [], 0
    while n_rows < n:
        message = messages.read_next_message()
        if message.type != "record batch" or is_compressed(message):
            raise DataError(f"{path.name} must hold plain record batches, got compressed or encoded ones")
        batch = pa.ipc.read_record_batch(message, schema)
        if not batch.num_rows:
            raise DataError(f"{path.name} must hold no empty record batches")
        n_rows += batch.num_rows
        if n_rows <= n:
            # Lengths against the buffers; offsets as well where no later check looks at them.
            batch.validate(full=is_other)
            batches.append(batch)
    _check_rows(path, n_rows, n)
    return pa.Table.from_batches(batches, schema)


def _check_schema(path: Path, schema: pa.Schema) -> None:
    if len(schema) > 2 or len(set(schema.names)) != len(schema) or any(t not in _TYPES for t in schema.types):
        types = f"{schema.names!r:.80} of {', '.join(map(str, schema.types[:3]))!s:.80}"
        raise DataError(
            f"{path.name} must have a column 'id' of int64 or text, and perhaps 'order', got {types}"
        )


def _check_rows(path: Path, n_rows: int, n: int) -> None:
    if n_rows != n:
        raise DataError(f"{path.name} must hold {n} ids as the manifest states, got {n_rows}")


def _read_parquet(path: Path, file: Any, content: pa.Buffer, n: int) -> pa.Table:
    _check_schema(path, _plain_schema(file.schema_arrow))
    _check_rows(path, file.metadata.num_rows, n)
    size = len(content)
    codecs = {chunk.codec for chunk in column_chunks(pa.BufferReader(content), path.name)}
    check_pages(content, file.metadata, path.name)
    if n > size or not codecs <= set(_CODECS):
        raise DataError(
            f"{path.name} must be compressed by Snappy or not at all, and take at least a byte an id, "
            f"got {n} ids in {size} bytes"
        )
    parts, total = [], 0
    for batch in file.iter_batches(_ROWS, use_threads=False):
        total += batch.nbytes
        if total > _GROWTH * size + _SLACK:
            raise DataError(
                f"{path.name} must not take more than {_GROWTH} times its bytes when it is decoded"
            )
        parts.append(
            pa.record_batch([_decoded(path, column) for column in batch.columns], batch.schema.names)
        )
    schema = _plain_schema(file.schema_arrow)
    return pa.Table.from_batches([part.cast(schema) for part in parts], schema)


def _plain_schema(schema: pa.Schema) -> pa.Schema:
    fields = [
        field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field
        for field in schema
    ]
    return pa.schema(fields, schema.metadata)


def _decoded(path: Path, column: pa.Array) -> pa.Array:
    if not pa.types.is_dictionary(column.type):
        return column
    # Ids differ, so that none takes more room than its entry of the dictionary.
    if len(column.indices.unique()) != len(column):
        raise DataError(f"{path.name} must hold each id once")
    return column.dictionary_decode()


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
