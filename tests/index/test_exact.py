from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from hashgnn import _native
from hashgnn.codes import BinaryCodes, ItemBias, widen_items, widen_queries
from hashgnn.index import CandidateFilter, HammingIndex
from hashgnn.testing.index_cases import Case, assert_same, cases
from hashgnn.testing.index_reference import reference_asymmetric, reference_search


@settings(max_examples=150, deadline=None)
@given(cases())
def test_exact_search_equals_the_reference(case: Case) -> None:
    index = HammingIndex(case.codes, case.bias)
    for biased in (True, False):
        found = index.search(
            case.queries, case.k, candidates=case.filter, biased=biased, n_threads=case.n_threads
        )
        bias = case.bias if biased else None
        assert_same(
            found, reference_search(case.codes, case.queries, case.k, item_bias=bias, candidates=case.filter)
        )


@settings(max_examples=100, deadline=None)
@given(cases())
def test_asymmetric_search_equals_the_reference(case: Case) -> None:
    index = HammingIndex(case.codes, case.bias)
    found = index.search(case.floats, case.k, candidates=case.filter, n_threads=case.n_threads)
    expected = reference_asymmetric(
        case.codes, case.floats, case.k, item_bias=case.bias, candidates=case.filter
    )
    assert_same(found, expected)
    assert found.distances is None


def test_asymmetric_scores_are_within_the_stated_error_of_the_float_scores() -> None:
    rng = np.random.default_rng(3)
    codes = BinaryCodes.from_signs(rng.standard_normal((500, 64)))
    queries = rng.standard_normal((5, 64)).astype(np.float32)
    found = HammingIndex(codes, query_bits=6).search(queries, 500)
    exact = np.take_along_axis(queries @ codes.signs().T.astype(np.float32), found.positions, 1)
    step = np.abs(queries).max(axis=1) / 63
    assert (np.abs(found.scores - exact).max(axis=1) <= 64 * step).all()


def test_bias_equals_plain_hamming_over_widened_codes() -> None:
    rng = np.random.default_rng(1)
    codes = BinaryCodes(rng.integers(0, 256, (700, 8), np.uint8))
    queries = BinaryCodes(rng.integers(0, 256, (6, 8), np.uint8))
    bias = ItemBias(rng.integers(0, 40, 700).astype(np.uint8), 4.0)
    biased = HammingIndex(codes, bias).search(queries, 50)
    widened = HammingIndex(widen_items(codes, bias, 40)).search(widen_queries(queries, 40), 50)
    np.testing.assert_array_equal(biased.positions, widened.positions)


def test_a_large_catalogue_gives_one_answer_for_every_batch_and_thread_count() -> None:
    rng = np.random.default_rng(2)
    codes = BinaryCodes(rng.integers(0, 256, (150_000, 8), np.uint8))
    queries = BinaryCodes(rng.integers(0, 256, (9, 8), np.uint8))
    index = HammingIndex(codes)
    expected = reference_search(codes, queries, 300)
    for n_threads in (1, 2, 5):
        assert_same(index.search(queries, 300, n_threads=n_threads), expected)
        single = index.search(queries[3:4], 300, n_threads=n_threads)
        np.testing.assert_array_equal(single.positions[0], expected.positions[3])


def test_long_and_short_allow_lists_agree() -> None:
    rng = np.random.default_rng(4)
    codes = BinaryCodes(rng.integers(0, 256, (20_000, 16), np.uint8))
    queries = BinaryCodes(rng.integers(0, 256, (3, 16), np.uint8))
    for length in (0, 1, 100, 15_000):
        chosen = CandidateFilter.from_lists(allow_per_query=[rng.choice(20_000, length, replace=False)] * 3)
        found = HammingIndex(codes).search(queries, 20, candidates=chosen)
        assert_same(found, reference_search(codes, queries, 20, candidates=chosen))


@pytest.mark.parametrize("simd", ["avx512", "avx2", "neon", "portable"])
def test_every_instruction_set_gives_the_same_answers(simd: str, tmp_path: Path) -> None:
    script = (
        "import sys, numpy as np; from hashgnn import _native\n"
        "from hashgnn.errors import ParameterError\n"
        "try: _native.simd()\n"
        "except ParameterError: sys.exit(77)\n"
        "from tests.index.test_exact import every_answer; np.savez(sys.argv[1], *every_answer())"
    )
    path = tmp_path / "answers.npz"
    environment = {**os.environ, "HASHGNN_SIMD": simd}
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", script, str(path)], env=environment, cwd=root, check=False)
    if done.returncode == 77:
        pytest.skip(f"this processor has no {simd}")
    assert done.returncode == 0
    with np.load(path) as answers:
        for name, expected in zip(answers.files, every_answer(), strict=True):
            np.testing.assert_array_equal(answers[name], expected)


def every_answer() -> list[np.ndarray]:
    """Results of every kind of search at every width, floats included to the last bit."""
    from hashgnn.index import EmbeddedCodes, HierarchicalIndex, RowQuantiser

    rng = np.random.default_rng(5)
    answers = []
    for n_bits in (8, 24, 64, 128, 256, 504, 512, 1024):
        codes = BinaryCodes(rng.integers(0, 256, (1003, n_bits // 8), np.uint8))
        queries = BinaryCodes(rng.integers(0, 256, (7, n_bits // 8), np.uint8))
        bias = ItemBias(rng.integers(0, 20, 1003).astype(np.uint8), 2.0)
        index = HammingIndex(codes, bias)
        floats = rng.standard_normal((7, n_bits)).astype(np.float32)
        vectors = rng.standard_normal((1003, 37)).astype(np.float32)
        for found in (
            index.search(queries, 100),
            index.search(
                queries[:2], 100, biased=False, candidates=CandidateFilter(allow_all=rng.random(1003) < 0.5)
            ),
            index.search(floats, 100),
            *(
                HierarchicalIndex(index, vectors, dtype=dtype).search(EmbeddedCodes(queries, vectors[:7]), 20)
                for dtype in ("float32", "float16", "int8")
            ),
            *(
                HierarchicalIndex(
                    index, vectors, dtype=None, rows=RowQuantiser.fit(vectors, bits=bits, n_bytes=n_bytes)
                ).search(EmbeddedCodes(queries, vectors[:7]), 20)
                for bits in (2, 3, 4, 8)
                for n_bytes in (48, 96)
            ),
        ):
            answers += [found.positions, found.scores]
    return answers


@pytest.mark.parametrize("n_bits", [64, 128, 256, 512])
def test_batches_and_single_queries_over_clusters_equal_the_reference(n_bits: int) -> None:
    """Neighbours lie side by side, so that one block moves the limit while the next is half read.

    10,000 codes are ten runs of a single query, the last one cut short, and some tiles of a batch. Batches are
    looked up two queries at a time, so that an odd one has a last query of its own.
    """
    for seed in range(3):
        rng = np.random.default_rng(seed)
        centres = rng.integers(0, 256, (64, n_bits // 8), dtype=np.uint8)

        def around(n: int, rng: np.random.Generator = rng, centres: np.ndarray = centres) -> BinaryCodes:
            flips = np.packbits(rng.random((n, n_bits)) < 0.1, axis=1)
            return BinaryCodes(centres[rng.integers(0, 64, n)] ^ flips)

        codes, queries = around(10_000), around(64)
        bias = ItemBias.from_values(-2.0 * rng.integers(0, 8, 10_000))
        index = HammingIndex(codes, bias)
        for biased in (False, True):
            expected = reference_search(codes, queries, 100, item_bias=bias if biased else None)
            for size in (64, 63, 5):
                found = index.search(queries[:size], 100, biased=biased, n_threads=1)
                np.testing.assert_array_equal(found.positions, expected.positions[:size])
                np.testing.assert_array_equal(found.scores, expected.scores[:size])
            for row in (0, 63):
                found = index.search(queries[row : row + 1], 100, biased=biased, n_threads=1)
                np.testing.assert_array_equal(found.positions[0], expected.positions[row])
        allowed = CandidateFilter(allow_all=rng.random(10_000) < 0.3)
        for row in range(0, 64, 9):
            one = queries[row : row + 1]
            expected = reference_search(codes, one, 100, item_bias=bias, candidates=allowed)
            assert_same(index.search(one, 100, candidates=allowed, n_threads=1), expected)


@pytest.mark.parametrize("n_bits", [64, 128, 256, 512])
def test_float_queries_over_clusters_equal_the_reference(n_bits: int) -> None:
    """First halves put most codes out of reach, by what any second half adds at least.

    10,000 codes are an odd number of blocks, in more than one tile, the last one cut short; five queries are two
    pairs and one by itself.
    """
    rng = np.random.default_rng(n_bits)
    centres = rng.standard_normal((64, n_bits)).astype(np.float32)
    nearest = rng.integers(0, 64, 10_000)
    codes = BinaryCodes.from_signs(centres[nearest] + 0.7 * rng.standard_normal((10_000, n_bits)))
    queries = centres[:5] + 0.3 * rng.standard_normal((5, n_bits)).astype(np.float32)
    queries[3, : n_bits // 2] *= 0.01  # hardly any weight in the first half
    queries[4, n_bits // 2 :] *= 0.01  # and in the second
    bias = ItemBias.from_values(-2.0 * rng.integers(0, 8, 10_000))
    allowed = CandidateFilter(allow_all=rng.random(10_000) < 0.3)
    for query_bits in (4, 5):  # looked up and, where bits are counted, plane by plane
        index = HammingIndex(codes, bias, query_bits=query_bits)
        for biased, candidates in ((False, None), (True, None), (True, allowed), (False, allowed)):
            expected = reference_asymmetric(
                codes,
                queries,
                100,
                query_bits=query_bits,
                item_bias=bias if biased else None,
                candidates=candidates,
            )
            found = index.search(queries, 100, biased=biased, candidates=candidates, n_threads=1)
            assert_same(found, expected)
            for row in range(5):
                single = index.search(
                    queries[row : row + 1], 100, biased=biased, candidates=candidates, n_threads=1
                )
                np.testing.assert_array_equal(single.positions[0], expected.positions[row])


def test_unknown_instruction_set_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from hashgnn import _native; _native.simd()"],
        env={**os.environ, "HASHGNN_SIMD": "mmx"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "HASHGNN_SIMD must name an instruction set of this processor" in done.stderr
    assert "got 'mmx'" in done.stderr


def test_the_machine_has_kernels() -> None:
    assert _native.simd() in {"avx512", "avx2", "neon", "portable"}
