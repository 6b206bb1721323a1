"""``CodeStore``: the codes of an index in the order of their positions, and their form in a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from hashgnn import _native
from hashgnn._types import Array
from hashgnn.codes import BinaryCodes, ItemBias
from hashgnn.errors import ArtifactDamagedError
from hashgnn.index.stores.embedded_codes import EmbeddedCodes
from hashgnn.index.stores.index_file import Contents, SavedIndex
from hashgnn.index.stores.penalties import check_bias_length, new_penalties
from hashgnn.index.stores.segments import (
    SEGMENT_SIZE,
    Segment,
    aligned,
    code_table,
    cut,
    n_blocks,
    pack_segments,
    unpack_rows,
)

_SECTIONS = ("words", "penalty", "alive")
_FEW = 32  # rows that are unpacked one by one: below that NumPy takes longer to begin


@dataclass(frozen=True, eq=False)
class CodeStore:
    """One state of codes that are scanned. It is immutable: a change returns another state.

    Attributes
    ----------
    n_bits : int
    segments : tuple of Segment
        All but the last hold ``segment_size`` codes.
    top : float or None
        Bias of an item without penalty; None: the codes have no bias.
    segment_size : int, default=65536
        Files are written with the default.
    table : CodeTable
        The same for the kernels.
    """

    n_bits: int
    segments: tuple[Segment, ...]
    top: float | None
    segment_size: int = SEGMENT_SIZE
    table: _native.CodeTable = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "table", code_table(self.n_bits, self.segments))

    def __reduce__(self) -> tuple[Any, ...]:
        """Send the segments by value; the table of the kernels is made anew from them."""
        return CodeStore, (self.n_bits, self.segments, self.top, self.segment_size)

    @classmethod
    def build(
        cls, codes: BinaryCodes, bias: ItemBias | None, *, segment_size: int = SEGMENT_SIZE
    ) -> CodeStore:
        """Lay codes out for the kernels."""
        check_bias_length(bias, len(codes))
        segments = pack_segments(codes, None if bias is None else bias.penalty, size=segment_size)
        return cls(codes.n_bits, segments, None if bias is None else bias.top, segment_size)

    @classmethod
    def of_file(cls, saved: SavedIndex, names: Sequence[str] = ()) -> CodeStore:
        """Return the mapped codes of a file, which may hold the sections ``names`` as well."""
        n_bits, n_codes, top = saved.header.n_bits, saved.header.n_codes, saved.header.top
        sections = {name: array for name, array in saved.sections.items() if name not in names}
        if set(sections) - set(_SECTIONS) or len(sections["words"]) != _native.words_of(n_codes, n_bits):
            raise ArtifactDamagedError(
                f"{saved.path}: its sections do not fit {n_codes} codes of {n_bits} bits"
            )
        if (top is None) != ("penalty" not in sections):
            raise ArtifactDamagedError(f"{saved.path}: it must have penalties exactly if it has a top bias")
        _check_length(saved, "penalty", n_blocks(n_codes) * _native.BLOCK)
        _check_length(saved, "alive", n_blocks(n_codes))
        parts = cut(sections["words"], sections.get("penalty"), sections.get("alive"), n_codes, n_bits)
        return cls(n_bits, tuple(parts), top)

    def contents(self) -> Contents:
        """Return the sections of a file for the codes."""
        assert self.segment_size == SEGMENT_SIZE
        parts = {name: self._parts(name) for name in _SECTIONS}
        return Contents(
            {"n_bits": self.n_bits, "n_codes": len(self), "top": self.top},
            {name: part for name, part in parts.items() if part is not None},
        )

    def __len__(self) -> int:
        return len(self.table)

    def search(
        self, queries: BinaryCodes | Array, query_bits: int, arguments: _native.SearchArguments
    ) -> tuple[Any, ...]:
        """Compare queries, codes or floats, with every code."""
        if isinstance(queries, BinaryCodes):
            return self.table.search_codes(queries.packed, arguments)
        return self.table.search_floats(queries, query_bits, arguments)

    def rerank(
        self,
        queries: EmbeddedCodes,
        stages: _native.Stages,
        arguments: _native.SearchArguments,
        *,
        n_probe: int | None,
    ) -> tuple[Any, ...]:
        """Rank the best codes again by ``stages``; there is no list to probe."""
        assert n_probe is None
        return self.table.search_hierarchical(queries.codes.packed, queries.embeddings, stages, arguments)

    def added(self, codes: BinaryCodes, bias: ItemBias | None) -> CodeStore:
        """Return the state with more codes at the end."""
        penalty = new_penalties(codes, bias, n_bits=self.n_bits, top=self.top)
        segments, start = list(self.segments), 0
        while start < len(codes):
            if segments and segments[-1].n_codes < self.segment_size:
                last = segments.pop()
            else:
                last = Segment(aligned(0), None if self.top is None else np.empty(0, np.uint8), None, 0)
            rows = slice(start, min(len(codes), start + self.segment_size - last.n_codes))
            part = None if penalty is None else penalty[rows]
            segments.append(last.grown(codes.packed[rows], part, self.n_bits))
            start = rows.stop
        return replace(self, segments=tuple(segments))

    def updated(self, positions: Array, codes: BinaryCodes, bias: ItemBias | None) -> CodeStore:
        """Return the state with other codes at ``positions``, which are distinct and in range."""
        penalty = new_penalties(codes, bias, n_bits=self.n_bits, top=self.top)
        segments = list(self.segments)
        for number, chosen, rows in self._by_segment(positions):
            part = None if penalty is None else penalty[chosen]
            segments[number] = segments[number].replaced(rows, codes.packed[chosen], part, self.n_bits)
        return replace(self, segments=tuple(segments))

    def removed(self, positions: Array) -> CodeStore:
        """Return the state without the codes at ``positions``, which are in range."""
        segments = list(self.segments)
        for number, _, rows in self._by_segment(positions):
            segments[number] = segments[number].without(rows)
        return replace(self, segments=tuple(segments))

    def alive_mask(self) -> Array:
        """Return which positions hold a code, shape (len(self),), bool; a copy."""
        return np.concatenate([np.empty(0, bool), *(segment.alive_mask() for segment in self.segments)])

    def codes(self, positions: Array | None = None) -> BinaryCodes:
        """Return the codes of some positions, or of all, as packed rows; a copy."""
        if positions is not None:
            packed = np.empty((len(positions), self.n_bits // 8), np.uint8)
            if len(positions) <= _FEW:
                for place, position in enumerate(positions.tolist()):
                    number, row = divmod(position, self.segment_size)
                    _native.unpack(self.segments[number].words, row, packed[place : place + 1])
                return BinaryCodes(packed, self.n_bits)
            for number, chosen, rows in self._by_segment(positions):
                packed[chosen] = unpack_rows(self.segments[number].words, self.n_bits, rows)
            return BinaryCodes(packed, self.n_bits)
        packed = np.empty((len(self), self.n_bits // 8), np.uint8)
        first = 0
        for segment in self.segments:
            _native.unpack(segment.words, 0, packed[first : first + segment.n_codes])
            first += segment.n_codes
        return BinaryCodes(packed, self.n_bits)

    def bias(self, positions: Array | None = None) -> ItemBias | None:
        """Return the item bias of some positions, or of all; a copy."""
        if self.top is None:
            return None
        parts = [s.penalty[: s.n_codes] for s in self.segments if s.penalty is not None]
        if positions is None:
            return ItemBias(np.concatenate([np.empty(0, np.uint8), *parts]), self.top)
        penalty = np.empty(len(positions), np.uint8)
        for number, chosen, rows in self._by_segment(positions):
            penalty[chosen] = parts[number][rows]
        return ItemBias(penalty, self.top)

    def nbytes(self) -> int:
        """Return the bytes of the codes with their bias and marks of removal."""
        return sum(
            array.nbytes
            for segment in self.segments
            for array in (segment.words, segment.penalty, segment.alive)
            if array is not None
        )

    def _by_segment(self, positions: Array) -> list[tuple[int, Array, Array]]:
        """Return number of segment, places in ``positions`` and rows of the segment, for each one touched."""
        numbers, rows = np.divmod(positions, self.segment_size)
        found = []
        for number in np.unique(numbers).tolist():
            chosen = np.flatnonzero(numbers == number)
            found.append((number, chosen, rows[chosen]))
        return found

    def _parts(self, name: str) -> Sequence[Array] | None:
        """Return the arrays that make up a section, one a segment, or None where there is none."""
        arrays = [getattr(segment, name) for segment in self.segments]
        if name == "penalty" and self.top is None:
            return None
        if name == "alive":
            if all(array is None for array in arrays):
                return None
            whole = [np.full(n_blocks(segment.n_codes), 0xFFFFFFFF, np.uint32) for segment in self.segments]
            return [full if array is None else array for full, array in zip(whole, arrays, strict=True)]
        return arrays


def _check_length(saved: SavedIndex, name: str, expected: int) -> None:
    array = saved.sections.get(name)
    if array is not None and len(array) != expected:
        raise ArtifactDamagedError(
            f"{saved.path}: the section {name} must have {expected} entries, got {len(array)}"
        )
