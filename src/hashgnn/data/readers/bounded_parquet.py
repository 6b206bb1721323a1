"""Parquet files from strangers: what a file becomes in memory is bounded before a page of it is decoded.

A few hundred bytes can stand for gigabytes: a page that compresses well, a dictionary whose long entry is
repeated, a run of a billion nulls. The headers of all pages are read first; they state sizes and numbers of values,
and Arrow decodes no more than they state. Text then stays a dictionary until its length is known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from hashgnn.data.readers._parquet_headers import broken, column_chunks, read_pages
from hashgnn.errors import DataError

GROWTH = 64  # bytes in memory for each byte of a file, at most
SLACK = 16 << 20

_MAX_LEAVES = 1024
_MAX_WIDTH = 1024  # bytes of a value of fixed length
_VALUE = 8  # bytes that a decoded value takes, its text aside
_ROWS = 8192  # decoded at once
_BATCH = 64 << 20  # bytes of text of one batch, where entries share their beginnings

_TEXT = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)


def bounded_batches(
    content: pa.Buffer,
    name: str,
    *,
    allowance: int = 0,
    check: Callable[[], None] | None = None,
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a parquet file, text of any depth as dictionaries; the first value is the empty schema.

    Parameters
    ----------
    content : Buffer
        The whole file, perhaps mapped.
    name : str
        Of the file, for messages.
    allowance : int, default=0
        Bytes in memory that the reader grants in addition to :func:`limit_of`.
    check : callable, optional
        Called before each batch; what it raises ends the reading.

    Raises
    ------
    DataError
        If the file is no parquet file, or would become larger than the limit.
    """
    # read_table would import pyarrow's data sets, and pandas with them: a quarter of a second of a start.
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(pa.BufferReader(content)) as file:
            n_rows, plain = check_pages(content, file.metadata, name, allowance=allowance)
            leaves = _leaves(file.metadata)
            texts = [leaf.path for leaf in leaves if leaf.physical_type == "BYTE_ARRAY"]
            texts = [path for path in texts if path not in plain]
        with pyarrow.parquet.ParquetFile(pa.BufferReader(content), read_dictionary=texts) as file:
            yield pa.RecordBatch.from_pylist([], schema=file.schema_arrow)
            # One group at a time: Arrow joins no nested dictionaries of two.
            for group in range(file.num_row_groups):
                for batch in file.iter_batches(n_rows, row_groups=[group], use_threads=False):
                    if check is not None:
                        check()
                    batch.validate(full=True)  # Arrow does not check where dictionaries are pointed into
                    yield batch
    except DataError:
        raise
    except (pa.ArrowException, OSError, ValueError, OverflowError, NotImplementedError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise broken(name, reason) from None


def limit_of(content: pa.Buffer, allowance: int = 0) -> int:
    """Return the bytes that a file may take when it is decoded: 64 times its own, 16 MiB and an allowance."""
    return GROWTH * len(content) + SLACK + allowance


def check_pages(content: pa.Buffer, metadata: Any, name: str, *, allowance: int = 0) -> tuple[int, set[str]]:
    """Refuse a file whose pages would become too large.

    Returns
    -------
    n_rows : int
        That may be decoded at once.
    plain : set of str
        Paths of text columns that Arrow cannot read as dictionaries.

    Raises
    ------
    DataError
        If the file has too many columns, a value that is too wide, page headers that cannot be read, or pages
        that state more bytes or values than the limit.
    """
    leaves = _leaves(metadata)
    if len(leaves) > _MAX_LEAVES:
        raise DataError(f"{name}: must have at most {_MAX_LEAVES} columns, got {len(leaves)}")
    for leaf in leaves:
        if leaf.physical_type == "FIXED_LEN_BYTE_ARRAY" and leaf.length > _MAX_WIDTH:
            raise DataError(
                f"{name}: values of fixed length must have at most {_MAX_WIDTH} bytes, got {leaf.length}"
            )
    limit, total = limit_of(content, allowance), 0
    plain: set[str] = set()
    largest = dict.fromkeys((leaf.path for leaf in leaves), 0)
    for chunk in column_chunks(pa.BufferReader(content), name):
        if chunk.leaf >= len(leaves):
            raise broken(name, "its footer has more columns than its schema")
        leaf, pages = leaves[chunk.leaf], read_pages(content, chunk, name)
        total += pages.n_bytes + _VALUE * pages.n_values
        if total > limit:
            raise too_large(name, limit)
        if pages.is_plain:
            plain.add(leaf.path)
        if leaf.max_repetition_level and pages.repeats and leaf.path in plain:
            raise DataError(
                f"{name}: text in lists must not be delta-encoded, got it in the column {leaf.path!r:.80}"
            )
        largest[leaf.path] = max(largest[leaf.path], pages.largest)
    wide = max((largest[path] for path in plain), default=0)
    return min(_ROWS, max(1, _BATCH // max(1, wide))), plain


def too_large(name: str, limit: int) -> DataError:
    """Return the error of a file that would take more than its limit."""
    return DataError(f"{name}: must take at most {limit} bytes when it is decoded, got more")


def text_bytes(array: pa.Array) -> int:
    """Return the bytes of all text in an array when its dictionaries are decoded, at any depth."""
    kind = array.type
    if any(is_text(kind) for is_text in _TEXT):
        return int(pc.sum(pc.binary_length(array).cast(pa.int64())).as_py() or 0)
    if pa.types.is_dictionary(kind):
        if not len(array.dictionary):
            return 0
        lengths = pc.binary_length(array.dictionary).take(array.indices)
        return int(pc.sum(lengths.cast(pa.int64())).as_py() or 0)
    if pa.types.is_map(kind):
        return text_bytes(array.keys) + text_bytes(array.items)
    if pa.types.is_nested(kind) and hasattr(array, "values"):
        return text_bytes(array.values)
    if pa.types.is_struct(kind):
        return sum(text_bytes(array.field(place)) for place in range(kind.num_fields))
    return 0


def decoded_type(kind: pa.DataType) -> pa.DataType:
    """Return a type with plain text in the place of dictionaries."""
    if pa.types.is_dictionary(kind):
        return kind.value_type
    if pa.types.is_map(kind):
        return pa.map_(decoded_type(kind.key_type), decoded_type(kind.item_type))
    if pa.types.is_large_list(kind):
        return pa.large_list(_decoded_field(kind.value_field))
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(_decoded_field(kind.value_field), kind.list_size)
    if pa.types.is_list(kind):
        return pa.list_(_decoded_field(kind.value_field))
    if pa.types.is_struct(kind):
        return pa.struct([_decoded_field(kind.field(place)) for place in range(kind.num_fields)])
    return kind


def _decoded_field(field: pa.Field) -> pa.Field:
    return field.with_type(decoded_type(field.type))


def _leaves(metadata: Any) -> list[Any]:
    return [metadata.schema.column(place) for place in range(metadata.num_columns)]
