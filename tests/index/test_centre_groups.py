"""Many lists around embeddings: their centres lie in groups, and a query looks into those that promise most."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from hashgnn import _native
from hashgnn.codes import BinaryCodes
from hashgnn.index import CandidateFilter, EmbeddedCodes, HammingIndex, HierarchicalIndex, RowQuantiser

Array = np.ndarray[Any, Any]
_WIDTH, _K, _LISTS = 24, 10, 1200


def _entries(n: int, seed: int = 0) -> EmbeddedCodes:
    """Return embeddings in three hundred clusters, with the codes of their signs."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(9).standard_normal((300, _WIDTH)) * 2
    vectors = (centres[rng.integers(0, 300, n)] + 0.7 * rng.standard_normal((n, _WIDTH))).astype(np.float32)
    return EmbeddedCodes(BinaryCodes.from_signs(vectors), vectors)


@pytest.fixture(scope="module")
def entries() -> EmbeddedCodes:
    return _entries(12_000)


@pytest.fixture(scope="module")
def index(entries: EmbeddedCodes) -> HierarchicalIndex:
    rows = RowQuantiser.fit(entries.embeddings, bits=4)
    made = HierarchicalIndex(HammingIndex(entries.codes), entries.embeddings, rows=rows, n_lists=_LISTS)
    made.n_probe = _LISTS // 32
    return made


def _kth(queries: EmbeddedCodes, vectors: Array) -> Array:
    return np.sort(queries.embeddings @ vectors.T, axis=1)[:, -_K][:, None] - 1e-4


def test_the_nearest_of_many_centres_is_found_but_for_a_few(entries: EmbeddedCodes) -> None:
    vectors = entries.embeddings
    centres = np.ascontiguousarray(vectors[:_LISTS])
    found = _native.CentreTable(centres).nearest(vectors, _LISTS, 1)
    halves = (centres**2).sum(axis=1) / 2
    nearness = vectors @ centres.T - halves
    best = nearness.max(axis=1)
    assert (nearness[np.arange(len(vectors)), found] >= best - 0.02 * np.abs(best)).mean() > 0.98
    assert np.array_equal(_native.CentreTable(centres).nearest(vectors, _LISTS, 2), found)


def test_a_query_in_groups_finds_nearly_what_all_lists_hold(
    index: HierarchicalIndex, entries: EmbeddedCodes
) -> None:
    queries = _entries(64, seed=1)
    found = index.search(queries, _K, refined=3)
    assert (found.counts == _K).all()
    assert (found.scores >= _kth(queries, entries.embeddings)).mean() > 0.9
    one = index.search(queries[5:6], _K, refined=3)
    assert np.array_equal(one.positions[0], found.positions[5])
    assert np.array_equal(
        pickle.loads(pickle.dumps(index)).search(queries, _K, refined=3).positions, found.positions
    )


def test_scores_of_results_are_those_of_floats_though_not_all_floats_are_read(
    index: HierarchicalIndex, entries: EmbeddedCodes
) -> None:
    queries, k = _entries(32, seed=2), 40
    found = index.search(queries, k, refined=8)
    exact = np.einsum("qkd,qd->qk", entries.embeddings[found.positions], queries.embeddings)
    np.testing.assert_allclose(found.scores, exact, rtol=1e-5, atol=1e-4)
    assert (np.diff(found.scores, axis=1) <= 0).all()
    all_read = index.search(queries, 320, refined=1).scores[
        :, :k
    ]  # 320 a query by floats, none too far behind
    assert (found.scores >= all_read[:, -1:] - 1e-4).mean() > 0.97


def test_later_entries_filters_and_removed_ones_are_seen_in_groups_too(entries: EmbeddedCodes) -> None:
    rows = RowQuantiser.fit(entries.embeddings, bits=4)
    index = HierarchicalIndex(HammingIndex(entries.codes), entries.embeddings, rows=rows, n_lists=_LISTS)
    index.n_probe = _LISTS // 32
    later = _entries(40, seed=3)
    index.add(EmbeddedCodes(later.codes, 3 * later.embeddings))
    found = index.search(later, 1)
    assert (found.positions[:, 0] >= 12_000).mean() > 0.9
    index.remove(np.arange(12_000, 12_020))
    assert not np.isin(index.search(later, _K).positions, np.arange(12_000, 12_020)).any()
    mask = np.zeros(12_040, bool)
    mask[::40] = True
    mask[12_000:12_020] = False
    some = index.search(later, _K, refined=30, candidates=CandidateFilter(allow_all=mask))
    assert (some.counts == _K).all()
    assert mask[some.positions].all()


def test_more_results_than_the_lists_of_the_groups_hold_come_from_all_lists(index: HierarchicalIndex) -> None:
    found = index.search(_entries(3, seed=4), 4000, refined=1)
    assert (found.counts == 4000).all()
    assert all(len(set(row.tolist())) == 4000 for row in found.positions)
