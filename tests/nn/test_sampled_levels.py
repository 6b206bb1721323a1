"""Encoders over neighbourhoods that the nodes of a batch share, against plain trees of the same draws."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hashgnn.errors import ParameterError
from hashgnn.graph import BipartiteGraph, sample_levels
from hashgnn.nn import SampledHop
from hashgnn.testing.encoders import ISOLATED_ITEM, ISOLATED_USER, N_USERS, EncoderCase

CASES = [
    ("graphsage", {"aggregator": "mean", "input_dim": 7}),
    ("graphsage", {"aggregator": "gcn"}),
    ("graphsage", {"aggregator": "concat", "input_dim": 7}),
    ("graphsage", {"aggregator": "max"}),
    ("gat", {"heads": 2}),
]
NODES = torch.tensor([3, N_USERS + 2, ISOLATED_USER, 0, N_USERS + ISOLATED_ITEM, N_USERS + 1])


def drawn(case: EncoderCase, fan_outs: tuple[int, ...], seed: int = 0) -> tuple[SampledHop, ...]:
    levels = sample_levels(BipartiteGraph(case.edges), NODES.numpy(), fan_outs, rng=seed)
    return tuple(SampledHop.from_arrays(level) for level in levels)


def as_tree(hops: tuple[SampledHop, ...]) -> tuple[torch.Tensor, ...]:
    """Write out what every entry drew: rows of nodes, -1 for none, one row for each entry of the hop before."""
    tree, positions = [], list(range(len(NODES)))  # of the entries among the nodes of their level
    for hop in hops:
        starts, places = hop.starts.tolist(), hop.places.tolist()
        rows = [[] if at < 0 else places[starts[at] : starts[at + 1]] for at in positions]
        width = max(map(len, rows))
        positions = [at for row in rows for at in row + [-1] * (width - len(row))]
        nodes = [int(hop.nodes[at]) if at >= 0 else -1 for at in positions]
        tree.append(torch.tensor(nodes).view(len(rows), width))
    return tuple(tree)


@pytest.mark.parametrize(("name", "options"), CASES)
@pytest.mark.parametrize("fan_outs", [(3, 2), (30, 1)])
def test_shared_levels_give_the_embeddings_and_gradients_of_their_trees(name, options, fan_outs) -> None:
    case = EncoderCase(name, {"n_layers": 2, **options})
    hops = drawn(case, fan_outs)
    target = torch.randn(len(NODES), 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    found = []
    for sampled in (hops, as_tree(hops)):
        encoder = case.encoder()
        rows = encoder(case.view().with_sampled(sampled), NODES)
        (rows * target).sum().backward()
        found.append([rows.detach(), *(x.grad for x in encoder.parameters())])
    for shared, tree in zip(*found, strict=True):
        torch.testing.assert_close(shared, tree, rtol=1e-10, atol=1e-10)
    assert not torch.allclose(found[0][0], case.encoder()(case.view(), NODES))


@pytest.mark.parametrize(("name", "options"), CASES)
def test_levels_of_all_neighbours_are_the_whole_graph(name, options) -> None:
    case = EncoderCase(name, {"n_layers": 2, **options})
    encoder = case.encoder()
    sampled = encoder(case.view().with_sampled(drawn(case, (99, 99))), NODES)
    torch.testing.assert_close(sampled, encoder(case.view(), NODES), rtol=1e-10, atol=1e-10)


def test_gradient_of_a_sum_over_drawn_neighbours_is_that_of_the_dense_product() -> None:
    (hop,) = drawn(EncoderCase("gat"), (4,))
    dense = torch.zeros(len(hop), len(hop.nodes), dtype=torch.float64)
    for row, (start, end) in enumerate(zip(hop.starts[:-1], hop.starts[1:], strict=True)):
        dense[row, hop.places[start:end].long()] = 1
    states = torch.randn(len(hop.nodes), 3, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(hop.total(states), dense @ states)
    assert torch.autograd.gradcheck(hop.total, (states,))


def test_batch_that_draws_nothing_has_sums_of_zero() -> None:
    graph = BipartiteGraph(EncoderCase("mf").edges)
    (level,) = sample_levels(graph, np.array([ISOLATED_USER]), [3], rng=0)
    hop = SampledHop.from_arrays(level)
    assert len(hop.nodes) == 0
    assert hop.total(torch.zeros(0, 4)).tolist() == [[0.0] * 4]
    assert hop.largest(torch.zeros(0, 4)).tolist() == [[0.0] * 4]


def test_levels_of_other_nodes_are_refused() -> None:
    case = EncoderCase("graphsage", {"n_layers": 2})
    view = case.view().with_sampled(drawn(case, (3, 2)))
    with pytest.raises(ParameterError, match=r"view.sampled hop 0 must have 2 rows, got shape \(6,\)"):
        case.encoder()(view, NODES[:2])
