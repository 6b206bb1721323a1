from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from hashgnn.baselines import fit_baseline
from hashgnn.baselines.item_knn import _nearest
from hashgnn.data import Interactions
from hashgnn.errors import ParameterError


def interactions(n_users: int = 60, n_items: int = 25, density: float = 0.2) -> Interactions:
    dense = np.random.default_rng(0).random((n_users, n_items)) < density
    dense[:n_items] |= np.eye(n_items, dtype=bool)
    return Interactions.from_csr(sp.csr_matrix(dense.astype(np.float32)))


def test_ease_is_the_solution_of_its_equations():
    train = interactions()
    dense = train.csr.toarray().astype(np.float64)
    fitted = fit_baseline("ease", train, regularisation=7.0)
    inverse = np.linalg.inv(dense.T @ dense + 7 * np.eye(25))
    expected = -inverse / np.diag(inverse)
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(fitted.weights, expected, atol=1e-5)
    np.testing.assert_allclose(fitted.score(np.array([3, 1])), dense[[3, 1]] @ expected, atol=1e-5)
    assert fitted.bytes_per_item("float") == 4 * 25


def test_ease_is_the_same_in_blocks(monkeypatch):
    whole = fit_baseline("ease", interactions()).weights
    monkeypatch.setattr("hashgnn.baselines.ease._BLOCK", 7)
    np.testing.assert_array_equal(fit_baseline("ease", interactions()).weights, whole)
    assert whole.flags.c_contiguous


def test_ease_solves_a_ridge_regression_for_each_item():
    """No change of one item's weights, its own aside, lowers the loss."""
    train = interactions()
    dense = train.csr.toarray().astype(np.float64)
    weights = fit_baseline("ease", train, regularisation=5.0).weights.astype(np.float64)
    gradient = dense.T @ (dense @ weights - dense) + 5 * weights
    np.fill_diagonal(gradient, 0)
    assert np.abs(gradient).max() < 1e-3


def test_a_catalogue_that_is_too_large_for_ease_is_refused_before_anything_is_made():
    empty = sp.csr_matrix((np.ones(1, np.float32), ([0], [0])), shape=(1, 30_000))
    with pytest.raises(ParameterError, match=r"takes 20,000 items at most, got 30,000; use ridge"):
        fit_baseline("ease", Interactions.from_csr(empty))
    with pytest.raises(ParameterError, match="takes 10 items at most, got 25"):
        fit_baseline("ease", interactions(), max_items=10)


def test_a_regularisation_that_float32_cannot_see_is_refused():
    twins = Interactions.from_csr(sp.csr_matrix(np.ones((4, 3), np.float32)))
    with pytest.raises(ParameterError, match="regularisation must be larger"):
        fit_baseline("ease", twins, regularisation=1e-12)


@pytest.mark.parametrize("shrinkage", [0.0, 3.0])
def test_itemknn_is_the_cosine_of_the_nearest_items(shrinkage):
    train = interactions()
    dense = train.csr.toarray().astype(np.float64)
    norms = np.sqrt(dense.sum(axis=0))
    similarity = (dense.T @ dense) / (np.outer(norms, norms) + shrinkage)
    np.fill_diagonal(similarity, 0)
    expected = np.zeros_like(similarity)
    for item, row in enumerate(similarity.astype(np.float32)):
        best = np.lexsort((np.arange(25), -row))[:4]
        expected[best, item] = similarity[item, best]
    fitted = fit_baseline("itemknn", train, n_neighbours=4, shrinkage=shrinkage)
    np.testing.assert_allclose(fitted.weights.toarray(), expected, rtol=1e-5)
    np.testing.assert_allclose(fitted.score(np.array([7])), dense[[7]] @ expected, rtol=1e-5)


def test_itemknn_is_the_same_in_blocks(monkeypatch):
    whole = fit_baseline("itemknn", interactions()).weights
    monkeypatch.setattr("hashgnn.baselines.item_knn._BLOCK_CELLS", 60)
    assert (whole != fit_baseline("itemknn", interactions()).weights).nnz == 0


def test_equal_neighbours_go_to_the_smaller_position():
    similarity = sp.csr_matrix(np.array([[0, 0.5, 0.5, 0.5, 0.9]], np.float32))
    assert _nearest(similarity, 3).indices.tolist() == [1, 2, 4]


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("ease", {"regularisation": 0}, "regularisation must be"),
        ("itemknn", {"n_neighbours": 0}, "n_neighbours must be"),
        ("itemknn", {"shrinkage": -1}, "shrinkage must be"),
        (
            "itemknn",
            {"neighbours": 5},
            "neighbours is not a setting of itemknn; its settings: .*n_neighbours",
        ),
    ],
)
def test_a_setting_that_is_wrong_is_named(name, settings, message):
    with pytest.raises(ParameterError, match=message):
        fit_baseline(name, interactions(), **settings)
