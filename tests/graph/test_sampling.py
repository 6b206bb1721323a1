from __future__ import annotations

import numpy as np
import pytest
from graphs import SMALL, build, matrices, random_graph
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from hashgnn.errors import ParameterError
from hashgnn.graph import sample_neighbours


def neighbours_of(graph: object, node: int) -> list[int]:
    return graph.adjacency[node].indices.tolist()  # type: ignore[attr-defined]


@given(matrices, st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_a_row_holds_distinct_neighbours_and_all_of_them_where_they_fit(
    dense: np.ndarray, fan_out: int, seed: int
) -> None:
    graph = build(dense)
    (hop,) = sample_neighbours(graph, np.arange(graph.n_nodes), [fan_out], rng=seed)
    assert hop.dtype == np.int64
    for node, row in enumerate(hop):
        found, known = row[row >= 0].tolist(), neighbours_of(graph, node)
        assert len(set(found)) == len(found) == min(fan_out, len(known))
        assert set(found) <= set(known)
        assert (row[len(found) :] == -1).all()


def test_the_second_hop_follows_the_entries_of_the_first() -> None:
    graph = build(SMALL)
    first, second = sample_neighbours(graph, np.array([0, 2, -1]), [2, 3], rng=0)
    assert first.tolist() == [[3, 5], [-1, -1], [-1, -1]]
    assert second.tolist() == [[0, 1, -1], [0, 1, -1]] + [[-1, -1, -1]] * 4


@pytest.mark.parametrize("replace", [False, True])
def test_every_neighbour_is_equally_likely(replace: bool) -> None:
    dense = np.ones((1, 10))
    (hop,) = sample_neighbours(build(dense), np.zeros(20_000, int), [4], rng=1, replace=replace)
    counts = np.bincount(hop.ravel() - 1, minlength=10)
    # Without replacement the counts vary less than multinomial ones, so the test stays valid.
    assert stats.chisquare(counts).pvalue > 1e-3
    assert (len(set(map(tuple, np.sort(hop, axis=1)))) == 210) is not replace


def test_all_subsets_are_equally_likely_without_replacement() -> None:
    (hop,) = sample_neighbours(build(np.ones((1, 5))), np.zeros(10_000, int), [2], rng=3)
    pairs = np.sort(hop - 1, axis=1) @ np.array([5, 1])
    _, counts = np.unique(pairs, return_counts=True)
    assert len(counts) == 10
    assert stats.chisquare(counts).pvalue > 1e-3


def test_with_replacement_every_slot_of_a_connected_node_is_filled() -> None:
    (hop,) = sample_neighbours(build(SMALL), np.arange(7), [5], rng=0, replace=True)
    assert ((hop >= 0).all(axis=1) == [True, True, False, True, True, True, False]).all()


def test_one_seed_gives_one_sample() -> None:
    graph, nodes = random_graph(), np.arange(50)
    samples = [sample_neighbours(graph, nodes, [3, 2], rng=seed)[1] for seed in (7, 7, 8)]
    assert np.array_equal(samples[0], samples[1])
    assert not np.array_equal(samples[0], samples[2])


@pytest.mark.parametrize(
    ("nodes", "fan_outs", "message"),
    [
        ([7], [1], "nodes must be in [0, 7) or -1 for none, got 7"),
        ([0], [2, 0], "fan_outs[1] must be an integer >= 1, got 0"),
        ([0.5], [2], "nodes must be a 1-d integer array, got float64 of shape (1,)"),
    ],
)
def test_bad_nodes_and_fan_outs_are_refused(nodes: list[int], fan_outs: list[int], message: str) -> None:
    with pytest.raises(ParameterError) as caught:
        sample_neighbours(build(SMALL), np.array(nodes), fan_outs, rng=0)
    assert str(caught.value) == message
