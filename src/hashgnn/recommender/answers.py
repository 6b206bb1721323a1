"""Rows and filters to recommendations in external ids."""

from __future__ import annotations

import warnings

import numpy as np

from hashgnn._checks import quote_some
from hashgnn._types import Array
from hashgnn.data import IdMap
from hashgnn.errors import ResultWarning
from hashgnn.ranking import CandidateFilter, Matches, top_k_in_blocks
from hashgnn.recommender.recommendations import Recommendations
from hashgnn.recommender.rows import Rows
from hashgnn.recommender.search_space import SearchOptions, SearchSpace

_STACK_LEVEL = 4  # the line of the user's program that called HashGNN


def answer(
    space: SearchSpace,
    ids: IdMap,
    rows: Rows,
    options: SearchOptions,
    filters: CandidateFilter,
    popularity: Array,
) -> Recommendations:
    """Search for the known rows, rank by popularity for the others, and warn of rows with no result."""
    known, unknown = np.flatnonzero(rows.known), np.flatnonzero(~rows.known)
    found = space.search(rows.queries, options, filters[known])
    if len(unknown):
        popular = most_popular(popularity, options.k, filters[unknown], len(unknown))
        found = _interleave(known, found, unknown, popular)
    if not found.counts.all():
        without = rows.query_ids[found.counts == 0].tolist()
        warnings.warn(
            f"{len(without)} of {len(rows.query_ids)} users have no item left to recommend: "
            f"{quote_some(without)}; their counts are 0",
            ResultWarning,
            stacklevel=_STACK_LEVEL,
        )
    return in_external_ids(rows.query_ids, found, ids, (rows.column, "item_id"))


def most_popular(popularity: Array, k: int, filters: CandidateFilter, n_rows: int) -> Matches:
    """Return the items that most users have interacted with; the score is their number."""
    counts = popularity.astype(np.float32)

    def score(rows: Array) -> Array:
        scores = np.repeat(counts[None], len(rows), axis=0)
        filters[rows].mask(scores)
        return scores

    return top_k_in_blocks(score, n_rows, len(counts), k)


def in_external_ids(
    query_ids: Array, found: Matches, ids: IdMap, columns: tuple[str, str] = ("user_id", "item_id")
) -> Recommendations:
    """Return positions as external ids, padded as :class:`Recommendations` says."""
    result: Array = np.asarray(ids.ids)[found.positions]
    integers = result.dtype.kind in "iu"
    result = result.astype(np.int64 if integers else object)
    result[found.positions < 0] = -1 if integers else None
    return Recommendations(query_ids, result, found.scores, found.counts, columns)


def _interleave(known: Array, one: Matches, unknown: Array, other: Matches) -> Matches:
    order = np.argsort(np.concatenate((known, unknown)), kind="stable")
    return Matches(
        np.concatenate((one.positions, other.positions))[order],
        np.concatenate((one.scores, other.scores))[order],
        np.concatenate((one.counts, other.counts))[order],
    )
