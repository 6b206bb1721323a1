from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import sparse

from hashgnn.codes import ItemBias
from hashgnn.data import FeatureVocabulary
from hashgnn.errors import ParameterError, UnknownIdError
from hashgnn.index import HammingIndex
from hashgnn.recommender import HashGNN
from hashgnn.state import ModelState
from hashgnn.testing.recommender import seen_ids
from hashgnn.testing.states import random_state


@pytest.mark.parametrize("float_embedding", ["encoder", "relaxed"])
def test_a_trained_users_history_folds_in_to_the_users_own_code(float_embedding: str) -> None:
    model = HashGNN.from_state(random_state(float_embedding=float_embedding))
    seen = seen_ids(model.state_.users.ids, model.state_.items.ids, model.state_.seen)
    users = [user for user in seen if seen[user]]
    folded = model.fold_in_users([sorted(seen[user]) for user in users])
    trained = model.encode(user_ids=users)
    assert folded.codes == trained.codes
    np.testing.assert_allclose(folded.embeddings, trained.embeddings, rtol=1e-5, atol=1e-6)
    for way in model.search_ways:
        by_history = model.recommend_for_history([seen[user] for user in users], search=way)
        assert by_history.lists() == model.recommend(users, search=way).lists()
        assert by_history.query_ids.tolist() == list(range(len(users)))


def test_unknown_items_of_a_history_are_an_error_or_left_out() -> None:
    model = HashGNN.from_state(random_state())
    with pytest.raises(UnknownIdError, match="2 of 4 item ids are not in the training data: 'new', 'newer'"):
        model.recommend_for_history([["i1", "new"], ["newer", "i2"]])
    plain = model.recommend_for_history([["i1"], ["i2"]]).lists()
    assert model.recommend_for_history([["i1", "new"], ["i2"]], on_unknown="skip").lists() == plain
    mixed = [["new"], ["i1", "new"], [], ["i2"]]
    skipped = model.recommend_for_history(mixed, on_unknown="skip")
    assert skipped.query_ids.tolist() == [1, 3]
    assert skipped.to_arrow().column_names == ["history", "item_id", "rank", "score"]
    assert skipped.to_arrow()["history"].to_pylist() == [1] * 10 + [3] * 10
    assert skipped.lists() == plain
    popular = model.recommend_for_history(mixed, on_unknown="popular")
    assert popular.query_ids.tolist() == [0, 1, 2, 3]
    counts = np.bincount(model.state_.seen.indices, minlength=model.state_.n_items)
    best = [f"i{item}" for item in np.lexsort((np.arange(len(counts)), -counts))[:10]]
    assert popular.lists() == [best, plain[0], best, plain[1]]


def test_an_empty_history_is_an_error_that_names_its_row() -> None:
    model = HashGNN.from_state(random_state())
    with pytest.raises(ParameterError, match="each of histories must name an item, history 1 is empty"):
        model.recommend_for_history([["i1"], []])
    with pytest.raises(ParameterError, match="histories must be a list, got 'i1'"):
        model.recommend_for_history("i1")
    with pytest.raises(ParameterError, match="each of histories must be a list, got 'i1'"):
        model.recommend_for_history(["i1"])


def test_an_item_named_twice_counts_once() -> None:
    model = HashGNN.from_state(random_state())
    once, twice = model.fold_in_users([["i1", "i2"]]), model.fold_in_users([["i2", "i1", "i2"]])
    assert once.codes == twice.codes
    np.testing.assert_array_equal(once.embeddings, twice.embeddings)


def test_a_new_item_gets_a_code_from_its_users() -> None:
    state = random_state()
    folded = HashGNN.from_state(state).fold_in_items([["u1", "u4"], []])
    audience = np.zeros((2, state.n_users), np.float32)
    audience[0, [1, 4]] = 1
    output = state.fold_in.items(audience)
    np.testing.assert_array_equal(folded.embeddings, output)
    np.testing.assert_array_equal(folded.codes.signs(), np.where(state.projection.items(output) >= 0, 1, -1))


def test_features_of_a_model_without_features_are_refused() -> None:
    model = HashGNN.from_state(random_state())
    frame = pl.DataFrame({"age": [3]})
    with pytest.raises(ParameterError, match="user_features must be None, the model was fitted without them"):
        model.recommend_for_history([["i1"]], user_features=frame)
    with pytest.raises(ParameterError, match="item_features must be None, the model was fitted without them"):
        model.fold_in_items(item_features=frame)
    with pytest.raises(ParameterError, match="fold_in_items needs audiences or item_features, got neither"):
        model.fold_in_items()


FEATURES = FeatureVocabulary({"genre": ("Drama", "War")}, {"year": (1990.0, 10.0)})
FILMS = pl.DataFrame({"genre": ["War", None, "Drama"], "year": [2000, 1980, None]})
COLUMNS = np.array([[0, 1, 1, 0], [0, 0, -1, 0], [1, 0, 0, 1]], np.float32)


def test_side_features_of_new_users_and_items_enter_their_embeddings(tmp_path: Path) -> None:
    made = HashGNN.from_state(random_state(features=FEATURES))
    made.save(tmp_path / "v1")
    for model in (made, HashGNN.load(tmp_path / "v1")):
        weight = model.state_.fold_in.arrays["item_projection"]
        mean = model.state_.fold_in.arrays["item_mean"]
        by_features = model.fold_in_items(item_features=FILMS)
        np.testing.assert_allclose(by_features.embeddings, mean + COLUMNS @ weight, rtol=1e-5, atol=1e-6)
        both = model.fold_in_items([["u1"], [], ["u2", "u3"]], item_features=FILMS)
        plain = model.fold_in_items([["u1"], [], ["u2", "u3"]])
        np.testing.assert_allclose(both.embeddings, plain.embeddings + COLUMNS @ weight, rtol=1e-5, atol=1e-6)
        histories = [["i1"], ["new"], ["i2", "i3"]]
        recs = model.recommend_for_history(histories, user_features=FILMS, search="float", on_unknown="skip")
        users = model.fold_in_users([["i1"], ["i2", "i3"]], user_features=FILMS[[0, 2]])
        expected = users.embeddings @ model.state_.items.embeddings.T
        np.testing.assert_allclose(
            recs.scores[:, 0],
            [max(np.delete(expected[0], 1)), max(np.delete(expected[1], [2, 3]))],
            rtol=1e-5,
        )


def test_features_of_another_number_of_rows_are_refused() -> None:
    model = HashGNN.from_state(random_state(features=FEATURES))
    with pytest.raises(ParameterError, match="user_features must have 2 rows, got 3"):
        model.recommend_for_history([["i1"], ["i2"]], user_features=FILMS)
    with pytest.raises(ParameterError, match="item_features must have 1 rows, got 3"):
        model.fold_in_items([["u1"]], item_features=FILMS)


def test_encode_gives_the_trained_codes_in_the_requested_order() -> None:
    state = random_state()
    model = HashGNN.from_state(state)
    encoded = model.encode(item_ids=["i3", "i1"])
    assert encoded.codes == state.items.codes[[3, 1]]
    np.testing.assert_array_equal(encoded.embeddings, state.items.embeddings[[3, 1]])
    assert model.encode(user_ids=["u2"]).codes == state.users.codes[[2]]
    with pytest.raises(UnknownIdError, match="'new'; use fold_in_items for new ones"):
        model.encode(item_ids=["new"])
    for arguments in ({}, {"user_ids": ["u1"], "item_ids": ["i1"]}):
        with pytest.raises(ParameterError, match="encode needs either user_ids or item_ids"):
            model.encode(**arguments)


def on_a_line(
    intercept: float, slope: float, n_users: tuple[int, ...] = (0, 1, 3, 7, 15, 15, 1, 0)
) -> ModelState:
    """A state whose item biases lie on a line over the logarithm of their users."""
    seen = sparse.csr_matrix(np.arange(15)[:, None] < np.array(n_users), dtype=np.float32)
    bits = intercept + slope * np.log1p(n_users)
    state = random_state(15, len(n_users))
    return replace(state, seen=seen, items=replace(state.items, bias=ItemBias.from_values(bits)))


def test_a_new_item_has_the_bias_of_trained_items_with_as_many_users() -> None:
    model = HashGNN.from_state(on_a_line(-6, 4 / np.log(2)))  # four bits for each doubling of 1 + users
    users = model.state_.users.ids.ids.tolist()
    folded = model.fold_in_items([users[:1], users[:3], users[:7], users[:15], []])
    assert folded.bias is not None
    trained = model.encode(item_ids=["i1", "i2", "i3", "i4"]).bias
    assert trained is not None
    assert folded.bias[:4].values().tolist() == trained.values().tolist() == [-2, 2, 6, 10]
    # Without users: the mean of -6, -2, 2, 6, 10, 10, -2, -6, to a step of two below the top.
    assert folded.bias[4:].values().tolist() == [2]


def test_no_new_item_is_favoured_more_than_any_trained_one() -> None:
    model = HashGNN.from_state(on_a_line(-6, 4 / np.log(2), n_users=(0, 1, 3, 3)))
    users = model.state_.users.ids.ids.tolist()
    folded = model.fold_in_items([users[:3], users])
    assert folded.bias is not None
    assert folded.bias.values().tolist() == [2, 2]


def test_where_all_items_have_as_many_users_a_new_one_has_the_mean_bias() -> None:
    state = on_a_line(0, 0, n_users=(3, 3, 3, 3))
    state = replace(state, items=replace(state.items, bias=ItemBias.from_values(np.array([8.0, 0, 0, 0]))))
    folded = HashGNN.from_state(state).fold_in_items([["u1"], []])
    assert folded.bias is not None
    assert folded.bias.values().tolist() == [2, 2]


def test_a_new_item_is_found_by_biased_search_once_it_is_in_the_index() -> None:
    model = HashGNN.from_state(on_a_line(-6, 4 / np.log(2)))
    state = model.state_
    new = model.fold_in_items([["u0", "u1", "u2"], ["u4"]])
    index = HammingIndex(state.items.codes, state.items.bias)
    assert index.add(new.codes, new.bias).tolist() == [8, 9]
    found = index.search(state.users.codes, 10, biased=True)
    scores = state.n_bits - 2.0 * state.users.codes.distances(new.codes) + new.bias.values()
    for row in range(15):
        by_position = dict(zip(found.positions[row].tolist(), found.scores[row].tolist(), strict=True))
        assert [by_position[8], by_position[9]] == scores[row].tolist()


def test_users_and_models_without_bias_give_none() -> None:
    model = HashGNN.from_state(random_state())
    assert model.fold_in_users([["i1"]]).bias is None
    assert model.encode(user_ids=["u1"]).bias is None
    plain = HashGNN.from_state(random_state(item_bias=False))
    assert plain.fold_in_items([["u1"]]).bias is None
    assert plain.encode(item_ids=["i1"]).bias is None
