"""``choose_filter``: the closed-form filter that ranks held-out interactions best."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hashgnn._checks import check_int
from hashgnn._components import TEACHERS
from hashgnn._printing import ShortRepr
from hashgnn._progress import progress
from hashgnn._registry import imported
from hashgnn._rng import RngLike, as_generator
from hashgnn._types import Array
from hashgnn.graph.backend import CPU, Backend
from hashgnn.graph.bipartite import BipartiteGraph
from hashgnn.graph.filters.base import GraphFilter
from hashgnn.graph.held_out import JUDGED_AT, HeldOut, Judged
from hashgnn.graph.spectral import GraphSpectrum, low_spectrum

_WEIGHTS = (0.2, 0.05, 1.0, 3.0)  # of the ideal low pass, the authors' first
_N_TRIED = 2 * len(_WEIGHTS) + 2 + 3


@dataclass(frozen=True, repr=False)
class FilterChoice(ShortRepr):
    """A filter fitted on a whole graph, and the recall by which it was chosen.

    Attributes
    ----------
    filter : GraphFilter
    family : {"chebyshev", "spectral"}
    settings : mapping
        The arguments of the family's ``fit``: ``rank``, ``alpha`` and, for chebyshev, ``beta``.
    recall : float
        Recall@20 on the held-out interactions; NaN where no interaction was held out.
    """

    filter: GraphFilter
    family: str
    settings: Mapping[str, Any]
    recall: float


def choose_filter(
    graph: BipartiteGraph,
    *,
    rank: int = 512,
    n_judged: int = 1000,
    rng: RngLike = None,
    show_progress: bool = False,
    backend: Backend = CPU,
) -> FilterChoice:
    """Choose among closed-form filters by held-out interactions, and fit the best on the whole graph.

    A fifth of each user's interactions is held out once. From ChebyCF with its authors' settings the search
    goes on by one thing after another: rank and weight of the ideal low pass, the exponent of the degree
    normalisation, and the linear filter GF-CF in the polynomial's place. A later one takes a
    former one's place where it is better, user by user, by more than one standard error.

    Parameters
    ----------
    graph : BipartiteGraph
    rank : int, default=512
        Vectors of the low pass, at most; a quarter of them is tried too. Small graphs have fewer.
    n_judged : int, default=1000
        Users for whom recall is measured, spread evenly over all.
    rng : int, numpy.random.Generator or None, default=None
        Draws the held-out part.
    show_progress : bool, default=False
    backend : Backend, default=CPU
        Where the products run.

    Returns
    -------
    FilterChoice

    Notes
    -----
    Costs the singular vectors of two graphs and five times the scores of ``n_judged`` users.

    Examples
    --------
    >>> import numpy as np, scipy.sparse as sp
    >>> rows = sp.csr_matrix(np.kron(np.eye(2), np.ones((8, 8))))
    >>> choice = choose_filter(BipartiteGraph(rows), rank=4, rng=0)
    >>> choice.recall
    1.0
    """
    rank = check_int("rank", rank, minimum=1)
    n_judged = check_int("n_judged", n_judged, minimum=1)
    generator = as_generator(rng)
    held_out = HeldOut.draw(graph, n_judged, generator)
    best = search_filters(held_out, rank, generator, backend, show_progress=show_progress).best
    fitted = filter_class(best.family).fit(graph, rng=generator, backend=backend, **best.settings)
    recall = float(best.judged.recall.mean()) if len(best.judged.recall) else float("nan")
    return FilterChoice(fitted, best.family, best.settings, recall)


def search_filters(
    held_out: HeldOut,
    rank: int,
    rng: np.random.Generator,
    backend: Backend = CPU,
    *,
    show_progress: bool = False,
) -> FilterSearch:
    """Try the filters that :func:`choose_filter` describes on held-out interactions."""
    rank = max(1, min(rank, held_out.graph.n_users - 1, held_out.graph.n_items - 1))
    search = FilterSearch(held_out, low_spectrum(held_out.graph, rank, rng=rng, backend=backend), backend)
    with progress("choosing a filter", _N_TRIED, enabled=show_progress) as advance:

        def try_all(candidates: list[tuple[str, dict[str, Any]]]) -> None:
            search.try_all(candidates)
            advance(len(candidates))

        for size in (rank, max(1, rank // 4)):
            try_all([("chebyshev", {"rank": size, "alpha": alpha, "beta": 0.4}) for alpha in _WEIGHTS])
        for beta in (0.3, 0.5):
            try_all([("chebyshev", {**search.best.settings, "beta": beta})])
        size = search.best.settings["rank"]
        try_all([("spectral", {"rank": size, "alpha": alpha}) for alpha in _WEIGHTS[:3]])
    return search


def filter_class(family: str) -> Any:
    """Return the class of a filter by its name among the teachers."""
    return imported(TEACHERS[family].implementation)


@dataclass(frozen=True)
class FilterCandidate:
    """A filter by family and settings, and how it ranked held-out interactions."""

    family: str
    settings: dict[str, Any]
    judged: Judged

    def is_better_than(self, other: FilterCandidate) -> bool:
        """Return whether recall is higher, user by user, by more than one standard error of the mean."""
        gains = self.judged.recall - other.judged.recall
        return len(gains) > 1 and bool(gains.mean() > gains.std(ddof=1) / np.sqrt(len(gains)))


class FilterSearch:
    """Filters tried on held-out interactions, one spectrum for all, and the best of them so far."""

    def __init__(self, held_out: HeldOut, spectrum: GraphSpectrum, backend: Backend) -> None:
        self._held_out, self._spectrum, self._backend = held_out, spectrum, backend
        self._best: FilterCandidate | None = None

    @property
    def best(self) -> FilterCandidate:
        """The best so far."""
        assert self._best is not None, "try some first"
        return self._best

    def try_all(self, candidates: list[tuple[str, dict[str, Any]]]) -> None:
        """Judge filters that differ in the weight of their low pass only: the rest is computed once."""
        for (family, settings), judged in zip(candidates, self._judge(candidates), strict=True):
            candidate = FilterCandidate(family, settings, judged)
            if self._best is None or candidate.is_better_than(self._best):
                self._best = candidate

    def judge_best(self, items: Array) -> Judged:
        """Judge the best filter by how it ranks some of the items only."""
        best = self.best
        return self._judge([(best.family, best.settings)], items)[0]

    def _judge(
        self, candidates: list[tuple[str, dict[str, Any]]], items: Array | None = None
    ) -> list[Judged]:
        held_out, backend = self._held_out, self._backend
        filters = [
            filter_class(family).fit(held_out.graph, spectrum=self._spectrum, **settings)
            for family, settings in candidates
        ]
        parts: list[list[Judged]] = [[] for _ in filters]
        histories = held_out.histories
        n_block = backend.block_size(held_out.graph.n_items)
        mine = backend.part(len(held_out.users))
        for first in range(mine.start, mine.stop, n_block):
            part = slice(first, min(first + n_block, mine.stop))
            rows = histories[part]
            seen = rows if items is None else rows[:, items]
            reached = backend.spread(filters[0], rows)
            for fitted, judged in zip(filters, parts, strict=True):
                scores = backend.low_pass(fitted, rows)
                scores += reached
                if items is not None:
                    scores = scores[:, items]
                k = min(JUDGED_AT, scores.shape[1])
                judged.append(held_out.judge(part, backend.best(scores, seen, k).positions, items))
        own = [Judged.concatenate(judged) for judged in parts]
        return [Judged(backend.join(judged.recall), backend.join(judged.ndcg)) for judged in own]
