"""Metrics by name: ``"recall@20"`` in, a checked :class:`Metric` out."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from hashgnn._checks import quote_some
from hashgnn.errors import ParameterError

PER_USER = ("recall", "precision", "hr", "ndcg", "map", "mrr")
"""Metrics that each user has a value of."""

KINDS = (*PER_USER, "coverage")
"""Every metric."""

_FORM = re.compile(r"([a-z]+)@([1-9][0-9]{0,8})")


@dataclass(frozen=True)
class Metric:
    """A metric cut at ``k`` results.

    Attributes
    ----------
    kind : str
        One of :data:`KINDS`.
    k : int
    """

    kind: str
    k: int

    def __str__(self) -> str:
        return f"{self.kind}@{self.k}"

    @property
    def is_per_user(self) -> bool:
        """Whether each user has a value, and the metric is their mean."""
        return self.kind in PER_USER


def parse_metric(name: Any) -> Metric:
    """Return the metric that a name such as ``"recall@20"`` stands for.

    Raises
    ------
    ParameterError
        If the name has another form or its metric is unknown.

    Examples
    --------
    >>> parse_metric("ndcg@10")
    Metric(kind='ndcg', k=10)
    """
    found = _FORM.fullmatch(name) if isinstance(name, str) else None
    if found is None or found[1] not in KINDS:
        raise ParameterError(
            f"metrics must be names like 'recall@20', of {quote_some(KINDS, len(KINDS))}, got {name!r}"
        )
    return Metric(found[1], int(found[2]))


def parse_metrics(names: Any, *, n_items: int) -> list[Metric]:
    """Return metrics by name, each once, in the order given.

    Raises
    ------
    ParameterError
        If there are none, a name is not a metric's, or a cut-off is beyond the catalogue.
    """
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise ParameterError(f"metrics must be a list of names like 'recall@20', got {names!r}")
    metrics = list(dict.fromkeys(parse_metric(name) for name in names))
    if not metrics:
        raise ParameterError("metrics must name at least one metric, got none")
    for metric in metrics:
        if metric.k > n_items:
            raise ParameterError(f"metrics must be cut at {n_items} items at most, got '{metric}'")
    return metrics
