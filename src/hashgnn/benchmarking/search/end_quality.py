"""End quality: what an engine finds of the held-out items of users."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hashgnn._types import Array
from hashgnn.benchmarking.search.contract import Built, Rows
from hashgnn.benchmarking.search.workload import Workload
from hashgnn.evaluation.held_out import HeldOut
from hashgnn.index import CandidateFilter
from hashgnn.ranking import IndexLists

HELD_OUT_K = 20

_USERS = 256


class EndQuality(NamedTuple):
    """Means over users."""

    recall: float
    ndcg: float


def end_quality(built: Built, held_out: HeldOut, k: int = HELD_OUT_K) -> EndQuality:
    """Return recall@k and NDCG@k on held-out items, seen ones left out, means over all queries.

    Engines that cannot filter return as many more results as a user of the block has seen at most;
    users with histories of like length share a block.
    """
    n_seen = np.diff(held_out.seen.indptr)
    order, recall, gain = np.argsort(n_seen, kind="stable"), 0.0, 0.0
    discount = 1 / np.log2(np.arange(2, k + 2))
    ideal = np.cumsum(discount)
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
        hits = np.take_along_axis(relevant.toarray() != 0, np.maximum(positions, 0), 1) & (positions >= 0)
        wanted = np.diff(relevant.indptr)
        recall += float((hits.sum(axis=1) / wanted).sum())
        gain += float((hits @ discount[: hits.shape[1]] / ideal[np.minimum(wanted, k) - 1]).sum())
    return EndQuality(recall / len(order), gain / len(order))


def float_quality(data: Workload) -> EndQuality | None:
    """Return the quality of the exact best by floats, or None where the workload has no held-out items."""
    if data.held_out is None or data.held_out.n_items < HELD_OUT_K:
        return None

    def search(rows: Rows, size: int) -> Array:
        scores = data.queries[rows] @ data.items.T
        best = np.argpartition(-scores, size - 1, axis=1)[:, :size]
        order = np.argsort(-np.take_along_axis(scores, best, 1), axis=1, kind="stable")
        return np.take_along_axis(best, order, 1)

    return end_quality(Built(search, data.items.nbytes, "floats"), data.held_out)


def _unseen(positions: Array, seen: Array, k: int) -> Array:
    """Keep the first ``k`` results of each row that were not seen; -1 where there are fewer."""
    usable = (positions >= 0) & ~np.take_along_axis(seen, np.maximum(positions, 0), 1)
    first = np.argsort(~usable, axis=1, kind="stable")[:, :k]
    return np.where(np.take_along_axis(usable, first, 1), np.take_along_axis(positions, first, 1), -1)
