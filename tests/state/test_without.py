"""A state without deleted interactions: nothing of them in the users' side."""

from __future__ import annotations

import uuid
from dataclasses import replace

import numpy as np
import pytest

from hashgnn.data import Deletions
from hashgnn.errors import ParameterError
from hashgnn.recommender import HashGNN
from hashgnn.state import ModelState
from hashgnn.state.without import without_deleted
from hashgnn.testing.states import random_state


@pytest.fixture(scope="module")
def state() -> ModelState:
    return random_state(20, 30, rng=3)


def test_a_user_whose_all_was_deleted_is_not_there(state: ModelState) -> None:
    left = without_deleted(state, Deletions(users=((1, "u4"), (2, "stranger"))))
    assert left.n_users == 19
    assert "u4" not in left.users.ids
    others = [user for user in range(20) if user != 4]
    assert np.array_equal(left.seen.toarray(), state.seen.toarray()[others])
    assert np.array_equal(left.users.codes.packed, state.users.codes.packed[others])
    assert np.array_equal(left.users.embeddings, state.users.embeddings[others])
    assert left.seen.has_sorted_indices


def test_a_user_with_something_left_is_folded_in_from_it(state: ModelState) -> None:
    items = state.seen[7].indices
    left = without_deleted(state, Deletions(pairs=((1, "u7", f"i{items[0]}"), (2, "u7", "i never"))))
    rest = [f"i{item}" for item in items[1:]]
    folded = HashGNN.from_state(state).fold_in_users([rest])
    assert left.n_users == 20
    assert left.seen[7].indices.tolist() == items[1:].tolist()
    assert np.array_equal(left.users.codes.packed[7], folded.codes.packed[0])
    assert np.array_equal(left.users.embeddings[7], folded.embeddings[0])
    assert np.array_equal(left.users.codes.packed[8], state.users.codes.packed[8])


def test_weights_count_as_in_training(state: ModelState) -> None:
    """Training divides them by their mean, so equal ones are as none."""
    heavy = state.seen.copy()
    heavy.data = np.full_like(heavy.data, 5)
    some = Deletions(pairs=((1, "u7", f"i{state.seen[7].indices[0]}"),))
    plain, weighted = without_deleted(state, some), without_deleted(replace(state, seen=heavy), some)
    assert np.array_equal(plain.users.embeddings, weighted.users.embeddings)
    assert np.array_equal(plain.users.codes.packed, weighted.users.codes.packed)
    assert set(weighted.seen.data.tolist()) == {5.0}


def test_deleting_one_by_one_is_deleting_all(state: ModelState) -> None:
    pairs = tuple((1, "u7", f"i{item}") for item in state.seen[7].indices)
    one_by_one = without_deleted(state, Deletions(pairs=pairs))
    at_once = without_deleted(state, Deletions(users=((1, "u7"),)))
    assert one_by_one.users.ids == at_once.users.ids
    assert np.array_equal(one_by_one.seen.toarray(), at_once.seen.toarray())


def test_what_is_not_there_changes_nothing(state: ModelState) -> None:
    nothing = Deletions(users=((1, "stranger"),), pairs=((2, "u1", "unknown"), (3, "stranger", "i1")))
    assert without_deleted(state, nothing) is state


def test_the_given_state_stays_as_it_is(state: ModelState) -> None:
    before = state.seen.toarray(), state.users.codes.packed.copy()
    without_deleted(state, Deletions(users=((1, "u0"), (2, "u1"))))
    assert np.array_equal(state.seen.toarray(), before[0])
    assert np.array_equal(state.users.codes.packed, before[1])


def test_everybody_may_be_deleted(state: ModelState) -> None:
    left = without_deleted(state, Deletions(users=tuple((n, f"u{n}") for n in range(20))))
    assert (left.n_users, left.n_items, left.seen.nnz) == (0, 30, 0)


def test_ids_of_another_type_are_refused() -> None:
    state = random_state([3, 5, 7], 5)
    with pytest.raises(ParameterError, match="user ids of this data are integers, got 'ann'"):
        without_deleted(state, Deletions(users=((1, "ann"),)))


def test_ids_of_other_kinds_are_found_by_how_they_print() -> None:
    names = [uuid.UUID(int=n) for n in range(3)]
    state = random_state(names, 5, density=0.8)
    left = without_deleted(state, Deletions(users=((1, str(names[1])),)))
    assert left.users.ids.ids.tolist() == [names[0], names[2]]
