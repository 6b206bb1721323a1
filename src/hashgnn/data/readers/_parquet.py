"""Files of Arrow's world: parquet, and Arrow IPC, which is Feather too."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hashgnn.data.readers._arrow_messages import MAGIC, decoded_bytes
from hashgnn.data.readers._location import Location
from hashgnn.data.readers._parquet_headers import broken, column_chunks, read_pages
from hashgnn.data.readers._source import Source, check_names
from hashgnn.data.readers.bounded_parquet import decoded_type, text_bytes
from hashgnn.errors import DataError

_BYTES_A_VALUE = 8
_BATCH = 1 << 17  # rows decoded at once, where a file is read in pieces
_BATCH_BYTES = 256 << 20  # of text in them, at most
_ROWS = 1024  # decoded at once where text shares its beginnings
_ERRORS = (pa.ArrowException, OSError, ValueError, struct.error)


def open_source(path: Location) -> Source:
    """Read the footer of a parquet file."""
    try:
        content = path.random_access()
        file = pq.ParquetFile(content)
        names = file.schema_arrow.names
    except DataError:
        raise  # of the decompression
    except _ERRORS as error:
        raise _damaged(path, "parquet", error) from None

    def load(columns: Sequence[str]) -> pa.Table:
        try:
            texts, joined = _check_pages(path, content, file, set(columns))
            return _bounded_table(path, content, file, list(columns), texts, joined=joined)
        finally:
            file.close()

    def iterate(columns: Sequence[str], n_rows: int) -> Iterator[pa.Table]:
        try:
            texts, joined = _check_pages(path, content, file, set(columns))
            yield from _bounded_pieces(path, content, file, list(columns), texts, n_rows, joined=joined)
        except DataError:
            raise
        except _ERRORS as error:
            raise _damaged(path, "parquet", error) from None
        finally:
            file.close()

    return replace(_source(path, "parquet", names, load), schema=file.schema_arrow, iterate=iterate)


def _check_pages(
    path: Location, content: pa.NativeFile, file: pq.ParquetFile, columns: set[str]
) -> tuple[set[str], bool]:
    """Refuse a small file that says it holds much; runs and dictionaries can hold any number of rows.

    Where the content lies in memory, or is mapped, the headers of the pages count as well as the footer.

    Returns
    -------
    texts : set of str
        Paths of text columns whose entries stand in a dictionary.
    joined : bool
        Whether text shares its beginnings, so that it may take more than its pages.
    """
    schema = file.metadata.schema
    leaves = [schema.column(place) for place in range(file.metadata.num_columns)]
    whole = None
    if isinstance(content, pa.MemoryMappedFile | pa.BufferReader):
        content.seek(0)
        whole = content.read_buffer()
    n_bytes = size = 0
    texts, joined = set(), False
    for chunk in column_chunks(content, path.name):
        if chunk.leaf >= len(leaves):
            raise broken(path.name, "its footer has more columns than its schema")
        leaf = leaves[chunk.leaf]
        if leaf.path.split(".")[0] not in columns:
            continue
        stated = chunk.n_bytes
        if whole is not None:
            pages = read_pages(whole, chunk, path.name)
            stated, joined = max(stated, pages.n_bytes), joined or pages.is_joined
        n_bytes += max(stated, chunk.n_values * _BYTES_A_VALUE)
        size += chunk.compressed
        if chunk.has_dictionary and leaf.physical_type == "BYTE_ARRAY":
            texts.add(leaf.path)
    path.check_growth(n_bytes, min(size, content.size()))
    return texts, joined


def _bounded_table(
    path: Location,
    content: pa.NativeFile,
    file: pq.ParquetFile,
    columns: list[str],
    texts: set[str],
    *,
    joined: bool,
) -> pa.Table:
    """Read columns; an entry of a dictionary is repeated only after the length of all text is known."""
    content.seek(0)
    reader = pq.ParquetFile(
        content, metadata=file.metadata, read_dictionary=sorted(texts), page_checksum_verification=True
    )
    if joined:
        n_bytes, batches = 0, []
        for batch in reader.iter_batches(_ROWS, columns=columns, use_threads=False):
            n_bytes += sum(map(text_bytes, batch.columns))
            path.check_growth(n_bytes, content.size())
            batches.append(batch)
        schema = reader.schema_arrow
        table = pa.Table.from_batches(batches, pa.schema([schema.field(name) for name in columns]))
    else:
        table = reader.read(columns=columns)
    table.validate(full=True)  # of the dictionaries, before what they point to is counted
    if texts:
        _check_text(path, table, content.size())
        fields = [field.with_type(decoded_type(field.type)) for field in table.schema]
        table = table.cast(pa.schema(fields, file.schema_arrow.metadata))
    return table


def _bounded_pieces(
    path: Location,
    content: pa.NativeFile,
    file: pq.ParquetFile,
    columns: list[str],
    texts: set[str],
    n_rows: int,
    *,
    joined: bool,
) -> Iterator[pa.Table]:
    """Yield what :func:`_bounded_table` reads, in tables of at least ``n_rows`` rows but for the last.

    Text is decoded at once, nine times as fast as by way of dictionaries. The longest entry of each dictionary bounds
    how many rows that may be.
    """
    plain, coded = (
        pq.ParquetFile(
            content, metadata=file.metadata, read_dictionary=names, page_checksum_verification=True
        )
        for names in ([], sorted(texts))
    )
    schema = pa.schema([file.schema_arrow.field(name) for name in columns])
    schema = pa.schema([field.with_type(decoded_type(field.type)) for field in schema])
    is_nested = any("." in text for text in texts)
    n_bytes, n_held, held = 0, 0, []
    for group in range(file.num_row_groups):
        most = min(
            _ROWS if joined or is_nested else _BATCH, max(1, _BATCH_BYTES // _longest(coded, group, texts))
        )
        for batch in plain.iter_batches(most, row_groups=[group], columns=columns, use_threads=not joined):
            batch.validate(full=True)
            n_bytes += sum(map(text_bytes, batch.columns))
            path.check_growth(n_bytes, content.size())
            held.append(batch.select(columns).cast(schema))
            n_held += batch.num_rows
            if n_held >= n_rows:
                yield pa.Table.from_batches(held, schema)
                n_held, held = 0, []
    if held:
        yield pa.Table.from_batches(held, schema)


def _longest(coded: pq.ParquetFile, group: int, texts: set[str]) -> int:
    """Return the bytes of the longest entry in the dictionaries of a group of rows, and 1 where it has none."""
    if not texts:
        return 1
    columns = sorted({text.split(".")[0] for text in texts})
    longest = 1
    for batch in coded.iter_batches(1, row_groups=[group], columns=columns, use_threads=False):
        batch.validate(full=True)
        for column in batch.columns:
            if pa.types.is_dictionary(
                column.type
            ):  # all of it: a chunk has one dictionary, before its values
                longest = max(longest, pc.max(pc.binary_length(column.dictionary)).as_py() or 1)
        break
    return longest


def open_arrow(path: Location) -> Source:
    """Read the schema of an Arrow IPC file or stream; Feather files of version 2 are such files."""
    try:
        try:
            schema = pa.ipc.open_file(path.random_access()).schema
            is_stream = False
        except pa.ArrowInvalid:
            schema = pa.ipc.open_stream(path.random_access()).schema
            is_stream = True
        names = schema.names
    except DataError:
        raise
    except _ERRORS as error:
        raise _damaged(path, "Arrow IPC", error) from None

    def load(columns: Sequence[str]) -> pa.Table:
        content = path.random_access()
        if not isinstance(content, pa.MemoryMappedFile):
            content = pa.BufferReader(content.read_buffer())
        _check_messages(path, content)
        if is_stream:
            table = pa.ipc.open_stream(content).read_all().select(list(columns))
        else:
            options = pa.ipc.IpcReadOptions(included_fields=sorted(names.index(name) for name in columns))
            table = pa.ipc.open_file(content, options=options).read_all().select(list(columns))
        table.validate(full=True)
        _check_text(path, table, content.size())
        return table

    return replace(_source(path, "Arrow IPC", names, load), schema=schema)


def _check_messages(path: Location, content: pa.NativeFile) -> None:
    """Refuse a small file whose buffers become large."""
    begin = content.read_at(len(MAGIC), 0)
    content.seek(len(MAGIC) if begin == MAGIC else 0)
    total = 0
    messages = pa.ipc.MessageReader.open_stream(content)
    while True:
        try:
            message = messages.read_next_message()
        except StopIteration:
            break
        total += decoded_bytes(message)
        path.check_growth(total, content.size())
    content.seek(0)


def _check_text(path: Location, table: pa.Table, size: int) -> None:
    """Refuse a small file whose text becomes large when entries of dictionaries are repeated."""
    chunks = (chunk for column in table.columns for chunk in column.chunks)
    path.check_growth(sum(map(text_bytes, chunks)), size)


def _source(
    path: Location, format: str, names: Sequence[str], read: Callable[[Sequence[str]], pa.Table]
) -> Source:
    check_names(path.name, names)

    def load(columns: Sequence[str]) -> pa.Table:
        try:
            table = read(columns)
            table.validate(full=True)
        except DataError:
            raise
        except _ERRORS as error:
            raise _damaged(path, format, error) from None
        return table

    return Source(path.name, names, load)


def _damaged(path: Location, format: str, error: Exception) -> Exception:
    if isinstance(error, OSError) and error.errno is not None:
        return error  # the file system's own error, not the content's
    return DataError(f"{path}: not a readable {format} file, it is damaged or of another format")
