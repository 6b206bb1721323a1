from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from hashgnn.codes import BinaryCodes
from hashgnn.errors import ParameterError
from hashgnn.index import CandidateFilter, HammingIndex, InvertedFile, Matches
from hashgnn.testing.index_cases import Case, assert_same, cases
from hashgnn.testing.index_reference import reference_asymmetric, reference_search


@settings(max_examples=60, deadline=None)
@given(cases())
def test_probing_every_list_equals_the_reference(case: Case) -> None:
    index = InvertedFile(case.codes, case.bias, n_lists=min(7, len(case.codes)), n_probe=7)
    found = index.search(case.queries, case.k, candidates=case.filter, n_threads=case.n_threads)
    expected = reference_search(case.codes, case.queries, case.k, item_bias=case.bias, candidates=case.filter)
    if found.distances is None:
        expected = Matches(expected.positions, expected.scores, expected.counts)
    assert_same(found, expected)
    floats = index.search(case.floats, case.k, candidates=case.filter, n_threads=case.n_threads)
    expected = reference_asymmetric(
        case.codes, case.floats, case.k, item_bias=case.bias, candidates=case.filter
    )
    assert_same(floats, expected)


@settings(max_examples=30, deadline=None)
@given(cases())
def test_one_probe_still_fills_every_result(case: Case) -> None:
    index = InvertedFile(case.codes, case.bias, n_lists=min(7, len(case.codes)), n_probe=1)
    found = index.search(case.queries, case.k, candidates=case.filter)
    expected = reference_search(case.codes, case.queries, case.k, candidates=case.filter)
    np.testing.assert_array_equal(found.counts, expected.counts)


@pytest.mark.parametrize("k", [5, 1500])
def test_ties_go_to_the_smaller_position_in_whatever_order_lists_are_read(k: int) -> None:
    rng = np.random.default_rng(3)
    codes = BinaryCodes(rng.integers(0, 2, (6000, 1), np.uint8))
    index = InvertedFile(codes, n_lists=7, n_probe=7)  # four hundred codes and more a list and a value
    assert_same(index.search(codes[:3], k), reference_search(codes, codes[:3], k))


def clustered(n: int, seed: int) -> BinaryCodes:
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(9).standard_normal((60, 64))
    return BinaryCodes.from_signs(centres[rng.integers(0, 60, n)] + 0.5 * rng.standard_normal((n, 64)))


def test_tune_reaches_the_requested_index_recall() -> None:
    codes, queries = clustered(20_000, 0), clustered(40, 1)
    index = InvertedFile(codes, n_lists=64)
    reached = index.tune(queries, 50, index_recall=0.95)
    assert reached >= 0.95
    assert index.n_probe < 64
    exact = reference_search(codes, queries, 50)
    found = index.search(queries, 50)
    assert (found.scores >= exact.scores[:, -1:]).mean() == pytest.approx(reached)


def test_changes_are_seen() -> None:
    codes, more, queries = clustered(1000, 0), clustered(300, 2), clustered(9, 1)
    index = InvertedFile(codes, n_lists=8, n_probe=8)
    assert index.add(more[:200]).tolist() == list(range(1000, 1200))
    index.remove([5, 1100, 5])
    index.update([3, 1100, 1150], more[200:203])
    packed = np.concatenate([codes.packed, more.packed[:200]])
    packed[[3, 1100, 1150]] = more.packed[200:203]
    alive = np.ones(1200, bool)
    alive[[5, 1100]] = False
    assert_same(index.search(queries, 300), reference_search(BinaryCodes(packed), queries, 300, alive=alive))


def test_n_probe_of_zero_is_refused() -> None:
    with pytest.raises(ParameterError, match="n_probe must be an integer >= 1, got 0"):
        InvertedFile(clustered(100, 0), n_probe=0)


def test_a_filter_costs_no_recall_as_more_lists_are_read() -> None:
    """Clustered codes, of which a filter leaves some in every list."""
    rng = np.random.default_rng(0)
    centers = rng.integers(0, 256, (40, 16), np.uint8)
    noise = np.packbits(rng.random((6000, 128)) < 0.3, axis=1)
    codes = BinaryCodes(centers[rng.integers(0, 40, 6000)] ^ noise)
    queries = BinaryCodes(centers[:30] ^ np.packbits(rng.random((30, 128)) < 0.3, axis=1))
    index, scan = InvertedFile(codes, n_lists=128, n_probe=2, rng=0), HammingIndex(codes)

    def recall(candidates: CandidateFilter | None) -> float:
        found, exact = (one.search(queries, 10, candidates=candidates) for one in (index, scan))
        assert (found.counts == exact.counts).all()
        return float((found.scores >= exact.scores[:, -1:]).mean())

    plain = recall(None)
    assert plain < 1
    for share in (0.5, 0.2, 0.03, 0.01):
        chosen = CandidateFilter(allow_all=rng.random(6000) < share)
        assert recall(chosen) >= plain
        bits = chosen.packed
        assert bits is not None
        assert recall(CandidateFilter().within(*bits)) >= plain
    assert (
        index.search(queries, 10, candidates=CandidateFilter(allow_all=np.zeros(6000, bool))).counts.sum()
        == 0
    )
