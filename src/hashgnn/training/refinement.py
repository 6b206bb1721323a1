"""Refinement: bits of item codes are turned, after training, until queries rank items as the floats do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import expit

from hashgnn import _native
from hashgnn._progress import progress as progress_bar
from hashgnn._types import Array
from hashgnn.codes import BinaryCodes
from hashgnn.config import ModelConfig
from hashgnn.config.objectives import Users
from hashgnn.index import EmbeddedCodes, HammingIndex, HierarchicalIndex
from hashgnn.ranking import CandidateFilter, IndexLists
from hashgnn.state import ModelState
from hashgnn.state.float_queries import FloatQueries

_K = 20  # scores are compared with that of a user's twentieth item
_BEST_BY_FLOATS = 100  # of each user
_BEST_BY_CODE = 60  # of each query, next to those
_OVERSAMPLING = 8  # candidates by code for each of the best by floats
_LEAST_CURVATURE = 0.1  # of p (1 - p)
_MAX_PAIRS = 1 << 24  # of a round, which then takes some 800 MB
_PAIRS_AN_ITEM = 64  # or as many as this makes
_SLOPE_QUERIES = 2048


def refines_codes(config: ModelConfig) -> bool:
    """Return whether a config has its item codes refined: floats are trained, and so are queries for codes."""
    settings = config.objective
    return (
        isinstance(settings, Users)
        and settings.refinement_rounds > 0
        and settings.float_weight > 0
        and settings.trains_codes
    )


def refine_item_codes(
    state: ModelState, rng: np.random.Generator, *, n_threads: int = 1, progress: bool | None = None
) -> ModelState:
    """Return the state with refined item codes; users, embeddings, bias and the hash layer stay.

    A pair of a user and an item shall have the probability ``σ(a (f - f_K) / T)``. Here ``f`` is its float score,
    ``f_K`` that of the user's 20th item, and ``a`` the slope of code scores over float scores. By code it has
    ``σ((s - s_K) / T)``. A round takes the pairs that floats or codes rank best, without seen items. Of each item it
    turns the bits that lower the cross-entropy of its pairs most. Queries by code and by floats count with the
    weights that their terms of the loss have.

    Where there are many users, a round takes a sample of them, drawn from ``rng``. So time and memory do not grow
    with the users.

    Parameters
    ----------
    state : ModelState
        Of a config for which :func:`refines_codes` holds.
    rng : numpy Generator
    n_threads : int, default=1
        The result does not depend on it.
    progress : bool or None, default=None
    """
    settings = state.config.objective
    assert isinstance(settings, Users)
    temperature = settings.refinement_temperature
    kinds = _kinds(state, settings)
    users = np.flatnonzero(np.diff(state.seen.indptr))
    sizes = min(_BEST_BY_FLOATS, state.n_items), min(_BEST_BY_CODE, state.n_items)
    most_pairs = max(_MAX_PAIRS, _PAIRS_AN_ITEM * state.n_items)
    n_users = min(len(users), max(1, most_pairs // (len(kinds) * sum(sizes))))
    signs = np.ascontiguousarray(state.items.codes.signs())
    bias = np.zeros(state.n_items, np.float32) if state.items.bias is None else state.items.bias.values()
    slopes: list[float] = []
    best: _Best | None = None
    with progress_bar("Refining codes", settings.refinement_rounds, enabled=progress) as advance:
        for _ in range(settings.refinement_rounds):
            if best is None or n_users < len(users):
                best = _Best.of(state, np.sort(rng.permutation(users)[:n_users]), sizes[0], n_threads)
            index = HammingIndex(BinaryCodes.from_signs(signs), state.items.bias)
            pairs = [_Pairs.of(state, best, index, kind, sizes[1], n_threads) for kind in kinds]
            slopes = slopes or [one.slope(best, signs, bias, n_threads) for one in pairs]
            wanted = [
                expit(one.floats * np.float32(slope / temperature))
                for one, slope in zip(pairs, slopes, strict=True)
            ]
            _, n_turned = _native.refine_codes(
                np.concatenate([one.queries for one in pairs]),
                np.concatenate([one.items for one in pairs]),
                np.concatenate(wanted),
                np.repeat(np.array([kind.weight for kind in kinds], np.float32), len(best.users)),
                bias,
                _K,
                temperature,
                _LEAST_CURVATURE,
                signs,
                n_threads,
            )
            advance(note=f"{n_turned / state.n_items:.1f} bits an item")
    return replace(state, items=replace(state.items, codes=BinaryCodes.from_signs(signs)))


@dataclass(frozen=True)
class _Kind:
    """A way to ask for items.

    Attributes
    ----------
    weight : float
    queries : callable
        Returns those of some users: what an index takes, and the same as floats (n_users, n_bits).
    """

    weight: float
    queries: Callable[[Array], tuple[BinaryCodes | Array, Array]]


def _kinds(state: ModelState, settings: Users) -> list[_Kind]:
    """Return the ways to ask whose terms of the loss have a weight."""
    floats = FloatQueries.of_users(state)

    def by_codes(users: Array) -> tuple[BinaryCodes | Array, Array]:
        codes = state.users.codes[users]
        return codes, codes.signs().astype(np.float32)

    def by_floats(users: Array) -> tuple[BinaryCodes | Array, Array]:
        queries = floats(state.users.embeddings[users])
        return queries, queries

    kinds = (_Kind(settings.code_weight, by_codes), _Kind(settings.float_query_weight, by_floats))
    return [kind for kind in kinds if kind.weight > 0]


@dataclass(frozen=True)
class _Best:
    """The items that floats rank best for some users, without seen ones.

    Attributes
    ----------
    users : ndarray of shape (n_users,)
    unseen : CandidateFilter
    items : ndarray of shape (n_users, n_best), int32
        -1 where there are fewer.
    levels : ndarray of shape (n_users, 1), float32
        The float score of the 20th of them.
    scores : ndarray of shape (n_users, n_best), float32
        Float scores, less the level.
    """

    users: Array
    unseen: CandidateFilter
    items: Array
    levels: Array
    scores: Array

    @classmethod
    def of(cls, state: ModelState, users: Array, n_best: int, n_threads: int) -> _Best:
        """Search for them among candidates by code."""
        unseen = CandidateFilter(block_per_query=IndexLists.from_matrix(state.seen[users]))
        queries = EmbeddedCodes(state.users.codes[users], state.users.embeddings[users])
        index = HierarchicalIndex(HammingIndex(state.items.codes, state.items.bias), state.items.embeddings)
        found = index.search(
            queries, n_best, oversampling=_OVERSAMPLING, candidates=unseen, n_threads=n_threads
        )
        levels = np.take_along_axis(found.scores, _last(found.positions >= 0)[:, None], 1)
        levels[found.counts == 0] = 0
        scores = np.where(found.positions < 0, np.float32(0), found.scores - levels)
        return cls(users, unseen, found.positions.astype(np.int32), levels, scores.astype(np.float32))


@dataclass(frozen=True)
class _Pairs:
    """Queries of one kind, with the items that floats or they themselves rank best.

    Attributes
    ----------
    queries : ndarray of shape (n_users, n_bits), float32
    items : ndarray of shape (n_users, n_best + n_found), int32
        Each once; -1 for none.
    floats : ndarray of the same shape, float32
        Float scores, less the level of the user.
    """

    queries: Array
    items: Array
    floats: Array

    @classmethod
    def of(
        cls, state: ModelState, best: _Best, index: HammingIndex, kind: _Kind, n_found: int, n_threads: int
    ) -> _Pairs:
        """Search for the best by code, and score them by floats."""
        requested, queries = kind.queries(best.users)
        found = index.search(requested, n_found, candidates=best.unseen, n_threads=n_threads)
        items = np.concatenate([best.items, found.positions.astype(np.int32)], axis=1)
        _native.drop_repeats(items, state.n_items, n_threads)
        n_best = best.items.shape[1]
        further = np.empty((len(items), n_found), np.float32)
        _native.score_pairs(
            np.ascontiguousarray(state.users.embeddings[best.users]),
            np.ascontiguousarray(state.items.embeddings),
            np.ascontiguousarray(items[:, n_best:]),
            further,
            n_threads,
        )
        return cls(queries, items, np.concatenate([best.scores, further - best.levels], axis=1))

    def slope(self, best: _Best, signs: Array, bias: Array, n_threads: int) -> float:
        """Return how much more code scores differ from that of the 20th item than float scores do."""
        some = np.unique(np.linspace(0, len(self.items) - 1, _SLOPE_QUERIES).astype(np.int64))
        items, floats = best.items[some], best.scores[some]
        scores = np.empty(items.shape, np.float32)
        _native.score_pairs(self.queries[some], signs.astype(np.float32), items, scores, n_threads)
        ranked = -np.sort(-np.where(items < 0, -np.inf, scores + bias[items]), axis=1)
        levels = np.take_along_axis(ranked, _last(items >= 0)[:, None], 1)
        differences = np.where(items < 0, 0, scores + bias[items] - np.where(np.isfinite(levels), levels, 0))
        squares = float(np.square(floats, dtype=np.float64).sum())
        return max(float((floats * differences).sum(dtype=np.float64)) / max(squares, 1e-30), 0.0)


def _last(present: Array) -> Array:
    """Return the place of the 20th item of each row, or of its last one."""
    places: Array = np.clip(present.sum(axis=1), 1, _K) - 1
    return places
