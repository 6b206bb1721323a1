"""Coarse to fine: candidates by code, re-ranked by floats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from hashgnn._checks import check_choice, check_int, check_matrix
from hashgnn._types import Array
from hashgnn.codes import BinaryCodes, ItemBias
from hashgnn.errors import ArtifactDamagedError, ParameterError
from hashgnn.index._arguments import check_filter, check_k, check_queries, search_arguments
from hashgnn.index._tuning import check_sample, kth_products, smallest_integer, smallest_power
from hashgnn.index.base import MutableIndex
from hashgnn.index.stores.code_store import CodeStore
from hashgnn.index.stores.embedded_codes import EmbeddedCodes
from hashgnn.index.stores.index_file import Contents, SavedIndex
from hashgnn.index.stores.list_store import ListStore
from hashgnn.ranking import CandidateFilter, Matches

_DTYPES = ("float32", "float16", "int8")
_SCALE = "scale.float32"
_SLACK = 1e-5  # sums of floats depend on their order; relative to the sum


@dataclass(frozen=True, eq=False)
class EmbeddedStore:
    """One state of a hierarchical index. It is immutable: a change returns another state.

    Attributes
    ----------
    store : CodeStore or ListStore
    rows : ndarray of shape (n_codes, width), float32, float16 or int8
        The embedding of each position.
    scale : ndarray of shape (n_codes,), float32, or None
        Scale of an int8 row.
    """

    store: CodeStore | ListStore
    rows: Array
    scale: Array | None

    @classmethod
    def build(cls, store: CodeStore | ListStore, embeddings: Array, dtype: str) -> EmbeddedStore:
        """Give each code its embedding, in the dtype to keep."""
        return cls(store, *_quantised(embeddings, dtype, len(store)))

    @classmethod
    def of_file(cls, saved: SavedIndex) -> EmbeddedStore:
        """Return the mapped codes and embeddings of a file."""
        n_codes, width, dtype = saved.header.n_codes, saved.header.width, saved.header.dtype
        if width is None or dtype is None:
            raise ArtifactDamagedError(
                f"{saved.path}: in its header width or dtype is missing; it was edited"
            )
        name = f"embeddings.{dtype}"
        rows, scale = saved.sections[name], saved.sections.get(_SCALE)
        if len(rows) != n_codes * width or (dtype == "int8") != (scale is not None):
            raise ArtifactDamagedError(
                f"{saved.path}: its embeddings do not fit {n_codes} codes and a width of {width}"
            )
        if scale is not None and not np.isfinite(scale).all():
            raise ArtifactDamagedError(f"{saved.path}: the scales of its embeddings must be finite")
        if scale is not None and len(scale) != n_codes:
            raise ArtifactDamagedError(f"{saved.path}: it must have a scale for each of {n_codes} codes")
        in_lists = saved.header.n_lists is not None
        store = ListStore.of_file(saved) if in_lists else CodeStore.of_file(saved, (name, _SCALE))
        return cls(store, rows.reshape(n_codes, width), scale)

    def contents(self) -> Contents:
        """Return the sections of a file for codes and embeddings."""
        values, sections = self.store.contents()
        embeddings = {f"embeddings.{self.dtype}": [self.rows]}
        if self.scale is not None:
            embeddings[_SCALE] = [self.scale]
        shape = {"width": self.width, "dtype": self.dtype}
        return Contents({**values, **shape}, {**sections, **embeddings})

    @property
    def n_bits(self) -> int:
        """Width of the codes."""
        return self.store.n_bits

    @property
    def top(self) -> float | None:
        """Bias of an item without penalty; None: the codes have no bias."""
        return self.store.top

    @property
    def width(self) -> int:
        """Width of the embeddings."""
        return int(self.rows.shape[1])

    @property
    def dtype(self) -> str:
        """How embeddings are kept."""
        return str(self.rows.dtype.name)

    def __len__(self) -> int:
        return len(self.store)

    def added(self, codes: Any, bias: ItemBias | None) -> EmbeddedStore:
        """Return the state with more codes and embeddings at the end."""
        rows, scale = self._new_rows(codes)
        scales = None if self.scale is None or scale is None else np.concatenate([self.scale, scale])
        return EmbeddedStore(self.store.added(codes.codes, bias), np.concatenate([self.rows, rows]), scales)

    def updated(self, positions: Array, codes: Any, bias: ItemBias | None) -> EmbeddedStore:
        """Return the state with other codes and embeddings at ``positions``, distinct and in range."""
        rows, scale = self._new_rows(codes)
        changed = np.array(self.rows)
        changed[positions] = rows
        scales = None
        if self.scale is not None and scale is not None:
            scales = np.array(self.scale)
            scales[positions] = scale
        return EmbeddedStore(self.store.updated(positions, codes.codes, bias), changed, scales)

    def removed(self, positions: Array) -> EmbeddedStore:
        """Return the state without the codes at ``positions``, which are in range."""
        return replace(self, store=self.store.removed(positions))

    def alive_mask(self) -> Array:
        """Return which positions hold a code, shape (len(self),), bool; a copy."""
        return self.store.alive_mask()

    def codes(self, positions: Array | None = None) -> BinaryCodes:
        """Return the codes of some positions, or of all, as packed rows; a copy."""
        return self.store.codes(positions)

    def bias(self, positions: Array | None = None) -> ItemBias | None:
        """Return the item bias of some positions, or of all; a copy."""
        return self.store.bias(positions)

    def nbytes(self) -> int:
        """Return the bytes of the codes, their bias and the embeddings."""
        return self.store.nbytes() + self.rows.nbytes + (0 if self.scale is None else self.scale.nbytes)

    def _new_rows(self, codes: Any) -> tuple[Array, Array | None]:
        if not isinstance(codes, EmbeddedCodes):
            raise ParameterError(
                f"codes must be EmbeddedCodes, an embedding for each, got {type(codes).__name__}"
            )
        rows, scale = _quantised(codes.embeddings, self.dtype, len(codes))
        if rows.shape[1] != self.width:
            raise ParameterError(
                f"embeddings must have {self.width} columns like the index, got {rows.shape[1]}"
            )
        return rows, scale


class HierarchicalIndex(MutableIndex[EmbeddedStore]):
    """Search by code, then re-rank the best by inner product of embeddings.

    It takes the codes as they are when it is made. Later changes go through its own :meth:`add`,
    :meth:`update` and :meth:`remove`, and a search at the same time sees all of a change or nothing.
    Queries and new entries are :class:`EmbeddedCodes`. The embeddings are copied whole for a change, so
    bring many changes together.

    Parameters
    ----------
    index : HammingIndex or InvertedFile
        Finds the candidates, with the item bias where it has one. A scan finds the best by code. An
        inverted file finds those of its nearest lists, in a small part of the time on millions of codes.
    embeddings : ndarray of shape (len(index), width), float32 or float16
        Used in place where it has the dtype already, so it may be memory-mapped.
    dtype : {"float32", "float16", "int8"}, default="float32"
        How the embeddings are kept. float16 halves the memory. int8 keeps one scale a row as well; an
        entry is off by at most half a step of ``largest / 127`` of its row.
    oversampling : int, default=5
        Candidates by code for each result. More candidates find more of what an exhaustive search by
        floats would find. The attribute may be set at any time.

    See Also
    --------
    HammingIndex : By code alone.
    InvertedFile : The coarse step over lists.

    Examples
    --------
    >>> import numpy as np
    >>> from hashgnn.index import HammingIndex
    >>> vectors = np.array([[1.0, 1.0], [1.0, 3.0], [-1.0, -1.0]], np.float32)
    >>> codes = BinaryCodes(np.packbits(np.repeat(vectors > 0, 4, axis=1), axis=1))
    >>> index = HierarchicalIndex(HammingIndex(codes), vectors, oversampling=2)
    >>> index.search(EmbeddedCodes(codes, vectors)[:1], 1).positions.tolist()
    [[1]]
    """

    kind = "hierarchical"
    unsupported = frozenset({"float queries"})

    def __init__(
        self,
        index: MutableIndex[CodeStore] | MutableIndex[ListStore],
        embeddings: Array,
        *,
        dtype: str = "float32",
        oversampling: int = 5,
    ) -> None:
        source: Any = index
        store = source.snapshot() if isinstance(source, MutableIndex) else None
        if not isinstance(store, CodeStore | ListStore):
            raise ParameterError(
                f"index must be a HammingIndex or an InvertedFile, got {type(index).__name__}"
            )
        check_choice("dtype", dtype, _DTYPES)
        self._n_probe = index.n_probe
        self.oversampling = oversampling
        self._begin(EmbeddedStore.build(store, embeddings, dtype))

    @classmethod
    def of_checked(cls, index: MutableIndex[CodeStore] | MutableIndex[ListStore], rows: Array) -> Self:
        """Return an index over float32 embeddings that were checked before, without reading them all."""
        made = cls.__new__(cls)
        made._n_probe, made.oversampling = index.n_probe, 5
        made._begin(EmbeddedStore(index.snapshot(), rows, None))
        return made

    @property
    def n_probe(self) -> int | None:
        """Lists that a query scans, at first those of the inverted file; None: all codes are scanned."""
        return self._n_probe

    @n_probe.setter
    def n_probe(self, value: int) -> None:
        if self._n_probe is None:
            raise ParameterError(f"n_probe is for candidates from an InvertedFile, got {value!r} for a scan")
        self._n_probe = check_int("n_probe", value, minimum=1)

    @property
    def oversampling(self) -> int:
        """Candidates by code for each result."""
        return self._oversampling

    @oversampling.setter
    def oversampling(self, value: int) -> None:
        self._oversampling = check_int("oversampling", value, minimum=1)

    def __repr__(self) -> str:
        lists = "" if self._n_probe is None else f", n_probe={self._n_probe}"
        return (
            f"HierarchicalIndex(n={len(self)}, n_bits={self.n_bits}, dtype={self._state.dtype!r}, "
            f"oversampling={self.oversampling}{lists})"
        )

    def search(
        self,
        queries: BinaryCodes | EmbeddedCodes | Array,
        k: int,
        *,
        oversampling: int | None = None,
        candidates: CandidateFilter | None = None,
        biased: bool = True,
        n_threads: int = 1,
    ) -> Matches:
        """Find the ``k`` best by inner product among the ``k * oversampling`` best by code.

        Parameters
        ----------
        queries : EmbeddedCodes of shape (n_queries, n_bits), with embeddings (n_queries, width)
        k : int
            Results a query, ``1 <= k <= len(self)``.
        oversampling : int or None, default=None
            ``None`` takes that of the index.
        candidates, n_threads
            As for :meth:`CandidateIndex.search`.
        biased : bool, default=True
            Find the candidates with the item bias, where the index has one. Scores have no bias.

        Returns
        -------
        Matches
            Scores are inner products. They are the same on every processor, as products are added in one
            order. ``distances`` is None.
        """
        size = self.oversampling if oversampling is None else oversampling
        return self._search(queries, k, size, self._n_probe, candidates, biased, n_threads)

    def tune(
        self, queries: EmbeddedCodes, k: int, *, index_recall: float = 0.95, n_threads: int = 1
    ) -> float:
        """Set the smallest ``oversampling`` that reaches an index recall.

        Over an inverted file ``n_probe`` is set as well, to the smallest power of two that reaches as
        much. Every embedding is read once for each block of queries, as an exhaustive search does.

        Parameters
        ----------
        queries : EmbeddedCodes
            A sample of the queries to come; some tens are enough.
        k : int
        index_recall : float, default=0.95
            Mean share of the exact best ``k`` by inner product to find, in ``(0, 1]``.

        Returns
        -------
        float
            The index recall that was reached.

        Examples
        --------
        >>> import numpy as np
        >>> from hashgnn.index import HammingIndex
        >>> vectors = np.random.default_rng(0).standard_normal((200, 16)).astype(np.float32)
        >>> codes = BinaryCodes.from_signs(vectors)
        >>> index = HierarchicalIndex(HammingIndex(codes), vectors)
        >>> sample = EmbeddedCodes(codes, vectors)[:20]
        >>> recall = index.tune(sample, 10, index_recall=0.8)
        >>> index.oversampling, round(recall, 2)
        (7, 0.81)
        """
        requested, state = check_sample(queries, index_recall), self._state
        n_lists = state.store.n_lists if isinstance(state.store, ListStore) else None
        first = self._search(queries, k, 1, n_lists, None, True, n_threads)
        vectors = np.asarray(queries.embeddings, np.float32)
        size = first.k
        kth = kth_products(vectors, state.rows, state.scale, state.alive_mask(), size)
        kth -= _SLACK * np.abs(kth)

        def reached(oversampling: int, n_probe: int | None) -> float:
            found = self._search(queries, k, oversampling, n_probe, None, True, n_threads)
            is_found = (found.scores >= kth[:, None]) & (found.positions >= 0)
            return float(is_found.sum() / max(1, int(first.counts.sum())))

        largest = -(-len(state) // size)
        self.oversampling, share = smallest_integer(lambda value: reached(value, n_lists), requested, largest)
        if n_lists is not None:
            self.n_probe, share = smallest_power(
                lambda value: reached(self.oversampling, value), requested, n_lists
            )
        return share

    def _search(
        self,
        queries: Any,
        k: Any,
        oversampling: Any,
        n_probe: int | None,
        candidates: Any,
        biased: bool,
        n_threads: Any,
    ) -> Matches:
        state = self._state
        if not isinstance(queries, EmbeddedCodes):
            raise ParameterError(
                "queries must be EmbeddedCodes for a HierarchicalIndex, codes with an embedding each, "
                f"got {type(queries).__name__}"
            )
        check_queries(queries.codes, state.n_bits)
        vectors = check_matrix(
            "embeddings of queries", queries.embeddings, dtype=np.float32, n_columns=state.width
        )
        size = check_k(k, len(state))
        n_candidates = min(size * check_int("oversampling", oversampling, minimum=1), len(state))
        limits, share, narrowed = check_filter(candidates), 1.0, dict[str, Any]()
        if n_probe is not None and isinstance(state.store, ListStore):
            tables, limits, share = state.store.narrowed(limits, len(queries), n_probe)
            narrowed = {"tables": tables}
        arguments = search_arguments(size, n_threads, limits, biased=biased, top=state.top, share=share)
        if vectors is not queries.embeddings:
            queries = EmbeddedCodes(queries.codes, vectors)
        found = Matches(
            *state.store.rerank(
                queries, state.rows, state.scale, n_candidates, arguments, n_probe=n_probe, **narrowed
            )
        )
        if not found.is_finite:
            raise ParameterError(
                "inner products must be finite, got NaN or infinity; an embedding is too large, or not finite"
            )
        return found

    def _settings(self) -> Mapping[str, int]:
        lists = {} if self._n_probe is None else {"n_probe": self._n_probe}
        return {"oversampling": self.oversampling, **lists}

    def _restore(self, saved: SavedIndex) -> None:
        state = EmbeddedStore.of_file(saved)
        in_lists = isinstance(state.store, ListStore)
        self._n_probe = check_int("n_probe", saved.settings["n_probe"], minimum=1) if in_lists else None
        self.oversampling = saved.settings["oversampling"]
        self._begin(state)


def _quantised(embeddings: Any, dtype: str, n_codes: int) -> tuple[Array, Array | None]:
    """Return embeddings in the dtype to keep, and the scale of each row where that is int8."""
    array = np.asarray(embeddings)
    if array.dtype == np.float16 and dtype == "float16":
        rows = check_matrix("embeddings", array, dtype=np.float16, n_rows=n_codes)
        return rows, None
    floats = check_matrix("embeddings", array, dtype=np.float32, n_rows=n_codes)
    if dtype == "float32":
        return floats, None
    if dtype == "float16":
        largest = float(np.abs(floats).max(initial=0.0))
        if largest > float(np.finfo(np.float16).max):
            raise ParameterError(f"embeddings must be at most 65504 for dtype='float16', got {largest:g}")
        return floats.astype(np.float16), None
    scale = np.abs(floats).max(axis=1, initial=0.0) / np.float32(127)
    steps = np.divide(floats, scale[:, None], out=np.zeros_like(floats), where=scale[:, None] > 0)
    return np.rint(steps).astype(np.int8), scale.astype(np.float32)
