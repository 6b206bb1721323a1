"""Index recall: the share of the exact best that an engine finds, and the settings that reach an requested one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from hashgnn._types import Array
from hashgnn.benchmarking.search.contract import INDEX_RECALL, Built
from hashgnn.benchmarking.search.timing import timed
from hashgnn.benchmarking.search.workload import Workload
from hashgnn.index import HammingIndex

_JUDGED = 128  # queries whose exact results are found
_BLOCK = 1 << 16
_NEAR = 0.01
_MOST_CANDIDATES = 256  # for each result
_PARTS = 16  # a value is the least within this part of itself
_SHARES = (1, 1.5, 2, 3)  # of the least number of candidates: with more of them a smaller breadth may do
_TIMED = 3
_SLACK = 1e-5  # sums of floats differ by their order, relative to the largest


class Tuned(NamedTuple):
    """The settings of an engine; None where there is nothing to set."""

    breadth: int | None
    candidates: int | None

    def apply(self, built: Built) -> None:
        """Set them again."""
        if built.set_candidates is not None and self.candidates is not None:
            built.set_candidates(self.candidates)
        if built.set_breadth is not None and self.breadth is not None:
            built.set_breadth(self.breadth)


class ExactResults:
    """Scores of the exact k-th result of some queries, by each thing that engines compare."""

    def __init__(self, data: Workload, k: int, n_threads: int) -> None:
        self._data, self._k, self._n_threads = data, k, n_threads
        self._queries = slice(0, min(_JUDGED, len(data.queries)))
        self._last: dict[str, Array] = {}

    def index_recall(self, built: Built, compares: str | None = None) -> float:
        """Return the share of the first ``k`` that scores no worse than the exact ``k``-th.

        Scores are by what the engine compares, or by ``compares``.
        """
        by = built.compares if compares is None else compares
        last = self._last_of(by)
        hits = 0
        for row, found in enumerate(built.search(self._queries, self._k)):
            positions = found[found >= 0]
            scores = self._scores(by, slice(row, row + 1), positions)[0]
            hits += int((scores >= last[row] - _SLACK * abs(last[row])).sum())
        return hits / (len(last) * self._k)

    def tune(self, built: Built, requested: float | None = None) -> Tuned:
        """Set what takes least time and finds the requested index recall, and return it.

        A number is doubled until it finds enough, and then brought within a sixteenth of the least. Where both a
        breadth and a number of candidates are to be set, the least number at the largest breadth is the first of
        four; each gets the least breadth, and the fastest pair is taken, by processor time. Where nothing finds
        as much, the smallest that comes within a hundredth of the best is set.

        Parameters
        ----------
        built : Built
        requested : float or None, default=None
            ``None`` asks for .95 of engines whose number of candidates is not fixed without it.
        """
        goal = INDEX_RECALL if requested is None else requested
        candidates = built.candidates if requested is None else None
        tried: list[tuple[bool, float, Tuned]] = []
        for number in self._numbers(built, candidates, goal):
            if number is not None and built.set_candidates is not None:
                built.set_candidates(number)
            breadth = None
            if built.set_breadth is not None:
                breadth = self._least(built, built.set_breadth, *built.breadths, goal)
            settings = Tuned(breadth, candidates if number is None else number)
            is_enough = built.set_breadth is not None and self.index_recall(built) >= goal
            tried.append((not is_enough, self._seconds(built) if is_enough else 0.0, settings))
        best = min(tried, key=lambda one: one[:2])[2]
        best.apply(built)
        return best

    def _numbers(self, built: Built, fixed: int | None, goal: float) -> Sequence[int | None]:
        """Return the numbers of candidates worth a try."""
        if built.set_candidates is None or fixed is not None:
            return [fixed]
        k, most = self._k, min(_MOST_CANDIDATES * self._k, len(self._data.items))
        if built.set_breadth is not None:
            built.set_breadth(built.breadths[1])
        least = self._least(built, built.set_candidates, k, most, goal, step=k)
        if built.set_breadth is None:
            return [least]
        numbers = {min(most, -(-int(share * least) // k) * k) for share in _SHARES}
        return [*sorted(numbers)]

    def _least(
        self,
        built: Built,
        set_value: Callable[[int], None],
        smallest: int,
        largest: int,
        goal: float,
        step: int = 1,
    ) -> int:
        """Set and return the least value, of ``smallest``, ``largest`` and multiples of ``step`` between, that finds enough."""
        value, below, found = smallest, smallest, dict[int, float]()
        while True:
            set_value(value)
            found[value] = self.index_recall(built)
            if value >= largest or found[value] >= goal:
                break
            below, value = value, min(2 * value, largest)
        if found[value] < goal:
            value = min(tried for tried in found if found[tried] >= max(found.values()) - _NEAR)
        else:
            while value - below > max(step, value // _PARTS):
                middle = -(-(below + value) // (2 * step)) * step
                if not below < middle < value:
                    break
                set_value(middle)
                is_enough = self.index_recall(built) >= goal
                below, value = (below, middle) if is_enough else (middle, value)
        set_value(value)
        return value

    def _seconds(self, built: Built) -> float:
        """Return the least processor time of a few batches: other work on the machine hardly changes it."""
        return min(timed(lambda: built.search(self._queries, self._k))[1] for _ in range(_TIMED))

    def _last_of(self, compares: str) -> Array:
        if compares not in self._last:
            self._last[compares] = self._exact(compares)
        return self._last[compares]

    def _exact(self, compares: str) -> Array:
        data, k = self._data, self._k
        if compares in ("codes", "biased codes"):
            index = HammingIndex(data.item_codes, data.item_bias if compares == "biased codes" else None)
            matches = index.search(data.query_codes[self._queries], k, n_threads=self._n_threads)
            last: Array = matches.scores[:, -1]
            return last
        kept = np.empty((self._queries.stop, 0), np.float32)
        for start in range(0, len(data.items), _BLOCK):
            positions = np.arange(start, min(start + _BLOCK, len(data.items)))
            kept = np.hstack([kept, self._scores(compares, self._queries, positions)])
            kept = np.partition(kept, -k, axis=1)[:, -k:] if kept.shape[1] > k else kept
        worst: Array = kept.min(axis=1)
        return worst

    def _scores(self, compares: str, queries: slice, positions: Array) -> Array:
        data = self._data
        scores: Array
        if compares == "floats":
            return data.queries[queries] @ data.items[positions].T
        codes = data.item_codes[positions]
        if compares == "float queries":
            scores, bias = (
                data.float_queries[queries] @ codes.signs().T.astype(np.float32),
                data.scored_bias,
            )
        else:
            scores = (data.n_bits - 2 * data.query_codes[queries].distances(codes)).astype(np.float32)
            bias = data.item_bias if compares == "biased codes" else None
        return scores if bias is None else scores + bias[positions].values()
