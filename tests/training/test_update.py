"""Training on from a fitted model: what it knew stays, what is new is learned."""

from __future__ import annotations

import dataclasses

import numpy as np
import polars as pl
import pytest
from tests.training.quick import quick, run_options

from hashgnn.data import Deletions, Interactions, SideFeatures
from hashgnn.errors import ParameterError
from hashgnn.recommender import HashGNN
from hashgnn.state import ModelState
from hashgnn.training import train, update

RUN = {"options": run_options(0)}
FIT = {"device": "cpu", "n_threads": 1, "rng": 0, "progress": False}
EPOCHS = 12


def groups(users: np.ndarray, items: np.ndarray, seed: int) -> Interactions:
    """Even users like even items, odd users odd ones, each pair with probability 0.7."""
    rng = np.random.default_rng(seed)
    same = (users[:, None] % 2 == items[None, :] % 2) & (rng.random((len(users), len(items))) < 0.7)
    rows, columns = np.nonzero(same)
    return Interactions.from_arrays(users[rows], items[columns])


OLD = groups(np.arange(100, 140), np.arange(100, 124), 0)
NEW_USERS, NEW_ITEMS = np.arange(20), np.arange(8)
NEW = groups(
    np.concatenate([NEW_USERS, np.arange(100, 140)]), np.concatenate([NEW_ITEMS, [110, 111, 112]]), 1
)


@pytest.fixture(scope="module", params=["history", "mf"])
def old(request: pytest.FixtureRequest) -> ModelState:
    config = quick("default", encoder=request.param, optimizer={"epochs": EPOCHS})
    return train(OLD, config, **RUN)


@pytest.fixture(scope="module")
def updated(old: ModelState) -> ModelState:
    return update(old, NEW, lineage={"note": "tuesday"}, **RUN)


def share_of_own_kind(state: ModelState, users: np.ndarray, k: int = 5) -> float:
    """Share of the best unseen items by embedding that are of a user's own kind."""
    rows = state.users.ids.index_of(users)
    scores = state.users.embeddings[rows] @ state.items.embeddings.T
    scores[state.seen[rows].toarray() > 0] = -np.inf
    best = np.argsort(-scores, axis=1)[:, :k]
    ranked = np.isfinite(np.take_along_axis(scores, best, axis=1))
    same = state.items.ids.ids[best] % 2 == users[:, None] % 2
    # A user has seen most of the own kind; only so many are left to find.
    left = (state.items.ids.ids[None, :] % 2 == users[:, None] % 2).sum(axis=1) - (
        (state.seen[rows].toarray() > 0) & (state.items.ids.ids[None, :] % 2 == users[:, None] % 2)
    ).sum(axis=1)
    return float((same & ranked).sum() / np.minimum(left, k).sum())


def test_ids_grow_and_known_ones_keep_their_places(old: ModelState, updated: ModelState) -> None:
    assert updated.users.ids.ids.tolist() == [*range(100, 140), *range(20)]
    assert updated.items.ids.ids.tolist() == [*range(100, 124), *range(8)]
    assert updated.seen.nnz > max(old.seen.nnz, len(NEW))
    old_pairs = (old.seen > 0).toarray()
    assert (updated.seen[:40, :24].toarray()[old_pairs] == 1).all()


def test_the_new_state_says_where_it_comes_from(old: ModelState, updated: ModelState) -> None:
    assert updated.config == old.config
    assert updated.training["epochs"] == EPOCHS // 3
    assert updated.training["lineage"] == {
        "parent": None,
        "generation": 1,
        "n_new_users": 20,
        "n_new_items": 8,
        "n_new_interactions": updated.seen.nnz - old.seen.nnz,
        "note": "tuesday",
    }
    more = Interactions.from_arrays([500, 501], [100, 101])
    again = update(dataclasses.replace(updated, checksum="abc"), more, epochs=1, **RUN)
    assert again.training["lineage"]["generation"] == 2
    assert again.training["lineage"]["parent"] == "abc"


def test_new_users_and_items_are_learned_as_by_a_full_fit(old: ModelState, updated: ModelState) -> None:
    assert share_of_own_kind(updated, NEW_USERS) > 0.9  # chance gives 0.5
    assert share_of_own_kind(updated, np.arange(100, 140)) > 0.9
    anew = train(
        Interactions.from_csr(updated.seen, user_ids=updated.users.ids, item_ids=updated.items.ids),
        old.config,
        **RUN,
    )
    assert share_of_own_kind(updated, NEW_USERS) > share_of_own_kind(anew, NEW_USERS) - 0.05


def test_what_was_learned_before_is_the_start(old: ModelState) -> None:
    """With hardly a step taken, known items keep their embeddings, and new ones lie with their kind."""
    still = dataclasses.replace(
        old,
        config=old.config.replace(
            **{"optimizer.learning_rate": 1e-9, "optimizer.shared_learning_rate": 1e-9}
        ),
    )
    state = update(still, NEW, epochs=1, **RUN)
    np.testing.assert_allclose(state.items.embeddings[:24], old.items.embeddings, atol=1e-5)
    for name, values in old.projection.arrays.items():
        np.testing.assert_allclose(state.projection.arrays[name], values, atol=1e-6)
    assert old.items.bias is not None
    assert state.items.bias is not None
    np.testing.assert_allclose(state.items.bias.values()[:24], old.items.bias.values(), atol=1.01)
    if old.config.encoder.name == "history":  # mf folds in by a regression over few users, a weak start
        assert share_of_own_kind(state, NEW_USERS) > 0.8


def test_the_same_seed_gives_the_same_model(old: ModelState, updated: ModelState) -> None:
    again = update(old, NEW, **RUN)
    assert again.items.codes == updated.items.codes
    np.testing.assert_array_equal(again.users.embeddings, updated.users.embeddings)


def test_the_old_state_stays_as_it_is(old: ModelState, updated: ModelState) -> None:
    assert (old.n_users, old.n_items, old.seen.nnz) == (40, 24, len(OLD))
    assert "lineage" not in old.training


def test_an_item_that_only_unknown_nodes_speak_of_has_a_finite_start(old: ModelState) -> None:
    strangers = Interactions.from_arrays([1, 2], [1, 2])
    state = update(old, strangers, epochs=1, **RUN)
    state.check_finite()
    assert (state.n_users, state.n_items) == (42, 26)


def test_held_out_rows_choose_the_epoch(old: ModelState) -> None:
    known = set(zip(NEW.user_ids.ids[NEW.user_index], NEW.item_ids.ids[NEW.item_index], strict=True))
    left = [(u, i) for u in NEW_USERS for i in NEW_ITEMS if u % 2 == i % 2 and (u, i) not in known]
    users, items = zip(*left, strict=True)
    state = update(old, NEW, valid=Interactions.from_arrays(users, items), **RUN)
    assert set(state.metrics) == {old.config.validation.metric}


def test_wrong_inputs_give_one_sentence_each(old: ModelState) -> None:
    with pytest.raises(
        ParameterError, match=r"^interactions must hold something new, got \d+ that the model"
    ):
        update(old, OLD, **RUN)
    with pytest.raises(ParameterError, match=r"^user ids of this data are integers, got 'a' of type str$"):
        update(old, Interactions.from_arrays(["a"], [1]), **RUN)
    with pytest.raises(ParameterError, match=r"^epochs must be an integer >= 1, got 0$"):
        update(old, NEW, epochs=0, **RUN)


def test_an_encoder_that_keeps_no_tables_is_refused() -> None:
    state = train(OLD, quick("default", encoder="lightgcn", **{"optimizer.epochs": 1}), **RUN)
    with pytest.raises(
        ParameterError,
        match=r"^encoder must be one of history, mf to train on, got 'lightgcn'; fit anew with all interactions$",
    ):
        update(state, NEW, **RUN)


def test_a_model_with_side_features_needs_them_again() -> None:
    rows = {"item_id": OLD.item_ids.ids, "size": np.arange(OLD.n_items, dtype=float)}
    features = SideFeatures.from_frame(pl.DataFrame(rows), id="item_id", numeric=["size"])
    state = train(OLD, quick("default", **{"optimizer.epochs": 1}), item_features=features, **RUN)
    with pytest.raises(
        ParameterError, match=r"^item_features must be given, the model was trained with size$"
    ):
        update(state, NEW, **RUN)


def test_relaxed_embeddings_with_an_input_table_are_refused() -> None:
    state = train(OLD, quick("default", **{"optimizer.epochs": 1}, float_embedding="relaxed"), **RUN)
    with pytest.raises(
        ParameterError, match=r"^float_embedding must be 'encoder' to train on, got 'relaxed'"
    ):
        update(state, NEW, **RUN)


def test_a_model_that_learned_more_may_miss_as_much_as_before(old: ModelState) -> None:
    model = HashGNN.from_state(old, index_recall=0.9)
    newer = model.update(NEW, epochs=1, **FIT)
    assert newer.state_.n_items > model.state_.n_items
    assert newer.index_recall == 0.9


def test_what_was_deleted_is_not_learned_again(old: ModelState) -> None:
    first, *rest = old.items.ids.ids[old.seen[1].indices].tolist()
    user = int(old.users.ids.ids[1])
    deleted = Deletions(users=((1, int(old.users.ids.ids[0])),), pairs=((2, user, first),))
    new = update(old, None, deleted=deleted, epochs=1, **RUN)
    assert new.users.ids.ids.tolist() == old.users.ids.ids[1:].tolist()
    assert new.items.ids.ids[new.seen[0].indices].tolist() == rest
    assert new.training["lineage"]["n_deleted_interactions"] == old.seen[0].nnz + 1
    assert new.training["lineage"]["n_new_interactions"] == 0
    popularity = np.bincount(new.seen.indices, minlength=new.n_items)
    assert popularity.sum() == old.seen.nnz - old.seen[0].nnz - 1


def test_a_user_who_was_deleted_and_came_back_has_what_is_new_only(old: ModelState) -> None:
    user = int(old.users.ids.ids[0])
    item = int(old.items.ids.ids[3])
    new = update(
        old, Interactions.from_arrays([user], [item]), deleted=Deletions(users=((1, user),)), epochs=1, **RUN
    )
    place = new.users.ids.index_of([user])[0]
    assert place == old.n_users - 1  # as a new user, behind the others
    assert new.items.ids.ids[new.seen[place].indices].tolist() == [item]


def test_nothing_new_and_nothing_deleted_is_refused(old: ModelState) -> None:
    sentence = r"^interactions must hold something new, got 0 that the model was trained on$"
    for deleted in (None, Deletions()):
        with pytest.raises(ParameterError, match=sentence):
            update(old, None, deleted=deleted, **RUN)
