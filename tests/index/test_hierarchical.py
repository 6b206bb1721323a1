from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from hashgnn.codes import BinaryCodes, ItemBias
from hashgnn.errors import ParameterError
from hashgnn.index import CandidateFilter, HammingIndex, HierarchicalIndex, InvertedFile, _tuning
from hashgnn.testing.index_reference import reference_search

RNG = np.random.default_rng(0)
VECTORS = RNG.integers(-3, 4, (400, 33)).astype(np.float32)  # small integers: exact sums and many ties
QUERIES = RNG.integers(-3, 4, (5, 33)).astype(np.float32)
CODES = BinaryCodes(RNG.integers(0, 256, (400, 4), np.uint8))
QUERY_CODES = BinaryCodes(RNG.integers(0, 256, (5, 4), np.uint8))
BIAS = ItemBias(RNG.integers(0, 9, 400).astype(np.uint8), 0.0)


def all_lists() -> InvertedFile:
    return InvertedFile(CODES, BIAS, n_lists=7, n_probe=7)


@pytest.mark.parametrize("source", [lambda: HammingIndex(CODES, BIAS), all_lists], ids=["scan", "lists"])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("oversampling", [1, 4, 400])
def test_result_is_the_best_by_floats_among_the_best_by_code(
    source: Callable[[], HammingIndex | InvertedFile], dtype: str, oversampling: int
) -> None:
    seen = CandidateFilter.from_lists(block=[RNG.integers(0, 400, 30) for _ in range(5)])
    index = HierarchicalIndex(source(), VECTORS, dtype=dtype)
    found = index.search(QUERY_CODES, QUERIES, 10, oversampling=oversampling, candidates=seen, n_threads=2)
    by_code = reference_search(
        CODES, QUERY_CODES, min(10 * oversampling, 400), item_bias=BIAS, candidates=seen
    )
    for row in range(5):
        chosen = by_code.positions[row, : by_code.counts[row]]
        products = VECTORS[chosen] @ QUERIES[row]
        best = np.lexsort((chosen, -products))[:10]
        np.testing.assert_array_equal(found.positions[row], chosen[best])
        np.testing.assert_array_equal(found.scores[row], products[best])


@pytest.mark.parametrize("n_probe", [1, 3])
def test_candidates_of_an_inverted_file_are_those_that_it_finds(n_probe: int) -> None:
    lists = InvertedFile(CODES, BIAS, n_lists=7)
    index = HierarchicalIndex(lists, VECTORS)
    assert index.n_probe == lists.n_probe
    index.n_probe = lists.n_probe = n_probe
    found = index.search(QUERY_CODES, QUERIES, 10, oversampling=3)
    by_code = lists.search(QUERY_CODES, 30)
    assert (by_code.positions != all_lists().search(QUERY_CODES, 30).positions).any()  # it misses some
    for row in range(5):
        chosen = by_code.positions[row, : by_code.counts[row]]
        products = VECTORS[chosen] @ QUERIES[row]
        best = np.lexsort((chosen, -products))[:10]
        np.testing.assert_array_equal(found.positions[row], chosen[best])


def test_codes_and_embeddings_in_lists_change_together() -> None:
    index = HierarchicalIndex(all_lists(), VECTORS, dtype="int8")
    scan = HierarchicalIndex(HammingIndex(CODES, BIAS), VECTORS, dtype="int8")
    for changed in (index, scan):
        assert changed.add(QUERY_CODES, 4 * QUERIES, BIAS[:5]).tolist() == list(range(400, 405))
        changed.update([0, 401], QUERY_CODES[:2], 9 * QUERIES[:2], BIAS[:2])
        changed.remove([1, 402])
    found, expected = (one.search(QUERY_CODES, QUERIES, 20, oversampling=3) for one in (index, scan))
    np.testing.assert_array_equal(found.positions, expected.positions)
    np.testing.assert_array_equal(found.scores, expected.scores)
    assert {0, 400, 401} <= set(found.positions.ravel().tolist())
    np.testing.assert_array_equal(index.alive(), scan.alive())
    assert len(index) == 405


def test_n_probe_is_for_lists() -> None:
    index = HierarchicalIndex(HammingIndex(CODES), VECTORS)
    assert index.n_probe is None
    with pytest.raises(
        ParameterError, match="n_probe is for candidates from an InvertedFile, got 3 for a scan"
    ):
        index.n_probe = 3
    with pytest.raises(ParameterError, match="n_probe must be an integer >= 1, got 0"):
        HierarchicalIndex(all_lists(), VECTORS).n_probe = 0
    with pytest.raises(
        ParameterError, match="index must be a HammingIndex or an InvertedFile, got BinaryCodes"
    ):
        HierarchicalIndex(CODES, VECTORS)  # type: ignore[arg-type]


def test_int8_scores_are_within_half_a_step_an_entry() -> None:
    index = HierarchicalIndex(HammingIndex(CODES), VECTORS, dtype="int8")
    found = index.search(QUERY_CODES, QUERIES, 400, oversampling=1)
    exact = np.take_along_axis(QUERIES @ VECTORS.T, found.positions, 1)
    bound = np.abs(QUERIES).sum(axis=1, keepdims=True) * 3 / 127 / 2 * 1.001
    assert (np.abs(found.scores - exact) <= bound).all()


def test_fewer_candidates_than_k_are_counted() -> None:
    mask = np.zeros(400, bool)
    mask[[3, 70]] = True
    index = HierarchicalIndex(HammingIndex(CODES), VECTORS)
    found = index.search(QUERY_CODES, QUERIES, 5, candidates=CandidateFilter(allowed=mask))
    assert found.counts.tolist() == [2] * 5
    assert (found.positions[:, 2:] == -1).all()
    assert np.isneginf(found.scores[:, 2:]).all()


def test_nan_in_query_embeddings_is_refused() -> None:
    index = HierarchicalIndex(HammingIndex(CODES), VECTORS)
    with pytest.raises(ParameterError, match="query_embeddings must be finite, got 33 NaN"):
        index.search(QUERY_CODES, np.vstack([QUERIES[:4], np.full((1, 33), np.nan, np.float32)]), 5)


def test_embeddings_of_another_length_are_refused() -> None:
    with pytest.raises(ParameterError, match=r"embeddings must have shape \(400, m\), got \(399, 33\)"):
        HierarchicalIndex(HammingIndex(CODES), VECTORS[:399])


def clustered(n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(9).standard_normal((40, 64), np.float32)
    return centres[rng.integers(0, 40, n)] + np.float32(0.4) * rng.standard_normal((n, 64), np.float32)


@pytest.mark.parametrize("dtype", ["float32", "int8"])
@pytest.mark.parametrize("in_lists", [False, True], ids=["scan", "lists"])
def test_tune_finds_the_least_that_reaches_the_asked_index_recall(
    dtype: str, in_lists: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_tuning, "_PRODUCTS", 30 * 700)  # so that products come in several blocks
    vectors, queries = clustered(6000, 0), clustered(30, 1)
    codes, query_codes = BinaryCodes.from_signs(vectors), BinaryCodes.from_signs(queries)
    source = InvertedFile(codes, n_lists=64) if in_lists else HammingIndex(codes)
    index = HierarchicalIndex(source, vectors, dtype=dtype)
    index.remove(np.arange(0, 6000, 3))
    oversampling = index.tune(query_codes, queries, 20, index_recall=0.9)

    # Everything by floats: with as many candidates as there are codes, none is left out.
    everything = HierarchicalIndex(HammingIndex(codes), vectors, dtype=dtype)
    everything.remove(np.arange(0, 6000, 3))
    exact = everything.search(query_codes, queries, 20, oversampling=300).scores[:, -1:]

    def reached(oversampling: int) -> float:
        found = index.search(query_codes, queries, 20, oversampling=oversampling)
        return float((found.scores >= exact).mean())

    assert reached(oversampling) >= 0.9
    assert 1 < oversampling < 64
    if in_lists:
        assert index.n_probe is not None
        assert index.n_probe < 64
        index.n_probe = 64
    assert reached(oversampling - 1) < 0.9


def test_tune_needs_queries_and_a_share() -> None:
    index = HierarchicalIndex(HammingIndex(CODES), VECTORS)
    with pytest.raises(ParameterError, match="queries must hold at least one query to tune with, got 0"):
        index.tune(QUERY_CODES[:0], QUERIES[:0], 5)
    with pytest.raises(ParameterError, match="index_recall must be a finite number > 0 and <= 1, got 1.5"):
        index.tune(QUERY_CODES, QUERIES, 5, index_recall=1.5)
    assert index.tune(QUERY_CODES, QUERIES, 400, index_recall=1) == 1  # all of them
