"""Spectral and anchor-graph hashing against eigenvectors of dense matrices."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from hashgnn.codes.binarisers import fit_binariser
from hashgnn.codes.binarisers._anchors import k_means, nearest_weights, squared_distances
from hashgnn.codes.binarisers.anchor_graph import _second_cuts
from hashgnn.errors import ParameterError


def test_spectral_modes_are_the_lowest_frequencies_of_the_box() -> None:
    """A box of sides 8, 3 and 1: along the longest, eight modes come before the first of the shortest."""
    rng = np.random.default_rng(0)
    box = rng.uniform(0, 1, size=(4000, 3)) * [8.0, 3.0, 1.0]
    binariser = fit_binariser("spectral", box, n_bits=8)
    frequencies = sorted((k / side, axis, k) for axis, side in enumerate((8, 3, 1)) for k in range(1, 9))
    expected = [(axis, k) for _, axis, k in frequencies[:8]]
    # 8/3 and 3/1 lie close together, and 1/1 equals 3/3 and 8/8.
    found = list(zip(binariser.axis.tolist(), binariser.mode.tolist(), strict=True))
    assert found[:3] == expected[:3] == [(0, 1), (0, 2), (1, 1)]
    assert found[3:8] == [(0, 3), (0, 4), (0, 5), (1, 2), (0, 6)]


def test_spectral_bits_are_signs_of_the_cosines() -> None:
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(200, 5)) * [3.0, 2.0, 1.0, 0.5, 0.2]
    binariser = fit_binariser("spectral", rows, n_bits=16)
    _, _, axes = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    for bit in range(16):
        axis = binariser.axis[bit]
        component = (rows - rows.mean(axis=0)) @ (axes[axis] * np.sign(axes[axis] @ binariser.axes[:, axis]))
        place = (component - component.min()) / np.ptp(component)
        expected = np.cos(binariser.mode[bit] * np.pi * place)
        np.testing.assert_allclose(binariser.project(rows)[:, bit], expected, atol=2e-4)


def test_spectral_cosines_are_eigenvectors_of_a_dense_neighbourhood_graph() -> None:
    """On an even grid the Laplacian of a narrow Gaussian kernel has the cosines for its lowest eigenvectors."""
    grid = np.linspace(0, 1, 400)
    points = np.column_stack([grid, 1e-6 * np.sin(40 * grid)])
    kernel = np.exp(-((grid[:, None] - grid[None, :]) ** 2) / (2 * 0.01**2))
    laplacian = np.diag(kernel.sum(axis=1)) - kernel
    vectors = np.linalg.eigh(laplacian)[1][:, 1:9]
    projected = fit_binariser("spectral", points, n_bits=8).project(points)
    projected /= np.linalg.norm(projected, axis=0)
    assert (np.abs((projected * vectors).sum(axis=0)) > 0.99).all()


def test_rows_that_do_not_vary_have_codes() -> None:
    codes = fit_binariser("spectral", np.ones((20, 4)), n_bits=8).encode(np.ones((3, 4)))
    assert codes.distances(codes).max() == 0


@pytest.fixture(scope="module")
def cloud():
    """One cloud without gaps, so that its neighbourhood graph is in one piece."""
    return np.random.default_rng(2).normal(size=(240, 5)) * [2.0, 1.5, 1.0, 0.7, 0.5]


def dense_anchor_graph(rows, binariser):
    distances = ((rows[:, None] - binariser.anchors[None].astype(np.float64)) ** 2).sum(axis=2)
    z = np.zeros_like(distances)
    for row, line in enumerate(distances):
        near = np.argsort(line)[: binariser.n_nearest]
        z[row, near] = np.exp(-line[near] / binariser.bandwidth)
    z /= z.sum(axis=1, keepdims=True)
    return z @ np.diag(1 / z.sum(axis=0)) @ z.T


def test_anchor_graph_projections_are_eigenvectors_of_the_dense_graph(cloud) -> None:
    binariser = fit_binariser("anchor_graph", cloud, n_bits=16, rng=0, n_anchors=40)
    adjacency = dense_anchor_graph(cloud, binariser)
    np.testing.assert_allclose(adjacency.sum(axis=1), 1, atol=1e-9)
    y = binariser.project(cloud).astype(np.float64)
    values = np.linalg.eigvalsh(adjacency)[::-1]
    assert values[0] == pytest.approx(1)
    np.testing.assert_allclose(adjacency @ y, y * values[1:17], atol=1e-4)
    np.testing.assert_allclose(y.T @ y / len(y), np.eye(16), atol=1e-4)
    np.testing.assert_allclose(y.mean(axis=0), 0, atol=1e-5)


def test_second_layer_cuts_where_the_graph_is_smoothest(cloud) -> None:
    """No other pair of thresholds that balances the bit gives a smoother function."""
    binariser = fit_binariser("anchor_graph", cloud, n_bits=16, rng=0, n_anchors=40, n_layers=2)
    adjacency = dense_anchor_graph(cloud, binariser)
    laplacian = np.eye(len(cloud)) - adjacency
    projected = binariser.project(cloud).astype(np.float64)
    assert projected.shape[1] == binariser.n_bits == 16
    for vector in range(8):
        y, f = projected[:, vector], projected[:, 8 + vector]
        assert abs(f.sum()) < 1e-3
        positive = y >= 0
        np.testing.assert_allclose(f[positive], y[positive] - binariser.upper[vector], atol=1e-5)
        np.testing.assert_allclose(f[~positive], binariser.lower[vector] - y[~positive], atol=1e-5)
        other = np.where(positive, -1.0, positive.sum() / (~positive).sum())
        energy = f @ laplacian @ f
        for step in (-0.1, -0.01, 0.01, 0.1):
            moved = f + step * other
            assert moved @ laplacian @ moved > energy


def test_second_layer_cuts_each_side_at_its_mean_where_nothing_links_the_sides() -> None:
    belongs = np.repeat(np.eye(4), 5, axis=0)
    y = belongs @ np.array([[3.0], [1.0], [-1.5], [-2.5]])
    upper, lower = _second_cuts(sparse.csr_matrix(belongs), y)
    np.testing.assert_allclose((upper, lower), ([2.0], [-2.0]))


def test_anchor_graph_needs_more_anchors_than_eigenvectors(cloud) -> None:
    with pytest.raises(
        ParameterError, match="n_anchors must be more than the 16 eigenvectors that 16 bits need, got 16"
    ):
        fit_binariser("anchor_graph", cloud, n_bits=16, n_anchors=16)
    with pytest.raises(ParameterError, match="n_layers must be at most 2, got 3"):
        fit_binariser("anchor_graph", cloud, n_bits=16, n_layers=3)


def test_k_means_equals_plain_lloyd_and_its_loss_falls(cloud) -> None:
    losses = []
    for n_iterations in range(6):
        centres = k_means(cloud, 7, n_iterations=n_iterations, rng=np.random.default_rng(3))
        losses.append(squared_distances(cloud, centres).min(axis=1).sum())
    assert (np.diff(losses) <= 1e-9).all()
    plain = k_means(cloud, 7, n_iterations=0, rng=np.random.default_rng(3))
    for _ in range(5):
        nearest = ((cloud[:, None] - plain[None]) ** 2).sum(axis=2).argmin(axis=1)
        plain = np.stack([cloud[nearest == centre].mean(axis=0) for centre in range(7)])
    np.testing.assert_allclose(centres, plain, atol=1e-12)


def test_a_centre_that_no_row_is_nearest_to_stays() -> None:
    rows = np.zeros((5, 2))
    np.testing.assert_array_equal(k_means(rows, 3, n_iterations=2, rng=np.random.default_rng(0)), rows[:3])


def test_weights_of_a_far_row_are_finite_and_sum_to_one() -> None:
    columns, weights = nearest_weights(np.array([[1e4, 0.0]]), np.array([[0.0, 0], [1, 0], [2, 0]]), 2, 0.5)
    assert set(columns[0].tolist()) == {1, 2}
    assert weights.sum() == pytest.approx(1)
