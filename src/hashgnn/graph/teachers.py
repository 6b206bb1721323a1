"""``choose_teacher``: the closed-form model, of any family, that ranks held-out interactions best."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hashgnn._checks import check_float, check_int, check_threads
from hashgnn._printing import ShortRepr
from hashgnn._rng import RngLike, as_generator
from hashgnn.graph.backend import CPU, Backend
from hashgnn.graph.bipartite import BipartiteGraph
from hashgnn.graph.filters.base import GraphFilter
from hashgnn.graph.filters.choice import FilterSearch, filter_class, search_filters
from hashgnn.graph.held_out import HeldOut, Judged
from hashgnn.graph.ridge.choice import LARGE_ITEMS, judged_items, search_ridge
from hashgnn.graph.ridge.item_ridge import ItemRidge, check_neighbours

RIDGE = "ridge"
#: From so many users an item on, filters spread items instead of histories.
CROWDED = 3
_DEGREE = 3  # of the polynomial that a filter spreads by
_PASSES = 10  # over the edges of a graph, for its singular vectors
_DENSE_GAIN = 30  # how much faster a dense product is than a sparse one
_COPIES = 4  # of the singular vectors, while they are computed
_MAX_BYTES = 4e9  # of these


@dataclass(frozen=True, repr=False)
class TeacherChoice(ShortRepr):
    """A closed-form model fitted on a whole graph, and how it was chosen.

    Attributes
    ----------
    model : GraphFilter or ItemRidge
    family : {"chebyshev", "spectral", "ridge"}
    settings : mapping
        The arguments of the family's ``fit``.
    recall, ndcg : float or None
        At 20, on held-out interactions; ``None`` where no interaction was held out.
    tried : mapping of str to tuple
        Recall and NDCG at 20 of the best of each family, over the same users and items. Of a large catalogue these
        are a sample.
    left_out : str or None
        Why no filter was tried.
    """

    model: GraphFilter | ItemRidge
    family: str
    settings: Mapping[str, Any]
    recall: float | None
    ndcg: float | None
    tried: Mapping[str, tuple[float | None, float | None]]
    left_out: str | None


@dataclass(frozen=True)
class FilterCost:
    """The cost of the filters of a graph and of their lists, estimated before any work.

    Attributes
    ----------
    products : float
        Multiplications of sparse matrices; dense ones count as a thirtieth.
    n_bytes : float
        Of singular vectors in work.
    """

    products: float
    n_bytes: float

    @classmethod
    def of(cls, graph: BipartiteGraph, rank: int) -> FilterCost:
        """Estimate the cost of the spectra of two graphs and of the lists of all users."""
        n_users, n_items, n_edges = graph.n_users, graph.n_items, graph.n_edges
        n_spread = n_items if n_users > CROWDED * n_items else n_users
        spectra = 2 * _PASSES * (2 * n_edges * rank + (n_users + n_items) * rank**2 / _DENSE_GAIN)
        lists = 2 * _DEGREE * n_edges * n_spread + n_users * n_items * rank / _DENSE_GAIN
        return cls(spectra + lists, 4.0 * _COPIES * (n_users + n_items) * rank)

    def over(self, budget: float) -> str | None:
        """Return why the cost is too high, in a sentence, or ``None``; ``budget`` is in billions of products."""
        products = self.products / 1e9
        if products > budget:
            shown = f"{products:,.0f}" if products >= 10 else f"{products:.2g}"
            return (
                f"graph filters were left out: their lists would take about {shown} billion products, "
                f"and the budget is {budget:,g}"
            )
        if self.n_bytes > _MAX_BYTES:
            return (
                f"graph filters were left out: their singular vectors would take about {self.n_bytes / 1e9:,.0f} GB, "
                f"and {_MAX_BYTES / 1e9:,.0f} are allowed"
            )
        return None


def choose_teacher(
    graph: BipartiteGraph,
    *,
    rank: int = 512,
    n_neighbours: int | None = None,
    max_history: int = 1000,
    filter_budget: float = 500.0,
    n_judged: int = 1000,
    rng: RngLike = None,
    n_threads: int = 1,
    show_progress: bool = False,
    backend: Backend = CPU,
) -> TeacherChoice:
    """Choose among graph filters and item ridges by held-out interactions, and fit the best on the whole graph.

    A fifth of each user's interactions is held out once. The best of each family are compared by the mean of recall
    and NDCG at 20. Filters are left out where they would cost more than the budget: the cost of their lists is
    users or items times interactions, that of a ridge is linear.

    Parameters
    ----------
    graph : BipartiteGraph
    rank : int, default=512
        Vectors of a filter's low pass, at most.
    n_neighbours : int or None, default=None
        Of an item in the ridge, at most; ``None`` takes 200, or 100 of more than 100,000 items.
    max_history : int, default=1000
        Of a longer history the ridge counts a sample of so many items.
    filter_budget : float >= 0, default=500.0
        Products that filters may take, in billions; 0 leaves them out.
    n_judged : int, default=1000
        Users by whom models are judged, spread evenly over all.
    rng : int, numpy.random.Generator or None, default=None
        Draws the held-out part.
    n_threads : int, default=1
        Of the ridge; the result does not depend on it.
    show_progress : bool, default=False
    backend : Backend, default=CPU
        Where the products of the filters run.

    Returns
    -------
    TeacherChoice

    Examples
    --------
    >>> import numpy as np, scipy.sparse as sp
    >>> rows = sp.csr_matrix(np.kron(np.eye(2), np.ones((8, 8))))
    >>> choose_teacher(BipartiteGraph(rows), rank=4, rng=0).recall
    1.0
    """
    rank = check_int("rank", rank, minimum=1)
    if n_neighbours is None:
        n_neighbours = 200 if graph.n_items <= LARGE_ITEMS else 100
    n_neighbours = check_int("n_neighbours", n_neighbours, minimum=1)
    check_neighbours(n_neighbours, graph.n_items)
    max_history = check_int("max_history", max_history, minimum=2)
    n_judged = check_int("n_judged", n_judged, minimum=1)
    n_threads = check_threads(n_threads)
    filter_budget = check_float("filter_budget", filter_budget, minimum=0)
    generator = as_generator(rng)
    own, items_rng = generator.spawn(2)
    rank = max(1, min(rank, graph.n_users - 1, graph.n_items - 1))
    held_out = HeldOut.draw(graph, n_judged, generator)
    items = judged_items(graph.n_items, items_rng)
    left_out = FilterCost.of(graph, rank).over(filter_budget)
    filters: FilterSearch | None = None
    tried: dict[str, Judged] = {}
    if left_out is None:
        filters = search_filters(held_out, rank, generator, backend, show_progress=show_progress)
        best = filters.best
        tried[best.family] = best.judged if items is None else filters.judge_best(items)
    ridge = search_ridge(
        held_out,
        n_neighbours=n_neighbours,
        max_history=max_history,
        items=items,
        rng=own,
        n_threads=n_threads,
        to_beat=None if filters is None else tried[filters.best.family].worth,
        show_progress=show_progress,
    )
    tried[RIDGE] = ridge.judged
    family = max(tried, key=lambda name: tried[name].worth)  # the filter among equals
    model: GraphFilter | ItemRidge
    if family == RIDGE:
        settings = ridge.settings
        model = ItemRidge.fit(graph, rng=own, n_threads=n_threads, show_progress=show_progress, **settings)
        recall, ndcg = ridge.judged.means
    else:
        assert filters is not None
        settings = filters.best.settings
        model = filter_class(family).fit(graph, rng=generator, backend=backend, **settings)
        recall, ndcg = filters.best.judged.means
    means = {name: judged.means for name, judged in tried.items()}
    return TeacherChoice(model, family, settings, recall, ndcg, means, left_out)
