"""The messages of an Arrow file: what a record batch becomes in memory, read from its header before it is decoded.

A few bytes can stand for gigabytes: a buffer that compresses well, or a count of rows of a type without buffers.
"""

from __future__ import annotations

import struct

import pyarrow as pa

# Numbers of fields in Arrow's Message.fbs.
_HEADER = 2  # of a Message
_DATA = 1  # of a DictionaryBatch
_LENGTH, _BUFFERS, _COMPRESSION = 0, 2, 3  # of a RecordBatch
_BUFFER = 16  # bytes: an offset and a length
_BYTES_A_ROW = 8

MAGIC = b"ARROW1\0\0"


def is_compressed(message: pa.ipc.Message) -> bool:
    """Say whether a record batch declares compression, which pyarrow does not tell before it is decoded.

    Raises
    ------
    struct.error
        If its header is broken.
    """
    metadata = message.metadata.to_pybytes()
    return _field(metadata, _batch(message, metadata), _COMPRESSION) != 0


def decoded_bytes(message: pa.ipc.Message) -> int:
    """Return the bytes that the buffers of a message take when they are decoded, 8 a row at least.

    Raises
    ------
    struct.error
        If its header is broken.
    """
    if message.type not in ("record batch", "dictionary"):
        return 0
    metadata = message.metadata.to_pybytes()
    batch = _batch(message, metadata)
    length = _field(metadata, batch, _LENGTH)
    n_rows = struct.unpack_from("<q", metadata, length)[0] if length else 0
    total, place = 0, _field(metadata, batch, _BUFFERS)
    if place:
        vector = place + int(struct.unpack_from("<I", metadata, place)[0])
        (count,) = struct.unpack_from("<I", metadata, vector)
        body = memoryview(message.body)
        has_codec = _field(metadata, batch, _COMPRESSION) != 0
        for number in range(count):
            offset, size = struct.unpack_from("<qq", metadata, vector + 4 + _BUFFER * number)
            if has_codec and size >= 8 and offset >= 0:
                (stated,) = struct.unpack_from("<q", body, offset)
                size = max(size, stated)  # -1: this buffer is not compressed
            total += max(0, size)
    return max(total, n_rows * _BYTES_A_ROW)


def _batch(message: pa.ipc.Message, metadata: bytes) -> int:
    """Return where the table of a record batch is, that of its entries for a dictionary."""
    (root,) = struct.unpack_from("<I", metadata)
    batch = _table(metadata, root, _HEADER)
    return _table(metadata, batch, _DATA) if message.type == "dictionary" else batch


def _table(data: bytes, table: int, number: int) -> int:
    place = _field(data, table, number)
    return place + int(struct.unpack_from("<I", data, place)[0])


def _field(data: bytes, table: int, number: int) -> int:
    """Return where a field of a table of a flatbuffer is, 0 where it is absent.

    A table begins with the distance back to its vtable: two sizes of two bytes, then the place of each field.
    """
    (back,) = struct.unpack_from("<i", data, table)
    vtable, place = table - back, 4 + 2 * number
    if vtable < 0:
        raise struct.error("a table leads out of its header")
    (size,) = struct.unpack_from("<H", data, vtable)
    if place + 2 > size:
        return 0
    (offset,) = struct.unpack_from("<H", data, vtable + place)
    return table + int(offset) if offset else 0
