from __future__ import annotations

import numpy as np
import pytest
from graphs import SMALL, build, matrices, random_graph
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from hashgnn.errors import ParameterError
from hashgnn.graph import NegativeSampler


@given(matrices, st.sampled_from(["uniform", "popularity", "in_batch"]), st.integers(0, 2**32 - 1))
def test_a_negative_is_never_seen_and_missing_only_where_none_exists(
    dense: np.ndarray, kind: str, seed: int
) -> None:
    graph = build(dense)
    users, items = np.nonzero(dense)
    drawn = NegativeSampler(graph, kind).sample(users, items, n_negatives=3, rng=seed)
    possible = {
        "uniform": np.ones(graph.n_items, bool),
        "popularity": graph.item_degrees > 0,
        "in_batch": np.isin(np.arange(graph.n_items), items),
    }[kind]
    for user, row in zip(users, drawn, strict=True):
        allowed = np.flatnonzero(possible & (dense[user] == 0))
        assert set(row.tolist()) <= set(allowed.tolist() or [-1])


def test_uniform_negatives_are_uniform_over_the_unseen_items() -> None:
    dense = np.zeros((1, 12), int)
    dense[0, [1, 4]] = 1
    drawn = NegativeSampler(build(dense)).sample(np.zeros(2000, int), n_negatives=5, rng=0)
    counts = np.bincount(drawn.ravel(), minlength=12)
    assert counts[[1, 4]].tolist() == [0, 0]
    assert stats.chisquare(np.delete(counts, [1, 4])).pvalue > 1e-3


def test_popularity_negatives_follow_the_degree_to_the_exponent() -> None:
    dense = (np.arange(30)[:, None] < np.array([1, 4, 9, 25, 0])).astype(int)
    sampler = NegativeSampler(build(dense), "popularity", exponent=0.5, exclude_seen=False)
    drawn = sampler.sample(np.zeros(4000, int), n_negatives=5, rng=0)
    counts = np.bincount(drawn.ravel(), minlength=5)
    assert counts[4] == 0
    assert stats.chisquare(counts[:4], 20_000 * np.array([1, 2, 3, 5]) / 11).pvalue > 1e-3


def test_in_batch_negatives_come_as_often_as_in_the_batch() -> None:
    graph = build(np.eye(4))
    users = np.repeat([0, 1, 2], [6000, 1000, 3000])
    drawn = NegativeSampler(graph, "in_batch").sample(users, users, n_negatives=1, rng=0).ravel()
    of_first = np.bincount(drawn[users == 0], minlength=4)
    assert of_first[[0, 3]].tolist() == [0, 0]
    assert stats.chisquare(of_first[[1, 2]], [1500, 4500]).pvalue > 1e-3


def test_a_user_who_left_few_items_gets_them_in_the_right_proportion() -> None:
    dense = np.ones((2, 400), int)
    dense[0, [7, 300, 399]] = 0  # nearly every draw is rejected, so the exact draw decides
    drawn = NegativeSampler(build(dense)).sample(np.zeros(3000, int), n_negatives=1, rng=0)
    items, counts = np.unique(drawn, return_counts=True)
    assert items.tolist() == [7, 300, 399]
    assert stats.chisquare(counts).pvalue > 1e-3


def test_a_user_who_has_seen_everything_gets_minus_one() -> None:
    graph = build(np.array([[1, 1, 1], [1, 0, 0]]))
    drawn = NegativeSampler(graph).sample(np.array([0, 1]), n_negatives=4, rng=0)
    assert drawn[0].tolist() == [-1] * 4
    assert set(drawn[1].tolist()) <= {1, 2}
    popular = NegativeSampler(build(SMALL), "popularity").sample(np.array([1]), n_negatives=2, rng=0)
    assert popular.tolist() == [[-1, -1]]  # the one item left has no interactions, hence no popularity


def test_seen_items_may_come_when_not_excluded_but_never_the_own_positive() -> None:
    graph = build(np.ones((1, 3)))
    sampler = NegativeSampler(graph, exclude_seen=False)
    drawn = sampler.sample(np.zeros(200, int), np.ones(200, int), n_negatives=2, rng=0)
    assert set(drawn.ravel().tolist()) == {0, 2}


def test_one_seed_gives_one_draw() -> None:
    sampler, users = NegativeSampler(random_graph()), np.arange(60)
    draws = [sampler.sample(users, n_negatives=4, rng=seed) for seed in (5, 5, 6)]
    assert np.array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[0], draws[2])


def test_relabelling_items_relabels_what_may_be_drawn() -> None:
    dense = np.array([[1, 1, 0, 0, 1]])
    order = np.array([3, 0, 4, 1, 2])
    drawn = NegativeSampler(build(dense[:, order])).sample(np.zeros(50, int), n_negatives=1, rng=0)
    assert set(order[drawn.ravel()].tolist()) == {2, 3}


@pytest.mark.parametrize(
    ("options", "users", "items", "message"),
    [
        ({"kind": "hard"}, [0], None, "kind must be one of 'uniform', 'popularity', 'in_batch', got 'hard'"),
        ({"kind": "in_batch"}, [0], None, "items must be given for kind='in_batch', got None"),
        ({}, [3], None, "users must be in [0, 3), got 3"),
        ({}, [0], [-1], "items must be in [0, 4), got -1"),
        ({}, [0, 1], [0], "items must have one entry for each of 2 users, got 1"),
        ({"exponent": -1}, [0], None, "exponent must be a finite number >= 0, got -1"),
    ],
)
def test_bad_arguments_are_refused(options: dict, users: list, items: list | None, message: str) -> None:
    with pytest.raises(ParameterError) as caught:
        positives = None if items is None else np.array(items)
        NegativeSampler(build(SMALL), **options).sample(np.array(users), positives, n_negatives=1, rng=0)
    assert str(caught.value) == message
