from __future__ import annotations

import numpy as np
import pytest
from graphs import SMALL, build, matrices, random_graph
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from hashgnn.errors import ParameterError
from hashgnn.graph import sample_levels, sample_neighbours


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


@given(matrices, st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_a_level_holds_what_its_nodes_drew_once_and_says_who_drew_it(
    dense: np.ndarray, fan_out: int, seed: int
) -> None:
    graph = build(dense)
    nodes, fan_outs = np.arange(graph.n_nodes), [fan_out, 2]
    for width, level in zip(fan_outs, sample_levels(graph, nodes, fan_outs, rng=seed), strict=True):
        assert (np.diff(level.nodes) > 0).all()
        assert len(level.starts) == len(nodes) + 1
        assert len(level.owner_starts) == len(level.nodes) + 1
        drew = set()
        for row, node in enumerate(nodes):
            drawn, known = level.places[level.starts[row] : level.starts[row + 1]], neighbours_of(graph, node)
            assert len(set(drawn)) == len(drawn) == min(width, len(known))
            assert set(level.nodes[drawn]) <= set(known)
            drew |= {(row, int(place)) for place in drawn}
        owners = np.repeat(np.arange(len(level.nodes)), np.diff(level.owner_starts))
        assert sorted(zip(level.owners.tolist(), owners.tolist(), strict=True)) == sorted(drew)
        nodes = level.nodes


@pytest.mark.parametrize("fan_out", [4, 40])
def test_every_neighbour_is_equally_likely_in_a_level(fan_out: int) -> None:
    """Few draws and many are made in two ways; beyond 32 neighbours the second is taken."""
    n_items = 10 * fan_out // 4
    (level,) = sample_levels(build(np.ones((1, n_items))), np.zeros(8_000, int), [fan_out], rng=1)
    assert (np.diff(level.starts) == fan_out).all()
    counts = np.bincount(level.places, minlength=n_items)
    # Without replacement the counts vary less than multinomial ones, so the test stays valid.
    assert stats.chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize("fan_out", [2, 34])
def test_all_subsets_are_equally_likely_in_a_level(fan_out: int) -> None:
    """What is left out of 36 is a pair, as what is taken of 5 is: all pairs must come equally often."""
    n_items = 5 if fan_out == 2 else 36
    (level,) = sample_levels(build(np.ones((1, n_items))), np.zeros(20_000, int), [fan_out], rng=3)
    taken = np.zeros((20_000, n_items), bool)
    taken[np.repeat(np.arange(20_000), fan_out), level.places] = True
    pairs = np.nonzero(taken if fan_out == 2 else ~taken)[1].reshape(-1, 2) @ np.array([n_items, 1])
    _, counts = np.unique(pairs, return_counts=True)
    assert len(counts) == n_items * (n_items - 1) // 2
    assert stats.chisquare(counts).pvalue > 1e-3


def test_a_node_draws_once_a_level() -> None:
    """Both users drew the same items, and an item has one neighbourhood, whoever drew it."""
    first, second = sample_levels(build(np.ones((30, 3))), np.array([0, 1, 1]), [3, 2], rng=0)
    assert first.nodes.tolist() == [30, 31, 32]
    assert np.diff(first.starts).tolist() == [3, 3, 3]
    assert np.diff(second.starts).tolist() == [2, 2, 2]


def test_one_seed_gives_the_same_levels_everywhere() -> None:
    graph = random_graph()
    levels = [sample_levels(graph, np.arange(50), [3, 2], rng=seed)[1] for seed in (7, 7, 8)]
    assert np.array_equal(levels[0].places, levels[1].places)
    assert not np.array_equal(levels[0].places, levels[2].places)
    (level,) = sample_levels(build(np.ones((1, 20))), np.zeros(3, int), [4], rng=0)
    assert level.nodes[level.places].reshape(3, 4).tolist() == [
        [16, 13, 12, 1],
        [12, 8, 16, 17],
        [1, 4, 12, 5],
    ]


@pytest.mark.parametrize(
    ("nodes", "fan_outs", "message"),
    [
        ([7], [1], "nodes must be in [0, 7), got 7"),
        ([-1], [1], "nodes must be in [0, 7), got -1"),
        ([0], [2, 0], "fan_outs[1] must be an integer >= 1, got 0"),
        ([0.5], [2], "nodes must be a 1-d integer array, got float64 of shape (1,)"),
    ],
)
def test_bad_nodes_and_fan_outs_of_levels_are_refused(
    nodes: list[int], fan_outs: list[int], message: str
) -> None:
    with pytest.raises(ParameterError) as caught:
        sample_levels(build(SMALL), np.array(nodes), fan_outs, rng=0)
    assert str(caught.value) == message
