"""Searches under rules: filtered, boosted, capped and diverse answers, and what each rule did to them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import pyarrow as pa

from hashgnn._types import Array
from hashgnn.answering.fitted_model import Check, FittedModel
from hashgnn.answering.queries import POPULAR, Queries
from hashgnn.answering.search_ways import ENGINE_WAYS, SearchOptions
from hashgnn.codes import BinaryCodes
from hashgnn.index.choosing import choose_diverse
from hashgnn.ranking import CandidateFilter, Matches
from hashgnn.rules import BoundRules, ItemFilter
from hashgnn.rules.rule_set import POOL, Part

Search: TypeAlias = Callable[[Array, int, ItemFilter | None], Matches]
"""Ranks so many items of a filter for some rows of a request."""


@dataclass(frozen=True, eq=False)
class RuleEffects:
    """The traces that rules leave on an answer.

    Attributes
    ----------
    n_allowed : int or None
        Items of the model that ``where`` lets through, seen ones included; None without one.
    base_scores : ndarray of shape (n, k), float32
        Scores before boosts; -inf where there is no result.
    base_ranks : ndarray of shape (n, k), int64
        Rank, from 1, that the item would have without boosts, caps and diversity, under the same filter. 0
        where it lies further down than was searched, or there is no result.
    n_capped : dict of str to ndarray of shape (n,), int64
        By the column of a cap: items that it kept out of the answer.
    """

    n_allowed: int | None
    base_scores: Array
    base_ranks: Array
    n_capped: dict[str, Array]


def with_effects(table: pa.Table, effects: RuleEffects, real: Array) -> pa.Table:
    """Return a list with the columns ``base_rank`` and ``base_score``; ``real``, (n, k), says what are results."""
    ranks = effects.base_ranks[real].astype(np.int32)
    table = table.append_column("base_rank", pa.array(ranks, mask=ranks == 0))
    return table.append_column("base_score", pa.array(effects.base_scores[real].astype(np.float32)))


def recommend_with_rules(
    fitted: FittedModel,
    queries: Queries,
    options: SearchOptions,
    candidates: CandidateFilter,
    rules: BoundRules,
    check: Check | None = None,
) -> tuple[Matches, RuleEffects]:
    """Rank items for each query under rules; otherwise as :meth:`FittedModel.recommend`.

    Filters and boosts are exact: the answer is that of scoring every candidate by the search way, and of ranking
    the boosted scores. Hierarchical search re-ranks the best by code of each part of the items that boosts treat the same.
    Diversity and caps choose of the ``5 * k`` best; caps go on further down until there are ``k`` results, or
    no candidates.

    Returns
    -------
    Matches
        Scores are boosted. With diversity they are in the order of the choice.
    RuleEffects
    """
    rules = _left_to_the_engine(fitted, rules, options)

    def search(rows: Array, k: int, some: ItemFilter | None) -> Matches:
        limits = candidates[rows]
        if some is not None:
            limits = limits.within(some.n_items, some.bits, some.count, some.condition)
        return fitted.recommend(_rows_of(queries, rows), _widened(options, k), limits, check)

    return _Ruled(search, options.k, rules, fitted.state.items.codes).answer(len(queries))


def similar_items_with_rules(
    fitted: FittedModel,
    index: Array,
    options: SearchOptions,
    rules: BoundRules,
    check: Check | None = None,
) -> tuple[Matches, RuleEffects]:
    """Rank the items most similar to some items under rules; otherwise as :meth:`FittedModel.similar_items`."""
    rules = _left_to_the_engine(fitted, rules, options)

    def search(rows: Array, k: int, some: ItemFilter | None) -> Matches:
        limits = None
        if some is not None:
            limits = CandidateFilter().within(some.n_items, some.bits, some.count, some.condition)
        return fitted.similar_items(index[rows], _widened(options, k), check, limits)

    return _Ruled(search, options.k, rules, fitted.state.items.codes).answer(len(index))


def _left_to_the_engine(fitted: FittedModel, rules: BoundRules, options: SearchOptions) -> BoundRules:
    """Return rules whose filter is a condition of the engine that holds the items, where that finds the same ones.

    A table of items that has changed since it was read is newer than the columns of the engine.
    """
    where, engine = rules.rules.where, fitted.engine_index
    if where is None or engine is None or options.search not in ENGINE_WAYS or rules.rules.boosts:
        return rules
    ((factor, added, allowed),) = rules.parts
    if allowed is None or rules.items is None or rules.items.is_changed:
        return rules
    found = engine.condition(where, rules.now, allowed)
    return rules if found is None else replace(rules, parts=((factor, added, found),))


def _widened(options: SearchOptions, k: int) -> SearchOptions:
    """Return options for ``k`` results of which fewer are shown: no more are re-ranked for them than before."""
    if k == options.k:
        return options
    return replace(options, k=k, oversampling=max(1, -(-options.k * options.oversampling // k)))


def _rows_of(queries: Queries, rows: Array) -> Queries:
    if len(rows) == len(queries):
        return queries
    place = np.cumsum(queries.source != POPULAR) - 1
    personal = rows[queries.source[rows] != POPULAR]
    return Queries(
        queries.source[rows],
        queries.entities[place[personal]],
        queries.seen[rows],
        np.arange(len(rows)),
        len(rows),
    )


@dataclass(frozen=True, eq=False)
class _Pool:
    """Candidates of some rows, best first by boosted score; padded as matches are."""

    positions: Array
    scores: Array
    base_scores: Array
    base_ranks: Array
    counts: Array
    may_have_more: Array

    @classmethod
    def of(cls, found: list[Matches], parts: tuple[Part, ...], size: int) -> _Pool:
        """Merge the best of each part."""
        total = np.sum([part.counts for part in found], axis=0)
        # Parts that are short each may have more than fits together.
        may_have_more = np.any([part.counts == size for part in found], axis=0) | (total > size)
        if len(parts) == 1:
            only = found[0]
            ranks = np.where(only.valid, np.arange(1, size + 1), 0)
            scores = _boosted(only.scores, *parts[0][:2])
            return cls(only.positions, scores, only.scores, ranks, only.counts, may_have_more)
        positions = np.concatenate([part.positions for part in found], axis=1)
        base = np.concatenate([part.scores for part in found], axis=1)
        scores = np.concatenate(
            [_boosted(part.scores, *effect[:2]) for part, effect in zip(found, parts, strict=True)], axis=1
        )
        # Behind the last candidate of a part that has more, others may stand between.
        last = [np.where(part.counts == size, part.scores[:, -1], -np.inf) for part in found]
        is_known = (base > np.max(last, axis=0)[:, None]) & (positions >= 0)
        order = np.lexsort((positions, -base), axis=-1)
        ranks = np.empty_like(positions)
        np.put_along_axis(ranks, order, np.arange(1, positions.shape[1] + 1)[None], axis=1)
        ranks = np.where(is_known, ranks, 0)
        order = np.lexsort((positions, -scores, positions < 0), axis=-1)[:, :size]
        counts = np.minimum(total, size)
        taken = [np.take_along_axis(array, order, axis=1) for array in (positions, scores, base, ranks)]
        return cls(taken[0], taken[1], taken[2], taken[3], counts, may_have_more)


def _boosted(scores: Array, factor: float, added: float) -> Array:
    """Return scores with a boost, float32: negative ones are divided, so that a factor above 1 raises them too."""
    if factor == 1.0 and added == 0.0:
        return scores
    exact = scores.astype(np.float64)
    return (np.where(exact > 0, exact * factor, exact / factor) + added).astype(np.float32)


class _Ruled:
    """One search under rules."""

    def __init__(self, search: Search, k: int, rules: BoundRules, codes: BinaryCodes) -> None:
        self._search, self._k, self._rules, self._codes = search, k, rules, codes
        self._size = min(rules.n_items, POOL * k) if rules.rules.chooses else k
        self._caps = np.array([cap for _, cap in rules.rules.caps], np.int64)

    def answer(self, n_rows: int) -> tuple[Matches, RuleEffects]:
        pool = self._pool(np.arange(n_rows), self._rules.parts)
        rules, k = self._rules.rules, self._k
        if rules.chooses:
            return self._chosen(pool)
        capped: dict[str, Array] = {}
        effects = RuleEffects(self._rules.n_allowed, pool.base_scores, pool.base_ranks, capped)
        return Matches(pool.positions, pool.scores, np.minimum(pool.counts, k)), effects

    def _pool(self, rows: Array, parts: tuple[Part, ...]) -> _Pool:
        return _Pool.of([self._search(rows, self._size, part[2]) for part in parts], parts, self._size)

    def _chosen(self, pool: _Pool) -> tuple[Matches, RuleEffects]:
        n, k = len(pool.counts), self._k
        result, base = Matches.empty(n, k), np.full((n, k), -np.inf, np.float32)
        ranks, capped = np.zeros((n, k), np.int64), np.zeros((n, len(self._caps)), np.int64)
        for row in range(n):
            found = self._choose(row, pool, capped[row])
            positions, scores, base_scores, base_ranks = found
            size = len(positions)
            result.positions[row, :size], result.scores[row, :size] = positions, scores
            base[row, :size], ranks[row, :size], result.counts[row] = base_scores, base_ranks, size
        by_column = {column: capped[:, place] for place, (column, _) in enumerate(self._rules.rules.caps)}
        return result, RuleEffects(self._rules.n_allowed, base, ranks, by_column)

    def _choose(self, row: int, pool: _Pool, capped: Array) -> list[Array]:
        """Choose the results of a row; where caps leave too few, go on with what no full group holds."""
        at, low, width = row, 0.0, 0.0
        kept: list[Array] = [np.empty(0, np.int64), np.empty(0), np.empty(0), np.empty(0, np.int64)]
        while True:
            count, n_kept = int(pool.counts[at]), len(kept[0])
            arrays = (pool.positions, pool.scores, pool.base_scores, pool.base_ranks)
            offered = [array[at, :count] for array in arrays]
            scores = offered[1].astype(np.float64)
            if not n_kept and count:
                low, width = float(scores.min()), float(scores.max() - scores.min())
            relevance = (scores - low) / width if width else np.ones(count)
            everything = [np.concatenate([old, new]) for old, new in zip(kept, offered, strict=True)]
            choice = choose_diverse(
                self._codes_of(everything[0]),
                np.concatenate([np.zeros(n_kept), relevance]),
                self._k - n_kept,
                diversity=self._rules.rules.diversity,
                groups=self._rules.groups(everything[0]),
                caps=self._caps,
                n_chosen=n_kept,
            )
            capped += choice.n_capped
            kept = [
                np.concatenate([old, new[choice.rows]]) for old, new in zip(kept, everything, strict=True)
            ]
            if len(kept[0]) == self._k or not (pool.may_have_more[at] and len(choice.rows)):
                if self._rules.rules.diversity > 0:
                    return kept
                # Lists that a search did not read before may have held better ones.
                order = np.lexsort((kept[0], -kept[1]))
                return [array[order] for array in kept]
            pool, at = self._pool(np.array([row]), self._parts_without(kept[0])), 0
            # Their ranks among all are not known any more.
            pool = replace(pool, base_ranks=np.zeros_like(pool.base_ranks))

    def _codes_of(self, positions: Array) -> BinaryCodes:
        if self._rules.rules.diversity > 0:
            return self._codes[positions]
        return BinaryCodes(np.zeros((len(positions), 1), np.uint8))  # they do not count

    def _parts_without(self, kept: Array) -> tuple[Part, ...]:
        """Return the parts without the items of full groups and without those that are chosen already."""
        mask = np.zeros(self._rules.n_items, bool)
        mask[kept] = True
        gone = ItemFilter.of_mask(mask)
        full = self._rules.full_groups(kept)
        gone = gone if full is None else gone.either(full)
        everything = ItemFilter.all_of(self._rules.n_items)
        return tuple(
            (factor, added, (everything if some is None else some).without(gone))
            for factor, added, some in self._rules.parts
        )
