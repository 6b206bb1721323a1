"""Approximate search: codes in lists by nearest centroid, of which a query scans the nearest few."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hashgnn._checks import check_int
from hashgnn._rng import as_generator
from hashgnn._types import Array
from hashgnn.codes import BinaryCodes, ItemBias
from hashgnn.errors import ParameterError
from hashgnn.index._arguments import (
    check_filter,
    check_k,
    check_queries,
    check_query_bits,
    search_arguments,
)
from hashgnn.index._clustering import around_means, assign, default_n_lists, train_centroids
from hashgnn.index._tuning import check_sample, smallest_power
from hashgnn.index._zero_queries import answer_zero_queries
from hashgnn.index.base import MutableIndex
from hashgnn.index.stores.embedded_codes import EmbeddedCodes
from hashgnn.index.stores.index_file import SavedIndex
from hashgnn.index.stores.list_store import ListStore
from hashgnn.index.stores.penalties import check_bias_length
from hashgnn.ranking import CandidateFilter, Matches


class InvertedFile(MutableIndex[ListStore]):
    """Search in the ``n_probe`` lists whose centroids are nearest to the query.

    With up to 1,024 lists, a float query reads as many blocks of 32 codes as ``n_probe`` lists have on average: those
    that promise most. A block promises the product of the query with the mean of the codes of its list, more where
    these lie wide, and the mean bias of its own codes. Lists are sorted by bias, so popular items come first. The means
    are made for the first float query; they take about ``n_bits + 12`` bytes a list. With more lists a float query is
    compared with the centroids.

    A search may miss codes that lie in other lists. :meth:`tune` chooses ``n_probe`` for a requested index
    recall, and ``n_probe=n_lists`` is exact. With filters a query reads so many more lists that it sees as many
    codes that are allowed, and never fewer than ``k`` where there are as many; where few codes are allowed it
    compares these alone. Ties go to the smaller position among the codes that were compared.

    Codes that are added or updated wait in one more list, which every query reads, until they are more than
    1,024 and a thirty-second of the others. They then join the lists of their nearest centroids, and lists that
    became long are split. Once half as many have joined as were clustered, all are clustered anew; that addition
    takes as long as a new index. So an index finds as much as a new one, however far its codes have drifted.
    Searches go on meanwhile.

    Parameters
    ----------
    codes : BinaryCodes of shape (n_codes, n_bits)
    item_bias : ItemBias of length n_codes, or None, default=None
    n_lists : int or None, default=None
        ``None`` takes about four square roots of ``n_codes``, or fewer, so that a list has 240 codes or more.
    n_probe : int, default=16
        Lists that a query scans; of a float query, how many lists its blocks would fill. The attribute may be set at any
        time.
    query_bits : int, default=4
        As for :class:`HammingIndex`.
    float_queries : bool, default=False
        Make lists for float queries: around the means of codes instead of the majority of each bit. A float query then
        finds as much in about two thirds of the blocks. Building takes longer: for a million codes by about ten seconds.
    n_threads : int, default=1
        Threads of the clustering.
    rng : int or numpy Generator, default=0
        Draws the sample and the first centroids.

    See Also
    --------
    HammingIndex : Exact.
    build_index : Chooses between them.

    References
    ----------
    Sivic and Zisserman, *Video Google*, ICCV 2003: inverted files over clusters. The clusters here are of
    codes, with the majority of each bit as centroid.
    """

    kind = "inverted-file"

    def __init__(
        self,
        codes: BinaryCodes,
        item_bias: ItemBias | None = None,
        *,
        n_lists: int | None = None,
        n_probe: int = 16,
        query_bits: int = 4,
        float_queries: bool = False,
        n_threads: int = 1,
        rng: int | np.random.Generator = 0,
    ) -> None:
        if len(codes) == 0:
            raise ParameterError("codes must hold at least one code to cluster, got 0")
        check_bias_length(item_bias, len(codes))
        size = default_n_lists(len(codes)) if n_lists is None else n_lists
        size = check_int("n_lists", size, minimum=1, maximum=len(codes))
        self._query_bits = check_query_bits(query_bits, codes.n_bits)
        self.n_probe = n_probe
        centroids = train_centroids(codes, size, rng=as_generator(rng), n_threads=n_threads)
        nearest = assign(codes, centroids, n_threads=n_threads)
        if float_queries:
            centroids, nearest = around_means(codes, nearest, centroids, n_threads=n_threads)
        self._begin(ListStore.build(codes, item_bias, centroids, nearest, by_means=bool(float_queries)))

    @property
    def n_lists(self) -> int:
        """Number of lists."""
        return self._state.n_lists

    @property
    def n_probe(self) -> int:
        """Lists that a query scans."""
        return self._n_probe

    @n_probe.setter
    def n_probe(self, value: int) -> None:
        self._n_probe = check_int("n_probe", value, minimum=1)

    def __repr__(self) -> str:
        return f"InvertedFile(n={len(self)}, n_bits={self.n_bits}, n_lists={self.n_lists}, n_probe={self.n_probe})"

    def search(
        self,
        queries: BinaryCodes | EmbeddedCodes | Array,
        k: int,
        *,
        candidates: CandidateFilter | None = None,
        biased: bool = True,
        n_threads: int = 1,
    ) -> Matches:
        """Find the best codes in the nearest lists; see :meth:`CandidateIndex.search`.

        A filter that lets through few codes, or that many queries share, has these codes packed, for as long as it
        lives: keep one that is used again.
        ``distances`` is None where an item bias takes part.
        """
        return self._search(queries, k, self._n_probe, candidates, biased, n_threads)

    def tune(
        self, queries: BinaryCodes | Array, k: int, *, index_recall: float = 0.95, n_threads: int = 1
    ) -> float:
        """Set ``n_probe`` to the smallest power of two that reaches an index recall.

        Parameters
        ----------
        queries : BinaryCodes, or ndarray of shape (n, n_bits), float32
            A sample of the queries to come. Float queries need other numbers than codes.
        k : int
        index_recall : float, default=0.95
            Mean share of the exact best ``k`` to find, in ``(0, 1]``. A result counts as found if its score
            is at least that of the exact ``k``-th. For float queries both are of the query as the index rounds it.

        Returns
        -------
        float
            The index recall that was reached.
        """
        requested = check_sample(queries, index_recall)
        exact = self._search(queries, k, self.n_lists, None, True, n_threads)
        last = np.where(exact.counts > 0, exact.scores[np.arange(len(exact)), exact.counts - 1], np.inf)

        def reached(n_probe: int) -> float:
            scores = self._search(queries, k, n_probe, None, True, n_threads).scores
            return float((scores >= last[:, None]).sum() / max(1, exact.counts.sum()))

        self.n_probe, found = smallest_power(reached, requested, self.n_lists)
        return found

    def _search(
        self, queries: Any, k: Any, n_probe: int, candidates: Any, biased: bool, n_threads: Any
    ) -> Matches:
        state = self._state
        checked = check_queries(queries, state.n_bits)
        size = check_k(k, len(state))
        tables, limits, share = state.narrowed(check_filter(candidates), len(checked), n_probe)
        arguments = search_arguments(size, n_threads, limits, biased=biased, top=state.top, share=share)
        found = Matches(*state.search(checked, self._query_bits, arguments, n_probe=n_probe, tables=tables))
        return answer_zero_queries(
            found, checked, state.alive_mask, lambda: state.bias() if biased else None, candidates
        )

    def _settings(self) -> Mapping[str, int]:
        made_for = {"float_queries": 1} if self._state.by_means else {}
        return {"query_bits": self._query_bits, "n_probe": self._n_probe, **made_for}

    def _restore(self, saved: SavedIndex) -> None:
        store = ListStore.of_file(saved)
        self._query_bits = check_query_bits(saved.settings["query_bits"], store.n_bits)
        self.n_probe = saved.settings["n_probe"]
        self._begin(store)
