"""``SortedTexts``: texts of an Arrow array, perhaps memory-mapped, found by binary search."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hashgnn._types import Array
from hashgnn.data._id_kinds import is_utf_8

_MANY = 4096  # texts that are looked up together: a hash table of all is then cheaper than so many searches


def integers(column: pa.Array) -> Array:
    """Return a column of integers without nulls as NumPy's view of its memory.

    ``to_numpy`` would import pandas, which takes a quarter of a second.
    """
    dtype = np.dtype(f"i{column.type.bit_width // 8}")
    return np.frombuffer(column.buffers()[1] or b"", dtype)[column.offset : column.offset + len(column)]


def indices(array: Array) -> pa.Array:
    """Return int64 indices as Arrow's view of their memory; ``pa.array`` would import pandas."""
    contiguous = np.ascontiguousarray(array, np.int64)
    return pa.Array.from_buffers(pa.int64(), len(contiguous), [None, pa.py_buffer(contiguous)])


class SortedTexts(Sequence[bytes]):
    """Texts in ascending order, as the UTF-8 bytes of an Arrow array; nothing is copied.

    Parameters
    ----------
    array : pyarrow.Array of large_string
        Without nulls.
    order : ndarray of shape (n,), int32 or int64, or None
        Positions of the array in ascending order of its texts; None: it is ascending.
    """

    def __init__(self, array: pa.Array, order: Array | None) -> None:
        self.array, self._order = array, order
        _, offsets, data = array.buffers()
        self._offsets = np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1]
        self._data = memoryview(b"" if data is None else data)

    def __reduce__(self) -> tuple[Any, ...]:
        """Send the texts by value, also those of a mapped file."""
        return SortedTexts, (self.array, self._order)

    @property
    def are_distinct(self) -> bool:
        """Whether each text is greater than the one before it."""
        array = self.array if self._order is None else self.array.take(indices(self._order))
        return len(array) < 2 or bool(pc.all(pc.less(array[:-1], array[1:])).as_py())

    def positions(self, texts: list[str]) -> Array:
        """Return the position of each text in the array, int64, -1 where it is not there."""
        if len(texts) > _MANY and all(map(is_utf_8, texts)):
            places = pc.index_in(pa.array(texts, pa.large_string()), value_set=self.array).fill_null(-1)
            return np.asarray(places).astype(np.int64)
        found = [self._position(text) for text in texts]
        return np.array(found, np.int64)

    def __len__(self) -> int:
        return len(self.array)

    @overload
    def __getitem__(self, place: int) -> bytes: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[bytes]: ...
    def __getitem__(self, place: int | slice) -> bytes | Sequence[bytes]:
        """Return the text at a place of the ascending order."""
        if isinstance(place, slice):
            return [self[one] for one in range(*place.indices(len(self)))]
        position = place if self._order is None else self._order[place]
        return bytes(self._data[self._offsets[position] : self._offsets[position + 1]])

    def _position(self, text: str) -> int:
        try:
            wanted = text.encode()
        except UnicodeEncodeError:  # a lone surrogate, which no written text has
            return -1
        place = bisect_left(self, wanted)
        if place == len(self) or self[place] != wanted:
            return -1
        return place if self._order is None else int(self._order[place])
