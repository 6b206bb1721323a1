"""``ListCentres``: what lists of embeddings are made around, and how their rows are written."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from hashgnn import _native
from hashgnn._types import Array
from hashgnn.errors import ArtifactDamagedError
from hashgnn.index.stores.index_file import SavedIndex
from hashgnn.index.stores.quantised_rows import quantiser_contents, quantiser_of_file
from hashgnn.index.stores.row_quantiser import RowQuantiser, row_array

_FLOATS = "centres.float32"
_RADII = "centres.radii.float32"
_BLOCK = 1 << 13  # embeddings that a cache holds


@dataclass(frozen=True, eq=False)
class ListCentres:
    """The centres of lists of embeddings. A row of a list is its embedding less the centre, in few bits.

    Attributes
    ----------
    floats : ndarray of shape (n_lists + 1, width), float32
        A centre a list. The last is the mean of all, for the list of later entries.
    quantiser : RowQuantiser
        Writes the rows; its own centre is 0.
    radii : ndarray of shape (n_lists + 1,), float32
        Root mean square of the distances from the entries of a list to its centre: of two lists with the same product
        of query and centre, the wider one promises more. 0 where it is not known.
    table : CentreTable
        The centres for the kernels.
    for_queries : QuantisedTable
        How queries are compared with rows, for the kernels; it has no rows.
    """

    floats: Array
    quantiser: RowQuantiser
    radii: Array
    table: _native.CentreTable = field(init=False)
    for_queries: _native.QuantisedTable = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "table", _native.CentreTable(np.ascontiguousarray(self.floats), self.radii))
        object.__setattr__(self, "for_queries", self.quantiser.table(row_array(0, self.quantiser.n_bytes)))

    def __reduce__(self) -> tuple[Any, ...]:
        """Send the centres by value; the tables of the kernels are made anew from them."""
        return ListCentres, (np.array(self.floats), self.quantiser, np.array(self.radii))

    @classmethod
    def build(cls, centres: Array, quantiser: RowQuantiser) -> ListCentres:
        """Return centres of lists, shape (n_lists, width), and their mean, for rows of a quantiser.

        Parameters
        ----------
        centres : ndarray of shape (n_lists, width), float32
        quantiser : RowQuantiser
            Made for the embeddings; what it subtracts is left to the centres.
        """
        mean = centres.mean(axis=0, keepdims=True, dtype=np.float32)
        bare = replace(quantiser, centre=np.zeros_like(quantiser.centre))
        return cls(np.concatenate([centres, mean]), bare, np.zeros(len(centres) + 1, np.float32))

    def with_radii(self, radii: Array) -> ListCentres:
        """Return the same centres with the radii of their lists, shape (n_lists,)."""
        largest = float(np.finfo(np.float32).max)
        return replace(self, radii=np.append(np.minimum(radii, largest), 0).astype(np.float32))

    @classmethod
    def of_file(cls, saved: SavedIndex, n_lists: int) -> ListCentres | None:
        """Return the mapped centres of a file, or None where its lists are made around codes."""
        floats = saved.sections.get(_FLOATS)
        if floats is None:
            return None
        quantiser, width = quantiser_of_file(saved), saved.header.width
        if quantiser is None or width is None or len(floats) != (n_lists + 1) * width:
            raise ArtifactDamagedError(
                f"{saved.path}: its centres do not fit {n_lists} lists and a width of {width}"
            )
        if not np.isfinite(floats).all():
            raise ArtifactDamagedError(f"{saved.path}: the centres of its lists must be finite")
        radii = saved.sections.get(
            _RADII, np.zeros(n_lists + 1, np.float32)
        )  # files of earlier versions have none
        if len(radii) != n_lists + 1 or not np.isfinite(radii).all():
            raise ArtifactDamagedError(
                f"{saved.path}: it must have a finite radius for each of {n_lists} lists"
            )
        return cls(floats.reshape(n_lists + 1, width), quantiser, radii)

    def contents(self) -> tuple[dict[str, int], dict[str, list[Array]]]:
        """Return what the header of a file says of the rows, and the sections of centres and directions."""
        values, sections = quantiser_contents(self.quantiser)
        return {**values, "width": self.width}, {**sections, _FLOATS: [self.floats], _RADII: [self.radii]}

    @property
    def n_lists(self) -> int:
        """Number of lists, without the one of later entries."""
        return len(self.floats) - 1

    @property
    def width(self) -> int:
        """Width of the embeddings."""
        return int(self.floats.shape[1])

    def rows_of(self, embeddings: Array, lists: Array, n_threads: int = 1) -> tuple[Array, Array]:
        """Return the rows of embeddings in some lists, and the squares of their distances to the centres.

        Returns
        -------
        rows : ndarray of shape (len(embeddings), n_bytes), uint8
        squares : ndarray of shape (len(embeddings),), float64
        """
        rows, squares = row_array(len(embeddings), self.quantiser.n_bytes), np.empty(len(embeddings))
        for start in range(0, len(embeddings), _BLOCK):
            part = slice(start, start + _BLOCK)
            moved = np.asarray(embeddings[part], np.float32) - self.floats[lists[part]]
            rows[part] = self.quantiser.quantise(moved, n_threads)
            squares[part] = np.einsum("ij,ij->i", moved, moved)
        return rows, squares

    def embeddings_of(self, rows: Array, lists: Array) -> Array:
        """Return what rows in some lists stand for, nearly, shape (len(rows), width), float32."""
        quantiser = self.quantiser
        turned = quantiser.decoded(rows)
        # Turned by the directions of items, so back by those of queries: one transposed inverts the other.
        found: Array = turned @ quantiser.of_queries[:, : quantiser.n_entries].T
        return (found + self.floats[lists]).astype(np.float32)

    def nbytes(self) -> int:
        """Return the bytes of centres, their table and the directions."""
        maps = self.quantiser.of_items.nbytes + self.quantiser.of_queries.nbytes
        return int(self.table.n_bytes) + self.floats.nbytes + maps
