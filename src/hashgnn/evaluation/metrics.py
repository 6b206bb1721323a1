"""Metrics of ranked lists: as ranked, and expected over the orders that ties leave open."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hashgnn._types import Array
from hashgnn.evaluation.metric_names import Metric
from hashgnn.evaluation.relevance import Judged


def observed(metric: Metric, judged: Judged) -> Array:
    """Return a metric of each row, with ties broken as they were ranked.

    Parameters
    ----------
    metric : Metric
        Of a kind that each user has a value of.
    judged : Judged of shape (n, k)
        Ranked at least as far as the metric's cut, ``metric.k <= k``; every row has relevant items.

    Returns
    -------
    ndarray of shape (n,), float64
        In [0, 1], higher is better.
    """
    hits = judged.hits[:, : metric.k].astype(np.float64)
    if metric.kind in _LINEAR:
        return _LINEAR[metric.kind](hits, judged.n_relevant)
    ranks = np.arange(1, metric.k + 1)
    values: Array
    if metric.kind == "hr":
        values = hits.max(axis=1)
    elif metric.kind == "mrr":
        values = (hits / ranks).max(axis=1)
    else:
        values = (hits * np.cumsum(hits, axis=1) / ranks).sum(axis=1) / judged.n_relevant
    return values


def expected(metric: Metric, judged: Judged) -> Array:
    """Return the mean of a metric of each row over all orders of its ties, all equally likely.

    Exact, by the closed forms of the reference and their like for precision at a cut. Parameters and result
    are those of :func:`observed`.

    Notes
    -----
    At a rank in a tie of ``t`` items, ``r`` of them relevant, the chance of a relevant item is ``r / t``:
    recall, precision and NDCG are linear in it. Average precision needs pairs of ranks, and two ranks of
    one tie are both relevant with chance ``r(r - 1) / t(t - 1)``. The hit rate and the reciprocal rank need
    the chance that no rank before was relevant: a product, in which the rank after ``j`` others of its tie,
    none of them relevant, is relevant with chance ``r / (t - j)``.

    References
    ----------
    McSherry, Najork: *Computing Information Retrieval Performance Measures Efficiently in the Presence of
    Tied Scores*, ECIR 2008.
    """
    place, size, relevant = (
        part[:, : metric.k].astype(np.float64)
        for part in (judged.place, judged.tie_size, judged.tie_relevant)
    )
    chance = relevant / size
    if metric.kind in _LINEAR:
        return _LINEAR[metric.kind](chance, judged.n_relevant)
    ranks = np.arange(1, metric.k + 1)
    values: Array
    if metric.kind == "map":
        before_tie = np.cumsum(chance, axis=1) - (place + 1) * chance
        in_tie = place * (relevant - 1) / np.maximum(size - 1, 1)
        values = (chance * (1 + before_tie + in_tie) / ranks).sum(axis=1) / judged.n_relevant
        return values
    found_here = np.minimum(relevant / (size - place), 1)
    none_yet = np.cumprod(1 - found_here, axis=1)
    if metric.kind == "hr":
        values = 1 - none_yet[:, -1]
    else:
        none_before = np.concatenate((np.ones((len(none_yet), 1)), none_yet[:, :-1]), axis=1)
        values = (none_before * found_here / ranks).sum(axis=1)
    return values


def _recall(relevance: Array, n_relevant: Array) -> Array:
    share: Array = relevance.sum(axis=1) / n_relevant
    return share


def _precision(relevance: Array, n_relevant: Array) -> Array:
    share: Array = relevance.mean(axis=1)
    return share


def _ndcg(relevance: Array, n_relevant: Array) -> Array:
    k = relevance.shape[1]
    discount = 1 / np.log2(np.arange(2, k + 2))
    ideal = np.cumsum(discount)[np.minimum(n_relevant, k) - 1]
    share: Array = relevance @ discount / ideal
    return share


# Linear in the relevance of each rank, so the expected relevance gives the expected value.
_LINEAR: dict[str, Callable[[Array, Array], Array]] = {
    "recall": _recall,
    "precision": _precision,
    "ndcg": _ndcg,
}
