"""The headers of a parquet file: its column chunks and their pages, read without decoding anything.

Arrow's own reader of this metadata ends the process where a file contradicts itself, so a stranger's file is read here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from hashgnn.errors import DataError

# Parquet's enumerations and Thrift's compact protocol.
_DATA_PAGE, _DICTIONARY_PAGE, _DATA_PAGE_2 = 0, 2, 3
_DETAILS = {_DATA_PAGE: 5, _DICTIONARY_PAGE: 7, _DATA_PAGE_2: 8}  # fields of a page header
_DELTA_LENGTHS, _DELTA_TEXT = 6, 7  # encodings of text
_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = 1, 2, 3, 7, 8, 9, 10, 11, 12
_INTEGERS = (4, 5, 6)
_MAX_DEPTH = 16
_ROW_GROUPS, _COLUMNS, _CHUNK = 4, 1, 3  # fields of the footer, of a row group and of a column
_CODEC, _N_VALUES, _SIZE, _COMPRESSED, _DATA_PLACE, _DICTIONARY_PLACE = 4, 5, 6, 7, 9, 11  # of a column chunk
_MAGIC = b"PAR1"
_TAIL = 8  # bytes at the end of a file: the length of its footer, and the magic
_BROKEN = (IndexError, KeyError, ValueError, AttributeError, TypeError)  # what broken headers lead to


@dataclass(frozen=True)
class Chunk:
    """A column chunk as the footer states it.

    Attributes
    ----------
    leaf : int
        Place of its column among the leaves of the schema.
    codec : int
        Parquet's number of its compression: 0 for none, 1 for Snappy.
    n_values : int
        Nulls included.
    n_bytes, compressed : int
        Of all its pages, decompressed and in the file.
    place : int
        Of its first page, in bytes.
    has_dictionary : bool
        Whether the footer names a page of distinct values.
    """

    leaf: int
    codec: int
    n_values: int
    n_bytes: int
    compressed: int
    place: int
    has_dictionary: bool


@dataclass(frozen=True)
class Pages:
    """Sizes that the page headers of a column chunk state.

    Attributes
    ----------
    n_values : int
        Nulls included.
    n_bytes : int
        Of all pages, decompressed.
    largest : int
        Bytes of the largest page.
    is_joined : bool
        Whether text shares its beginnings with the entry before.
    is_plain : bool
        Whether Arrow cannot read the text of a page as a dictionary.
    repeats : bool
        Whether entries may take more than their page: they share their beginnings, or stand in a dictionary.
    """

    n_values: int
    n_bytes: int
    largest: int
    is_joined: bool
    is_plain: bool
    repeats: bool


def broken(name: str, reason: str) -> DataError:
    """Return the error of a file that is no parquet file."""
    return DataError(f"{name}: cannot be read as parquet, {reason}")


def column_chunks(file: pa.NativeFile, name: str) -> Iterator[Chunk]:
    """Yield the column chunks of a file in the order of its footer, of which alone it reads.

    Raises
    ------
    DataError
        If the footer is broken.
    """
    size = file.size()
    tail = file.read_at(_TAIL, size - _TAIL) if size >= _TAIL else b""
    length = int.from_bytes(tail[:4], "little")
    if tail[4:] != _MAGIC or length > size - _TAIL:
        raise broken(name, "it has no footer")
    reader = _Compact(memoryview(file.read_at(length, size - _TAIL - length)), 0)
    try:
        for number, kind in reader.fields():
            if number != _ROW_GROUPS:
                reader.skip(kind)
                continue
            for _ in reader.structs():
                yield from _chunks_of_group(reader)
    except _BROKEN:
        raise broken(name, "its footer is broken") from None


def _chunks_of_group(reader: _Compact) -> Iterator[Chunk]:
    for number, kind in reader.fields():
        if number != _COLUMNS:
            reader.skip(kind)
            continue
        for leaf in reader.structs():
            detail = reader.struct()[_CHUNK]
            place, dictionary = detail[_DATA_PLACE], detail.get(_DICTIONARY_PLACE)
            if dictionary:
                place = min(place, dictionary)
            codec, n_values = detail[_CODEC], detail[_N_VALUES]
            n_bytes, compressed = detail[_SIZE], detail[_COMPRESSED]
            if min(codec, n_values, n_bytes, compressed, place) < 0:
                raise ValueError("it leads out of the file")
            yield Chunk(leaf, codec, n_values, n_bytes, compressed, place, bool(dictionary))


def read_pages(content: pa.Buffer, chunk: Chunk, name: str) -> Pages:
    """Read the page headers of a column chunk, up to the values that it states, as Arrow does.

    Raises
    ------
    DataError
        If a header is broken, or a page reaches beyond the file.
    """
    data, place = memoryview(content).cast("B"), chunk.place
    n_values = n_bytes = largest = 0
    kinds: set[int] = set()
    encodings: set[Any] = set()
    while n_values < chunk.n_values:
        try:
            reader = _Compact(data, place)
            header, place = reader.struct(), reader.place
            kind, size, compressed = header[1], header[2], header[3]
            detail = header.get(_DETAILS.get(kind, 0), {})
            is_data = kind in (_DATA_PAGE, _DATA_PAGE_2)
            values = detail[1] if is_data else 0
            encoding = detail[2 if kind == _DATA_PAGE else 4] if is_data else None
            if min(size, compressed, values) < 0 or place + compressed > len(data):
                raise ValueError("it reaches beyond the file")
            kinds.add(kind)
            encodings.add(encoding)
        except _BROKEN:
            raise broken(name, "the header of a page is broken") from None
        largest = max(largest, size)
        place += compressed
        n_values += values
        n_bytes += size
    is_plain = not encodings.isdisjoint((_DELTA_LENGTHS, _DELTA_TEXT))
    is_joined = _DELTA_TEXT in encodings
    return Pages(n_values, n_bytes, largest, is_joined, is_plain, is_joined or _DICTIONARY_PAGE in kinds)


class _Compact:
    """Reads a structure of Thrift's compact protocol; lists, sets and maps are skipped."""

    def __init__(self, data: memoryview, place: int) -> None:
        self._data, self.place = data, place

    def struct(self, depth: int = 0) -> dict[int, Any]:
        """Return the fields of a structure by number."""
        if depth > _MAX_DEPTH:
            raise ValueError("a header nests too deep")
        return {number: self._value(kind, depth) for number, kind in self.fields()}

    def fields(self) -> Iterator[tuple[int, int]]:
        """Yield the number and the type of each field of a structure; whoever takes one reads or skips its value."""
        number = 0
        while True:
            head = self._byte()
            if not head & 15:
                return
            number = number + (head >> 4) if head >> 4 else self._integer()
            yield number, head & 15

    def list_head(self) -> tuple[int, int]:
        """Return the length of a list and the type of its elements."""
        head = self._byte()
        return head >> 4 if head >> 4 < 15 else self._unsigned(), head & 15

    def structs(self) -> Iterator[int]:
        """Yield the places of the structures of a list; whoever takes one reads it."""
        count, kind = self.list_head()
        if kind != _STRUCT:
            raise ValueError("a list holds another type")
        yield from range(count)

    def skip(self, kind: int) -> None:
        """Skip a value."""
        self._value(kind, 0)

    def _value(self, kind: int, depth: int) -> Any:
        if kind in (_TRUE, _FALSE):
            return kind == _TRUE
        if kind == _BYTE:
            return self._byte()
        if kind in _INTEGERS:
            return self._integer()
        if kind == _DOUBLE:
            self._skip(8)
        elif kind == _BINARY:
            self._skip(self._unsigned())
        elif kind in (_LIST, _SET):
            count, inside = self.list_head()
            for _ in range(count):
                self._element(inside, depth)
        elif kind == _MAP:
            count = self._unsigned()
            kinds = self._byte() if count else 0
            for _ in range(count):
                self._element(kinds >> 4, depth)
                self._element(kinds & 15, depth)
        elif kind == _STRUCT:
            return self.struct(depth + 1)
        else:
            raise ValueError("a header holds an unknown type")
        return None

    def _element(self, kind: int, depth: int) -> None:
        if kind in (_TRUE, _FALSE):
            self._byte()  # inside of a list a truth value takes a byte
        else:
            self._value(kind, depth + 1)

    def _byte(self) -> int:
        if self.place < 0:
            raise IndexError(self.place)
        value = self._data[self.place]
        self.place += 1
        return int(value)

    def _skip(self, count: int) -> None:
        self.place += count
        if self.place > len(self._data):
            raise IndexError(self.place)

    def _unsigned(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value
            if shift > 63:
                raise ValueError("a header holds a number of more than 64 bits")

    def _integer(self) -> int:
        value = self._unsigned()
        return (value >> 1) ^ -(value & 1)
