from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

import hashgnn.baselines.node_embeddings as node_embeddings
from hashgnn.baselines import fit_baseline
from hashgnn.data import Interactions
from hashgnn.errors import ParameterError
from hashgnn.graph import BipartiteGraph, random_walks


def edges(seed: int = 0) -> np.ndarray:
    dense = (np.random.default_rng(seed).random((9, 7)) < 0.4) * 1.0
    dense[2], dense[:, 3] = 0, 0
    return dense


def whole(dense: np.ndarray) -> np.ndarray:
    n, m = dense.shape
    return np.block([[np.zeros((n, n)), dense], [dense.T, np.zeros((m, m))]])


def log_ratio(counts: np.ndarray, n_negatives: float, exponent: float) -> np.ndarray:
    """Return the matrix entry by entry, from its definition."""
    result, noise = np.zeros_like(counts), np.array([c**exponent if c else 0 for c in counts.sum(axis=1)])
    for i, j in zip(*np.nonzero(counts), strict=True):
        conditional = counts[i, j] / counts[i].sum()
        result[i, j] = max(0, np.log(conditional / (noise[j] / noise.sum()) / n_negatives))
    return result


@pytest.mark.parametrize(("n_negatives", "exponent"), [(1, 1), (1, 0), (3, 0.5)])
def test_line_of_full_rank_scores_the_log_ratio_of_edges(n_negatives, exponent) -> None:
    dense = edges()
    model = fit_baseline(
        "line",
        Interactions.from_csr(sp.csr_matrix(dense)),
        dim=16,
        rng=0,
        n_negatives=n_negatives,
        noise_exponent=exponent,
    )
    expected = log_ratio(whole(dense), n_negatives, exponent)[:9, 9:]
    np.testing.assert_allclose(model.score(np.arange(9)), expected, atol=1e-4)


@pytest.mark.parametrize("window", [1, 3])
def test_walks_are_counted_pair_by_pair(window, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = BipartiteGraph(sp.csr_matrix(edges()))
    walks = random_walks(graph, np.arange(16), 6, rng=0)
    counts = node_embeddings._counts(iter([walks[:5], walks[5:]]), range(1, window + 1), 16).toarray()
    expected = np.zeros((16, 16))
    for walk in walks:
        for a in range(6):
            for b in range(6):
                if 0 < abs(a - b) <= window:
                    expected[walk[a], walk[b]] += 1
    np.testing.assert_array_equal(counts, expected)


def test_deepwalk_of_one_step_and_many_walks_is_line() -> None:
    """Walks of two nodes from every node pair its neighbours; on a regular graph those are the edges."""
    dense = np.zeros((6, 6))
    for user in range(6):
        dense[user, [user, (user + 1) % 6, (user + 2) % 6]] = 1
    train = Interactions.from_csr(sp.csr_matrix(dense))
    walked = fit_baseline(
        "deepwalk", train, dim=12, rng=0, walks_per_node=4000, walk_length=2, window=1
    ).score(np.arange(6))
    np.testing.assert_allclose(
        walked, fit_baseline("line", train, dim=12, rng=0).score(np.arange(6)), atol=0.05
    )


def test_bine_without_implicit_relations_is_line_and_with_them_is_not() -> None:
    train = Interactions.from_csr(sp.csr_matrix(edges()))
    users = np.arange(9)
    plain = fit_baseline("line", train, dim=4, rng=0).score(users)
    explicit, both = (
        fit_baseline("bine", train, dim=4, rng=0, implicit_weight=weight).score(users)
        for weight in (0.0, 1.0)
    )
    np.testing.assert_allclose(explicit, plain, atol=1e-4)
    assert np.abs(both - plain).max() > 0.01


def test_node2vec_differs_from_deepwalk_by_its_bias_alone() -> None:
    train = Interactions.from_csr(sp.csr_matrix(edges()))
    users = np.arange(9)
    plain = fit_baseline("deepwalk", train, dim=4, rng=0).score(users)
    assert np.array_equal(fit_baseline("node2vec", train, dim=4, rng=0, p=1.0).score(users), plain)
    assert not np.array_equal(fit_baseline("node2vec", train, dim=4, rng=0).score(users), plain)


@pytest.mark.parametrize(
    ("name", "settings", "sentence"),
    [
        ("deepwalk", {"window": 0}, "window must be an integer >= 1, got 0"),
        ("node2vec", {"p": 0}, "p must be a finite number > 0, got 0"),
        ("line", {"n_negatives": 0}, "n_negatives must be a finite number > 0, got 0"),
        ("bine", {"walk_length": 2}, "walk_length must be an integer >= 3, got 2"),
        ("bine", {"implicit_weight": -1}, "implicit_weight must be a finite number >= 0, got -1"),
    ],
)
def test_settings_out_of_range_raise(name, settings, sentence) -> None:
    with pytest.raises(ParameterError, match=sentence):
        fit_baseline(name, Interactions.from_csr(sp.csr_matrix(edges())), dim=2, rng=0, **settings)
