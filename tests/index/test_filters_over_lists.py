"""Filters over lists: k results that pass wherever there are so many, at any share of allowed items, without loss."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from hashgnn.codes import BinaryCodes, ItemBias
from hashgnn.errors import ParameterError
from hashgnn.index import CandidateFilter, EmbeddedCodes, HammingIndex, HierarchicalIndex, InvertedFile
from hashgnn.ranking import IndexLists, Matches
from hashgnn.testing.index_cases import assert_same

N, N_LISTS, K = 40_000, 256, 20
SHARES = (0.5, 0.1, 0.01, 0.001)


class Catalogue:
    """Clustered vectors, their signs as codes, and an index of each kind with a scan that knows the answer."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        centres = rng.standard_normal((200, 64))
        self.cluster = rng.integers(0, 200, N)
        vectors = centres[self.cluster] + 0.8 * rng.standard_normal((N, 64))
        asked = centres[rng.integers(0, 200, 40)] + 0.8 * rng.standard_normal((40, 64))
        self.codes, self.queries = BinaryCodes.from_signs(vectors), BinaryCodes.from_signs(asked)
        self.bias = ItemBias(rng.integers(0, 12, N).astype(np.uint8), 3.0)
        self.centres = centres
        self.lists = InvertedFile(self.codes, self.bias, n_lists=N_LISTS, n_probe=8)
        self.scan = HammingIndex(self.codes, self.bias)
        self.vectors, self.asked = vectors.astype(np.float32), asked.astype(np.float32)

    def recall(self, index: Any, candidates: CandidateFilter | None, rows: slice = slice(None)) -> float:
        found = index.search(self.queries[rows], K, candidates=candidates)
        exact = self.scan.search(self.queries[rows], K, candidates=candidates)
        np.testing.assert_array_equal(found.counts, exact.counts)
        valid = found.positions >= 0
        np.testing.assert_array_equal(valid.sum(axis=1), exact.counts)
        if candidates is not None:
            check_allowed(found.positions, valid, candidates)
        last = exact.scores[np.arange(len(exact)), np.maximum(exact.counts, 1) - 1]
        return float(((found.scores >= last[:, None]) & valid).sum() / max(1, exact.counts.sum()))


def check_allowed(positions: np.ndarray, valid: np.ndarray, candidates: CandidateFilter) -> None:
    if candidates.allowed is not None:
        assert candidates.allowed[positions[valid]].all()
    for row, mine in enumerate(positions):
        if candidates.allow_per_query is not None:
            assert set(mine[valid[row]]) <= set(candidates.allow_per_query[np.array([row])].indices.tolist())
        if candidates.block_per_query is not None:
            assert not set(mine[valid[row]]) & set(
                candidates.block_per_query[np.array([row])].indices.tolist()
            )


def without_distances(found: Matches) -> Matches:
    return Matches(found.positions, found.scores, found.counts)


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue()


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("form", ["mask", "bits", "ids of each query", "ids and a mask"])
def test_k_results_that_pass_and_no_loss_of_recall(catalogue: Catalogue, share: float, form: str) -> None:
    rng = np.random.default_rng(1)
    plain = catalogue.recall(catalogue.lists, None)
    assert 0.7 < plain < 1
    allowed = rng.random(N) < share
    ids = [np.flatnonzero(rng.random(N) < share) for _ in range(40)]
    if form == "mask":
        candidates = CandidateFilter(allow_all=allowed)
    elif form == "bits":
        packed = CandidateFilter(allow_all=allowed).packed
        assert packed is not None
        candidates = CandidateFilter().within(*packed)
    elif form == "ids of each query":
        candidates = CandidateFilter.from_lists(allow_per_query=ids)
    else:
        candidates = CandidateFilter.from_lists(allow_per_query=ids, allow_all=rng.random(N) < 0.7)
    for _ in range(3):  # the first time codes are tested where they lie, later they may be packed
        assert catalogue.recall(catalogue.lists, candidates) >= plain - 0.01
    if "each" not in form and "ids" not in form:
        one_by_one = [catalogue.recall(catalogue.lists, candidates, slice(row, row + 1)) for row in range(40)]
        assert np.mean(one_by_one) >= plain - 0.01


@pytest.mark.parametrize("share", SHARES)
def test_the_same_for_floats_and_for_a_query_alone(catalogue: Catalogue, share: float) -> None:
    allowed = np.random.default_rng(2).random(N) < share
    queries = catalogue.queries.signs().astype(np.float32)
    for candidates in (CandidateFilter(allow_all=allowed), CandidateFilter(allow_all=allowed)):
        found = catalogue.lists.search(queries, K, candidates=candidates)
        exact = catalogue.scan.search(queries, K, candidates=candidates)
        np.testing.assert_array_equal(found.counts, exact.counts)
        check_allowed(found.positions, found.positions >= 0, candidates)


@pytest.mark.parametrize("share", SHARES)
def test_hierarchical_over_lists_finds_as_much_with_a_filter(catalogue: Catalogue, share: float) -> None:
    index = HierarchicalIndex(catalogue.lists, catalogue.vectors, oversampling=5)
    queries = EmbeddedCodes(catalogue.queries, catalogue.asked)

    def recall(candidates: CandidateFilter | None) -> float:
        found = index.search(queries, K, candidates=candidates)
        scores = catalogue.asked @ catalogue.vectors.T
        if candidates is not None:
            candidates.mask(scores)
        there = min(K, int(np.isfinite(scores[0]).sum()))
        assert (found.counts == there).all()
        kth = -np.sort(-scores, axis=1)[:, there - 1]
        return float((found.scores[:, :there] >= kth[:, None] - 1e-3).mean())

    plain = recall(None)
    chosen = CandidateFilter(allow_all=np.random.default_rng(3).random(N) < share)
    for _ in range(3):
        assert recall(chosen) >= plain - 0.01


def test_allowed_items_far_from_the_query_are_found(catalogue: Catalogue) -> None:
    """What is allowed lies in other lists than the nearest."""
    signs = catalogue.centres > 0
    asked = catalogue.queries.signs() > 0
    distance = (signs[:, None] != asked[None]).sum(axis=2).min(axis=1)
    far = np.argsort(-distance)[:10]
    candidates = CandidateFilter(allow_all=np.isin(catalogue.cluster, far))
    assert 0.02 < candidates.share < 0.1
    for _ in range(3):
        assert catalogue.recall(catalogue.lists, candidates) >= 0.8


def test_what_is_blocked_is_left_out_and_made_up_for(catalogue: Catalogue) -> None:
    """Without the best results as many others have to be found, which lie further away."""
    best = catalogue.scan.search(catalogue.queries, 100)
    assert catalogue.recall(catalogue.lists, None) > 0.97
    for length, least in ((5, 0.95), (100, 0.8)):
        seen = CandidateFilter.from_lists(block_per_query=list(best.positions[:, :length]))
        assert catalogue.recall(catalogue.lists, seen) >= least


def test_never_fewer_than_there_are(catalogue: Catalogue) -> None:
    for n_allowed in (0, 1, K - 1, K):
        allowed = np.zeros(N, bool)
        allowed[np.random.default_rng(4).choice(N, n_allowed, replace=False)] = True
        ids = [np.flatnonzero(allowed)] * 40
        for candidates in (
            CandidateFilter(allow_all=allowed),
            CandidateFilter.from_lists(allow_per_query=ids),
        ):
            assert catalogue.recall(catalogue.lists, candidates) == (1.0 if n_allowed else 0.0)


def test_a_filter_sees_later_changes_of_the_index() -> None:
    rng = np.random.default_rng(5)
    codes = BinaryCodes(rng.integers(0, 256, (2000, 8), np.uint8))
    index, scan = InvertedFile(codes, n_lists=16, n_probe=16), HammingIndex(codes)
    candidates = CandidateFilter(allow_all=rng.random(2000) < 0.3)
    for step in range(4):
        rows = rng.choice(2000, 100, replace=False)
        for one in (index, scan):
            if step % 2:
                one.remove(rows)
            else:
                one.update(rows, codes[np.arange(100)])
        assert_same(
            without_distances(index.search(codes[:50], 40, candidates=candidates)),
            without_distances(scan.search(codes[:50], 40, candidates=candidates)),
        )


def test_a_mask_of_another_length_is_refused(catalogue: Catalogue) -> None:
    short = CandidateFilter(allow_all=np.ones(N - 1, bool))
    with pytest.raises(ParameterError, match=f"allow_all must have one entry a code, {N}, got {N - 1}"):
        catalogue.lists.search(catalogue.queries, K, candidates=short)


def test_packed_codes_go_with_their_filter(catalogue: Catalogue) -> None:
    store = pickle.loads(pickle.dumps(catalogue.lists.snapshot()))
    kept = store._allowed
    rng = np.random.default_rng(6)
    filters = [CandidateFilter(allow_all=rng.random(N) < 0.2) for _ in range(12)]
    first = kept.of(filters[0], 100, 8)
    assert first.tables[0] is not store.tables[0]
    assert kept.of(filters[0], 1, 8).tables is first.tables  # packed once
    for one in filters:
        kept.of(one, 100, 8)
    assert len(kept._known) == 8
    packed = next(iter(kept._known.values())).n_bytes()
    assert 0 < packed < store.nbytes()
    del filters, first, one
    kept.of(CandidateFilter(allow_all=rng.random(N) < 0.2), 1, 8)
    unused = sum(known.n_bytes() for known in kept._known.values() if known.bits() is None)
    assert 0 < unused <= store.nbytes() / 2  # for a filter like them that may come


def test_an_index_that_a_list_repeats_does_not_keep_lists_from_being_read() -> None:
    rng = np.random.default_rng(0)
    codes = BinaryCodes.from_signs(rng.normal(size=(400, 32)))
    queries = BinaryCodes.from_signs(rng.normal(size=(16, 32)))
    index = InvertedFile(codes, n_lists=8, rng=0)
    index.n_probe = 8
    rows = np.arange(400, dtype=np.int32)
    often = IndexLists(np.arange(17) * 2000, np.tile(np.repeat(rows, 5), 16))
    once = index.search(
        queries, 5, candidates=CandidateFilter(allow_per_query=IndexLists.from_rows([rows] * 16))
    )
    found = index.search(queries, 5, candidates=CandidateFilter(allow_per_query=often))
    assert np.array_equal(found.positions, once.positions)
