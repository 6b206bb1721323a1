"""The expected results of an index, in plain NumPy: every value computed, every code sorted."""

from __future__ import annotations

import numpy as np

from hashgnn._types import Array
from hashgnn.codes import BinaryCodes, ItemBias
from hashgnn.ranking import CandidateFilter, Matches


def reference_search(
    codes: BinaryCodes,
    queries: BinaryCodes,
    k: int,
    *,
    item_bias: ItemBias | None = None,
    candidates: CandidateFilter | None = None,
    alive: Array | None = None,
) -> Matches:
    """Search by Hamming distance and item bias: the answer that an exact index must give.

    Parameters
    ----------
    codes, queries : BinaryCodes
    k : int
    item_bias : ItemBias or None, default=None
    candidates : CandidateFilter or None, default=None
    alive : ndarray of shape (n_codes,), bool, or None, default=None
        Positions that were not removed.
    """
    distances = queries.distances(codes).astype(np.int64)
    values = distances if item_bias is None else distances + item_bias.penalty
    top = 0.0 if item_bias is None else item_bias.top
    result = _empty(len(queries), k)
    assert result.distances is not None
    kept = kept_mask(len(queries), len(codes), candidates, alive)
    for row in range(len(queries)):
        best = _ranked(values[row], kept[row], k)
        result.positions[row, : len(best)] = best
        result.scores[row, : len(best)] = codes.n_bits + top - 2 * values[row, best]
        result.distances[row, : len(best)] = distances[row, best]
        result.counts[row] = len(best)
    return result


def reference_asymmetric(
    codes: BinaryCodes,
    queries: Array,
    k: int,
    *,
    query_bits: int = 4,
    item_bias: ItemBias | None = None,
    candidates: CandidateFilter | None = None,
) -> Matches:
    """Search by inner product of the rounded queries with the signs of the codes, item bias added.

    Entries are rounded to odd multiples of a step, the bias to multiples of two steps, rounded down
    after its scale was rounded to a 256th.
    """
    levels = 2**query_bits - 1
    signs = codes.signs().astype(np.int64)
    result = _empty(len(queries), k)
    kept = kept_mask(len(queries), len(codes), candidates, None)
    for row, query in enumerate(np.asarray(queries, np.float32)):
        step = np.float32(np.abs(query).max()) / np.float32(levels)
        if item_bias is not None:
            step = max(step, np.float32(1 / 128))
        if not step > 0:
            step = np.float32(1)
        place = (query / step + np.float32(levels)) * np.float32(0.5)
        rounded = 2 * np.clip(np.rint(place).astype(np.int64), 0, levels) - levels
        products = signs @ rounded
        points = np.zeros(len(codes), np.int64)
        if item_bias is not None:
            scale = int(np.rint(min(np.float32(256) / step, np.float32(32768))))
            points = (item_bias.penalty.astype(np.int64) * scale) >> 8
        totals = products - 2 * points
        best = _ranked(-totals, kept[row], k)
        top = np.float32(0.0 if item_bias is None else item_bias.top)
        result.positions[row, : len(best)] = best
        result.scores[row, : len(best)] = step * totals[best].astype(np.float32) + top
        result.counts[row] = len(best)
    return Matches(result.positions, result.scores, result.counts)


def kept_mask(n_queries: int, n_codes: int, candidates: CandidateFilter | None, alive: Array | None) -> Array:
    """Return the candidates of each query, shape (n_queries, n_codes), bool."""
    kept = np.ones((n_queries, n_codes), bool)
    if alive is not None:
        kept &= alive
    if candidates is None:
        return kept
    if (allowed := candidates.allowed) is not None:
        kept &= allowed
    for lists, value in ((candidates.block_per_query, False), (candidates.allow_per_query, True)):
        if lists is None:
            continue
        listed = np.zeros((n_queries, n_codes), bool)
        listed[lists.rows, lists.indices] = True
        kept &= listed if value else ~listed
    return kept


def _ranked(values: Array, kept: Array, k: int) -> Array:
    order: Array = np.argsort(values, kind="stable")
    return order[kept[order]][:k]


def _empty(n_queries: int, k: int) -> Matches:
    return Matches(
        np.full((n_queries, k), -1, np.int64),
        np.full((n_queries, k), -np.inf, np.float32),
        np.zeros(n_queries, np.int64),
        np.full((n_queries, k), -1, np.int32),
    )
