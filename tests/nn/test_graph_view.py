from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from hashgnn.errors import ParameterError
from hashgnn.graph import BipartiteGraph
from hashgnn.nn import GraphView, _sparse, sparse_from_scipy, sparse_times
from hashgnn.testing.encoders import N_ITEMS, N_USERS, EncoderCase


def test_view_holds_the_matrices_of_the_formulas() -> None:
    edges = np.array([[2.0, 0, 1], [0, 0, 4]])
    view = GraphView.from_scipy(sp.csr_matrix(edges), dtype=torch.float64)
    full = np.block([[np.zeros((2, 2)), edges], [edges.T, np.zeros((3, 3))]])
    degrees = full.sum(axis=1)
    assert view.degrees.tolist() == degrees.tolist() == [3, 4, 2, 0, 5]
    root = np.sqrt(np.where(degrees > 0, degrees, 1))
    np.testing.assert_allclose(view.adjacency.to_dense().numpy(), full / root[:, None] / root, rtol=1e-12)
    np.testing.assert_array_equal(view.user_item.to_dense().numpy(), edges)
    np.testing.assert_array_equal(view.item_user.to_dense().numpy(), edges.T)


def test_adjacency_is_that_of_the_graph() -> None:
    edges = sp.random(20, 30, 0.2, format="csr", random_state=0)
    edges.data[:] = 1
    graph, view = BipartiteGraph(edges), GraphView.from_scipy(edges)
    np.testing.assert_allclose(view.adjacency.to_dense().numpy(), graph.adjacency.toarray(), atol=1e-6)


def test_duplicates_add_up_and_zeros_are_no_edges() -> None:
    edges = sp.coo_matrix(([1.0, 2.0, 0.0], ([0, 0, 1], [1, 1, 0])), shape=(2, 2))
    view = GraphView.from_scipy(edges)
    assert view.user_item.values().tolist() == [3.0]
    assert view.user_item.col_indices().tolist() == [1]


def test_view_does_not_change_with_the_matrix_it_was_built_from() -> None:
    edges, features = sp.csr_matrix(np.ones((2, 3))), np.ones((2, 1))
    view = GraphView.from_scipy(edges, adjacency=None, user_features=features)
    edges.data[:] = 7
    features[:] = 7
    assert view.user_item.values().tolist() == [1.0] * 6
    assert view.user_features is not None
    assert view.user_features.tolist() == [[1.0], [1.0]]


def test_view_of_another_dtype_has_the_same_numbers() -> None:
    view = EncoderCase("mf").view()
    single = view.to(dtype=torch.float32)
    assert view.adjacency.dtype == torch.float64
    for name in ("adjacency", "user_item", "item_user", "degrees", "user_features", "item_features"):
        one, other = getattr(view, name), getattr(single, name)
        assert other.dtype == torch.float32
        assert one.layout == other.layout
        torch.testing.assert_close(other.to_dense().double(), one.to_dense(), rtol=1e-6, atol=1e-7)


def test_sample_of_one_call_leaves_the_view_as_it_was() -> None:
    view = EncoderCase("mf").view()
    hops = (torch.zeros(2, 3, dtype=torch.long),)
    with_sample = view.with_sampled(hops)
    assert view.sampled is None
    assert with_sample.adjacency is view.adjacency
    assert torch.equal(with_sample.to(dtype=torch.float32).sampled[0], hops[0])


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_bad_weight_raises(bad) -> None:
    with pytest.raises(ParameterError, match="user_item must hold finite weights >= 0"):
        GraphView.from_scipy(sp.csr_matrix(np.array([[1.0, bad]])))


def test_shape_that_does_not_fit_raises() -> None:
    edges = sp.csr_matrix(np.ones((2, 3)))
    with pytest.raises(ParameterError, match=r"adjacency must have shape \(5, 5\), got \(4, 4\)"):
        GraphView.from_scipy(edges, adjacency=sp.eye(4))
    with pytest.raises(ParameterError, match=r"item_features must have 3 rows, got shape \(2, 4\)"):
        GraphView.from_scipy(edges, item_features=np.ones((2, 4)))


def test_gradients_of_sparse_products_are_right() -> None:
    view = EncoderCase("mf").view()
    generator = torch.Generator().manual_seed(0)
    items = torch.randn(N_ITEMS, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    rows = torch.tensor([4, 0, 5, 4])  # one twice, one isolated
    dense = view.user_item.to_dense()
    assert torch.autograd.gradcheck(lambda x: _sparse.product(view.user_item, view.item_user, x), items)
    assert torch.autograd.gradcheck(lambda x: _sparse.rows_times(view.user_item, rows, x), items)
    torch.testing.assert_close(_sparse.product(view.user_item, view.item_user, items), dense @ items)
    torch.testing.assert_close(_sparse.rows_times(view.user_item, rows, items), dense[rows] @ items)
    torch.testing.assert_close(_sparse.rows_times(dense, rows, items), dense[rows] @ items)
    assert _sparse.rows_times(view.user_item, rows[:0], items).shape == (0, 3)
    assert view.n_nodes == N_USERS + N_ITEMS


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(7, 5), (0, 5), (7, 0)])
@pytest.mark.parametrize("dim", [1, 3, 64])
def test_sparse_times_dense_is_their_product(shape: tuple[int, int], dim: int, dtype: torch.dtype) -> None:
    matrix = sp.random(*shape, 0.4, format="csr", random_state=0)
    if shape[0]:
        matrix = sp.vstack([sp.csr_matrix((1, shape[1])), matrix[1:]])
    x = torch.randn(
        shape[1], dim, dtype=dtype, generator=torch.Generator().manual_seed(0), requires_grad=True
    )
    found = sparse_times(sparse_from_scipy(matrix, dtype), x)
    assert not found.requires_grad
    assert (tuple(found.shape), found.dtype) == ((shape[0], dim), dtype)
    torch.testing.assert_close(found, torch.tensor(matrix.toarray(), dtype=dtype) @ x.detach())
