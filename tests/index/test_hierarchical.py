from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hashgnn.codes import BinaryCodes, ItemBias
from hashgnn.errors import ArtifactDamagedError, ArtifactError, ParameterError
from hashgnn.index import CandidateFilter, EmbeddedCodes, HammingIndex, HierarchicalIndex, InvertedFile
from hashgnn.index._tuning import kth_products
from hashgnn.testing.index_cases import edit_header
from hashgnn.testing.index_reference import reference_search

RNG = np.random.default_rng(0)
VECTORS = RNG.integers(-3, 4, (400, 33)).astype(np.float32)  # small integers: exact sums and many ties
QUERIES = RNG.integers(-3, 4, (5, 33)).astype(np.float32)
CODES = BinaryCodes(RNG.integers(0, 256, (400, 4), np.uint8))
QUERY_CODES = BinaryCodes(RNG.integers(0, 256, (5, 4), np.uint8))
BOTH = EmbeddedCodes(QUERY_CODES, QUERIES)
BIAS = ItemBias(RNG.integers(0, 9, 400).astype(np.uint8), 0.0)


def all_lists() -> InvertedFile:
    return InvertedFile(CODES, BIAS, n_lists=7, n_probe=7)


@pytest.mark.parametrize("source", [lambda: HammingIndex(CODES, BIAS), all_lists], ids=["scan", "lists"])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("oversampling", [1, 4, 400])
def test_result_is_the_best_by_floats_among_the_best_by_code(
    source: Callable[[], HammingIndex | InvertedFile], dtype: str, oversampling: int
) -> None:
    seen = CandidateFilter.from_lists(block_per_query=[RNG.integers(0, 400, 30) for _ in range(5)])
    index = HierarchicalIndex(source(), VECTORS, dtype=dtype)
    found = index.search(BOTH, 10, oversampling=oversampling, candidates=seen, n_threads=2)
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
    found = index.search(BOTH, 10, oversampling=3)
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
        assert changed.add(EmbeddedCodes(QUERY_CODES, 4 * QUERIES), BIAS[:5]).tolist() == list(
            range(400, 405)
        )
        changed.update([0, 401], EmbeddedCodes(QUERY_CODES, 9 * QUERIES)[:2], BIAS[:2])
        changed.remove([1, 402])
    found, expected = (one.search(BOTH, 20, oversampling=3) for one in (index, scan))
    np.testing.assert_array_equal(found.positions, expected.positions)
    np.testing.assert_array_equal(found.scores, expected.scores)
    assert {0, 400, 401} <= set(found.positions.ravel().tolist())
    np.testing.assert_array_equal(index.alive(), scan.alive())
    assert len(index) == 405


@pytest.mark.parametrize("source", [lambda: HammingIndex(CODES, BIAS), all_lists], ids=["scan", "lists"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
def test_a_saved_index_gives_the_same_answers_and_can_change(
    source: Callable[[], HammingIndex | InvertedFile], dtype: str, tmp_path: Path
) -> None:
    index = HierarchicalIndex(source(), VECTORS, dtype=dtype)
    index.add(EmbeddedCodes(QUERY_CODES, 4 * QUERIES), BIAS[:5])
    index.remove([2, 401])
    if index.n_probe is not None:
        index.n_probe = 3
    index.save(tmp_path / "index")
    for verify in (False, True):
        opened = HierarchicalIndex.load(tmp_path / "index", verify=verify)
        assert (len(opened), opened.n_bits, opened.n_probe, opened.nbytes) == (
            len(index),
            index.n_bits,
            index.n_probe,
            index.nbytes,
        )
        np.testing.assert_array_equal(opened.alive(), index.alive())
        for one in (index, opened):
            one.update([7, 404], EmbeddedCodes(QUERY_CODES, 9 * QUERIES)[:2], BIAS[:2])
        found, expected = (one.search(BOTH, 20, oversampling=3) for one in (opened, index))
        np.testing.assert_array_equal(found.positions, expected.positions)
        np.testing.assert_array_equal(found.scores, expected.scores)


def test_a_saved_index_of_another_kind_or_with_embeddings_that_do_not_fit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "index"
    HammingIndex(CODES).save(path)
    with pytest.raises(ArtifactError, match="it holds an index of the kind 'hamming', not 'hierarchical'"):
        HierarchicalIndex.load(path)
    HierarchicalIndex(HammingIndex(CODES), VECTORS, dtype="int8").save(path)
    with pytest.raises(ArtifactError, match="it holds an index of the kind 'hierarchical', not 'hamming'"):
        HammingIndex.load(path)
    for old, new, sentence in (
        ('"width": 33', '"width": 34', "its embeddings do not fit 400 codes and a width of 34"),
        ('"dtype": "int8"', '"dtype": "int9"', "dtype must be 'float32', 'float16' or 'int8', got 'int9'"),
        ('"width": 33', '"depth": 33', "in its header width or dtype is missing"),
        ("scale.float32", "scales.float32", "its embeddings do not fit 400 codes"),
    ):
        HierarchicalIndex(HammingIndex(CODES), VECTORS, dtype="int8").save(path)
        edit_header(path, old, new)
        with pytest.raises(ArtifactDamagedError, match=sentence):
            HierarchicalIndex.load(path)


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
    found = index.search(BOTH, 400, oversampling=1)
    exact = np.take_along_axis(QUERIES @ VECTORS.T, found.positions, 1)
    bound = np.abs(QUERIES).sum(axis=1, keepdims=True) * 3 / 127 / 2 * 1.001
    assert (np.abs(found.scores - exact) <= bound).all()


def test_fewer_candidates_than_k_are_counted() -> None:
    mask = np.zeros(400, bool)
    mask[[3, 70]] = True
    index = HierarchicalIndex(HammingIndex(CODES), VECTORS)
    found = index.search(BOTH, 5, candidates=CandidateFilter(allow_all=mask))
    assert found.counts.tolist() == [2] * 5
    assert (found.positions[:, 2:] == -1).all()
    assert np.isneginf(found.scores[:, 2:]).all()


def test_queries_that_do_not_fit_are_one_sentence() -> None:
    index = HierarchicalIndex(HammingIndex(CODES), VECTORS)
    nan = np.vstack([QUERIES[:4], np.full((1, 33), np.nan, np.float32)])
    calls = (
        ("embeddings of queries must be finite, got 33 NaN", EmbeddedCodes(QUERY_CODES, nan)),
        (
            r"embeddings of queries must have shape \(n, 33\), got \(5, 32\)",
            EmbeddedCodes(QUERY_CODES, QUERIES[:, 1:]),
        ),
        ("queries must be EmbeddedCodes for a HierarchicalIndex, .*, got BinaryCodes", QUERY_CODES),
    )
    for sentence, queries in calls:
        with pytest.raises(ParameterError, match=sentence):
            index.search(queries, 5)
    with pytest.raises(ParameterError, match=r"embeddings must have shape \(5, width\), .*, got \(4, 33\)"):
        EmbeddedCodes(QUERY_CODES, QUERIES[:4])
    with pytest.raises(ParameterError, match="codes must be BinaryCodes, got ndarray"):
        EmbeddedCodes(QUERY_CODES.packed, QUERIES)  # type: ignore[arg-type]


def test_entries_that_do_not_fit_are_one_sentence_and_change_nothing() -> None:
    index = HierarchicalIndex(HammingIndex(CODES), VECTORS)
    with pytest.raises(ParameterError, match="codes must be EmbeddedCodes, .*, got BinaryCodes"):
        index.add(QUERY_CODES)
    with pytest.raises(ParameterError, match="embeddings must have 33 columns like the index, got 32"):
        index.update([1, 2, 3, 4, 5], EmbeddedCodes(QUERY_CODES, QUERIES[:, 1:]))
    with pytest.raises(ParameterError, match="codes must be BinaryCodes, got EmbeddedCodes"):
        HammingIndex(CODES).add(BOTH)
    assert len(index) == 400


def test_oversampling_is_a_setting_of_the_index_or_of_one_search(tmp_path: Path) -> None:
    index = HierarchicalIndex(HammingIndex(CODES, BIAS), VECTORS, oversampling=40)
    exhaustive = QUERIES @ VECTORS.T
    expected = np.sort(exhaustive, axis=1)[:, ::-1][:, :10]
    np.testing.assert_array_equal(index.search(BOTH, 10).scores, expected)
    few = index.search(BOTH, 10, oversampling=1)
    assert (few.scores < expected).any()
    index.save(tmp_path / "index")
    assert HierarchicalIndex.load(tmp_path / "index").oversampling == 40
    index.oversampling = 1
    np.testing.assert_array_equal(index.search(BOTH, 10).positions, few.positions)
    with pytest.raises(ParameterError, match="oversampling must be an integer >= 1, got 0"):
        index.oversampling = 0


def test_an_index_does_not_follow_later_changes_of_its_source() -> None:
    source = HammingIndex(CODES, BIAS)
    index = HierarchicalIndex(source, VECTORS)
    before = index.search(BOTH, 10)
    source.remove(np.arange(200))
    np.testing.assert_array_equal(index.search(BOTH, 10).positions, before.positions)


def test_embeddings_of_another_length_are_refused() -> None:
    with pytest.raises(ParameterError, match=r"embeddings must have shape \(400, m\), got \(399, 33\)"):
        HierarchicalIndex(HammingIndex(CODES), VECTORS[:399])


def clustered(n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(9).standard_normal((40, 64), np.float32)
    return centres[rng.integers(0, 40, n)] + np.float32(0.4) * rng.standard_normal((n, 64), np.float32)


@pytest.mark.parametrize("dtype", ["float32", "int8"])
@pytest.mark.parametrize("in_lists", [False, True], ids=["scan", "lists"])
def test_tune_sets_the_smallest_that_reaches_the_index_recall(dtype: str, in_lists: bool) -> None:
    vectors, query_vectors = clustered(6000, 0), clustered(30, 1)
    codes = BinaryCodes.from_signs(vectors)
    queries = EmbeddedCodes(BinaryCodes.from_signs(query_vectors), query_vectors)
    source = InvertedFile(codes, n_lists=64) if in_lists else HammingIndex(codes)
    index = HierarchicalIndex(source, vectors, dtype=dtype)
    index.remove(np.arange(0, 6000, 3))
    recall = index.tune(queries, 20, index_recall=0.9)

    # Everything by floats: with as many candidates as there are codes, none is left out.
    everything = HierarchicalIndex(HammingIndex(codes), vectors, dtype=dtype)
    everything.remove(np.arange(0, 6000, 3))
    exact = everything.search(queries, 20, oversampling=300).scores[:, -1:]

    def reached(oversampling: int) -> float:
        return float((index.search(queries, 20, oversampling=oversampling).scores >= exact).mean())

    assert recall >= 0.9
    assert reached(index.oversampling) == pytest.approx(recall, abs=0.003)
    assert 1 < index.oversampling < 64
    if in_lists:
        assert index.n_probe is not None
        assert index.n_probe < 64
        index.n_probe = 64
    assert reached(index.oversampling - 1) < 0.9


@pytest.mark.parametrize("block_products", [1, 5 * 70, 1 << 22])
def test_kth_products_do_not_depend_on_their_blocks(block_products: int) -> None:
    alive = np.arange(400) % 3 > 0
    found = kth_products(QUERIES, VECTORS, None, alive, 20, block_products=block_products)
    np.testing.assert_array_equal(found, np.sort(QUERIES @ VECTORS[alive].T, axis=1)[:, -20])


def test_tune_needs_queries_and_a_share() -> None:
    index = HierarchicalIndex(HammingIndex(CODES), VECTORS)
    with pytest.raises(ParameterError, match="queries must hold at least one query to tune with, got 0"):
        index.tune(BOTH[:0], 5)
    with pytest.raises(ParameterError, match="index_recall must be a finite number > 0 and <= 1, got 1.5"):
        index.tune(BOTH, 5, index_recall=1.5)
    assert index.tune(BOTH, 400, index_recall=1) == 1
    assert index.oversampling == 1  # all of them
