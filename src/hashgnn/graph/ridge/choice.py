"""``search_ridge``: the item ridge that ranks held-out interactions best."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from hashgnn._progress import progress
from hashgnn._types import Array
from hashgnn.graph.held_out import JUDGED_AT, HeldOut, Judged
from hashgnn.graph.ridge.co_occurrence import DENSE_ITEMS, CoOccurrences
from hashgnn.graph.ridge.item_ridge import by_history
from hashgnn.graph.ridge.lists import best_of_dense
from hashgnn.graph.ridge.solving import TYPICAL, solve, solve_all, typical_regularisation
from hashgnn.ranking import rows_per_block

_FACTORS = (2.0, 8.0, 32.0)  # regularisation over the mean strength of an item
_USER_EXPONENTS = (0.5, 0.0)
_ITEM_EXPONENTS = (0.0, 0.5)
#: Of more items than this fewer neighbours and exponents are tried.
LARGE_ITEMS = 100_000
_FEW = 100  # neighbours while settings are searched
_FINER = (0.5, 2.0)
_WIDER = (1.0, 2.0, 4.0)  # a neighbourhood of all items needs more
_WITHIN_REACH = 0.9
_MAX_JUDGED_ITEMS = 10_000  # of larger catalogues a sample is ranked


@dataclass(frozen=True)
class RidgeCandidate:
    """The arguments of :meth:`ItemRidge.fit`, and how it ranked held-out interactions."""

    settings: dict[str, Any]
    judged: Judged


def judged_items(n_items: int, rng: np.random.Generator) -> Array | None:
    """Return the items among which is ranked, ascending; ``None`` for all."""
    if n_items <= _MAX_JUDGED_ITEMS:
        return None
    return np.sort(rng.choice(n_items, _MAX_JUDGED_ITEMS, replace=False))


def search_ridge(
    held_out: HeldOut,
    *,
    n_neighbours: int,
    max_history: int,
    items: Array | None,
    rng: np.random.Generator,
    n_threads: int = 1,
    to_beat: float | None = None,
    show_progress: bool = False,
) -> RidgeCandidate:
    """Choose exponents and regularisation by held-out interactions.

    Neighbours are counted once for each user exponent; of each neighbourhood the Gram matrix is gathered once for
    all settings that share it.

    Parameters
    ----------
    held_out : HeldOut
    n_neighbours, max_history : int
        As :meth:`ItemRidge.fit` takes them. A small catalogue is tried as a whole, too.
    items : ndarray or None
        Items among which is ranked.
    rng : numpy.random.Generator
        Draws from long histories.
    n_threads : int, default=1
    to_beat : float or None, default=None
        What another family is worth: the search ends early where it is out of reach.
    show_progress : bool, default=False
    """
    trial = _Trial(held_out, items, n_neighbours, max_history, rng, n_threads)
    unit = typical_regularisation(held_out.graph) / TYPICAL
    n_items = held_out.graph.n_items
    few = min(n_neighbours, _FEW)
    start = {"n_neighbours": few, "user_exponent": _USER_EXPONENTS[0], "max_history": max_history}
    with progress("choosing an item ridge", 5, enabled=show_progress) as advance:
        grid = [
            {**start, "regularisation": factor * unit, "item_exponent": exponent}
            for factor in _FACTORS
            for exponent in _ITEM_EXPONENTS
        ]
        best = _best(trial.try_all(grid))
        advance()
        if to_beat is not None and best.judged.worth < _WITHIN_REACH * to_beat:
            return best
        middle, exponent = best.settings["regularisation"], best.settings["item_exponent"]
        finer = [{**best.settings, "regularisation": factor * middle} for factor in _FINER]
        finer.append({**best.settings, "item_exponent": exponent + 0.25})
        best = _best([best, *trial.try_all(finer)])
        advance()
        for user_exponent in _USER_EXPONENTS[1:] if n_items <= LARGE_ITEMS else ():
            best = _best([best, *trial.try_all([{**best.settings, "user_exponent": user_exponent}])])
        advance()
        if n_neighbours > few:
            # What is best for some neighbours is near the best for more, which cost eight times as much.
            more = {**best.settings, "n_neighbours": n_neighbours}
            best = _best([best, *trial.try_all([more])])
        advance()
        if n_neighbours < n_items - 1 <= DENSE_ITEMS:
            middle, wider = best.settings["regularisation"], {**best.settings, "n_neighbours": n_items - 1}
            best = _best(
                [best, *trial.try_all([{**wider, "regularisation": factor * middle} for factor in _WIDER])]
            )
        advance()
    return best


def _best(candidates: list[RidgeCandidate]) -> RidgeCandidate:
    """Return the one of most worth; the first among equals."""
    return max(candidates, key=lambda one: one.judged.worth)


class _Trial:
    """The interactions that were not held out, and the neighbourhoods counted so far."""

    def __init__(
        self,
        held_out: HeldOut,
        items: Array | None,
        n_neighbours: int,
        max_history: int,
        rng: np.random.Generator,
        n_threads: int,
    ) -> None:
        self._held_out, self._items = held_out, items
        self._n_neighbours, self._max_history = n_neighbours, max_history
        self._rng, self._n_threads = rng, n_threads
        self._key: tuple[int, float] | None = None
        self._counted: CoOccurrences | None = None

    def try_all(self, candidates: list[dict[str, Any]]) -> list[RidgeCandidate]:
        """Judge settings that differ in regularisation and item exponent only."""
        first, held_out = candidates[0], self._held_out
        n_items = held_out.graph.n_items
        counted = self._count(first["n_neighbours"], first["user_exponent"])
        pairs = [(one["regularisation"], one["item_exponent"]) for one in candidates]
        columns = np.arange(n_items) if self._items is None else self._items
        whole = first["n_neighbours"] >= n_items - 1
        solved = None if whole else solve(counted, columns, pairs, n_threads=self._n_threads)
        found = []
        for place, (settings, pair) in enumerate(zip(candidates, pairs, strict=True)):
            if solved is None:
                weights: Any = solve_all(counted, pair)
                weights = weights if self._items is None else weights[:, self._items]
            else:
                weights = by_history(counted.neighbours, solved[place], columns)
            found.append(RidgeCandidate(settings, self._judge(weights)))
        return found

    def _count(self, n_neighbours: int, user_exponent: float) -> CoOccurrences:
        widest = max(n_neighbours, self._n_neighbours)
        if self._counted is None or self._key != (widest, user_exponent):
            self._counted = None  # one at a time
            self._counted = CoOccurrences.count(
                self._held_out.graph,
                widest,
                user_exponent=user_exponent,
                max_history=self._max_history,
                rng=self._rng,
                n_threads=self._n_threads,
            )
            self._key = (widest, user_exponent)
        return self._counted.narrowed(n_neighbours)

    def _judge(self, weights: sp.csr_matrix | Array) -> Judged:
        held_out, items = self._held_out, self._items
        histories = held_out.histories
        parts = []
        n_block = rows_per_block(held_out.graph.n_items)
        for first in range(0, len(held_out.users), n_block):
            part = slice(first, first + n_block)
            rows = histories[part]
            scores = rows.sqrt() @ weights
            scores = scores.toarray() if sp.issparse(scores) else scores
            seen = rows if items is None else rows[:, items]
            scores[seen.nonzero()] = -np.inf
            k = min(JUDGED_AT, scores.shape[1])
            parts.append(held_out.judge(part, best_of_dense(scores, k).positions, items))
        return Judged.concatenate(parts)
