from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from hashgnn.data import generate_interactions
from hashgnn.graph import (
    Backend,
    BipartiteGraph,
    ChebyshevFilter,
    SpectralFilter,
    choose_filter,
    low_spectrum,
    truncated_svd,
)
from hashgnn.training.torch_backend import ProcessorBackend, TorchBackend, backend_of

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


@pytest.fixture(scope="module")
def graph() -> BipartiteGraph:
    return BipartiteGraph(generate_interactions(300, 200, 6000, rng=0).csr)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("backend", [TorchBackend(DEVICE), ProcessorBackend()])
def test_singular_values_and_spaces_are_scipy_s(backend: Backend, graph: BipartiteGraph, dtype: type) -> None:
    matrix = sp.csr_matrix(graph.normalized_user_item, dtype=dtype)
    here = truncated_svd(matrix, 12, rng=0, n_iterations=20)
    there = truncated_svd(matrix, 12, rng=0, n_iterations=20, backend=backend)
    np.testing.assert_allclose(there[1], here[1], rtol=1e-4)
    assert all(array.dtype == dtype and isinstance(array, np.ndarray) for array in there)
    np.testing.assert_allclose(np.abs(np.diag(there[2].T @ here[2])), 1, atol=1e-2)


@pytest.mark.parametrize("family", [ChebyshevFilter, SpectralFilter])
@pytest.mark.parametrize("filter_seen", [True, False])
def test_lists_are_those_of_the_processor(
    family: type[ChebyshevFilter] | type[SpectralFilter],
    filter_seen: bool,
    graph: BipartiteGraph,
) -> None:
    backend = TorchBackend(DEVICE, block_bytes=4 * 200 * 70)  # several blocks
    fitted = family.fit(graph, rank=20, alpha=0.3, rng=0)
    for kept in (None, 100):
        here = fitted.top(10, filter_seen=filter_seen, kept=kept).positions
        there = fitted.top(10, filter_seen=filter_seen, kept=kept, backend=backend).positions
        assert there.dtype == np.int64
        assert (here == there).mean() > 0.99  # sums are rounded otherwise


def test_whoever_has_seen_all_but_a_few_gets_those() -> None:
    full = np.ones((3, 6))
    full[0, 4:] = 0
    fitted = SpectralFilter.fit(BipartiteGraph(sp.csr_matrix(full)), rank=2, rng=0)
    found = fitted.top(3, backend=TorchBackend(DEVICE)).positions
    assert sorted(found[0].tolist()) == [-1, 4, 5]
    assert found[1].tolist() == [-1, -1, -1]


def test_the_same_filter_is_chosen(graph: BipartiteGraph) -> None:
    here = choose_filter(graph, rank=40, rng=0)
    there = choose_filter(graph, rank=40, rng=0, backend=TorchBackend(DEVICE))
    assert (here.family, here.settings) == (there.family, there.settings)
    assert there.recall == pytest.approx(here.recall, abs=1e-3)


def test_two_graphs_in_turn_are_not_mixed_up(graph: BipartiteGraph) -> None:
    other = BipartiteGraph(generate_interactions(250, 200, 4000, rng=1).csr)
    filters = [SpectralFilter.fit(part, rank=10, rng=0) for part in (graph, other)]
    for backend in (TorchBackend(DEVICE), ProcessorBackend()):
        for fitted in (*filters, filters[0]):
            assert (fitted.top(5, backend=backend).positions == fitted.top(5).positions).mean() > 0.99


@pytest.mark.parametrize("family", [ChebyshevFilter, SpectralFilter])
def test_on_the_processor_torch_s_products_are_scipy_s(
    family: type[ChebyshevFilter] | type[SpectralFilter], graph: BipartiteGraph
) -> None:
    fitted = family.fit(graph, rank=20, rng=0)
    rows = graph.user_item.astype(np.float32)
    here, there = Backend().spread(fitted, rows), ProcessorBackend().spread(fitted, rows)
    np.testing.assert_allclose(there, here, rtol=1e-4, atol=1e-6)


def test_each_device_has_its_backend() -> None:
    assert isinstance(backend_of(torch.device("cpu")), ProcessorBackend)
    assert isinstance(backend_of(torch.device("cuda")), TorchBackend)


def test_a_spectrum_is_the_same_by_either(graph: BipartiteGraph) -> None:
    here, there = low_spectrum(graph, 8, rng=0), low_spectrum(graph, 8, rng=0, backend=TorchBackend(DEVICE))
    np.testing.assert_allclose(there.values, here.values, rtol=1e-3)
