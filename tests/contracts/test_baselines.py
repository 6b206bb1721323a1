"""Every registered baseline passes the same tests."""

from __future__ import annotations

import subprocess
import sys
from functools import cache

import numpy as np
import pytest
import scipy.sparse as sp
from tests.baselines.blocks import N_ITEMS, N_USERS, communities, held_out

import hashgnn as hg
from hashgnn.baselines import BASELINES, EmbeddingBaseline, FittedBaseline, fit_baseline
from hashgnn.data import Interactions
from hashgnn.errors import DataError, MissingExtraError, ParameterError
from hashgnn.graph import BipartiteGraph, SpectralFilter

QUICK = {"epochs": 40, "batch_size": 32, "learning_rate": 0.03, "validate_every": 20}
TRAINED = sorted(name for name, baseline in BASELINES.items() if baseline.is_trained)
PERSONAL = sorted(set(BASELINES) - {"popularity"})
CODED = sorted(name for name, baseline in BASELINES.items() if baseline.has_codes)


def width(name: str) -> int:
    return 16 if name in CODED else 32 if name == "ncf" else 4


@cache
def fitted(name: str, seed: int = 0) -> FittedBaseline:
    settings = QUICK if BASELINES[name].is_trained else {}
    try:
        return fit_baseline(
            name, communities(), dim=width(name), rng=seed, progress=False, n_threads=1, **settings
        )
    except MissingExtraError as missing:
        pytest.skip(str(missing))


@pytest.mark.parametrize("name", sorted(BASELINES))
def test_scores_cover_all_items_and_are_the_callers(name) -> None:
    model = fitted(name)
    users = np.array([20, 0, 3])
    ways = {"hs-gcn": ("hamming",)}.get(name, ("scaled", "hamming"))
    assert model.search_ways == (ways if name in CODED else ("float",))
    way = model.search_ways[0]
    scores = model.score_block(users, way, 5, oversampling=5)
    assert scores.shape == (3, N_ITEMS)
    assert scores.dtype == np.float32
    assert np.isfinite(scores).all()
    expected = scores.copy()
    scores[:] = -np.inf
    np.testing.assert_allclose(model.score(users), expected, rtol=1e-6)
    np.testing.assert_allclose(model.score(users[1:2])[0], expected[1], rtol=1e-4, atol=1e-5)
    assert model.bytes_per_item(way) > 0


@pytest.mark.parametrize("name", sorted(BASELINES))
def test_vectors_are_there_where_the_registry_says_so(name) -> None:
    model = fitted(name)
    assert model.has_embeddings == BASELINES[name].has_embeddings
    if model.has_embeddings:
        users, items = model.user_embeddings, model.item_embeddings
        assert (users.shape, items.shape) == ((N_USERS, 4), (N_ITEMS, 4))
        assert users.dtype == items.dtype == np.float32
        assert users.flags.c_contiguous
        assert items.flags.c_contiguous
        np.testing.assert_allclose(model.score(np.arange(N_USERS)), users @ items.T, rtol=1e-5)


@pytest.mark.parametrize("name", PERSONAL)
def test_the_unseen_item_of_the_own_community_comes_first(name) -> None:
    users = np.arange(N_USERS)
    found = fitted(name).search_block(users, fitted(name).search_ways[0], 3, oversampling=1)
    assert found.counts.tolist() == [3] * N_USERS
    assert (found.positions[:, 0] == held_out(users)).mean() > 0.9


@pytest.mark.parametrize("name", sorted(BASELINES))
def test_one_seed_gives_one_model(name) -> None:
    again = fitted.__wrapped__(name)  # not the one that is kept
    assert np.array_equal(again.score(np.arange(N_USERS)), fitted(name).score(np.arange(N_USERS)))


@pytest.mark.parametrize("name", TRAINED)
def test_two_seeds_give_two_models(name) -> None:
    users = np.arange(N_USERS)
    assert not np.array_equal(fitted(name).score(users), fitted(name, 1).score(users))


def test_evaluation_reads_a_baseline_as_it_is() -> None:
    train = communities()
    users = np.arange(N_USERS)
    test = sp.csr_matrix((np.ones(N_USERS), (users, held_out(users))), shape=(N_USERS, N_ITEMS))
    # Two vectors, one a community: a third would be one of many equal ones, and the choice depends on the processor.
    model = fit_baseline("spectral", train, dim=2, rng=0)
    report = hg.evaluate(model, train.csr, test, metrics=["recall@1"], n_timed=2, rng=0)
    assert report.metrics["float"]["recall@1"] == 1.0


def test_popularity_counts_users() -> None:
    dense = np.array([[5.0, 1, 0], [1, 0, 0], [9, 0, 1]])
    model = fit_baseline("popularity", Interactions.from_csr(sp.csr_matrix(dense)))
    assert model.score(np.array([0, 2])).tolist() == [[3, 1, 1], [3, 1, 1]]
    assert model.search_block(np.array([1]), "float", 3, oversampling=1).positions.tolist() == [[1, 2, -1]]


def test_puresvd_scores_are_the_projection_on_the_leading_singular_vectors() -> None:
    dense = (np.random.default_rng(0).random((30, 20)) < 0.3) * 1.0
    vectors = np.linalg.svd(dense)[2][:5].T
    model = fit_baseline(
        "puresvd", Interactions.from_csr(sp.csr_matrix(dense)), dim=5, rng=0, n_iterations=30
    )
    np.testing.assert_allclose(model.score(np.arange(30)), dense @ vectors @ vectors.T, atol=1e-4)


def test_spectral_scores_are_the_low_pass_term_of_gf_cf() -> None:
    train = communities()
    graph = BipartiteGraph.from_interactions(train)
    whole, linear = (SpectralFilter.fit(graph, rank=3, alpha=alpha, rng=0) for alpha in (1.0, 0.0))
    expected = whole.score(graph.user_item) - linear.score(graph.user_item)
    scores = fit_baseline("spectral", train, dim=3, rng=0).score(np.arange(N_USERS))
    np.testing.assert_allclose(scores, expected, atol=1e-4)


def test_more_dimensions_than_the_data_has_are_cut() -> None:
    assert fit_baseline("spectral", communities(), dim=500, rng=0).item_embeddings.shape == (16, 16)


def test_unknown_names_and_settings_raise() -> None:
    train = communities()
    with pytest.raises(ParameterError, match="baseline must be one of .*'popularity'.*, got 'nmf'"):
        fit_baseline("nmf", train)
    with pytest.raises(ParameterError, match="rank is not a setting of puresvd; its settings: n_iterations"):
        fit_baseline("puresvd", train, rank=3)
    with pytest.raises(
        ParameterError, match="alpha is not a setting of popularity; its settings: it has none"
    ):
        fit_baseline("popularity", train, alpha=1)
    with pytest.raises(
        ParameterError, match="epoch is not a setting of a trained baseline; did you mean 'epochs'"
    ):
        fit_baseline("mf-bpr", train, epoch=3)
    with pytest.raises(ParameterError, match="batch_size must be an integer >= 1, got 0"):
        fit_baseline("mf-bpr", train, batch_size=0)
    with pytest.raises(ParameterError, match="dim must be an integer >= 1, got 0"):
        fit_baseline("spectral", train, dim=0)
    with pytest.raises(ParameterError, match="search must be one of 'float', got 'hamming'"):
        fitted("spectral").score_block(np.array([0]), "hamming", 1, oversampling=1)


def test_vectors_that_do_not_fit_the_data_raise() -> None:
    with pytest.raises(ParameterError, match=r"items must have shape \(16, 3\), got \(16, 4\)"):
        EmbeddingBaseline(communities(), np.zeros((24, 3)), np.zeros((16, 4)))


def test_too_little_data_raises() -> None:
    one = Interactions.from_csr(sp.csr_matrix(np.array([[1.0, 1.0], [0.0, 0.0]])))
    with pytest.raises(DataError, match="training needs at least 2 users with interactions, got 1"):
        fit_baseline("mf-bpr", one)


def test_importing_the_registry_does_not_import_torch() -> None:
    code = "import hashgnn.baselines, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
