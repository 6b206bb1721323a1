"""The kinds of metrics: one value for each user, for each held-out item, or for all lists together."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hashgnn._checks import check_int
from hashgnn._types import Array
from hashgnn.evaluation.relevance import Judged, Ties


@dataclass(frozen=True)
class Metric(ABC):
    """A metric of the first ``k`` results: a :class:`UserMetric`, :class:`ItemMetric` or :class:`CatalogueMetric`.

    Attributes
    ----------
    k : int
        The cut, at least 1.
    name : str
        What stands before the cut in ``"recall@20"``; an attribute of the class.
    """

    k: int
    name: ClassVar[str]

    def __post_init__(self) -> None:
        check_int("k", self.k, minimum=1)

    def __str__(self) -> str:
        return f"{self.name}@{self.k}"


class UserMetric(Metric):
    """A metric with one value per user; the mean is reported.

    Examples
    --------
    >>> class FirstHit(UserMetric):
    ...     name = "first"
    ...     def observed(self, judged):
    ...         return judged.hits[:, 0].astype(float)
    >>> str(FirstHit(1))
    'first@1'
    """

    @abstractmethod
    def observed(self, judged: Judged) -> Array:
        """Return the value of each row, with ties in the order of the list.

        Parameters
        ----------
        judged : Judged of shape (n, k)
            Lists of at least ``self.k`` ranks; every row has relevant items.

        Returns
        -------
        ndarray of shape (n,), float64
            Those of relevance are in [0, 1], and higher is better.
        """

    def expected(self, judged: Judged, ties: Ties) -> Array | None:
        """Return the mean of the metric of each row over all orders of its ties, all equally likely.

        Parameters
        ----------
        judged : Judged of shape (n, k)
        ties : Ties of shape (n, k)
            Those of ``judged``.

        Returns
        -------
        ndarray of shape (n,), float64, or None
            None, the default, where no formula is known: the metric then has no expected value.
        """
        return None


class ItemMetric(Metric):
    """A metric with one value per held-out item; over all items they are summed up by :meth:`overall`."""

    @abstractmethod
    def of_items(self, hits: Array, held_out: Array) -> Array:
        """Return the value of each item.

        Parameters
        ----------
        hits : ndarray of shape (n_items,), int64
            How many users found the item among their first ``k`` results, and had it held out.
        held_out : ndarray of shape (n_items,), int64
            How many users had it held out.

        Returns
        -------
        ndarray of shape (n_items,), float64
            NaN where no user had the item held out.
        """

    def overall(self, values: Array) -> float:
        """Return the mean over the items that were held out."""
        return float(np.nanmean(values))


class CatalogueMetric(Metric):
    """A metric of all lists together; it has no value for a single user."""

    @abstractmethod
    def of_counts(self, counts: Array) -> float:
        """Return the metric.

        Parameters
        ----------
        counts : ndarray of shape (n_items,), int64
            How many users have each item among their first ``k`` results.
        """
