"""How far the stages of a hierarchical search have to look to reach an index recall, at the least cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from hashgnn._types import Array
from hashgnn.index._tuning import kth_products, smallest_integer
from hashgnn.index.stores.embedded_store import EmbeddedStore, is_mapped
from hashgnn.index.stores.list_store import ListStore
from hashgnn.ranking import Matches

_SLACK = 1e-5  # sums of floats depend on their order; relative to the sum
_SPARE = 0.25  # of what may be missed: what the last stage may miss of it
_GAIN = 2e-3  # twice as many candidates that find less more are of no use

# Nanoseconds, as measured with docs/measured/search.md; only their proportions matter.
_OF_CODE_BYTE = 0.07  # read in order
_OF_LIST = 60.0
_OF_CANDIDATE = 40.0  # chosen and ranked
_OF_LINE = 5.0  # 64 bytes anywhere in memory
_OF_MAPPED_LINE = 20.0  # and in a file, most of it in memory
_OF_ROW_LINE = 4.0  # of rows in lists: read in order, multiplied and compared

_BREADTHS_A_DOUBLING = 4  # numbers of lists around embeddings that are tried
_MOST_REFINED = 32


class Tuned(NamedTuple):
    """How far each stage looks: candidates by code and by rows for each result, and lists."""

    oversampling: int
    n_probe: int | None
    refined: int


class StageTuner:
    """Tries settings of a hierarchical search on a sample of queries.

    Parameters
    ----------
    search : callable
        Searches for the sample with some settings.
    state : EmbeddedStore
    queries : ndarray of shape (n_queries, width), float32
    floats : ndarray of shape (len(state), width)
        The exact embeddings, by which results are judged.
    k : int
    """

    def __init__(
        self,
        search: Callable[[Tuned], Matches],
        state: EmbeddedStore,
        queries: Array,
        floats: Array,
        k: int,
    ) -> None:
        self._search, self._state, self._queries, self._floats, self._k = search, state, queries, floats, k
        alive = state.alive_mask()
        self._kth = kth_products(queries, floats, state.scale, alive, k)
        self._kth -= _SLACK * np.abs(self._kth)
        self._sought = max(1, len(queries) * min(k, int(alive.sum())))
        self._largest = -(-len(state) // k)
        self._n_lists = state.store.n_lists if isinstance(state.store, ListStore) else 0

    def cheapest(self, requested: float) -> tuple[Tuned, float]:
        """Return the settings that reach an index recall at the least cost, and what they reach.

        Where none reach it, those that found most.
        """
        if self._state.listed is not None:
            return self._cheapest_listed(requested)
        best: tuple[float, Tuned, float] | None = None
        most: tuple[float, Tuned] = (-1.0, Tuned(1, None, 0))
        for floats_rank in self._modes():
            for n_probe in self._breadths():
                limit = np.inf if best is None else best[0]
                if self._cost(Tuned(1, n_probe, 1 if floats_rank else 0)) >= limit:
                    break
                tuned, share = self._at(n_probe, requested, limit, floats_rank=floats_rank)
                most = max(most, (share, tuned), key=lambda one: one[0])
                if share >= requested and self._cost(tuned) < limit:
                    best = self._cost(tuned), tuned, share
        if best is None:
            return most[1], most[0]
        return best[1], best[2]

    def _cheapest_listed(self, requested: float) -> tuple[Tuned, float]:
        """Return the same for lists around embeddings: lists that are read, and rows that floats rank."""
        best: tuple[float, Tuned, float] | None = None
        most = -1.0, Tuned(1, 1, 0)
        refined = _MOST_REFINED if self._state.floats is not None else 0
        for n_probe in self._fine_breadths():
            if best is not None and self._cost(Tuned(1, n_probe, 1 if refined else 0)) >= best[0]:
                break
            widest = Tuned(1, n_probe, refined)
            share = self._reached(widest)
            most = max(most, (share, widest), key=lambda one: one[0])
            if share < requested:
                continue
            tuned = widest
            for fewer in range(refined):
                tried = Tuned(1, n_probe, fewer)
                if best is not None and self._cost(tried) >= best[0]:
                    break
                found = self._reached(tried)
                if found >= requested:
                    tuned, share = tried, found
                    break
            if best is None or self._cost(tuned) < best[0]:
                best = self._cost(tuned), tuned, share
        if best is None:
            return most[1], most[0]
        return best[1], best[2]

    def _fine_breadths(self) -> Iterator[int]:
        value, power = 0, 0
        while value < self._n_lists:
            following = round(2 ** (power / _BREADTHS_A_DOUBLING))
            power += 1
            if following > value:
                value = min(following, self._n_lists)
                yield value

    def _modes(self) -> tuple[bool, ...]:
        """Return whether floats rank the best by rows: both ways where there are both."""
        return (False,) if self._state.rows is None or self._state.floats is None else (False, True)

    def _breadths(self) -> Iterator[int | None]:
        store = self._state.store
        if not isinstance(store, ListStore):
            yield None
            return
        value = 1
        while value < store.n_lists:
            yield value
            value *= 2
        yield store.n_lists

    def _at(
        self, n_probe: int | None, requested: float, limit: float, *, floats_rank: bool
    ) -> tuple[Tuned, float]:
        """Return the smallest settings for some lists that reach what is requested, or the last that were tried."""
        wanted = requested + _SPARE * (1 - requested) if floats_rank else requested

        def tuned(oversampling: int) -> Tuned:
            return Tuned(oversampling, n_probe, oversampling if floats_rank else 0)

        low, high, before = 0, 1, -1.0
        while (share := self._reached(tuned(high))) < wanted:
            beyond = self._cost(Tuned(high, n_probe, 1 if floats_rank else 0)) >= limit
            # More candidates find more, up to what the lists hold and what rows can order.
            is_bounded = not floats_rank or (n_probe is not None and n_probe < self._n_lists)
            if high >= self._largest or (is_bounded and share - before < _GAIN) or beyond:
                return tuned(high), share
            low, high, before = high, min(2 * high, self._largest), share
        while high - low > 1:
            middle = (low + high) // 2
            found = self._reached(tuned(middle))
            if found >= wanted:
                high, share = middle, found
            else:
                low = middle
        if not floats_rank:
            return tuned(high), share
        refined, share = smallest_integer(
            lambda value: self._reached(Tuned(high, n_probe, value)), requested, high
        )
        return Tuned(high, n_probe, refined), share

    def _reached(self, tuned: Tuned) -> float:
        """Return the share of the exact best that settings find."""
        found = self._search(tuned)
        products = found.scores
        if self._state.quantiser is not None and not tuned.refined:  # the scores are of rows
            products = np.stack(
                [
                    self._floats[at].astype(np.float32) @ query
                    for at, query in zip(found.positions, self._queries, strict=True)
                ]
            )
            if self._state.scale is not None:
                products = products * self._state.scale[found.positions]
        is_found = (products >= self._kth[:, None]) & (found.positions >= 0)
        return float(is_found.sum() / self._sought)

    def _cost(self, tuned: Tuned) -> float:
        """Return about how many nanoseconds a query takes, where memory is far."""
        state, store = self._state, self._state.store
        code_bytes, share, lists = len(state) * state.n_bits / 8, 1.0, 0.0
        if isinstance(store, ListStore) and tuned.n_probe is not None:
            share, lists = min(1.0, tuned.n_probe / store.n_lists), _OF_LIST * tuned.n_probe
        if state.listed is not None and state.listed.lists.rows is not None:
            row_lines = _lines(state.listed.lists.rows)
            n_floats = min(self._k * tuned.refined, len(state))
            return lists + _OF_ROW_LINE * row_lines * len(state) * share + self._cost_of_floats(n_floats)
        n_candidates = min(self._k * tuned.oversampling, len(state))
        cost: float = _OF_CODE_BYTE * code_bytes * share + lists + _OF_CANDIDATE * n_candidates
        n_floats = n_candidates
        if state.rows is not None:
            cost += n_candidates * _OF_LINE * _lines(state.rows.rows)
            n_floats = min(self._k * tuned.refined, n_candidates)
        return cost + self._cost_of_floats(n_floats)

    def _cost_of_floats(self, n_floats: int) -> float:
        floats = self._state.floats
        if floats is None:
            return 0.0
        mapped = self._state.quantiser is not None and is_mapped(floats)
        return n_floats * (_OF_MAPPED_LINE if mapped else _OF_LINE) * _lines(floats)


def _lines(rows: Array) -> float:
    """Return the cache lines of a row."""
    return float(max(1.0, rows.shape[1] * rows.itemsize / 64))
