"""Codes, rows of few bits, floats: what each stage lets through, what changes keep, and what is tuned."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hashgnn.codes import BinaryCodes, ItemBias
from hashgnn.errors import ArtifactDamagedError, ParameterError
from hashgnn.index import (
    CandidateFilter,
    EmbeddedCodes,
    HammingIndex,
    HierarchicalIndex,
    InvertedFile,
    RowQuantiser,
    build_index,
    hierarchical_within,
    load_index,
)
from hashgnn.testing.index_cases import edit_header
from hashgnn.testing.index_reference import reference_search

RNG = np.random.default_rng(0)
CENTRES = RNG.standard_normal((40, 24)).astype(np.float32)


def around(n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    noise: np.ndarray = rng.standard_normal((n, 24)).astype(np.float32)
    return CENTRES[rng.integers(0, 40, n)] + 0.7 * noise


PROJECTION = RNG.standard_normal((24, 64)).astype(np.float32)


def embedded(vectors: np.ndarray) -> EmbeddedCodes:
    return EmbeddedCodes(BinaryCodes.from_signs(vectors @ PROJECTION), vectors)


ITEMS, QUERIES = embedded(around(3000, 1)), embedded(around(80, 2))
BIAS = ItemBias(RNG.integers(0, 4, 3000).astype(np.uint8), 0.0)
EXACT = QUERIES.embeddings @ ITEMS.embeddings.T
ROWS = RowQuantiser.fit(ITEMS.embeddings, bits=4, queries=QUERIES.embeddings)


def scan() -> HammingIndex:
    return HammingIndex(ITEMS.codes, BIAS)


def lists() -> InvertedFile:
    return InvertedFile(ITEMS.codes, BIAS, n_lists=16, n_probe=16)


SOURCES = pytest.mark.parametrize("source", [scan, lists])


def recall(positions: np.ndarray, k: int, exact: np.ndarray = EXACT) -> float:
    kth = np.sort(exact, axis=1)[:, -k][:, None]
    return float((np.take_along_axis(exact, positions, 1) >= kth - 1e-5).mean())


@SOURCES
def test_each_stage_ranks_what_the_one_before_let_through(
    source: Callable[[], HammingIndex | InvertedFile],
) -> None:
    seen = CandidateFilter.from_lists(block_per_query=[RNG.integers(0, 3000, 50) for _ in range(80)])
    small = HierarchicalIndex(source(), ITEMS.embeddings, dtype=None, rows=ROWS)
    index = HierarchicalIndex(source(), ITEMS.embeddings, rows=ROWS)
    by_code = reference_search(ITEMS.codes, QUERIES.codes, 120, item_bias=BIAS, candidates=seen)
    by_rows = small.search(QUERIES, 30, oversampling=4, candidates=seen)
    found = index.search(QUERIES, 10, oversampling=12, refined=3, candidates=seen, n_threads=2)
    for row in range(80):
        assert set(by_rows.positions[row]) <= set(by_code.positions[row])
        let_through = np.sort(by_rows.positions[row])
        order = np.argsort(-EXACT[row, let_through], kind="stable")[:10]
        np.testing.assert_array_equal(found.positions[row], let_through[order])
        np.testing.assert_allclose(found.scores[row], EXACT[row, let_through[order]], rtol=1e-5, atol=1e-5)
    without = index.search(QUERIES, 30, oversampling=4, refined=0, candidates=seen)
    np.testing.assert_array_equal(without.positions, by_rows.positions)
    np.testing.assert_array_equal(without.scores, by_rows.scores)


@SOURCES
@pytest.mark.parametrize("dtype", [None, "float32", "int8"])
def test_changes_and_files_keep_rows_and_floats_together(
    source: Callable[[], HammingIndex | InvertedFile], dtype: str | None, tmp_path: Path
) -> None:
    index: Any = HierarchicalIndex(source(), ITEMS.embeddings, dtype=dtype, rows=ROWS, oversampling=200)
    new = embedded(around(50, 3))
    assert index.add(new, BIAS[:50]).tolist() == list(range(3000, 3050))
    index.update([5, 3001], new[10:12], BIAS[:2])
    index.remove([7, 3002])
    vectors = np.concatenate([ITEMS.embeddings, new.embeddings])
    vectors[[5, 3001]] = new.embeddings[10:12]
    fresh = HierarchicalIndex(
        HammingIndex(BinaryCodes.from_signs(vectors @ PROJECTION)),
        vectors,
        dtype=dtype,
        rows=ROWS,
        oversampling=200,
    )
    fresh.remove([7, 3002])
    index.save(tmp_path / "index")
    expected = fresh.search(QUERIES, 40)
    text = repr(index)
    for one in (index, load_index(tmp_path / "index", verify=True)):
        found = one.search(QUERIES, 40)
        np.testing.assert_array_equal(found.positions, expected.positions)
        np.testing.assert_array_equal(found.scores, expected.scores)
        assert repr(one) == text
        one.add(new, BIAS[:50])
        assert len(one) == 3100


def test_floats_that_are_mapped_are_not_memory_and_rows_are(tmp_path: Path) -> None:
    index = HierarchicalIndex(scan(), ITEMS.embeddings, rows=ROWS)
    index.save(tmp_path / "index")
    small = HierarchicalIndex(scan(), ITEMS.embeddings, dtype=None, rows=ROWS)
    assert load_index(tmp_path / "index").nbytes == small.nbytes == index.nbytes - ITEMS.embeddings.nbytes
    plain = HierarchicalIndex(scan(), ITEMS.embeddings)
    plain.save(tmp_path / "plain")
    assert load_index(tmp_path / "plain").nbytes == plain.nbytes  # every query reads many of them


def test_a_file_whose_rows_do_not_fit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "index"
    for old, new, sentence in (
        ('"row_bits": 4', '"row_bits": 5', "row_bits must be 2, 3, 4 or 8, got 5"),
        ('"row_bits": 4', '"row_bots": 4', "parts of its rows of few bits are missing"),
        (
            '"row_bytes": 16',
            '"row_bytes": 32',
            "its rows of few bits do not fit 3000 codes and a width of 24",
        ),
        ('"row_entries": 24', '"row_entries": 40', "its rows of few bits do not fit"),
        ('"row_entries": 24', '"row_entries": 26', "must hold between 1 and 24 entries, got 26"),
        ("rows.centre.float32", "rows.center.float32", "parts of its rows of few bits are missing"),
        ('"refined": 0', '"refused": 0', "refined"),
        ('"width": 24', '"depth": 24', "do not fit"),
    ):
        HierarchicalIndex(scan(), ITEMS.embeddings, dtype=None, rows=ROWS).save(path)
        edit_header(path, old, new)
        with pytest.raises(ArtifactDamagedError, match=sentence):
            load_index(path)


@SOURCES
def test_tuning_reaches_the_index_recall_with_rows_alone_where_they_can(
    source: Callable[[], HammingIndex | InvertedFile],
) -> None:
    for dtype in ("float32", None):
        index = HierarchicalIndex(source(), ITEMS.embeddings, dtype=dtype, rows=ROWS)
        share = index.tune(QUERIES, 20, index_recall=0.85, embeddings=ITEMS.embeddings)
        found = index.search(QUERIES, 20)
        assert share == pytest.approx(recall(found.positions, 20), abs=1e-6)
        assert share >= 0.85
        assert index.refined == 0
    with pytest.raises(
        ParameterError, match="embeddings must be given to tune an index that keeps no floats"
    ):
        index.tune(QUERIES, 20)


@SOURCES
def test_tuning_lets_floats_rank_what_rows_cannot(source: Callable[[], HammingIndex | InvertedFile]) -> None:
    coarse = RowQuantiser.fit(ITEMS.embeddings, bits=2)
    small = HierarchicalIndex(source(), ITEMS.embeddings, dtype=None, rows=coarse)
    assert small.tune(QUERIES, 20, index_recall=0.98, embeddings=ITEMS.embeddings) < 0.98
    index = HierarchicalIndex(source(), ITEMS.embeddings, rows=coarse)
    assert index.tune(QUERIES, 20, index_recall=0.98) >= 0.98
    assert 1 <= index.refined < index.oversampling
    assert recall(index.search(QUERIES, 20).positions, 20) >= 0.98


def test_what_cannot_be_is_one_sentence() -> None:
    codes = HammingIndex(ITEMS.codes)
    small = HierarchicalIndex(codes, ITEMS.embeddings, dtype=None, rows=ROWS)
    calls: list[tuple[str, Callable[[], Any]]] = [
        (
            "dtype must be one of .* without rows, got None",
            lambda: HierarchicalIndex(codes, ITEMS.embeddings, dtype=None),
        ),
        (
            "refined must be 0 where there are not both rows and floats, got 2",
            lambda: small.search(QUERIES, 5, refined=2),
        ),
        ("refined must be an integer >= 0, got -1", lambda: small.search(QUERIES, 5, refined=-1)),
        (
            "embeddings must have 3000 rows like the index, got 10",
            lambda: HierarchicalIndex(codes, ITEMS.embeddings[:10], dtype=None, rows=ROWS),
        ),
        (
            "embeddings must have 24 columns like the index, got 23",
            lambda: small.add(EmbeddedCodes(QUERIES.codes, QUERIES.embeddings[:, 1:])),
        ),
    ]
    for sentence, call in calls:
        with pytest.raises(ParameterError, match=sentence):
            call()


@SOURCES
def test_a_budget_is_kept_and_the_index_recall_reached(
    source: Callable[[], HammingIndex | InvertedFile], tmp_path: Path
) -> None:
    np.save(tmp_path / "vectors.npy", ITEMS.embeddings)
    mapped = np.load(tmp_path / "vectors.npy", mmap_mode="r")
    of_codes = source().nbytes / 3000
    directions = 2 * 24 * 32 * 4 + 24 * 4
    for room, requested, bits in ((16, 0.95, 4), (16, 0.99, 4), (48, 0.95, 8), (500, 0.99, 8)):
        budget = of_codes + room
        index = hierarchical_within(
            source(), mapped, QUERIES, bytes_per_item=budget, index_recall=requested, k=20
        )
        assert (index.nbytes - directions) / 3000 <= budget + 1e-6
        assert index.row_bits == bits
        assert recall(index.search(QUERIES, 20).positions, 20) >= requested - 0.02  # tuned with 64 of the 80


def test_a_budget_that_cannot_be_met_names_the_nearest() -> None:
    def within(budget: Any, requested: float = 0.95) -> HierarchicalIndex:
        return hierarchical_within(
            scan(), ITEMS.embeddings, QUERIES, bytes_per_item=budget, index_recall=requested, k=20
        )

    for budget, sentence in (
        (
            20,
            r"bytes_per_item must be at least 25.0, 9.0 for codes of 64 bits and the rest for the shortest rows, got 20",
        ),
        (0, "bytes_per_item must be a finite number > 0"),
        ("much", "bytes_per_item must be a finite number > 0"),
    ):
        with pytest.raises(ParameterError, match=sentence):
            within(budget)
    # In memory floats take part only where the budget has room for them.
    with pytest.raises(
        ParameterError,
        match=r"bytes_per_item=26 finds an index recall of 0\.\d+ at most, not 0.999; .* 138 keep every float",
    ):
        within(26, 0.999)
    assert within(138, 0.999).refined > 0


def test_build_index_makes_one_by_index_recall_and_budget() -> None:
    index: Any = build_index(
        ITEMS, "hierarchical", item_bias=BIAS, index_recall=0.8, queries=QUERIES, bytes_per_item=40
    )
    assert isinstance(index, HierarchicalIndex)
    assert index.row_bits is not None
    assert index.n_probe is None
    index = build_index(ITEMS, "hierarchical", index_recall=0.9, queries=QUERIES, scan_limit=100, n_lists=16)
    assert index.row_bits is None
    assert index.n_probe in (1, 2, 4, 8, 16)
    assert recall(index.search(QUERIES, 100).positions, 100) >= 0.88
    for sentence, call in (
        (
            "codes must be EmbeddedCodes for kind='hierarchical', got BinaryCodes",
            lambda: build_index(ITEMS.codes, "hierarchical", queries=QUERIES),
        ),
        (
            "queries must be EmbeddedCodes for kind='hierarchical', got NoneType",
            lambda: build_index(ITEMS, "hierarchical"),
        ),
        (
            "codes must be BinaryCodes for kind='exact', got EmbeddedCodes",
            lambda: build_index(ITEMS, "exact"),
        ),
        (
            "bytes_per_item must be None but for kind='hierarchical', got 9 for kind='exact'",
            lambda: build_index(ITEMS.codes, "exact", bytes_per_item=9),
        ),
    ):
        with pytest.raises(ParameterError, match=sentence):
            call()
