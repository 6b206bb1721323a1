from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from graphs import build, random_graph

from hashgnn.errors import ParameterError
from hashgnn.graph import low_spectrum, smooth_item_vectors, truncated_svd


@pytest.mark.parametrize("shape", [(60, 40), (40, 60)])
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-9), (np.float32, 2e-5)])
def test_leading_triplets_equal_those_of_the_dense_decomposition(
    shape: tuple[int, int], dtype: type, tolerance: float
) -> None:
    rng = np.random.default_rng(0)
    # Well separated singular values, so that single vectors, not only subspaces, can be compared.
    left, _, right = np.linalg.svd(rng.standard_normal(shape), full_matrices=False)
    dense = (left * 0.7 ** np.arange(40)) @ right
    u, s, v = truncated_svd(sp.csr_matrix(dense.astype(dtype)), 5, rng=1, n_iterations=6)
    assert u.dtype == s.dtype == v.dtype == dtype
    assert np.allclose(s, 0.7 ** np.arange(5), atol=tolerance)
    signs = np.sign(right[np.arange(5), np.abs(right[:5]).argmax(axis=1)])
    assert np.allclose(v, (right[:5] * signs[:, None]).T, atol=20 * tolerance)
    assert np.allclose(u, left[:, :5] * signs, atol=20 * tolerance)


def test_a_full_rank_decomposition_gives_the_matrix_back() -> None:
    dense = np.random.default_rng(0).standard_normal((6, 9))
    u, s, v = truncated_svd(sp.csr_matrix(dense), 6, rng=0)
    assert np.allclose((u * s) @ v.T, dense)


def test_vectors_are_orthonormal_even_where_the_rank_is_lower() -> None:
    dense = np.outer(np.arange(1.0, 8), np.ones(5))
    u, s, v = truncated_svd(sp.csr_matrix(dense), 3, rng=0)
    assert np.allclose(s[1:], 0, atol=1e-9)
    assert np.allclose(u.T @ u, np.eye(3))
    assert np.allclose(v.T @ v, np.eye(3))


def test_signs_do_not_depend_on_the_seed_nor_on_the_sign_of_the_start() -> None:
    matrix = random_graph().normalized_user_item.astype(np.float64)
    one, other = (truncated_svd(matrix, 3, rng=seed, n_iterations=30) for seed in (0, 1))
    assert np.allclose(one[2], other[2], atol=1e-6)
    assert (one[2][np.abs(one[2]).argmax(axis=0), range(3)] > 0).all()


def test_one_seed_gives_one_result() -> None:
    matrix = random_graph().normalized_user_item
    assert np.array_equal(truncated_svd(matrix, 4, rng=3)[2], truncated_svd(matrix, 4, rng=3)[2])


def test_the_low_spectrum_holds_eigenvectors_of_the_adjacency() -> None:
    graph = random_graph()
    spectrum = low_spectrum(graph, 4, rng=0, n_iterations=30)
    vectors = np.vstack([spectrum.user_vectors, spectrum.item_vectors]) / np.sqrt(2)
    assert np.allclose(graph.adjacency @ vectors, vectors * spectrum.values, atol=1e-5)
    exact = np.linalg.eigvalsh(graph.adjacency.toarray().astype(np.float64))[::-1][:4]
    assert np.allclose(spectrum.values, exact, atol=1e-5)


def test_each_component_of_the_graph_brings_the_eigenvalue_one() -> None:
    blocks = build(np.kron(np.eye(3), np.ones((2, 4))))
    assert np.allclose(low_spectrum(blocks, 6, rng=0).values, [1, 1, 1, 0, 0, 0], atol=1e-6)


def test_the_smoothest_vector_is_the_root_of_the_degrees() -> None:
    graph = random_graph(density=0.3)
    assert graph.degrees.min() > 0
    vector = low_spectrum(graph, 1, rng=0, n_iterations=20).item_vectors[:, 0]
    assert np.allclose(vector, np.sqrt(graph.item_degrees / graph.n_edges), atol=1e-5)


def test_a_rank_above_the_shorter_side_is_refused() -> None:
    with pytest.raises(ParameterError, match="rank must be at most 40, got 41"):
        low_spectrum(random_graph(), 41, rng=0)


def test_the_items_part_alone_is_that_of_the_whole_spectrum() -> None:
    graph = random_graph()
    whole = low_spectrum(graph, 6, rng=0, n_iterations=40).item_vectors
    for users_per_block in (1000, 7):
        found = smooth_item_vectors(graph, 6, rng=1, n_iterations=40, users_per_block=users_per_block)
        np.testing.assert_allclose(found, whole, atol=2e-3)
        np.testing.assert_allclose(found.T @ found, np.eye(6), atol=1e-5)
    with pytest.raises(ParameterError, match="rank must be"):
        smooth_item_vectors(graph, 0)
