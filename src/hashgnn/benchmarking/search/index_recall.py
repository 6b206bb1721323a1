"""The quality of an engine: its index recall, and its recall of held-out items."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from hashgnn._types import Array
from hashgnn.benchmarking.search.contract import INDEX_RECALL, Built
from hashgnn.benchmarking.search.workload import Workload
from hashgnn.evaluation.held_out import HeldOut
from hashgnn.index import CandidateFilter, HammingIndex
from hashgnn.ranking import IndexLists

HELD_OUT_K = 20

_JUDGED = 64  # queries whose exact results are found
_BLOCK = 1 << 16
_USERS = 256
_NEAR = 0.01
_MOST_CANDIDATES = 256  # for each result
_SLACK = 1e-5  # sums of floats differ by their order, relative to the largest


class Tuned(NamedTuple):
    """The settings of an engine; None where there is nothing to set."""

    breadth: int | None
    candidates: int | None


class ExactResults:
    """Scores of the exact k-th result of some queries, by each thing that engines compare."""

    def __init__(self, data: Workload, k: int, n_threads: int) -> None:
        self._data, self._k, self._n_threads = data, k, n_threads
        self._queries = slice(0, min(_JUDGED, len(data.queries)))
        self._last: dict[str, Array] = {}

    def index_recall(self, built: Built) -> float:
        """Return the share of the first ``k`` that scores no worse than the exact ``k``-th."""
        last = self._last_of(built.compares)
        hits = 0
        for row, found in enumerate(built.search(self._queries, self._k)):
            positions = found[found >= 0]
            scores = self._scores(built.compares, slice(row, row + 1), positions)[0]
            hits += int((scores >= last[row] - _SLACK * abs(last[row])).sum())
        return hits / (len(last) * self._k)

    def tune(self, built: Built) -> Tuned:
        """Set the fewest candidates, a multiple of ``k``, that find ``INDEX_RECALL``, then the smallest breadth.

        Candidates are judged at the largest breadth; the breadth is doubled. Where nothing finds as much, the
        smallest that comes within a hundredth of the best is set.
        """
        candidates, breadth = built.candidates, None
        if built.set_candidates is not None:
            if built.set_breadth is not None:
                built.set_breadth(built.breadths[1])
            most = min(_MOST_CANDIDATES * self._k, len(self._data.items))
            candidates = self._smallest(built, built.set_candidates, self._k, most)
            candidates = self._fewest(built, built.set_candidates, candidates)
        if built.set_breadth is not None:
            breadth = self._smallest(built, built.set_breadth, *built.breadths)
        return Tuned(breadth, candidates)

    def _smallest(self, built: Built, set_value: Callable[[int], None], smallest: int, largest: int) -> int:
        value, found = smallest, dict[int, float]()
        while True:
            set_value(value)
            found[value] = self.index_recall(built)
            if value >= largest or found[value] >= INDEX_RECALL:
                break
            value = min(2 * value, largest)
        if found[value] < INDEX_RECALL:
            value = min(tried for tried in found if found[tried] >= max(found.values()) - _NEAR)
            set_value(value)
        return value

    def _fewest(self, built: Built, set_candidates: Callable[[int], None], enough: int) -> int:
        """Search between ``enough`` and half of it."""
        k = self._k
        low, high = enough // (2 * k), -(-enough // k)
        while high - low > 1:
            middle = (low + high) // 2
            set_candidates(middle * k)
            is_enough = self.index_recall(built) >= INDEX_RECALL
            low, high = (low, middle) if is_enough else (middle, high)
        set_candidates(high * k)
        return min(high * k, len(self._data.items))

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


def held_out_recall(built: Built, held_out: HeldOut, k: int = HELD_OUT_K) -> float:
    """Return recall@k on held-out items, seen ones left out, mean over all queries.

    Engines that cannot filter return as many more results as a user of the block has seen at most;
    users with histories of like length share a block.
    """
    n_seen = np.diff(held_out.seen.indptr)
    order, total = np.argsort(n_seen, kind="stable"), 0.0
    for start in range(0, len(order), _USERS):
        rows = order[start : start + _USERS]
        seen, relevant = held_out.seen[rows], held_out.relevant[rows]
        if built.search_filtered is not None:
            positions = built.search_filtered(
                rows, k, CandidateFilter(block_per_query=IndexLists.from_matrix(seen))
            )
        else:
            depth = min(k + int(n_seen[rows].max()), held_out.n_items)
            positions = _unseen(built.search(rows, depth), seen.toarray() != 0, k)
        found = np.take_along_axis(relevant.toarray() != 0, np.maximum(positions, 0), 1) & (positions >= 0)
        total += float((found.sum(axis=1) / np.diff(relevant.indptr)).sum())
    return total / len(order)


def _unseen(positions: Array, seen: Array, k: int) -> Array:
    """Keep the first ``k`` results of each row that were not seen; -1 where there are fewer."""
    usable = (positions >= 0) & ~np.take_along_axis(seen, np.maximum(positions, 0), 1)
    first = np.argsort(~usable, axis=1, kind="stable")[:, :k]
    return np.where(np.take_along_axis(usable, first, 1), np.take_along_axis(positions, first, 1), -1)
