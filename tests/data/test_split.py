from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashgnn.data import Interactions, split
from hashgnn.errors import DataError, ParameterError

SPLITS: dict[str, Callable[[Interactions, int], tuple[Interactions, Interactions]]] = {
    "random": lambda x, seed: split.random(x, 0.3, rng=seed),
    "leave_one_out": lambda x, seed: split.leave_one_out(x, rng=seed),
    "temporal": lambda x, seed: split.temporal(x, 0.3),
    "temporal_per_user": lambda x, seed: split.temporal_per_user(x, 0.3, rng=seed),
    "users": lambda x, seed: split.users(x, 0.3, rng=seed),
}


def some(seed: int, n: int = 60) -> Interactions:
    rng = np.random.default_rng(seed)
    users, items = rng.integers(0, 8, n), rng.integers(0, 12, n)
    return Interactions.from_arrays(
        users, items, weight=rng.random(n) + 0.1, timestamp=rng.integers(0, 30, n)
    )


def rows(part: Interactions) -> set[tuple[float, ...]]:
    assert part.weight is not None
    assert part.timestamp is not None
    columns = (part.user_index, part.item_index, part.weight, part.timestamp)
    return set(zip(*(column.tolist() for column in columns), strict=True))


@pytest.mark.parametrize("name", SPLITS)
@given(seed=st.integers(0, 2**32 - 1))
def test_every_row_lands_in_exactly_one_part(name: str, seed: int) -> None:
    whole = some(seed)
    train, test = SPLITS[name](whole, seed)
    assert rows(train) | rows(test) == rows(whole)
    assert len(train) + len(test) == len(whole)
    assert len(train) > 0
    assert train.user_ids is whole.user_ids
    assert test.item_ids is whole.item_ids


@pytest.mark.parametrize("name", SPLITS)
def test_one_seed_gives_one_split(name: str) -> None:
    one, other = SPLITS[name](some(0), 5)[1], SPLITS[name](some(0), 5)[1]
    assert rows(one) == rows(other)


@pytest.mark.parametrize("name", ["random", "leave_one_out", "users"])
def test_another_seed_gives_another_split(name: str) -> None:
    untimed = Interactions.from_csr(some(0, 80).csr)
    parts = [SPLITS[name](untimed, seed)[1] for seed in range(5)]
    assert len({(tuple(part.user_index), tuple(part.item_index)) for part in parts}) > 1


@pytest.mark.parametrize("name", ["random", "leave_one_out", "temporal_per_user"])
def test_a_user_with_one_interaction_stays_in_training(name: str) -> None:
    whole = Interactions.from_arrays([1, 2, 2, 2, 2], [1, 1, 2, 3, 4], timestamp=[1, 1, 2, 3, 4])
    for seed in range(10):
        assert 0 not in SPLITS[name](whole, seed)[1].user_index


def test_a_random_split_holds_its_share_of_each_user() -> None:
    whole = Interactions.from_arrays(np.repeat(np.arange(50), 10), np.tile(np.arange(10), 50))
    _, test = split.random(whole, 0.2, rng=0)
    assert np.bincount(test.user_index).tolist() == [2] * 50


def test_leave_one_out_takes_the_latest() -> None:
    whole = Interactions.from_arrays([1, 1, 1, 2, 2], [5, 6, 7, 5, 6], timestamp=[3, 9, 4, 8, 2])
    _, test = split.leave_one_out(whole, rng=0)
    assert test.item_ids.ids[test.item_index].tolist() == [6, 5]


def test_a_temporal_split_cuts_at_one_moment() -> None:
    train, test = split.temporal(some(1), 0.3)
    assert train.timestamp is not None
    assert test.timestamp is not None
    assert train.timestamp.max() < test.timestamp.min()
    assert abs(len(test) / (len(train) + len(test)) - 0.3) < 0.1


def test_held_out_users_are_wholly_on_one_side() -> None:
    train, test = split.users(some(2), 0.25, rng=0)
    assert not set(train.user_index) & set(test.user_index)
    assert len(set(test.user_index)) == 2


def test_what_cannot_be_split_is_named() -> None:
    untimed = Interactions.from_csr(some(0).csr)
    with pytest.raises(DataError, match="a temporal split needs timestamps"):
        split.temporal(untimed)
    with pytest.raises(DataError, match="at least two different timestamps, got one"):
        split.temporal(Interactions.from_arrays([1, 2], [1, 2], timestamp=[3, 3]))
    with pytest.raises(DataError, match="at least 2 users with interactions, got 1"):
        split.users(Interactions.from_arrays([1, 1], [1, 2]))
    with pytest.raises(ParameterError, match=r"test_size must be a finite number > 0 and < 1, got 1"):
        split.random(untimed, 1.0)
