"""Approximate search: codes in lists by nearest centroid, of which a query scans the nearest few."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np

from hashgnn import _native
from hashgnn._checks import check_int
from hashgnn._rng import as_generator
from hashgnn._types import Array
from hashgnn.codes import BinaryCodes, ItemBias
from hashgnn.errors import ParameterError
from hashgnn.index._arguments import as_matches, check_k, check_queries, search_arguments
from hashgnn.index._changes import check_positions
from hashgnn.index._code_store import CodeStore
from hashgnn.index._index_file import reading_index, write_index
from hashgnn.index._k_majority import assign, max_centroids, train_centroids
from hashgnn.index._list_file import list_contents, lists_of
from hashgnn.index._list_state import Lists, ListState, empty_list
from hashgnn.index._tuning import check_sample, least
from hashgnn.index.base import CandidateIndex
from hashgnn.ranking import CandidateFilter, Matches

_KIND = "inverted-file"  # in a saved file


class InvertedFile(CandidateIndex):
    """Search in the ``n_probe`` lists whose centroids are nearest to the query.

    A search may miss codes that lie in other lists: :meth:`tune` chooses ``n_probe`` for an asked index
    recall, and ``n_probe=n_lists`` is exact. Where filters leave fewer than ``k`` codes in the lists that
    are probed, more lists are, until there are ``k`` or none is left. Among the codes of the lists probed
    ties go to the smaller position.

    Codes that are added or updated go to one more list that every query scans; a new index takes
    them in when that list has grown too long.

    Parameters
    ----------
    codes : BinaryCodes of shape (n_codes, n_bits)
    item_bias : ItemBias of length n_codes, or None, default=None
    n_lists : int or None, default=None
        ``None`` takes about four square roots of ``n_codes``.
    n_probe : int, default=16
        Lists that a query scans. The attribute may be set at any time.
    query_bits : int, default=4
        As for :class:`HammingIndex`.
    n_threads : int, default=1
        Threads of the clustering.
    rng : int or numpy Generator, default=0
        Chooses the sample and the first centroids.

    References
    ----------
    Sivic and Zisserman, *Video Google*, ICCV 2003: inverted files over clusters. The clusters here are of
    codes, with the majority of each bit as centroid.
    """

    def __init__(
        self,
        codes: BinaryCodes,
        item_bias: ItemBias | None = None,
        *,
        n_lists: int | None = None,
        n_probe: int = 16,
        query_bits: int = 4,
        n_threads: int = 1,
        rng: int | np.random.Generator = 0,
    ) -> None:
        if len(codes) == 0:
            raise ParameterError("codes must hold at least one code to cluster, got 0")
        if item_bias is not None and len(item_bias) != len(codes):
            raise ParameterError(f"item_bias must have one value a code, {len(codes)}, got {len(item_bias)}")
        size = max_centroids(len(codes)) if n_lists is None else n_lists
        size = check_int("n_lists", size, minimum=1, maximum=len(codes))
        self._query_bits = check_int("query_bits", query_bits, minimum=2, maximum=10)
        self.n_probe = n_probe
        centroids = train_centroids(codes, size, rng=as_generator(rng), n_threads=n_threads)
        nearest = assign(codes, centroids, n_threads=n_threads)
        penalty = None if item_bias is None else item_bias.penalty
        positions = np.arange(len(codes), dtype=np.int32)
        self._state = ListState(
            Lists.build(codes, penalty, positions, nearest, size),
            empty_list(codes.n_bits, biased=item_bias is not None),
            CodeStore.build(centroids, None),
            np.ones(len(codes), bool),
            None if item_bias is None else item_bias.top,
        )
        self._changing = threading.Lock()

    @property
    def n_bits(self) -> int:
        """Width of the stored codes."""
        return self._state.n_bits

    @property
    def n_lists(self) -> int:
        """Number of lists."""
        return len(self._state.centroids)

    @property
    def n_probe(self) -> int:
        """Lists that a query scans."""
        return self._n_probe

    @n_probe.setter
    def n_probe(self, value: int) -> None:
        self._n_probe = check_int("n_probe", value, minimum=1)

    @property
    def nbytes(self) -> int:
        """Bytes of the lists and centroids."""
        return self._state.nbytes()

    def __len__(self) -> int:
        return len(self._state)

    def __repr__(self) -> str:
        return f"InvertedFile(n={len(self)}, n_bits={self.n_bits}, n_lists={self.n_lists}, n_probe={self.n_probe})"

    def alive(self) -> Array:
        """Return which positions hold a code, shape (len(self),), bool."""
        return self._state.alive_mask()

    def search(
        self,
        queries: BinaryCodes | Array,
        k: int,
        *,
        candidates: CandidateFilter | None = None,
        biased: bool = True,
        n_threads: int = 1,
    ) -> Matches:
        """Find the best codes in the nearest lists; see :meth:`CandidateIndex.search`.

        ``distances`` is None where an item bias takes part.
        """
        return self._search(queries, k, self._n_probe, candidates, biased, n_threads)

    def tune(self, queries: BinaryCodes, k: int, *, index_recall: float = 0.95, n_threads: int = 1) -> float:
        """Set ``n_probe`` to the least power of two that finds the asked share of the exact best ``k``.

        Parameters
        ----------
        queries : BinaryCodes
            A sample of the queries to come.
        k : int
        index_recall : float, default=0.95
            Share of the exact results to be found, on average, in ``(0, 1]``. A result counts as found if
            its score is at least that of the exact ``k``-th.

        Returns
        -------
        float
            The index recall that was reached.
        """
        wanted = check_sample(queries, index_recall)
        exact = self._search(queries, k, self.n_lists, None, True, n_threads)
        last = np.where(exact.counts > 0, exact.scores[np.arange(len(exact)), exact.counts - 1], np.inf)

        def reached(n_probe: int) -> float:
            scores = self._search(queries, k, n_probe, None, True, n_threads).scores
            return float((scores >= last[:, None]).sum() / max(1, exact.counts.sum()))

        self.n_probe, found = least(reached, wanted, self.n_lists)
        return found

    def add(self, codes: BinaryCodes, item_bias: ItemBias | None = None) -> Array:
        """Append codes and return their positions, shape (len(codes),), int64."""
        with self._changing:
            first = len(self._state)
            self._state = self._state.added(codes, item_bias)
        return np.arange(first, first + len(codes))

    def update(self, positions: Any, codes: BinaryCodes, item_bias: ItemBias | None = None) -> None:
        """Replace the codes at ``positions``, which must be distinct. A removed position stays removed."""
        with self._changing:
            rows = check_positions(positions, len(self), distinct_for=codes)
            self._state = self._state.updated(rows, codes, item_bias)

    def remove(self, positions: Any) -> None:
        """Never return these positions again. Removing one twice changes nothing."""
        with self._changing:
            self._state = self._state.removed(check_positions(positions, len(self)))

    def save(self, path: str | Path) -> None:
        """Write the index to one file, atomically; the format is described in docs/index-format.md."""
        settings = {"query_bits": self._query_bits, "n_probe": self._n_probe}
        write_index(Path(path), _KIND, list_contents(self._state), settings)

    @classmethod
    def load(cls, path: str | Path, *, verify: bool = False) -> InvertedFile:
        """Open a saved index, memory-mapped; see :meth:`HammingIndex.load`."""
        index = cls.__new__(cls)
        with reading_index(Path(path), _KIND, verify=verify) as (header, sections, settings):
            index._state = lists_of(Path(path), header, sections)
            index._query_bits, index.n_probe = settings["query_bits"], settings["n_probe"]
        index._changing = threading.Lock()
        return index

    def _search(
        self, queries: Any, k: Any, n_probe: int, candidates: Any, biased: bool, n_threads: Any
    ) -> Matches:
        state = self._state
        checked = check_queries(queries, self.n_bits)
        size = check_k(k, len(state))
        arguments = search_arguments(size, n_threads, candidates, biased=biased, top=state.top)
        tables = (*state.tables(), n_probe)
        if not isinstance(checked, BinaryCodes):
            return as_matches(_native.search_inverted_floats(*tables, checked, self._query_bits, arguments))
        return as_matches(_native.search_inverted_codes(*tables, checked.packed, arguments))
