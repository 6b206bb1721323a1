"""Metrics beyond accuracy: coverage, exposure, novelty, popularity bias, diversity, calibration."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import sparse

from hashgnn._checks import check_matrix
from hashgnn._types import Array
from hashgnn.errors import DataError, ParameterError
from hashgnn.evaluation.metric_kinds import CatalogueMetric, ItemMetric, UserMetric
from hashgnn.evaluation.relevance import Judged, Popularity

HEAD_SHARE = 0.2  # of the catalogue, the most popular items
_SMOOTHING = 0.01  # of Steck's calibration


def head_items(counts: Array) -> Array:
    """Return which items are the head: the most popular fifth of the catalogue, (n_items,) bool.

    The others are the long tail. Equal items go to the smaller position.

    Examples
    --------
    >>> head_items(np.array([1, 5, 5, 2, 3])).tolist()
    [False, True, False, False, False]
    """
    head = np.zeros(len(counts), bool)
    head[np.argsort(-counts, kind="stable")[: int(np.ceil(HEAD_SHARE * len(counts)))]] = True
    return head


class ItemRecall(ItemMetric):
    """Share of the users who had an item held out and found it; the mean over items.

    Every item counts the same, so the long tail weighs as much here as it has items.
    """

    name = "itemrecall"

    def of_items(self, hits: Array, held_out: Array) -> Array:
        shares: Array = np.where(held_out > 0, hits / np.maximum(held_out, 1), np.nan)
        return shares


class Coverage(CatalogueMetric):
    """Share of the catalogue that is among the first ``k`` of at least one user."""

    name = "coverage"

    def of_counts(self, counts: Array) -> float:
        return float((counts > 0).mean())


class Gini(CatalogueMetric):
    """Gini coefficient of exposure: 0 where every item is recommended equally often, near 1 where one is always.

    Lower is more even. Items that nobody is recommended count.
    """

    name = "gini"

    def of_counts(self, counts: Array) -> float:
        n, total = len(counts), counts.sum()
        if not total:
            return 0.0
        ranks = 2 * np.arange(1, n + 1) - n - 1
        return float((ranks * np.sort(counts)).sum() / (n * total))


class _OfItems(UserMetric):
    """A mean over the items of a list, of a number that each item has."""

    def observed(self, judged: Judged) -> Array:
        positions = judged.positions[:, : self.k]
        listed = positions >= 0
        values = np.where(listed, self.values(_popularity(judged))[positions], 0.0)
        means: Array = values.sum(axis=1) / np.maximum(listed.sum(axis=1), 1)
        return means

    @abstractmethod
    def values(self, popularity: Popularity) -> Array:
        """Return the number of each item, (n_items,) float64."""


class Novelty(_OfItems):
    """Mean self-information of the items of a list, in bits: ``log2(users / users of the item)``.

    0 for an item that every user of the training data has; an item without users counts as having one.
    Zhou et al., *Solving the apparent diversity-accuracy dilemma of recommender systems*, PNAS 2010.
    """

    name = "novelty"

    def values(self, popularity: Popularity) -> Array:
        bits: Array = np.log2(max(popularity.n_users, 1) / np.maximum(popularity.counts, 1))
        return bits


class AveragePopularity(_OfItems):
    """Mean number of training users of the items of a list (average recommendation popularity, ARP).

    Yin et al., *Challenging the Long Tail Recommendation*, VLDB 2012.
    """

    name = "arp"

    def values(self, popularity: Popularity) -> Array:
        return popularity.counts.astype(np.float64)


class LongTailShare(_OfItems):
    """Share of a list that is not of the head (average percentage of long-tail items, APLT).

    The head is the most popular fifth of the catalogue. Abdollahpouri et al., RecSys 2017.
    """

    name = "aplt"

    def values(self, popularity: Popularity) -> Array:
        return (~head_items(popularity.counts)).astype(np.float64)


class PopularityLift(UserMetric):
    """How much more popular a list is than what the user had: 0.5 is half as popular again, 0 is no bias.

    The mean training users of the listed items, divided by those of the user's own training items, less 1. A
    user without training items is compared with the mean over all training interactions.
    Abdollahpouri et al., *The Connection Between Popularity Bias, Calibration, and Fairness in
    Recommendation*, RecSys 2020.
    """

    name = "lift"

    def observed(self, judged: Judged) -> Array:
        counts = _popularity(judged).counts.astype(np.float64)
        of_lists = AveragePopularity(self.k).observed(judged)
        seen = _seen(judged)
        lengths = np.diff(seen.indptr)
        usual = (counts**2).sum() / max(counts.sum(), 1)
        own = np.where(lengths > 0, (seen @ counts) / np.maximum(lengths, 1), usual)
        lifts: Array = of_lists / np.where(own > 0, own, 1) - 1
        return lifts


@dataclass(frozen=True, eq=False)
class IntraListDiversity(UserMetric):
    """Mean of ``1 - cosine`` over the pairs of items of a list: 0 where all are equal.

    A list of fewer than two items counts 0. Ziegler et al., WWW 2005.

    Parameters
    ----------
    k : int
    vectors : ndarray of shape (n_items, d)
        What similarity is measured by: embeddings, signs of codes, or columns of attributes. A row of zeros is
        similar to nothing.

    Examples
    --------
    >>> lists = Judged(np.array([[0, 1], [0, 2]]), np.zeros((2, 2), bool), np.ones(2, int))
    >>> IntraListDiversity(2, np.array([[1.0, 0], [2, 0], [0, 1]])).observed(lists).tolist()
    [0.0, 1.0]
    """

    vectors: Array = field(repr=False)
    name = "diversity"
    __hash__ = object.__hash__

    def __post_init__(self) -> None:
        super().__post_init__()
        vectors = check_matrix("vectors", self.vectors, dtype=np.float32)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        object.__setattr__(self, "vectors", vectors / np.where(lengths > 0, lengths, 1))

    def __eq__(self, other: object) -> bool:
        return self is other

    def observed(self, judged: Judged) -> Array:
        positions = judged.positions[:, : self.k]
        listed = positions >= 0
        # The sum over pairs of unit vectors is what the squared length of their sum has beyond their own.
        total = np.zeros((len(positions), self.vectors.shape[1]))
        own = np.zeros(len(positions))
        for rank in range(positions.shape[1]):
            rows = np.where(listed[:, rank, None], self.vectors[positions[:, rank]], 0)
            total += rows
            own += np.einsum("ij,ij->i", rows, rows, dtype=np.float64)
        n = listed.sum(axis=1)
        pairs = np.maximum(n * (n - 1), 1)
        similarity = (np.einsum("ij,ij->i", total, total) - own) / pairs
        diversity: Array = np.where(n > 1, 1 - similarity, 0.0)
        return diversity


@dataclass(frozen=True, eq=False)
class Calibration(UserMetric):
    """How far the attributes of a list are from those of the user's training items; lower is better.

    Kullback-Leibler divergence of the list's shares from the history's, smoothed by 1 % of the history's.
    An item with several values counts each in part. A user whose history has no attribute counts 0.
    Steck, *Calibrated Recommendations*, RecSys 2018.

    Parameters
    ----------
    k : int
    attributes : sparse matrix or ndarray of shape (n_items, n_values)
        Above 0 where an item has a value, a genre for instance.
    """

    attributes: Any = field(repr=False)
    name = "calibration"
    __hash__ = object.__hash__

    def __post_init__(self) -> None:
        super().__post_init__()
        matrix = sparse.csr_matrix(self.attributes, dtype=np.float64, copy=True)
        if not np.isfinite(matrix.data).all() or (matrix.data < 0).any():
            raise ParameterError("attributes must be finite and >= 0, got others")
        sums = np.asarray(matrix.sum(axis=1)).ravel()
        matrix.data /= np.repeat(np.where(sums > 0, sums, 1), np.diff(matrix.indptr))
        object.__setattr__(self, "attributes", matrix)

    def __eq__(self, other: object) -> bool:
        return self is other

    def observed(self, judged: Judged) -> Array:
        seen = _seen(judged)
        n_items = self.attributes.shape[0]
        if seen.shape[1] != n_items:
            raise ParameterError(
                f"attributes must have a row for each of {seen.shape[1]} items, got {n_items}"
            )
        positions = judged.positions[:, : self.k]
        listed = positions >= 0
        lists = sparse.csr_matrix(
            (
                np.ones(int(listed.sum())),
                positions[listed],
                np.concatenate(([0], np.cumsum(listed.sum(axis=1)))),
            ),
            shape=(len(positions), n_items),
        )
        had, shown = (_shares((rows @ self.attributes).toarray()) for rows in (seen, lists))
        mixed = (1 - _SMOOTHING) * shown + _SMOOTHING * had
        ratio = np.where(had > 0, had / np.where(mixed > 0, mixed, 1), 1)
        divergence: Array = (had * np.log(ratio)).sum(axis=1)
        return divergence


def _shares(values: Array) -> Array:
    sums = values.sum(axis=1, keepdims=True)
    shares: Array = values / np.where(sums > 0, sums, 1)
    return shares


def _popularity(judged: Judged) -> Popularity:
    if judged.popularity is None:
        raise DataError("the metric needs the popularity of the items; hashgnn.evaluate gives it")
    return judged.popularity


def _seen(judged: Judged) -> sparse.csr_matrix:
    if judged.seen is None:
        raise DataError("the metric needs the training items of the users; hashgnn.evaluate gives them")
    return judged.seen
