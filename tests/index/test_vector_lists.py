"""Lists around embeddings: they find what an exact search finds, through changes, filters and files."""

from __future__ import annotations

import pickle
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
    hierarchical_within,
    load_index,
)
from hashgnn.testing.index_cases import edit_header

Array = np.ndarray[Any, Any]
_WIDTH, _K = 24, 10


def _entries(n: int, seed: int = 0, moved: float = 0.0) -> EmbeddedCodes:
    """Return embeddings in clusters, with the codes of their signs."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(9).standard_normal((30, _WIDTH)) * 2 + moved
    vectors = centres[rng.integers(0, 30, n)] + 0.7 * rng.standard_normal((n, _WIDTH))
    vectors = vectors.astype(np.float32)
    return EmbeddedCodes(BinaryCodes.from_signs(vectors), vectors)


def _index(entries: EmbeddedCodes, n_lists: int = 16, **options: Any) -> HierarchicalIndex:
    quantiser = RowQuantiser.fit(entries.embeddings, bits=options.pop("bits", 4))
    codes = HammingIndex(entries.codes, options.pop("bias", None))
    return HierarchicalIndex(codes, entries.embeddings, rows=quantiser, n_lists=n_lists, **options)


def _drifting(rng: np.random.Generator, n: int) -> Array:
    """Return embeddings in clusters that come up one after the other; the first tenth does not know most of them."""
    centres = np.random.default_rng(9).standard_normal((300, _WIDTH)) + np.linspace(0, 1.5, 300)[:, None]
    newest = 30 + 270 * np.arange(n) / n
    chosen = (rng.random(n) * newest).astype(int)
    found: Array = (centres[chosen] + 0.7 * rng.standard_normal((n, _WIDTH))).astype(np.float32)
    return found


def _exact(queries: Array, vectors: Array, k: int, allowed: Array | None = None) -> Array:
    products = queries @ vectors.T
    if allowed is not None:
        products[:, ~allowed] = -np.inf
    return np.sort(products, axis=1)[:, ::-1][:, :k]


def _share(found: Array, exact: Array) -> float:
    return float((found >= exact[:, -1:] - 1e-4).mean())


def test_all_lists_and_all_rows_find_what_an_exact_search_finds() -> None:
    entries, queries = _entries(3000), _entries(20, seed=1)
    index = _index(entries, n_lists=40)
    index.n_probe, index.refined = 40, 300
    found = index.search(queries, _K)
    exact = _exact(queries.embeddings, entries.embeddings, _K)
    np.testing.assert_allclose(found.scores, exact, rtol=1e-4, atol=1e-4)
    at = np.einsum("qkd,qd->qk", entries.embeddings[found.positions], queries.embeddings)
    np.testing.assert_allclose(at, exact, rtol=1e-4, atol=1e-4)


def test_few_lists_and_few_floats_find_most() -> None:
    entries, queries = _entries(3000), _entries(50, seed=1)
    index = _index(entries, n_lists=40)
    index.n_probe, index.refined = 6, 2
    found = index.search(queries, _K)
    assert _share(found.scores, _exact(queries.embeddings, entries.embeddings, _K)) > 0.95


def test_rows_alone_score_nearly_as_floats() -> None:
    entries, queries = _entries(2000), _entries(20, seed=1)
    index = _index(entries, bits=8, dtype=None)
    index.n_probe = 16
    found = index.search(queries, _K)
    exact = np.einsum("qkd,qd->qk", entries.embeddings[found.positions], queries.embeddings)
    np.testing.assert_allclose(found.scores, exact, rtol=0.02, atol=0.5)


@pytest.mark.parametrize("n_threads", [1, 3])
def test_answers_do_not_depend_on_the_batch_or_threads(n_threads: int) -> None:
    entries, queries = _entries(1500), _entries(33, seed=1)
    index = _index(entries)
    together = index.search(queries, _K, n_threads=n_threads)
    for row in range(len(queries)):
        alone = index.search(queries[row : row + 1], _K)
        np.testing.assert_array_equal(alone.positions[0], together.positions[row])
        np.testing.assert_array_equal(alone.scores[0], together.scores[row])


@pytest.mark.parametrize("share", [0.9, 0.5, 0.1, 0.01, 0.003, 0.0])
@pytest.mark.parametrize("repeats", [1, 40])
def test_filters_cost_neither_results_nor_recall(share: float, repeats: int) -> None:
    entries, queries = _entries(4000), _entries(20, seed=1)
    index = _index(entries, n_lists=40)
    index.n_probe, index.refined = 8, 4
    allowed = np.random.default_rng(5).random(len(entries)) < share
    limits = CandidateFilter(allow_all=allowed)
    for _ in range(repeats):
        found = index.search(queries, _K, candidates=limits)
    expected = min(_K, int(allowed.sum()))
    assert (found.counts == expected).all()
    if expected:
        assert allowed[found.positions[:, :expected]].all()
        exact = _exact(queries.embeddings, entries.embeddings, expected, allowed)
        assert _share(found.scores[:, :expected], exact) > 0.95


def test_lists_of_each_query_are_kept_out_or_are_all_there_is() -> None:
    entries, queries = _entries(2000), _entries(9, seed=1)
    index = _index(entries, n_lists=40)
    index.n_probe, index.refined = 4, 3
    best = index.search(queries, _K).positions
    blocked = CandidateFilter.from_lists(block_per_query=[row.tolist() for row in best])
    others = index.search(queries, _K, candidates=blocked)
    assert (others.counts == _K).all()
    assert not (others.positions[:, :, None] == best[:, None, :]).any()
    chosen = [
        sorted(np.random.default_rng(q).choice(2000, 1 + 40 * q, replace=False).tolist()) for q in range(9)
    ]
    only = index.search(queries, _K, candidates=CandidateFilter.from_lists(allow_per_query=chosen))
    assert only.counts.tolist() == [min(_K, len(row)) for row in chosen]
    for q, row in enumerate(chosen):
        assert set(only.positions[q, : only.counts[q]].tolist()) <= set(row)
        exact = _exact(queries.embeddings[q : q + 1], entries.embeddings[row], int(only.counts[q]))
        assert _share(only.scores[q : q + 1, : only.counts[q]], exact) > 0.9


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8", None])
def test_a_drifting_catalogue_is_found_as_in_a_fresh_index(dtype: str | None) -> None:
    rng = np.random.default_rng(3)
    vectors = _drifting(rng, 20_000)
    entries, start = EmbeddedCodes(BinaryCodes.from_signs(vectors), vectors), 2000
    bits = 8 if dtype is None else 4
    index = _index(entries[:start], n_lists=32, dtype=dtype, bits=bits)
    for first in range(start, len(entries), 700):
        positions = index.add(entries[first : first + 700])
        assert positions.tolist() == list(range(first, len(index)))
    asked = vectors[rng.choice(len(vectors), 1000, replace=False)] + 0.3 * rng.standard_normal((1000, _WIDTH))
    queries = EmbeddedCodes(BinaryCodes.from_signs(asked), asked.astype(np.float32))
    n_lists = index.snapshot().store.n_lists
    assert 90 <= n_lists <= 115  # about 32 times the root of 10
    fresh = _index(entries, n_lists=n_lists, dtype=dtype, bits=bits)
    exact = _exact(queries.embeddings, vectors, _K)
    for n_probe in (4, 8, 16):
        shares = []
        for made in (index, fresh):
            made.n_probe = n_probe
            found = made.search(queries, _K)
            at = np.einsum("qkd,qd->qk", vectors[found.positions], queries.embeddings)
            shares.append(_share(at, exact))
        assert 0.5 < shares[1] < 1
        assert shares[0] > shares[1] - 0.01
    assert len(index.codes()) == len(vectors)
    np.testing.assert_array_equal(index.codes().packed, entries.codes.packed)


def test_updates_and_removals_are_seen_at_once_and_kept_by_a_file(tmp_path: Path) -> None:
    entries, queries = _entries(2000), _entries(10, seed=1)
    bias = ItemBias(np.arange(2000).astype(np.uint8), 3.0)
    index = _index(entries, bias=bias)
    index.n_probe, index.refined = 16, 20
    gone = index.search(queries, 1).positions[:, 0]
    index.remove(gone)
    assert not np.isin(index.search(queries, _K).positions, gone).any()
    changed = np.setdiff1d(np.arange(50), gone)
    new = _entries(len(changed), seed=7)
    index.update(changed, new, ItemBias(np.full(len(changed), 5, np.uint8), 3.0))
    vectors = entries.embeddings.copy()
    vectors[changed] = new.embeddings
    alive = np.ones(2000, bool)
    alive[gone] = False
    found = index.search(queries, _K)
    np.testing.assert_allclose(
        found.scores, _exact(queries.embeddings, vectors, _K, alive), rtol=1e-4, atol=1e-3
    )
    index.save(tmp_path / "items.hgx")
    for other in (load_index(tmp_path / "items.hgx", verify=True), pickle.loads(pickle.dumps(index))):
        assert repr(other) == repr(index)
        again = other.search(queries, _K)
        np.testing.assert_array_equal(again.positions, found.positions)
        np.testing.assert_array_equal(again.scores, found.scores)
        np.testing.assert_array_equal(other.alive(), alive)
        assert other.item_bias([int(changed[0])]).penalty.tolist() == [5]


def test_the_same_changes_make_the_same_index(tmp_path: Path) -> None:
    files = []
    for name in ("one", "other"):
        index = _index(_entries(1200), n_lists=16)
        for seed in range(4):
            index.add(_entries(600, seed=seed + 2))
        index.save(tmp_path / name)
        files.append((tmp_path / name).read_bytes())
    assert files[0] == files[1]


def test_removed_entries_of_the_codes_stay_removed() -> None:
    entries = _entries(500)
    codes = HammingIndex(entries.codes)
    codes.remove([3, 77])
    rows = RowQuantiser.fit(entries.embeddings, bits=2)
    index = HierarchicalIndex(codes, entries.embeddings, rows=rows, n_lists=8)
    assert np.flatnonzero(~index.alive()).tolist() == [3, 77]
    index.n_probe = 8
    assert not np.isin(index.search(entries[:100], 50).positions, [3, 77]).any()


def test_tuning_reaches_the_index_recall_with_few_lists() -> None:
    entries, queries = _entries(4000), _entries(64, seed=1)
    index = _index(entries, n_lists=64, bits=2)
    reached = index.tune(queries, _K, index_recall=0.9)
    assert reached >= 0.9
    assert index.n_probe is not None
    assert index.n_probe < 32
    found = index.search(queries, _K)
    assert _share(found.scores, _exact(queries.embeddings, entries.embeddings, _K)) == pytest.approx(reached)


def test_a_budget_makes_lists_around_embeddings_and_keeps_to_it(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    vectors = (rng.standard_normal((300, 8))[rng.integers(0, 300, 70_000)] * 3).astype(np.float32)
    vectors += rng.standard_normal(vectors.shape).astype(np.float32)
    np.save(tmp_path / "vectors.npy", vectors)
    mapped = np.load(tmp_path / "vectors.npy", mmap_mode="r")
    entries = EmbeddedCodes(BinaryCodes.from_signs(vectors), vectors)
    lists = InvertedFile(entries.codes, n_lists=64)
    queries = entries[:: 70_000 // 100]
    index = hierarchical_within(lists, mapped, queries, bytes_per_item=30, index_recall=0.9, k=10)
    assert index.snapshot().listed is not None
    directions = 2 * 8 * 16 * 4 + 8 * 4
    assert (index.nbytes - directions) / len(index) <= 30
    found = index.search(queries, 10).positions
    at = np.einsum("qkd,qd->qk", vectors[found], queries.embeddings)
    assert _share(at, _exact(queries.embeddings, vectors, 10)) >= 0.9
    index.save_rows(tmp_path / "rows.hgx")
    opened = HierarchicalIndex.of_rows(tmp_path / "rows.hgx", lists, mapped)
    assert repr(opened) == repr(index)
    np.testing.assert_array_equal(opened.search(queries, 10).positions, found)


@pytest.mark.parametrize(
    "change", [('"row_bytes": 16', '"row_bytes": 32'), ('"n_lists": 16', '"n_lists": 15')]
)
def test_a_file_that_does_not_fit_is_refused(tmp_path: Path, change: tuple[str, str]) -> None:
    _index(_entries(600)).save(tmp_path / "items.hgx")
    edit_header(tmp_path / "items.hgx", *change)
    with pytest.raises(ArtifactDamagedError):
        load_index(tmp_path / "items.hgx")


def test_what_cannot_be_is_one_sentence() -> None:
    entries = _entries(100)
    codes = HammingIndex(entries.codes)
    with pytest.raises(ParameterError, match="rows must be given for lists around embeddings"):
        HierarchicalIndex(codes, entries.embeddings, n_lists=4)
    rows = RowQuantiser.fit(entries.embeddings, bits=4)
    with pytest.raises(ParameterError, match="n_lists must be"):
        HierarchicalIndex(codes, entries.embeddings, rows=rows, n_lists=101)
    index = HierarchicalIndex(codes, entries.embeddings, rows=rows, n_lists=4)
    with pytest.raises(ParameterError, match="embeddings of queries must"):
        index.search(EmbeddedCodes(entries.codes, entries.embeddings[:, :8]), 1)
