"""Metrics of relevance: as ranked, and expected over the orders that ties leave open.

A metric is a class. ``METRICS`` names those of the library; one of your own is a subclass of
:class:`UserMetric`, :class:`ItemMetric` or :class:`CatalogueMetric`, passed to :func:`hashgnn.evaluate` as an
object.
"""

from __future__ import annotations

import re
import warnings
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from hashgnn._checks import quote_some
from hashgnn._registry import Registry
from hashgnn._types import Array
from hashgnn.errors import ParameterError, ResultWarning
from hashgnn.evaluation.beyond_accuracy import (
    AveragePopularity,
    Coverage,
    Gini,
    ItemRecall,
    LongTailShare,
    Novelty,
    PopularityLift,
)
from hashgnn.evaluation.metric_kinds import CatalogueMetric, ItemMetric, Metric, UserMetric
from hashgnn.evaluation.relevance import Judged, Ties

__all__ = [
    "METRICS",
    "NDCG",
    "AveragePrecision",
    "CatalogueMetric",
    "HitRate",
    "ItemMetric",
    "Metric",
    "Precision",
    "Recall",
    "ReciprocalRank",
    "UserMetric",
    "parse_metric",
    "parse_metrics",
    "warn_beyond",
]

_LONGEST = 1000  # ranks of a list that is longer than the catalogue; they are padding
_FORM = re.compile(r"([a-z]+)@([1-9][0-9]{0,8})")


class _Linear(UserMetric):
    """A metric that is linear in the relevance of each rank: expected relevance gives the expected value.

    At a rank in a tie of ``t`` items, ``r`` of them relevant, the chance of a relevant item is ``r / t``.
    """

    def observed(self, judged: Judged) -> Array:
        return self._value(judged.hits[:, : self.k].astype(np.float64), judged.n_relevant)

    def expected(self, judged: Judged, ties: Ties) -> Array:
        return self._value(_chance(ties, self.k), judged.n_relevant)

    @abstractmethod
    def _value(self, relevance: Array, n_relevant: Array) -> Array: ...


class Recall(_Linear):
    """Hits among the first ``k``, divided by the relevant items of the user."""

    name = "recall"

    def _value(self, relevance: Array, n_relevant: Array) -> Array:
        share: Array = relevance.sum(axis=1) / n_relevant
        return share


class Precision(_Linear):
    """Hits among the first ``k``, divided by ``k``."""

    name = "precision"

    def _value(self, relevance: Array, n_relevant: Array) -> Array:
        share: Array = relevance.mean(axis=1)
        return share


class NDCG(_Linear):
    """Discounted gain: each hit at rank ``i`` counts ``1 / log2(i + 1)``, divided by the sum of an ideal list.

    References
    ----------
    Järvelin, Kekäläinen: *Cumulated Gain-Based Evaluation of IR Techniques*, TOIS 2002.
    """

    name = "ndcg"

    def _value(self, relevance: Array, n_relevant: Array) -> Array:
        discount = 1 / np.log2(np.arange(2, self.k + 2))
        ideal = np.cumsum(discount)[np.minimum(n_relevant, self.k) - 1]
        share: Array = relevance @ discount / ideal
        return share


class HitRate(UserMetric):
    """1 where at least one of the first ``k`` is relevant, else 0.

    Notes
    -----
    Expected: a rank after ``j`` others of its tie, none of them relevant, is relevant with chance
    ``r / (t - j)``; the product of the complements is the chance of no hit.
    """

    name = "hr"

    def observed(self, judged: Judged) -> Array:
        values: Array = judged.hits[:, : self.k].astype(np.float64).max(axis=1)
        return values

    def expected(self, judged: Judged, ties: Ties) -> Array:
        values: Array = 1 - np.cumprod(1 - _chance_of_first(ties, self.k), axis=1)[:, -1]
        return values


class ReciprocalRank(UserMetric):
    """One over the rank of the first hit; 0 where none of the first ``k`` is relevant."""

    name = "mrr"

    def observed(self, judged: Judged) -> Array:
        hits = judged.hits[:, : self.k].astype(np.float64)
        values: Array = (hits / np.arange(1, self.k + 1)).max(axis=1)
        return values

    def expected(self, judged: Judged, ties: Ties) -> Array:
        found_here = _chance_of_first(ties, self.k)
        none_yet = np.cumprod(1 - found_here, axis=1)
        none_before = np.concatenate((np.ones((len(none_yet), 1)), none_yet[:, :-1]), axis=1)
        values: Array = (none_before * found_here / np.arange(1, self.k + 1)).sum(axis=1)
        return values


class AveragePrecision(UserMetric):
    """Precision at the rank of each hit among the first ``k``, summed, divided by the relevant items.

    Notes
    -----
    Expected: two ranks of one tie are both relevant with chance ``r (r - 1) / (t (t - 1))``.
    """

    name = "map"

    def observed(self, judged: Judged) -> Array:
        hits = judged.hits[:, : self.k].astype(np.float64)
        precision = np.cumsum(hits, axis=1) / np.arange(1, self.k + 1)
        values: Array = (hits * precision).sum(axis=1) / judged.n_relevant
        return values

    def expected(self, judged: Judged, ties: Ties) -> Array:
        place, size, relevant = _of_ties(ties, self.k)
        chance = relevant / size
        before_tie = np.cumsum(chance, axis=1) - (place + 1) * chance
        in_tie = place * (relevant - 1) / np.maximum(size - 1, 1)
        ranks = np.arange(1, self.k + 1)
        values: Array = (chance * (1 + before_tie + in_tie) / ranks).sum(axis=1) / judged.n_relevant
        return values


#: The metrics by name, as in ``recall@20``.
METRICS: Registry[type[Metric]] = Registry(
    "metric",
    {
        kind.name: kind
        for kind in (
            Recall,
            Precision,
            HitRate,
            NDCG,
            AveragePrecision,
            ReciprocalRank,
            ItemRecall,
            Coverage,
            Gini,
            Novelty,
            AveragePopularity,
            PopularityLift,
            LongTailShare,
        )
    },
)
"""Every metric of the library that needs a name only.

Expected values of the metrics of relevance are exact: McSherry, Najork, *Computing Information Retrieval Performance Measures
Efficiently in the Presence of Tied Scores*, ECIR 2008, and the same argument for precision at a cut.
"""


def parse_metric(name: Any) -> Metric:
    """Return the metric that a name such as ``"recall@20"`` stands for; a :class:`Metric` stays as it is.

    Raises
    ------
    ParameterError
        If the name has another form or its metric is unknown.

    Examples
    --------
    >>> parse_metric("ndcg@10")
    NDCG(k=10)
    """
    if isinstance(name, Metric):
        return name
    found = _FORM.fullmatch(name) if isinstance(name, str) else None
    if found is None or found[1] not in METRICS:
        raise ParameterError(
            f"metrics must be names like 'recall@20', of {quote_some(METRICS, len(METRICS))}, got {name!r}"
        )
    return METRICS[found[1]](int(found[2]))


def parse_metrics(names: Any, *, n_items: int) -> list[Metric]:
    """Return metrics by name, each once, in the order given.

    Raises
    ------
    ParameterError
        If there are none, a name is not a metric's, two differ and have one name, or a cut is beyond both the
        catalogue and 1,000.
    """
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise ParameterError(f"metrics must be a list of names like 'recall@20', got {names!r}")
    metrics = list(dict.fromkeys(parse_metric(name) for name in names))
    if not metrics:
        raise ParameterError("metrics must name at least one metric, got none")
    known: set[str] = set()
    for metric in metrics:
        if metric.k > max(n_items, _LONGEST):
            raise ParameterError(f"metrics must be cut at {max(n_items, _LONGEST)} at most, got '{metric}'")
        if str(metric) in known:
            raise ParameterError(f"metrics must have different names, got '{metric}' twice")
        known.add(str(metric))
    return metrics


def warn_beyond(metrics: Sequence[Metric], n_items: int) -> None:
    """Warn the caller's caller with :class:`ResultWarning` where a cut is beyond the catalogue."""
    beyond = [f"'{metric}'" for metric in metrics if metric.k > n_items]
    if beyond:
        warnings.warn(
            f"{', '.join(beyond)} cut beyond the {n_items} items of the catalogue; their lists hold every item",
            ResultWarning,
            stacklevel=3,
        )


def _of_ties(ties: Ties, k: int) -> tuple[Array, Array, Array]:
    place, size, relevant = (
        part[:, :k].astype(np.float64) for part in (ties.place, ties.size, ties.n_relevant)
    )
    return place, size, relevant


def _chance(ties: Ties, k: int) -> Array:
    """Return the chance that the item at each rank is relevant, (n, k)."""
    _, size, relevant = _of_ties(ties, k)
    return relevant / size


def _chance_of_first(ties: Ties, k: int) -> Array:
    """Return the chance that each rank is relevant where no rank before it is, (n, k)."""
    place, size, relevant = _of_ties(ties, k)
    chance: Array = np.minimum(relevant / (size - place), 1)
    return chance
