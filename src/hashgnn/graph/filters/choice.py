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
from hashgnn.data import Interactions, split
from hashgnn.graph.backend import CPU, Backend
from hashgnn.graph.bipartite import BipartiteGraph
from hashgnn.graph.filters.base import GraphFilter
from hashgnn.graph.spectral import GraphSpectrum, low_spectrum

_HELD_OUT = 0.2
_JUDGED_AT = 20
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
    rank = max(1, min(rank, graph.n_users - 1, graph.n_items - 1))
    trial = _Trial.hold_out(graph, rank, n_judged, generator, backend)
    with progress("choosing a teacher", _N_TRIED, enabled=show_progress) as advance:

        def best_of(candidates: list[tuple[str, dict[str, Any]]], best: _Candidate | None) -> _Candidate:
            recalls = trial.recalls(candidates)
            advance(len(candidates))
            for (family, settings), recall in zip(candidates, recalls, strict=True):
                candidate = _Candidate(family, settings, recall)
                if best is None or candidate.is_better_than(best):
                    best = candidate
            assert best is not None
            return best

        best: _Candidate | None = None
        for size in (rank, max(1, rank // 4)):
            best = best_of(
                [("chebyshev", {"rank": size, "alpha": alpha, "beta": 0.4}) for alpha in _WEIGHTS], best
            )
        assert best is not None
        for beta in (0.3, 0.5):
            best = best_of([("chebyshev", {**best.settings, "beta": beta})], best)
        size = best.settings["rank"]
        best = best_of([("spectral", {"rank": size, "alpha": alpha}) for alpha in _WEIGHTS[:3]], best)
    fitted = filter_class(best.family).fit(graph, rng=generator, backend=backend, **best.settings)
    recall = float(best.recall.mean()) if len(best.recall) else float("nan")
    return FilterChoice(fitted, best.family, best.settings, recall)


def filter_class(family: str) -> Any:
    """Return the class of a filter by its name among the teachers."""
    return imported(TEACHERS[family].implementation)


@dataclass(frozen=True)
class _Candidate:
    family: str
    settings: dict[str, Any]
    recall: Array

    def is_better_than(self, other: _Candidate) -> bool:
        """Return whether recall is higher, user by user, by more than one standard error of the mean."""
        gains = self.recall - other.recall
        return len(gains) > 1 and bool(gains.mean() > gains.std(ddof=1) / np.sqrt(len(gains)))


@dataclass(frozen=True)
class _Trial:
    """A graph with some interactions held out, its spectrum, and the users who are judged."""

    graph: BipartiteGraph
    spectrum: GraphSpectrum
    users: Array
    held_out: Array
    backend: Backend

    @classmethod
    def hold_out(
        cls, graph: BipartiteGraph, rank: int, n_judged: int, rng: np.random.Generator, backend: Backend
    ) -> _Trial:
        kept, held = split.random(Interactions.from_csr(graph.user_item), _HELD_OUT, rng=rng)
        left = BipartiteGraph(kept.csr)
        users = np.flatnonzero(np.diff(held.csr.indptr))
        users = users[:: max(1, -(-len(users) // n_judged))]
        spectrum = low_spectrum(left, rank, rng=rng, backend=backend)
        return cls(left, spectrum, users, held.csr[users].toarray() > 0, backend)

    def recalls(self, candidates: list[tuple[str, dict[str, Any]]]) -> list[Array]:
        """Return recall@20 for each user who is judged, of each filter.

        The filters must differ in the weight of their low pass only: the rest is computed once.
        """
        filters = [
            filter_class(family).fit(self.graph, spectrum=self.spectrum, **settings)
            for family, settings in candidates
        ]
        n_users, k = len(self.users), min(_JUDGED_AT, self.graph.n_items)
        recalls = [np.empty(n_users) for _ in filters]
        n_block = self.backend.block_size(self.graph.n_items)
        mine = self.backend.part(n_users)
        for first in range(mine.start, mine.stop, n_block):
            part = slice(first, min(first + n_block, mine.stop))
            rows = self.graph.user_item[self.users[part]].astype(np.float32, copy=False)
            reached, held_out = self.backend.spread(filters[0], rows), self.held_out[part]
            for fitted, recall in zip(filters, recalls, strict=True):
                scores = self.backend.low_pass(fitted, rows)
                scores += reached
                found = self.backend.best(scores, rows, k).positions
                hits = np.take_along_axis(held_out, np.maximum(found, 0), axis=1) & (found >= 0)
                recall[part] = hits.sum(axis=1) / held_out.sum(axis=1)
        return [self.backend.join(recall[mine]) for recall in recalls]
