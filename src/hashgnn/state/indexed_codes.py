"""``IndexedCodes``: the codes of an index as rows, unpacked when they are read."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from hashgnn._types import Array
from hashgnn.codes import BinaryCodes, ItemBias
from hashgnn.errors import ParameterError
from hashgnn.index import HammingIndex, InvertedFile


class IndexedCodes(BinaryCodes):
    """Codes that are kept in an index, in the layout of the kernels, and nowhere else.

    Some rows are unpacked alone. ``packed`` unpacks all of them once and keeps the result.

    Parameters
    ----------
    index : HammingIndex or InvertedFile

    Attributes
    ----------
    index : HammingIndex or InvertedFile
    bias : ItemBias of length n, or None
        That of the index.
    """

    __slots__ = ("__dict__",)

    index: HammingIndex | InvertedFile
    bias: ItemBias | None

    def __init__(self, index: HammingIndex | InvertedFile) -> None:
        # The attributes of immutable codes are set past their own __setattr__.
        for name, value in (("index", index), ("n_bits", index.n_bits), ("bias", index.item_bias())):
            object.__setattr__(self, name, value)

    @classmethod
    def of(cls, index: HammingIndex | InvertedFile, bias: ItemBias | None) -> IndexedCodes:
        """Return the codes of an index whose bias is at hand, the very object that a ``Side`` will hold."""
        return _received(index, bias)

    def __reduce__(self) -> tuple[Any, ...]:
        """Send the index and the bias; rows that were unpacked are left behind."""
        # The bias is the very object that a ``Side`` holds, and stays so in a copy of both.
        return _received, (self.index, self.bias)

    @property
    def packed(self) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
        """Packed bits of all codes, shape (n, n_bits // 8), uint8."""
        return self._all.packed

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, rows: slice | Array | list[int]) -> BinaryCodes:
        """Return the codes of a slice, an index array or a boolean mask; never a bare row."""
        if isinstance(rows, (int, np.integer)):
            raise ParameterError(
                f"rows must be a slice or an array, got {rows}; use codes[{rows}:{rows + 1}]"
            )
        if isinstance(rows, slice):
            return self.index.codes(np.arange(*rows.indices(len(self))))
        positions = np.asarray(rows)
        if positions.dtype == bool:
            return self.index.codes(np.flatnonzero(positions))
        if positions.size and positions.min() < 0:
            positions = np.where(positions < 0, positions + len(self), positions)
        return self.index.codes(positions)

    @cached_property
    def _all(self) -> BinaryCodes:
        return self.index.codes()


def _received(index: HammingIndex | InvertedFile, bias: ItemBias | None) -> IndexedCodes:
    codes = IndexedCodes.__new__(IndexedCodes)
    for name, value in (("index", index), ("n_bits", index.n_bits), ("bias", bias)):
        object.__setattr__(codes, name, value)
    return codes
