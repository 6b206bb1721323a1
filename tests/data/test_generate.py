from __future__ import annotations

import numpy as np
import pytest

from hashgnn.data import checkerboard, generate_interactions, split
from hashgnn.errors import ParameterError


def test_each_user_has_interactions_and_the_sum_is_as_requested() -> None:
    found = generate_interactions(300, 400, 6000, rng=0)
    assert (found.n_users, found.n_items) == (300, 400)
    assert 0.98 * 6000 <= len(found) <= 6000
    assert np.bincount(found.user_index, minlength=300).min() >= 2


def test_a_user_who_would_draw_one_item_for_ever_gets_another() -> None:
    found = generate_interactions(500, 40, 1000, n_clusters=20, popularity=30, rng=0)
    assert np.bincount(found.user_index, minlength=500).tolist() == [2] * 500
    assert found.csr.max() == 1


def test_one_seed_gives_one_set_and_another_seed_another() -> None:
    one, same, other = (generate_interactions(50, 60, 500, rng=seed) for seed in (1, 1, 2))
    assert np.array_equal(one.item_index, same.item_index)
    assert not np.array_equal(one.csr.toarray(), other.csr.toarray())


def test_items_of_the_clusters_a_user_likes_come_together() -> None:
    found = generate_interactions(400, 500, 8000, n_clusters=10, popularity=0, rng=0)
    per_cluster = np.zeros((400, 10))
    np.add.at(per_cluster, (found.user_index, found.item_index % 10), 1)
    shares = per_cluster / per_cluster.sum(axis=1, keepdims=True)
    assert (shares**2).sum(axis=1).mean() > 0.3  # spread evenly it would be about 0.1 to 0.15


def test_popularity_is_a_long_tail_that_can_be_switched_off() -> None:
    head = {
        exponent: generate_interactions(500, 500, 8000, n_clusters=1, popularity=exponent, rng=0).statistics()
        for exponent in (0, 1)
    }
    assert head[0]["share_of_most_popular_tenth"] < 0.2
    assert head[1]["share_of_most_popular_tenth"] > 0.4


def test_more_than_half_of_all_pairs_cannot_be_drawn() -> None:
    with pytest.raises(ParameterError) as caught:
        generate_interactions(10, 10, 51)
    message = "n_interactions must be from 2 a user to half of all pairs, 20 to 50, got 51"
    assert str(caught.value) == message


def test_the_checkerboard_leaves_each_user_one_best_item() -> None:
    train, test = checkerboard(7)
    assert test.user_index.tolist() == test.item_index.tolist() == list(range(7))
    board = (train.csr + test.csr).toarray()
    assert np.array_equal(board, np.add.outer(np.arange(7), np.arange(7)) % 2 == 0)


def recall_at_20(scores: np.ndarray, train: np.ndarray, test: np.ndarray) -> float:
    order = np.argsort(-np.where(train > 0, -np.inf, scores), axis=1, kind="stable")[:, :20]
    users = np.flatnonzero(test.sum(axis=1))
    return float(
        (np.take_along_axis(test, order, axis=1).sum(axis=1)[users] / test.sum(axis=1)[users]).mean()
    )


def test_there_is_more_to_learn_than_popularity() -> None:
    train, test = (
        part.csr.toarray() for part in split.random(generate_interactions(500, 600, 15000, rng=0), rng=1)
    )
    n_liked = np.maximum(train.sum(axis=0), 1)
    _, _, tastes = np.linalg.svd(
        train / np.sqrt(np.maximum(train.sum(axis=1, keepdims=True), 1) * n_liked), full_matrices=False
    )
    spectral = (train / np.sqrt(n_liked)) @ tastes[:20].T @ tastes[:20] * np.sqrt(n_liked)
    popular = np.broadcast_to(n_liked, train.shape)
    assert recall_at_20(spectral, train, test) > 1.3 * recall_at_20(popular, train, test)
