"""``QuantisedRows``: embeddings in rows of few bits, and their form in a file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hashgnn import _native
from hashgnn._types import Array
from hashgnn.errors import ArtifactDamagedError
from hashgnn.index.stores.index_file import SavedIndex
from hashgnn.index.stores.row_quantiser import RowQuantiser, row_array

_ROWS = "rows.bytes"
_MAPS = ("of_items", "of_queries", "centre")
_MAP_SECTIONS = tuple(f"rows.{name}.float32" for name in _MAPS)

#: The sections of a file that hold such rows.
SECTIONS = (_ROWS, *_MAP_SECTIONS)


@dataclass(frozen=True, eq=False)
class QuantisedRows:
    """The embedding of each position in a row of few bits. It is immutable: a change returns another one.

    Attributes
    ----------
    quantiser : RowQuantiser
    rows : ndarray of shape (n, quantiser.n_bytes), uint8
        See docs/reference/index-format.md.
    table : QuantisedTable
        The same for the kernels.
    """

    quantiser: RowQuantiser
    rows: Array
    table: _native.QuantisedTable = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "table", self.quantiser.table(self.rows))

    def __reduce__(self) -> tuple[Any, ...]:
        """Send the rows by value; those of the copy begin on a cache line again."""
        return _received, (self.quantiser, self.rows)

    @classmethod
    def build(cls, quantiser: RowQuantiser, embeddings: Array, n_threads: int = 1) -> QuantisedRows:
        """Round each embedding."""
        return cls(quantiser, quantiser.quantise(embeddings, n_threads))

    @classmethod
    def of_file(cls, saved: SavedIndex) -> QuantisedRows | None:
        """Return the mapped rows of a file, or None where it has none."""
        quantiser, header = quantiser_of_file(saved, with_rows=True), saved.header
        if quantiser is None:
            return None
        rows = saved.sections[_ROWS]
        if len(rows) != header.n_codes * quantiser.n_bytes:
            raise ArtifactDamagedError(
                f"{saved.path}: its rows of few bits do not fit {header.n_codes} codes and a width of {header.width}"
            )
        return cls(quantiser, rows.reshape(header.n_codes, quantiser.n_bytes))

    def contents(self) -> tuple[dict[str, int], dict[str, list[Array]]]:
        """Return what the header of a file says of the rows, and their sections."""
        values, sections = quantiser_contents(self.quantiser)
        return values, {_ROWS: [self.rows], **sections}

    def added(self, embeddings: Array) -> QuantisedRows:
        """Return the rows with those of more embeddings at the end."""
        new = self.quantiser.quantise(embeddings)
        rows = row_array(len(self.rows) + len(new), self.quantiser.n_bytes)
        rows[: len(self.rows)], rows[len(self.rows) :] = self.rows, new
        return QuantisedRows(self.quantiser, rows)

    def updated(self, positions: Array, embeddings: Array) -> QuantisedRows:
        """Return the rows with those of other embeddings at ``positions``."""
        new = self.quantiser.quantise(embeddings)
        changed = _received(self.quantiser, self.rows)
        changed.rows[positions] = new
        return changed

    def nbytes(self) -> int:
        """Return the bytes of the rows and of what they are turned by."""
        parts = (self.rows, *(getattr(self.quantiser, name) for name in _MAPS))
        return sum(part.nbytes for part in parts)


def _received(quantiser: RowQuantiser, rows: Array) -> QuantisedRows:
    copied = row_array(*rows.shape)
    copied[:] = rows
    return QuantisedRows(quantiser, copied)


def quantiser_of_file(saved: SavedIndex, *, with_rows: bool = False) -> RowQuantiser | None:
    """Return what the rows of a file were written by, its directions mapped, or None where it has no rows.

    ``with_rows`` says that the rows of all positions must lie in a section of their own.
    """
    header, sections = saved.header, saved.sections
    shape = (header.row_bits, header.row_bytes, header.row_entries)
    names = SECTIONS if with_rows else _MAP_SECTIONS
    present = {name in sections for name in names}
    if shape == (None, None, None) and present == {False}:
        return None
    if None in shape or present != {True}:
        raise ArtifactDamagedError(f"{saved.path}: parts of its rows of few bits are missing; it was edited")
    bits, n_bytes, n_entries = (int(value) for value in shape if value is not None)
    of_items, of_queries, centre = (sections[name] for name in _MAP_SECTIONS)
    width = header.width
    n_columns = -(-n_entries // 16) * 16
    if len(centre) != width or not len(of_items) == len(of_queries) == (width or 0) * n_columns:
        raise ArtifactDamagedError(
            f"{saved.path}: its rows of few bits do not fit {header.n_codes} codes and a width of {width}"
        )
    if not all(np.isfinite(part).all() for part in (of_items, of_queries, centre)):
        raise ArtifactDamagedError(f"{saved.path}: the directions of its rows must be finite")
    of_shape = (len(centre), n_columns)
    return RowQuantiser(
        bits, n_bytes, n_entries, of_items.reshape(of_shape), of_queries.reshape(of_shape), centre
    )


def quantiser_contents(quantiser: RowQuantiser) -> tuple[dict[str, int], dict[str, list[Array]]]:
    """Return what the header of a file says of a quantiser, and its sections."""
    values = {"row_bits": quantiser.bits, "row_bytes": quantiser.n_bytes, "row_entries": quantiser.n_entries}
    return values, {name: [getattr(quantiser, part)] for name, part in zip(_MAP_SECTIONS, _MAPS, strict=True)}
