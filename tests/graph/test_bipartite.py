from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp
from graphs import SMALL, build, matrices
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hashgnn.errors import ParameterError
from hashgnn.graph import BipartiteGraph


def dense_adjacency(weights: np.ndarray) -> np.ndarray:
    """The textbook formula, over a dense matrix in float64."""
    n_users, n_items = weights.shape
    full = np.zeros((n_users + n_items, n_users + n_items))
    full[:n_users, n_users:] = weights
    full[n_users:, :n_users] = weights.T
    scale = np.array([0 if total == 0 else total**-0.5 for total in full.sum(axis=1)])
    return scale[:, None] * full * scale


def test_counts_and_degrees_of_a_small_graph() -> None:
    graph = build(SMALL)
    assert (graph.n_users, graph.n_items, graph.n_nodes, graph.n_edges) == (3, 4, 7, 5)
    assert graph.degrees.tolist() == [2, 3, 0, 2, 1, 2, 0]
    assert np.array_equal(graph.item_user.toarray(), SMALL.T)


def test_an_edge_weighs_one_over_the_root_of_both_degrees() -> None:
    adjacency = build(SMALL).adjacency.toarray()
    assert adjacency[0, 3] == pytest.approx(1 / np.sqrt(2 * 2))
    assert adjacency[1, 4] == pytest.approx(1 / np.sqrt(3 * 1))


def test_isolated_nodes_have_zero_rows() -> None:
    adjacency = build(SMALL).adjacency
    assert adjacency.dtype == np.float32
    assert np.flatnonzero(adjacency.getnnz(axis=1) == 0).tolist() == [2, 6]
    assert np.isfinite(adjacency.data).all()


@given(
    hnp.arrays(
        np.float32,
        st.tuples(st.integers(1, 7), st.integers(1, 7)),
        elements=st.sampled_from([0, 0, 1, 0.5, 4]),
    )
)
def test_adjacency_equals_the_dense_formula_with_weights(weights: np.ndarray) -> None:
    adjacency = build(weights).adjacency
    assert np.allclose(adjacency.toarray(), dense_adjacency(weights), atol=1e-6)
    assert adjacency.has_canonical_format


@given(matrices)
def test_adjacency_is_symmetric_with_spectrum_between_minus_one_and_one(dense: np.ndarray) -> None:
    adjacency = build(dense).adjacency.toarray()
    assert np.array_equal(adjacency, adjacency.T)
    values = np.linalg.eigvalsh(adjacency.astype(np.float64))
    assert np.abs(values).max() <= 1 + 1e-6
    if dense.any():
        assert values.max() == pytest.approx(1, abs=1e-6)


@given(matrices, st.randoms(use_true_random=False))
def test_relabelling_users_and_items_only_permutes_the_adjacency(dense: np.ndarray, random: object) -> None:
    rng = np.random.default_rng(random.randint(0, 2**32))  # type: ignore[attr-defined]
    users, items = rng.permutation(dense.shape[0]), rng.permutation(dense.shape[1])
    nodes = np.concatenate([users, dense.shape[0] + items])
    relabelled = build(dense[users][:, items]).adjacency.toarray()
    assert np.array_equal(relabelled, build(dense).adjacency.toarray()[nodes][:, nodes])


@given(matrices)
def test_has_edges_says_what_the_matrix_holds(dense: np.ndarray) -> None:
    users, items = np.indices(dense.shape)
    assert np.array_equal(build(dense).has_edges(users, items), dense == 1)
    assert build(dense).has_edges(np.empty(0, int), np.empty(0, int)).shape == (0,)


def test_edge_order_in_the_input_does_not_matter() -> None:
    shuffled = sp.csr_matrix((np.ones(3), np.array([2, 0, 1]), np.array([0, 2, 3])), shape=(2, 3))
    assert not shuffled.has_sorted_indices
    graph = BipartiteGraph(shuffled)
    assert graph.user_item.indices.tolist() == [0, 2, 1]
    assert shuffled.indices.tolist() == [2, 0, 1]  # the caller's matrix stays as it was


def test_interactions_count_as_ones_unless_weights_are_requested() -> None:
    interactions = SimpleNamespace(csr=sp.csr_matrix(np.array([[5.0, 0], [2, 3]], np.float32)))
    assert BipartiteGraph.from_interactions(interactions).user_item.data.tolist() == [1, 1, 1]
    weighted = BipartiteGraph.from_interactions(interactions, weighted=True)
    assert weighted.user_strengths.tolist() == [1.5, 1.5]  # the mean of 5, 2 and 3 counts 1
    np.testing.assert_allclose(weighted.item_strengths, [2.1, 0.9], rtol=1e-6)
    assert weighted.is_weighted
    assert weighted.degrees.tolist() == [1, 2, 2, 1]


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.ones((2, 2)), "user_item must be a 2-d scipy sparse matrix, got ndarray"),
        (sp.csr_matrix(np.array([[1.0, -1]])), "edge weights must be finite and > 0, got 1 that are not"),
        (sp.csr_matrix(np.array([[1.0, np.nan]])), "edge weights must be finite and > 0, got 1 that are not"),
        (
            sp.csr_matrix((np.ones(3), np.array([1, 1, 0]), np.array([0, 3])), shape=(1, 2)),
            "user_item must hold each pair once, got 1 duplicates; merge them first, as Interactions does",
        ),
    ],
)
def test_a_matrix_that_is_no_graph_is_refused(matrix: object, message: str) -> None:
    with pytest.raises(ParameterError) as caught:
        BipartiteGraph(matrix)  # type: ignore[arg-type]
    assert str(caught.value) == message


def test_a_graph_without_edges_has_an_empty_adjacency() -> None:
    graph = build(np.zeros((2, 3)))
    assert graph.adjacency.nnz == 0
    assert graph.adjacency.shape == (5, 5)
