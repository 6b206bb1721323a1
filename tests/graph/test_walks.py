from __future__ import annotations

import numpy as np
import pytest
from graphs import SMALL, build, random_graph

from hashgnn.errors import ParameterError
from hashgnn.graph import random_walks


def test_every_step_is_an_edge_and_isolated_nodes_stay() -> None:
    graph = random_graph(density=0.05)
    starts = np.arange(graph.n_nodes)
    walks = random_walks(graph, starts, 8, p=0.3, q=2.0, rng=0)
    assert walks.shape == (graph.n_nodes, 8)
    assert np.array_equal(walks[:, 0], starts)
    isolated = graph.degrees == 0
    assert isolated.any()
    assert (walks[isolated] == starts[isolated, None]).all()
    adjacency = graph.adjacency.toarray() > 0
    moving = walks[~isolated]
    assert adjacency[moving[:, :-1], moving[:, 1:]].all()


@pytest.mark.parametrize(("p", "q"), [(1.0, 1.0), (4.0, 1.0), (0.25, 1.0), (1.0, 3.0), (1e-3, 1.0)])
def test_third_nodes_have_the_probabilities_of_node2vec(p, q) -> None:
    """From item 0 (users 0, 1, 2) come from user 0: back with weight 1/p, on with weight 1/q each."""
    graph = build(np.array([[1, 1], [1, 0], [1, 0]]))
    walks = random_walks(graph, np.full(40000, 0), 3, p=p, q=q, rng=1)
    through = walks[walks[:, 1] == 3]
    weights = np.array([1 / p, 1 / q, 1 / q])
    found = np.bincount(through[:, 2], minlength=5)[:3] / len(through)
    np.testing.assert_allclose(found, weights / weights.sum(), atol=0.015)


def test_a_strong_pull_back_holds_at_wide_neighbourhoods_too() -> None:
    graph = build(np.ones((400, 1)))
    walks = random_walks(graph, np.zeros(20000, np.int64), 3, p=1 / 399, rng=0)
    assert abs((walks[:, 2] == 0).mean() - 0.5) < 0.02


def test_one_seed_gives_one_set_of_walks() -> None:
    graph, starts = random_graph(), np.zeros(5, np.int64)
    first = random_walks(graph, starts, 6, p=2.0, rng=3)
    assert np.array_equal(first, random_walks(graph, starts, 6, p=2.0, rng=3))
    assert not np.array_equal(first, random_walks(graph, starts, 6, p=2.0, rng=4))
    assert len(np.unique(first, axis=0)) > 1  # repeats of a start take different walks


def test_a_walk_that_may_not_turn_back_does_so_only_at_a_dead_end() -> None:
    graph = random_graph()
    walks = random_walks(graph, np.arange(graph.n_nodes), 10, p=1e12, rng=0)
    back = walks[:, 2:] == walks[:, :-2]
    assert (graph.degrees[walks[:, 1:-1][back]] <= 1).all()


def test_graphs_without_edges_and_walks_of_one_node() -> None:
    assert random_walks(build(np.zeros((2, 2))), np.array([3]), 3, rng=0).tolist() == [[3, 3, 3]]
    assert random_walks(build(SMALL), np.array([1]), 1, rng=0).tolist() == [[1]]
    assert random_walks(build(SMALL), np.array([], np.int64), 4, rng=0).shape == (0, 4)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"length": 0}, "length must be an integer >= 1, got 0"),
        ({"p": 0}, "p must be a finite number > 0, got 0"),
        ({"q": -1}, "q must be a finite number > 0, got -1"),
        ({"starts": np.array([7])}, r"starts must be in \[0, 7\), got 7"),
        ({"starts": np.array([0.5])}, "starts must be a 1-d integer array, got float64"),
    ],
)
def test_arguments_out_of_range_raise(arguments, sentence) -> None:
    with pytest.raises(ParameterError, match=sentence):
        random_walks(build(SMALL), **{"starts": np.array([0]), "length": 3, **arguments})
