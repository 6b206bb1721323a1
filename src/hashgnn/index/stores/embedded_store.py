"""``EmbeddedStore``: codes with what ranks them again, and their form in a file."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from mmap import mmap
from typing import Any

import numpy as np

from hashgnn._checks import check_matrix, check_threads
from hashgnn._types import Array
from hashgnn.codes import ItemBias
from hashgnn.errors import ArtifactDamagedError, ParameterError
from hashgnn.index._vector_clustering import EmbeddingsOf
from hashgnn.index.stores.code_store import CodeStore
from hashgnn.index.stores.embedded_codes import EmbeddedCodes
from hashgnn.index.stores.index_file import Contents, SavedIndex
from hashgnn.index.stores.list_centres import ListCentres
from hashgnn.index.stores.list_store import ListStore
from hashgnn.index.stores.over_codes import OverCodes
from hashgnn.index.stores.quantised_rows import SECTIONS, QuantisedRows
from hashgnn.index.stores.row_quantiser import RowQuantiser

_SCALE = "scale.float32"
_BLOCK = 1 << 12  # embeddings that a cache holds


@dataclass(frozen=True, eq=False)
class EmbeddedStore(OverCodes[CodeStore | ListStore]):
    """One state of a hierarchical index. It is immutable: a change returns another state.

    Attributes
    ----------
    floats : ndarray of shape (n_codes, width), float32, float16 or int8, or None
        The embedding of each position; None: ``rows`` stand for them.
    scale : ndarray of shape (n_codes,), float32, or None
        Scale of an int8 embedding.
    rows : QuantisedRows or None
        The same embeddings in few bits. There are floats, rows or both; lists around embeddings hold rows of their own.
    """

    floats: Array | None
    scale: Array | None = None
    rows: QuantisedRows | None = None

    @classmethod
    def of_file(cls, saved: SavedIndex) -> EmbeddedStore:
        """Return the mapped codes, rows and embeddings of a file."""
        n_codes, width, dtype = saved.header.n_codes, saved.header.width, saved.header.dtype
        in_lists = saved.header.n_lists is not None
        listed = ListStore.of_file(saved) if in_lists else None
        is_listed = listed is not None and isinstance(listed.centroids, ListCentres)
        quantised = None if is_listed else QuantisedRows.of_file(saved)
        if width is None or (dtype is None and quantised is None and not is_listed):
            raise ArtifactDamagedError(
                f"{saved.path}: in its header width or dtype is missing; it was edited"
            )
        name, floats = f"embeddings.{dtype}", None
        scale = saved.sections.get(_SCALE)
        if dtype is not None:
            floats = saved.sections[name]
            if len(floats) != n_codes * width:
                raise ArtifactDamagedError(
                    f"{saved.path}: its embeddings do not fit {n_codes} codes and a width of {width}"
                )
            floats = floats.reshape(n_codes, width)
        if (dtype == "int8") != (scale is not None):
            raise ArtifactDamagedError(
                f"{saved.path}: its embeddings do not fit {n_codes} codes and a width of {width}"
            )
        if scale is not None and not np.isfinite(scale).all():
            raise ArtifactDamagedError(f"{saved.path}: the scales of its embeddings must be finite")
        if scale is not None and len(scale) != n_codes:
            raise ArtifactDamagedError(f"{saved.path}: it must have a scale for each of {n_codes} codes")
        if listed is not None:
            return cls(listed, floats, scale, quantised)
        return cls(CodeStore.of_file(saved, (name, _SCALE, *SECTIONS)), floats, scale, quantised)

    def contents(self) -> Contents:
        """Return the sections of a file for codes, rows and embeddings."""
        values, sections = self.store.contents()
        more: dict[str, Any] = {"width": self.width, "dtype": self.dtype}
        embeddings = {}
        if self.floats is not None:
            embeddings[f"embeddings.{self.dtype}"] = [self.floats]
        if self.scale is not None:
            embeddings[_SCALE] = [self.scale]
        if self.rows is not None:
            shape, parts = self.rows.contents()
            more |= shape
            embeddings |= parts
        return Contents({**values, **more}, {**sections, **embeddings})

    @cached_property
    def width(self) -> int:
        """Width of the embeddings."""
        if self.floats is not None:
            return int(self.floats.shape[1])
        assert self.quantiser is not None
        return self.quantiser.width

    @cached_property
    def listed(self) -> ListStore | None:
        """The lists, where they are made around embeddings."""
        store = self.store
        return store if isinstance(store, ListStore) and isinstance(store.centroids, ListCentres) else None

    @cached_property
    def quantiser(self) -> RowQuantiser | None:
        """The quantiser of the rows of few bits; None: there are none."""
        if self.listed is not None and isinstance(self.listed.centroids, ListCentres):
            return self.listed.centroids.quantiser
        return None if self.rows is None else self.rows.quantiser

    @property
    def dtype(self) -> str | None:
        """How embeddings are kept; None: they are not, but for rows of few bits."""
        return None if self.floats is None else str(self.floats.dtype.name)

    def added(self, codes: Any, bias: ItemBias | None) -> EmbeddedStore:
        """Return the state with more codes and embeddings at the end."""
        embeddings = self._new_embeddings(codes)
        floats, scale, rows = self.floats, self.scale, self.rows
        if floats is not None:
            new, new_scale = kept_as(embeddings, str(floats.dtype.name), len(embeddings))
            floats = np.concatenate([floats, new])
            scale = None if scale is None or new_scale is None else np.concatenate([scale, new_scale])
        if rows is not None:
            rows = rows.added(embeddings)
        if self.listed is None:
            return EmbeddedStore(self.store.added(codes.codes, bias), floats, scale, rows)
        positions = np.arange(len(self), len(self) + len(embeddings))
        source = self._source(floats, scale, positions, embeddings)
        return EmbeddedStore(self.listed.added(codes.codes, bias, source), floats, scale)

    def extended(self, codes: EmbeddedCodes, bias: ItemBias | None, floats: Array | None) -> EmbeddedStore:
        """Return the state with more entries at the end of lists around embeddings; ``floats`` are those of all."""
        assert self.listed is not None
        positions = np.arange(len(self), len(self) + len(codes))
        source = self._source(floats, None, positions, codes.embeddings)
        return EmbeddedStore(self.listed.added(codes.codes, bias, source), floats)

    def updated(self, positions: Array, codes: Any, bias: ItemBias | None) -> EmbeddedStore:
        """Return the state with other codes and embeddings at ``positions``, distinct and in range."""
        embeddings = self._new_embeddings(codes)
        floats, scale, rows = self.floats, self.scale, self.rows
        if floats is not None:
            new, new_scale = kept_as(embeddings, str(floats.dtype.name), len(embeddings))
            floats = np.array(floats)
            floats[positions] = new
            if scale is not None:
                scale = np.array(scale)
                scale[positions] = new_scale
        if rows is not None:
            rows = rows.updated(positions, embeddings)
        if self.listed is None:
            return EmbeddedStore(self.store.updated(positions, codes.codes, bias), floats, scale, rows)
        source = self._source(floats, scale, positions, embeddings)
        return EmbeddedStore(self.listed.updated(positions, codes.codes, bias, source), floats, scale)

    def _source(
        self, floats: Array | None, scale: Array | None, positions: Array, new: Array
    ) -> EmbeddingsOf:
        """Return what gives the embeddings of some positions after a change; without floats, nearly, from the rows."""
        if floats is not None:
            kept = floats

            def of_floats(some: Array) -> Array:
                found = np.ascontiguousarray(kept[some], np.float32)
                return found if scale is None else found * scale[some][:, None]

            return of_floats
        lists, n_before = self.listed, len(self)
        assert lists is not None
        centres = lists.centroids
        assert isinstance(centres, ListCentres)
        row_of_new = np.full(max(n_before, int(positions.max(initial=-1)) + 1), -1, np.int64)
        row_of_new[positions] = np.arange(len(positions))

        def of_rows(some: Array) -> Array:
            found, rows = np.empty((len(some), new.shape[1]), np.float32), row_of_new[some]
            is_new = rows >= 0
            found[is_new] = new[rows[is_new]]
            found[~is_new] = centres.embeddings_of(*lists.rows(some[~is_new]))
            return found

        return of_rows

    def nbytes(self) -> int:
        """Return the bytes of the codes, their bias, the rows and the embeddings in memory.

        Embeddings that are mapped from a file stay there where rows of few bits say which of them are read.
        """
        parts = [part for part in (self.floats, self.scale) if part is not None]
        if self.quantiser is not None:
            parts = [part for part in parts if not is_mapped(part)]
        rows = 0 if self.rows is None else self.rows.nbytes()
        return self.store.nbytes() + rows + sum(part.nbytes for part in parts)

    def _new_embeddings(self, codes: Any) -> Array:
        if not isinstance(codes, EmbeddedCodes):
            raise ParameterError(
                f"codes must be EmbeddedCodes, an embedding for each, got {type(codes).__name__}"
            )
        width = np.shape(codes.embeddings)[1]
        if width != self.width:
            raise ParameterError(f"embeddings must have {self.width} columns like the index, got {width}")
        return codes.embeddings


def kept_as(embeddings: Any, dtype: str, n_codes: int, n_threads: int = 1) -> tuple[Array, Array | None]:
    """Return embeddings in the dtype to keep, and the scale of each row where that is int8."""
    array = np.asarray(embeddings)
    if array.dtype == np.float16 and dtype == "float16":
        rows = check_matrix("embeddings", array, dtype=np.float16, n_rows=n_codes)
        return rows, None
    floats = check_matrix("embeddings", array, dtype=np.float32, n_rows=n_codes)
    if dtype == "float32":
        return floats, None
    if dtype == "float16":
        halves, most = np.empty(floats.shape, np.float16), float(np.finfo(np.float16).max)

        def halve(start: int) -> None:
            part = floats[start : start + _BLOCK]
            if part.size and max(float(part.max()), -float(part.min())) > most:
                largest = float(np.abs(floats).max())
                raise ParameterError(f"embeddings must be at most 65504 for dtype='float16', got {largest:g}")
            halves[start : start + _BLOCK] = part

        with ThreadPoolExecutor(check_threads(n_threads)) as threads:
            for _ in threads.map(halve, range(0, len(floats), _BLOCK)):
                pass
        return halves, None
    scale = np.abs(floats).max(axis=1, initial=0.0) / np.float32(127)
    steps = np.divide(floats, scale[:, None], out=np.zeros_like(floats), where=scale[:, None] > 0)
    return np.rint(steps).astype(np.int8), scale.astype(np.float32)


def is_mapped(array: Array) -> bool:
    """Return whether an array, or what it is a view of, is mapped from a file."""
    part: Any = array
    while isinstance(part, np.ndarray | memoryview) and not isinstance(part, np.memmap):
        part = part.base if isinstance(part, np.ndarray) else part.obj
    return isinstance(part, np.memmap | mmap)
