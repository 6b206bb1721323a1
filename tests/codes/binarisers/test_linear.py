"""Signs, random hyperplanes and iterative quantisation against what is known of them."""

from __future__ import annotations

import numpy as np
import pytest

from hashgnn.codes.binarisers import cosine_form, fit_binariser
from hashgnn.errors import ParameterError


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    mix = rng.normal(size=(24, 24)) * np.linspace(2, 0.1, 24)[:, None]
    return rng.normal(size=(500, 24)) @ mix + 3.0


def test_sign_is_the_sign_of_each_coordinate(rows) -> None:
    values = rows[:, :16] - 3.0
    np.testing.assert_array_equal(
        fit_binariser("sign", values, n_bits=16).encode(values).signs(), np.where(values >= 0, 1, -1)
    )
    with pytest.raises(
        ParameterError, match="n_bits must be the width of the embeddings, 24, for sign, got 8"
    ):
        fit_binariser("sign", rows, n_bits=8)


@pytest.mark.parametrize("center", [True, False])
def test_pca_sign_projects_on_the_singular_vectors(rows, center) -> None:
    centred = rows - rows.mean(axis=0) * center
    left, values, _ = np.linalg.svd(centred, full_matrices=False)
    expected = np.abs(left * values)[:, :8]
    projected = fit_binariser("pca_sign", rows, n_bits=8, center=center).project(rows)
    np.testing.assert_allclose(np.abs(projected), expected, atol=2e-4)


def test_lsh_bits_agree_with_probability_one_minus_the_angle_over_pi() -> None:
    """Over 60 fits of 1024 bits each the standard error is below .002."""
    angles = np.linspace(0.1, np.pi - 0.1, 7)
    queries = np.array([[1.0, 0.0, 0.0]])
    others = np.stack([np.cos(angles), np.sin(angles), np.zeros(7)], axis=1) * np.linspace(0.1, 9, 7)[:, None]
    rng = np.random.default_rng(5)
    agreement = np.zeros(7)
    for _ in range(60):
        binariser = fit_binariser("lsh", others, n_bits=1024, rng=rng)
        agreement += 1 - binariser.encode(queries).distances(binariser.encode(others))[0] / 1024
    np.testing.assert_allclose(agreement / 60, 1 - angles / np.pi, atol=0.01)


def test_itq_loss_falls_at_every_iteration(rows) -> None:
    binariser = fit_binariser("itq", rows / 10, n_bits=16, rng=0, n_iterations=30)
    losses = np.array(binariser.losses)
    assert len(losses) == 31
    assert (np.diff(losses) <= 1e-9 * losses[0]).all()
    assert losses[-1] < 0.95 * losses[0]


def test_itq_loss_is_the_published_one_and_its_map_a_rotation_of_the_principal_axes(rows) -> None:
    binariser = fit_binariser("itq", rows, n_bits=16, rng=0, n_iterations=30)
    np.testing.assert_allclose(binariser.matrix.T @ binariser.matrix, np.eye(16), atol=1e-5)
    axes = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)[2][:16]
    np.testing.assert_allclose(axes.T @ (axes @ binariser.matrix), binariser.matrix, atol=1e-5)
    projected = binariser.project(rows).astype(np.float64)
    loss = ((np.where(projected >= 0, 1, -1) - projected) ** 2).sum()
    assert loss == pytest.approx(binariser.losses[-1], rel=1e-4)


def test_itq_finds_a_rotation_that_hides_a_cube() -> None:
    rng = np.random.default_rng(2)
    corners = rng.choice([-1.0, 1.0], size=(400, 8)) + rng.normal(scale=0.05, size=(400, 8))
    hidden, _ = np.linalg.qr(rng.normal(size=(8, 8)))
    best = min(fit_binariser("itq", corners @ hidden, n_bits=8, rng=seed).losses[-1] for seed in range(5))
    assert best < 0.02 * corners.size


@pytest.mark.parametrize("name", ["itq", "pca_sign"])
def test_more_bits_than_axes_raises(name, rows) -> None:
    with pytest.raises(
        ParameterError, match=f"n_bits must be at most the width of the embeddings, 24, for {name}, got 32"
    ):
        fit_binariser(name, rows, n_bits=32)


def test_cosines_of_the_cosine_form_rank_as_inner_products_do() -> None:
    rng = np.random.default_rng(3)
    users, items = rng.normal(size=(30, 6)), rng.normal(size=(80, 6)) * rng.lognormal(size=(80, 1))
    unit_users, unit_items = cosine_form(users, items)
    for unit in (unit_users, unit_items):
        np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, atol=1e-6)
    expected = users @ items.T / np.linalg.norm(users, axis=1)[:, None] / np.linalg.norm(items, axis=1).max()
    np.testing.assert_allclose(unit_users @ unit_items.T, expected, atol=1e-6)


def test_cosine_form_of_zeros_is_zeros_and_not_nan() -> None:
    users, items = cosine_form(np.zeros((1, 2)), np.zeros((2, 2)))
    assert not users.any()
    assert not items.any()
