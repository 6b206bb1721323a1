"""Coarse to fine: candidates by code, ranked again by rows of few bits, by floats, or by both in turn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from hashgnn import _native
from hashgnn._addresses import path_of
from hashgnn._checks import check_choice, check_int, check_matrix
from hashgnn._types import Array
from hashgnn.codes import BinaryCodes, ItemBias
from hashgnn.errors import ArtifactDamagedError, ParameterError
from hashgnn.index._arguments import check_filter, check_k, check_queries, search_arguments
from hashgnn.index._stage_tuning import StageTuner, Tuned
from hashgnn.index._tuning import check_sample
from hashgnn.index._vector_clustering import default_n_vector_lists
from hashgnn.index.base import MutableIndex
from hashgnn.index.stores.code_store import CodeStore
from hashgnn.index.stores.embedded_codes import EmbeddedCodes
from hashgnn.index.stores.embedded_store import EmbeddedStore, kept_as
from hashgnn.index.stores.index_file import Contents, SavedIndex, reading_index, write_index
from hashgnn.index.stores.list_centres import ListCentres
from hashgnn.index.stores.list_store import ListStore
from hashgnn.index.stores.quantised_rows import QuantisedRows
from hashgnn.index.stores.row_quantiser import RowQuantiser
from hashgnn.ranking import CandidateFilter, Matches

_DTYPES = ("float32", "float16", "int8")
_ROWS_KIND = "rows"  # of files that hold rows and no floats
_USUAL_PROBE = 16


class HierarchicalIndex(MutableIndex[EmbeddedStore]):
    """Search by code, then rank the best again: by rows of few bits, by inner product of embeddings, or both.

    Without ``rows`` the candidates by code are ranked by floats. With them the candidates are ranked by
    rows of 2, 3, 4 or 8 bits an entry, which are a small part of the bytes. Floats then rank only the best of
    these, or none, and need not be kept.

    It takes the codes as they are when it is made. Later changes go through its own :meth:`add`,
    :meth:`update` and :meth:`remove`, and a search at the same time sees all of a change or nothing.
    Queries and new entries are :class:`EmbeddedCodes`. Rows and embeddings are copied whole for a change, so
    bring many changes together.

    Parameters
    ----------
    index : HammingIndex or InvertedFile
        Finds the candidates, with the item bias where it has one. A scan finds the best by code. An
        inverted file finds those of its nearest lists, in a small part of the time on millions of codes.
    embeddings : ndarray of shape (len(index), width), float32 or float16
        Used in place where it has the dtype already, so it may be memory-mapped.
    dtype : {"float32", "float16", "int8"} or None, default="float32"
        How the embeddings are kept. float16 halves the memory. int8 keeps one scale a row as well; an
        entry is off by at most half a step of ``largest / 127`` of its row. ``None`` keeps only ``rows``.
    oversampling : int, default=5
        Candidates by code for each result. More candidates find more of what an exhaustive search by
        floats would find. The attribute may be set at any time.
    rows : RowQuantiser or None, default=None
        Rounds the embeddings to rows of few bits.
    refined : int or None, default=None
        Of the best by rows, how many for each result floats rank; 0: none. ``None`` takes 2 where there are
        rows and floats. The attribute may be set at any time.
    n_lists : int or None, default=None
        Lists around centres of the embeddings. A query reads the rows of the ``n_probe`` that promise most
        instead of codes, and ``oversampling`` means nothing. ``None``: candidates come from ``index``.
    n_threads : int, default=1
        Threads that cluster and round the embeddings.

    See Also
    --------
    HammingIndex : By code alone.
    InvertedFile : The coarse step over lists.
    build_index : Chooses lists, rows and how far to look by an index recall and a memory budget.

    Examples
    --------
    >>> import numpy as np
    >>> from hashgnn.index import HammingIndex
    >>> vectors = np.array([[1.0, 1.0], [1.0, 3.0], [-1.0, -1.0]], np.float32)
    >>> codes = BinaryCodes(np.packbits(np.repeat(vectors > 0, 4, axis=1), axis=1))
    >>> index = HierarchicalIndex(HammingIndex(codes), vectors, oversampling=2)
    >>> index.search(EmbeddedCodes(codes, vectors)[:1], 1).positions.tolist()
    [[1]]
    >>> rows = RowQuantiser.fit(vectors, bits=8)
    >>> index = HierarchicalIndex(HammingIndex(codes), vectors, dtype=None, rows=rows)
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
        dtype: str | None = "float32",
        oversampling: int = 5,
        rows: RowQuantiser | None = None,
        refined: int | None = None,
        n_lists: int | None = None,
        n_threads: int = 1,
    ) -> None:
        source: Any = index
        store = source.snapshot() if isinstance(source, MutableIndex) else None
        if not isinstance(store, CodeStore | ListStore):
            raise ParameterError(
                f"index must be a HammingIndex or an InvertedFile, got {type(index).__name__}"
            )
        floats, scale = None, None
        if dtype is not None:
            check_choice("dtype", dtype, _DTYPES)
            floats, scale = kept_as(embeddings, dtype, len(store), n_threads)
        elif rows is None:
            raise ParameterError("dtype must be one of 'float32', 'float16', 'int8' without rows, got None")
        quantised = None
        if rows is not None:
            if len(np.asarray(embeddings)) != len(store):
                raise ParameterError(
                    f"embeddings must have {len(store)} rows like the index, got {len(np.asarray(embeddings))}"
                )
            if n_lists is None:
                quantised = QuantisedRows.build(rows, embeddings, n_threads)
        self._n_probe = index.n_probe
        if n_lists is not None:
            size = check_int("n_lists", n_lists, minimum=1, maximum=max(1, len(store)))
            store = _around(store, embeddings, rows, size, n_threads)
            self._n_probe = min(_USUAL_PROBE, size)
        self.oversampling = oversampling
        self._begin(EmbeddedStore(store, floats, scale, quantised))
        self.refined = self._usual_refined if refined is None else refined

    @classmethod
    def of_checked(
        cls,
        index: MutableIndex[CodeStore] | MutableIndex[ListStore],
        floats: Array | None,
        rows: QuantisedRows | None = None,
    ) -> Self:
        """Return an index over float32 embeddings and rows that were checked before, without reading them all."""
        made = cls.__new__(cls)
        made._n_probe, made.oversampling = index.n_probe, 5
        made._begin(EmbeddedStore(index.snapshot(), floats, None, rows))
        made.refined = made._usual_refined
        return made

    @classmethod
    def in_lists(
        cls,
        index: MutableIndex[CodeStore] | MutableIndex[ListStore],
        embeddings: Array,
        rows: RowQuantiser,
        *,
        keeps_floats: bool = True,
        n_lists: int | None = None,
        n_threads: int = 1,
    ) -> Self:
        """Return an index in lists around embeddings, float32 ones that were checked before.

        ``n_lists=None`` takes about eight square roots of their number. Floats are used in place, or left out.
        """
        size = default_n_vector_lists(len(index)) if n_lists is None else n_lists
        made = cls.__new__(cls)
        store = _around(index.snapshot(), embeddings, rows, size, n_threads)
        made._n_probe, made.oversampling = min(_USUAL_PROBE, size), 5
        made._begin(EmbeddedStore(store, embeddings if keeps_floats else None))
        made.refined = made._usual_refined
        return made

    def without_floats(self) -> Self:
        """Return an index with the same codes and rows, which looks as far as this one and keeps no floats."""
        other = type(self).__new__(type(self))
        other.__dict__.update(self.__getstate__())
        other._begin(replace(self._state, floats=None, scale=None))
        other._refined = 0
        return other

    def extended(self, entries: EmbeddedCodes, item_bias: ItemBias | None, floats: Array) -> Self:
        """Return an index in lists around embeddings with more entries; this one stays as it is.

        ``floats`` are the embeddings of all, used in place where the index keeps them.
        """
        other = type(self).__new__(type(self))
        other.__dict__.update(self.__getstate__())
        kept = None if self._state.floats is None else floats
        other._begin(self._state.extended(entries, item_bias, kept))
        return other

    def over(
        self,
        index: MutableIndex[CodeStore] | MutableIndex[ListStore],
        floats: Array | None,
        rows: QuantisedRows | None,
    ) -> Self:
        """Return another index with these codes, float32 embeddings and rows, which looks as far as this one."""
        other = self.of_checked(index, floats, rows)
        other._n_probe, other._oversampling, other._refined = self._n_probe, self._oversampling, self._refined
        return other

    def save_rows(self, path: str | Path) -> None:
        """Write the rows, and how far each stage looks, to a file without codes and floats, atomically."""
        rows, state = self._state.rows, self._state
        if state.listed is not None:
            write_index(
                path_of(path),
                _ROWS_KIND,
                replace(state, floats=None, scale=None).contents(),
                self._settings(),
            )
            return
        if rows is None:
            raise ParameterError("an index without rows cannot save them; pass rows when it is made")
        shape, sections = rows.contents()
        values = {"n_bits": state.n_bits, "n_codes": len(state), "top": None, "width": state.width, **shape}
        write_index(path_of(path), _ROWS_KIND, Contents(values, sections), self._settings())

    @classmethod
    def of_rows(
        cls,
        path: str | Path,
        index: MutableIndex[CodeStore] | MutableIndex[ListStore],
        floats: Array | None,
        *,
        verify: bool = False,
    ) -> Self:
        """Return an index over codes, the mapped rows of :meth:`save_rows`, and float32 embeddings if they rank any.

        Raises
        ------
        ArtifactError, ArtifactVersionError, ArtifactDamagedError
            As for :meth:`load`, or if the rows do not fit the codes.
        """
        with reading_index(path_of(path), _ROWS_KIND, verify=verify) as saved:
            lists = ListStore.of_file(saved) if saved.header.n_lists is not None else None
            rows = QuantisedRows.of_file(saved) if lists is None else None
            fits = saved.header.n_codes == len(index) and saved.header.n_bits == index.n_bits
            has_rows = rows is not None or (lists is not None and isinstance(lists.centroids, ListCentres))
            if not has_rows or not fits or (floats is not None and floats.shape[1] != saved.header.width):
                raise ArtifactDamagedError(
                    f"{path}: its rows do not fit the codes and embeddings of the model"
                )
            refined = check_int("refined", saved.settings["refined"], minimum=0)
            made = cls.of_checked(index, floats if refined else None, rows)
            if lists is not None:
                made._n_probe = 1
                made._begin(EmbeddedStore(lists, floats if refined else None))
            made.oversampling, made._refined = saved.settings["oversampling"], refined
            if made._n_probe is not None:
                made.n_probe = saved.settings["n_probe"]
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

    @property
    def refined(self) -> int:
        """Of the best by rows, how many for each result floats rank; 0 where they rank none."""
        return self._refined

    @refined.setter
    def refined(self, value: int) -> None:
        self._refined = self._check_refined(value)

    @property
    def row_bits(self) -> int | None:
        """Bits of an entry of the rows; None: there are none."""
        quantiser = self._state.quantiser
        return None if quantiser is None else quantiser.bits

    @property
    def _usual_refined(self) -> int:
        return 2 if self._state.quantiser is not None and self._state.floats is not None else 0

    def _check_refined(self, value: Any) -> int:
        refined = check_int("refined", value, minimum=0)
        if refined and (self._state.quantiser is None or self._state.floats is None):
            raise ParameterError(f"refined must be 0 where there are not both rows and floats, got {refined}")
        return refined

    def __repr__(self) -> str:
        lists = "" if self._n_probe is None else f", n_probe={self._n_probe}"
        rows = "" if self._state.quantiser is None else f", row_bits={self.row_bits}, refined={self.refined}"
        return (
            f"HierarchicalIndex(n={len(self)}, n_bits={self.n_bits}, dtype={self._state.dtype!r}, "
            f"oversampling={self.oversampling}{lists}{rows})"
        )

    def search(
        self,
        queries: BinaryCodes | EmbeddedCodes | Array,
        k: int,
        *,
        oversampling: int | None = None,
        refined: int | None = None,
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
        oversampling, refined : int or None, default=None
            ``None`` takes that of the index.
        candidates, n_threads
            As for :meth:`CandidateIndex.search`.
        biased : bool, default=True
            Find the candidates with the item bias, where the index has one. Scores have no bias.

        Returns
        -------
        Matches
            Scores are inner products, of rows nearly so. They are the same on every processor, as products
            are added in one order. ``distances`` is None.
        """
        size = self.oversampling if oversampling is None else oversampling
        float_size = self.refined if refined is None else self._check_refined(refined)
        return self._search(queries, k, Tuned(size, self._n_probe, float_size), candidates, biased, n_threads)

    def tune(
        self,
        queries: EmbeddedCodes,
        k: int,
        *,
        index_recall: float = 0.95,
        embeddings: Array | None = None,
        n_threads: int = 1,
    ) -> float:
        """Set the ``oversampling`` that reaches an index recall, and ``n_probe`` and ``refined`` with it.

        Of what reaches it, what reads least is set: for each power of two as ``n_probe`` the smallest
        ``oversampling``, and the smallest ``refined``. Every embedding is read once for each block of
        queries, as an exhaustive search does.

        Parameters
        ----------
        queries : EmbeddedCodes
            A sample of the queries to come; some tens are enough.
        k : int
        index_recall : float, default=0.95
            Mean share of the exact best ``k`` by inner product to find, in ``(0, 1]``.
        embeddings : ndarray of shape (len(self), width), optional
            What is exact, where the index keeps rows and no floats.

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
        floats = state.floats
        if floats is None:
            if embeddings is None:
                raise ParameterError("embeddings must be given to tune an index that keeps no floats")
            floats = check_matrix(
                "embeddings", embeddings, dtype=np.float32, n_rows=len(state), n_columns=state.width
            )
        self._search(queries[:1], k, Tuned(1, self._n_probe, 0), None, True, n_threads)  # checks them
        tuner = StageTuner(
            lambda tuned: self._search(queries, k, tuned, None, True, n_threads),
            state,
            np.asarray(queries.embeddings, np.float32),
            floats,
            min(int(k), len(state)),
        )
        tuned, share = tuner.cheapest(requested)
        self.oversampling, self.refined = tuned.oversampling, tuned.refined
        if tuned.n_probe is not None:
            self.n_probe = tuned.n_probe
        return share

    def _search(
        self, queries: Any, k: Any, tuned: Tuned, candidates: Any, biased: bool, n_threads: Any
    ) -> Matches:
        state, n_probe = self._state, tuned.n_probe
        if not isinstance(queries, EmbeddedCodes):
            raise ParameterError(
                "queries must be EmbeddedCodes for a HierarchicalIndex, codes with an embedding each, "
                f"got {type(queries).__name__}"
            )
        check_queries(queries.codes, state.n_bits)
        vectors, listed, width = queries.embeddings, state.listed, state.width
        # Lists around embeddings see to it themselves that queries are finite: in one pass, with what they do anyway.
        if listed is None or not _is_matrix(vectors, width):
            vectors = check_matrix("embeddings of queries", vectors, dtype=np.float32, n_columns=width)
        size, n_codes = check_k(k, len(state)), len(state)
        n_candidates = min(size * check_int("oversampling", tuned.oversampling, minimum=1), n_codes)
        limits, share, narrowed = check_filter(candidates), 1.0, dict[str, Any]()
        if n_probe is not None and isinstance(state.store, ListStore):
            tables = state.store.tables
            if candidates is not None:
                tables, limits, share = state.store.narrowed(limits, len(queries), n_probe)
            narrowed["tables"] = tables
        arguments = search_arguments(size, n_threads, limits, biased=biased, top=state.top, share=share)
        by_floats = state.quantiser is None or tuned.refined > 0
        floats, scale = (state.floats, state.scale) if by_floats else (None, None)
        if listed is not None:
            assert n_probe is not None
            n_refined = min(size * tuned.refined, n_codes) if floats is not None else 0
            return Matches(
                *listed.ranked(vectors, n_refined, floats, scale, arguments, n_probe=n_probe, **narrowed)
            )
        if vectors is not queries.embeddings:
            queries = EmbeddedCodes(queries.codes, vectors)
        rows = None if state.rows is None else state.rows.table
        stages = _native.Stages(n_candidates, rows, size * tuned.refined, floats, scale)
        return _finite(Matches(*state.store.rerank(queries, stages, arguments, n_probe=n_probe, **narrowed)))

    def _settings(self) -> Mapping[str, int]:
        lists = {} if self._n_probe is None else {"n_probe": self._n_probe}
        rows = {} if self._state.quantiser is None else {"refined": self.refined}
        return {"oversampling": self.oversampling, **lists, **rows}

    def _restore(self, saved: SavedIndex) -> None:
        state = EmbeddedStore.of_file(saved)
        in_lists = isinstance(state.store, ListStore)
        self._n_probe = check_int("n_probe", saved.settings["n_probe"], minimum=1) if in_lists else None
        self.oversampling = saved.settings["oversampling"]
        self._begin(state)
        self._refined = (
            0 if state.quantiser is None else check_int("refined", saved.settings["refined"], minimum=0)
        )


def _around(
    store: CodeStore | ListStore,
    embeddings: Array,
    rows: RowQuantiser | None,
    n_lists: int,
    n_threads: int,
) -> ListStore:
    """Return the codes of a store, and rows of embeddings, in lists around centres of the embeddings."""
    if rows is None:
        raise ParameterError("rows must be given for lists around embeddings, got None; make a RowQuantiser")
    codes, bias, alive = store.codes(), store.bias(), store.alive_mask()
    made = ListStore.build_around(
        codes, bias, embeddings, rows, n_lists, rng=np.random.default_rng(0), n_threads=n_threads
    )
    return made if alive.all() else made.removed(np.flatnonzero(~alive))


def _is_matrix(array: Array, n_columns: int) -> bool:
    return type(array) is np.ndarray and array.dtype == np.float32 and array.shape[1] == n_columns


def _finite(found: Matches) -> Matches:
    if not found.is_finite:
        raise ParameterError(
            "inner products must be finite, got NaN or infinity; an embedding is too large, or not finite"
        )
    return found
