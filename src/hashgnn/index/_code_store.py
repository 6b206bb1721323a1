"""One state of the codes of an index: immutable; a change makes another state."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from hashgnn import _native
from hashgnn._types import Array
from hashgnn.codes import BinaryCodes, ItemBias
from hashgnn.errors import ParameterError
from hashgnn.index._changes import bias_penalty
from hashgnn.index._segments import SEGMENT, Segment, aligned, cut, padded


@dataclass(frozen=True, eq=False)
class CodeStore:
    """Segments with what belongs to all of them.

    Attributes
    ----------
    n_bits : int
    segments : tuple of Segment
        All but the last hold ``SEGMENT`` codes.
    top : float or None
        Bias of an item without penalty; None: the codes have no bias.
    table : CodeTable
        The same for the kernels.
    """

    n_bits: int
    segments: tuple[Segment, ...]
    top: float | None
    table: _native.CodeTable = field(init=False)

    def __post_init__(self) -> None:
        table = _native.CodeTable(self.n_bits, [segment.arguments() for segment in self.segments])
        object.__setattr__(self, "table", table)

    @classmethod
    def build(cls, codes: BinaryCodes, bias: ItemBias | None) -> CodeStore:
        """Lay codes out for the kernels."""
        n = len(codes)
        if bias is not None and len(bias) != n:
            raise ParameterError(f"item_bias must have one value a code, {n}, got {len(bias)}")
        words = aligned(_native.words_of(n, codes.n_bits))
        penalty = None if bias is None else padded(bias.penalty, n)
        segments = tuple(cut(words, penalty, None, n, codes.n_bits))
        for number, segment in enumerate(segments):
            rows = slice(number * SEGMENT, number * SEGMENT + segment.n_codes)
            _native.pack(codes.packed[rows], segment.words, 0)
        return cls(codes.n_bits, segments, None if bias is None else bias.top)

    def __len__(self) -> int:
        return len(self.table)

    def added(self, codes: BinaryCodes, bias: ItemBias | None) -> CodeStore:
        """Return the state with more codes at the end."""
        penalty = bias_penalty(codes, bias, n_bits=self.n_bits, top=self.top)
        segments, start = list(self.segments), 0
        while start < len(codes):
            if segments and segments[-1].n_codes < SEGMENT:
                last = segments.pop()
            else:
                last = Segment(aligned(0), None if self.top is None else np.empty(0, np.uint8), None, 0)
            rows = slice(start, min(len(codes), start + SEGMENT - last.n_codes))
            part = None if penalty is None else penalty[rows]
            segments.append(last.grown(codes.packed[rows], part, self.n_bits))
            start = rows.stop
        return CodeStore(self.n_bits, tuple(segments), self.top)

    def updated(self, positions: Array, codes: BinaryCodes, bias: ItemBias | None) -> CodeStore:
        """Return the state with other codes at ``positions``, which are distinct and in range."""
        penalty = bias_penalty(codes, bias, n_bits=self.n_bits, top=self.top)
        segments = list(self.segments)
        for number in np.unique(positions // SEGMENT).tolist():
            chosen = positions // SEGMENT == number
            rows = positions[chosen] % SEGMENT
            part = None if penalty is None else penalty[chosen]
            segments[number] = segments[number].replaced(rows, codes.packed[chosen], part, self.n_bits)
        return CodeStore(self.n_bits, tuple(segments), self.top)

    def removed(self, positions: Array) -> CodeStore:
        """Return the state without the codes at ``positions``, which are in range."""
        segments = list(self.segments)
        for number in np.unique(positions // SEGMENT).tolist():
            segments[number] = segments[number].without(positions[positions // SEGMENT == number] % SEGMENT)
        return CodeStore(self.n_bits, tuple(segments), self.top)

    def alive_mask(self) -> Array:
        """Return which positions hold a code, shape (len(self),), bool."""
        return np.concatenate([np.empty(0, bool), *(segment.alive_mask() for segment in self.segments)])

    def codes(self) -> BinaryCodes:
        """Return all codes, those of removed positions included, as packed rows; a copy."""
        packed = np.empty((len(self), self.n_bits // 8), np.uint8)
        first = 0
        for segment in self.segments:
            _native.unpack(segment.words, 0, packed[first : first + segment.n_codes])
            first += segment.n_codes
        return BinaryCodes(packed, self.n_bits)

    def bias(self) -> ItemBias | None:
        """Return the item bias of all positions; a copy."""
        if self.top is None:
            return None
        parts = [s.penalty[: s.n_codes] for s in self.segments if s.penalty is not None]
        return ItemBias(np.concatenate([np.empty(0, np.uint8), *parts]), self.top)

    def nbytes(self) -> int:
        """Return the bytes of the codes with their bias and marks of removal."""
        return sum(
            array.nbytes
            for segment in self.segments
            for array in (segment.words, segment.penalty, segment.alive)
            if array is not None
        )
