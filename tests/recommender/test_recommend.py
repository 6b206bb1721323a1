from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from hashgnn.answering import SEARCH_WAYS
from hashgnn.errors import DataError, NotFittedError, ParameterError, ResultWarning, UnknownIdError
from hashgnn.recommender import HashGNN
from hashgnn.state import ModelState
from hashgnn.testing.recommender import seen_ids
from hashgnn.testing.states import random_state


def oracle(state: ModelState, user: int, way: str, k: int, oversampling: int = 5) -> list[tuple[int, float]]:
    """Rank all unseen items of one user in plain Python, by the definition of each way."""
    query = state.users.codes.signs()[user].astype(float)
    signs = state.items.codes.signs().astype(float)
    bias = np.zeros(state.n_items) if state.items.bias is None else state.items.bias.values().astype(float)
    floats = (state.items.embeddings @ state.users.embeddings[user]).astype(float)
    layer = state.projection.arrays
    activations = (
        np.arctanh(np.clip(state.users.embeddings.astype(float), 2**-20 - 1, 1 - 2**-20))
        if state.config.float_embedding == "relaxed"
        else state.users.embeddings.astype(float) @ layer["shared_weight"] + layer["shared_bias"]
    )
    activation = activations[user] / np.sqrt((activations**2).mean(axis=0))  # every bit of one spread
    activation *= np.sqrt(state.n_bits) / np.linalg.norm(activation)  # as long as a code
    step = np.abs(activation).max() / 15
    levels = 2 * np.rint((activation / step + 15) / 2) - 15  # sixteen of them
    lowered = np.zeros(state.n_items)
    if state.items.bias is not None:
        lowered = (np.rint(256 / step) * state.items.bias.penalty) // 256
    scores = {
        "hamming": signs @ query,
        "biased": signs @ query + bias,
        "hierarchical": signs @ query + bias,
        "asymmetric": step * (signs @ levels - 2 * lowered) + bias.max(),
        "float": floats,
    }[way]
    seen = set(state.seen[user].indices.tolist())
    unseen = [item for item in range(state.n_items) if item not in seen]
    ranked = sorted(unseen, key=lambda item: (-np.float32(scores[item]), item))
    if way == "hierarchical":
        candidates = ranked[: k * oversampling]
        ranked = sorted(candidates, key=lambda item: (-np.float32(floats[item]), item))
        scores = floats
    return [(item, scores[item]) for item in ranked[:k]]


@pytest.mark.parametrize("float_embedding", ["encoder", "relaxed"])
@pytest.mark.parametrize(
    ("way", "item_bias"),
    [(way, bias) for way in SEARCH_WAYS for bias in (True, False) if bias or way != "biased"],
)
def test_every_search_way_is_what_its_definition_says(
    way: str, item_bias: bool, float_embedding: str
) -> None:
    state = random_state(12, 60, item_bias=item_bias, float_embedding=float_embedding)
    model = HashGNN.from_state(state)
    found = model.search_block(np.arange(12), way, 7, oversampling=3)
    for user in range(12):
        expected = oracle(state, user, way, 7, oversampling=3)
        assert found.positions[user].tolist() == [item for item, _ in expected]
        np.testing.assert_allclose(found.scores[user], [score for _, score in expected], rtol=1e-4, atol=1e-4)


def test_a_model_without_bias_has_no_biased_search() -> None:
    model = HashGNN.from_state(random_state(item_bias=False))
    assert model.search_ways == ("hamming", "asymmetric", "hierarchical", "float")
    with pytest.raises(ParameterError, match=r"got 'biased'; this model was fitted with item_bias=False$"):
        model.recommend(["u0"], search="biased")


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    density=st.floats(0, 1),
    k=st.integers(1, 12),
    way=st.sampled_from(SEARCH_WAYS),
    oversampling=st.integers(1, 4),
)
@pytest.mark.filterwarnings("ignore::hashgnn.errors.ResultWarning")
def test_seen_items_never_leak(seed: int, density: float, k: int, way: str, oversampling: int) -> None:
    state = random_state(5, 12, n_bits=8, dim=3, density=density, coarse=True, rng=seed)
    model = HashGNN.from_state(state)
    seen = seen_ids(model.state_.users.ids, model.state_.items.ids, model.state_.seen)
    users = state.users.ids.ids.tolist()
    recs = model.recommend(users, k=k, search=way, oversampling=oversampling)
    for user, found, count in zip(users, recs.lists(), recs.counts, strict=True):
        assert not set(found) & seen[user]
        assert count == len(set(found)) == min(k, 12 - len(seen[user]))


@pytest.mark.parametrize("way", SEARCH_WAYS)
def test_equal_scores_come_in_the_order_of_the_items(way: str) -> None:
    state = random_state(4, ["same", "other", "twin"], n_bits=8, density=0.5)
    twins = [0, 1, 0]
    tied = ModelState(
        **{
            **vars(state),
            "items": replace(
                state.items,
                codes=state.items.codes[twins],
                embeddings=state.items.embeddings[twins],
                bias=None if state.items.bias is None else state.items.bias[np.array(twins)],
            ),
        }
    )
    model = HashGNN.from_state(tied)
    for found in model.recommend(["u0", "u1", "u2"], k=3, search=way, filter_seen=False).lists():
        assert found.index("same") < found.index("twin")


def test_a_user_who_has_seen_everything_gets_no_results_and_a_warning() -> None:
    state = random_state(3, 5)
    seen = sparse.csr_matrix(np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [0, 0, 0, 0, 0]], np.float32))
    model = HashGNN.from_state(ModelState(**{**vars(state), "seen": seen}))
    with pytest.warns(ResultWarning) as caught:
        recs = model.recommend(["u0", "u1", "u2"], k=4)
    assert [str(warning.message) for warning in caught] == [
        "1 of 3 users have no item left to recommend: 'u0'; their counts are 0"
    ]
    assert caught[0].filename == __file__
    assert recs.counts.tolist() == [0, 2, 4]
    assert recs.ids[0].tolist() == [None] * 4
    assert np.isneginf(recs.scores[0]).all()
    assert len(recs.to_arrow()) == 6
    assert model.recommend(["u0"], k=4, filter_seen=False).counts.tolist() == [4]


def test_unknown_users_are_an_error_skipped_or_given_popular_items() -> None:
    state = random_state(4, 5)
    seen = sparse.csr_matrix(
        np.array([[0, 1, 0, 1, 0], [0, 1, 0, 1, 0], [0, 1, 1, 0, 0], [0, 0, 0, 0, 0]], np.float32)
    )
    model = HashGNN.from_state(ModelState(**{**vars(state), "seen": seen}))
    requested = ["u9", "u0", "u7", "u3", "u9"]
    with pytest.raises(UnknownIdError) as caught:
        model.recommend(requested, k=2)
    assert str(caught.value) == (
        "3 of 5 user ids are not in the training data: 'u9', 'u7'; "
        'pass on_unknown="skip" or use recommend_for_history'
    )
    plain = model.recommend(["u0", "u3"], k=2)
    skipped = model.recommend(requested, k=2, on_unknown="skip")
    assert skipped.query_ids.tolist() == ["u0", "u3"]
    assert skipped.lists() == plain.lists()
    popular = model.recommend(requested, k=2, on_unknown="popular")
    assert popular.query_ids.tolist() == requested
    first, second = plain.lists()
    assert popular.lists() == [["i1", "i3"], first, ["i1", "i3"], second, ["i1", "i3"]]
    assert popular.scores[0].tolist() == [3.0, 2.0]
    blocked = model.recommend(
        requested, k=2, on_unknown="popular", block=[["i1"], [], ["i3"], [], ["i0"]]
    ).lists()
    assert [blocked[0], blocked[2], blocked[4]] == [["i3", "i2"], ["i1", "i2"], ["i1", "i3"]]


def test_lists_a_row_stay_with_their_row_when_others_are_skipped() -> None:
    model = HashGNN.from_state(random_state(density=0.0))
    recs = model.recommend(["nobody", "u1", "u2"], k=1, on_unknown="skip", allow=[["i0"], ["i1"], ["i2"]])
    assert recs.lists() == [["i1"], ["i2"]]


def test_unknown_ids_in_an_allow_list_are_an_error_and_in_a_block_list_are_not() -> None:
    model = HashGNN.from_state(random_state())
    with pytest.raises(UnknownIdError, match=r"1 of 2 item ids .*: 'new'; remove them from allow"):
        model.recommend(["u0"], k=1, allow=["i3", "new"])
    with pytest.raises(UnknownIdError, match=r"1 of 2 item ids .*: 'new'; remove them from allow"):
        model.recommend(["u0"], k=1, allow=[["i3", "new"]])
    plain = model.recommend(["u0"], k=3).lists()
    assert model.recommend(["u0"], k=3, block=["new"]).lists() == plain
    assert model.recommend(["u0"], k=3, block=[["new"]]).lists() == plain


@pytest.mark.parametrize("name", ["allow", "block"])
def test_lists_of_the_wrong_length_are_refused(name: str) -> None:
    model = HashGNN.from_state(random_state())
    with pytest.raises(ParameterError, match=f"{name} must have one list per row, 2, got 1"):
        model.recommend(["u0", "u1"], **{name: [["i1"]]})
    with pytest.raises(ParameterError, match=f"{name} must be a list, got 'i1'"):
        model.recommend(["u0", "u1"], **{name: "i1"})


def test_integer_ids_come_back_as_integers_padded_with_minus_one() -> None:
    model = HashGNN.from_state(random_state([10, 20], [7, 5, 3], density=0.0))
    recs = model.recommend([20, 10], k=3, allow=[[5], [3, 7]])
    assert recs.ids.dtype == np.int64
    assert recs.query_ids.tolist() == [20, 10]
    assert recs.ids[0].tolist() == [5, -1, -1]
    assert recs.counts.tolist() == [1, 2]
    table = recs.to_frame("polars")
    assert table["user_id"].to_list() == [20, 10, 10]
    assert table["rank"].to_list() == [1, 1, 2]
    assert set(table["item_id"].to_list()) == {3, 5, 7}


def test_ids_of_several_types_are_answered_but_make_no_table() -> None:
    model = HashGNN.from_state(random_state(["u1", ("shop", 7)], 6))
    recs = model.recommend([("shop", 7), "u1"], k=2)
    assert recs.query_ids.tolist() == [("shop", 7), "u1"]
    with pytest.raises(
        DataError, match=r"user_id holds ids that no table column can hold together; use lists"
    ):
        recs.to_arrow()


def test_users_may_be_a_column_of_any_library() -> None:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    model = HashGNN.from_state(random_state([10, 20], 6))
    plain = model.recommend([10, 20], k=3)
    for column in (
        pd.Series([10, 20]),
        pl.Series([10, 20]),
        pa.array([10, 20]),
        np.array([10, 20]),
        (10, 20),
    ):
        assert model.recommend(column, k=3).lists() == plain.lists()
    assert len(model.recommend([], k=3)) == 0


def test_a_model_that_is_not_fitted_says_so() -> None:
    model = HashGNN(n_bits=64)
    assert repr(model) == "HashGNN(n_bits=64, encoder='history', not fitted)"
    for call in (
        lambda: model.recommend(["u1"]),
        lambda: model.similar_items("i1"),
        lambda: model.save("nowhere"),
        lambda: model.state_,
        lambda: model.search_ways,
    ):
        with pytest.raises(NotFittedError, match=r"^HashGNN is not fitted; call fit\(\) or load\(\) first$"):
            call()


def test_settings_are_checked_before_any_data_is_seen() -> None:
    with pytest.raises(ParameterError, match="n_bits must be a positive multiple of 8, got 100"):
        HashGNN(n_bits=100)
    with pytest.raises(ParameterError, match="recipe must be one of"):
        HashGNN(recipe="best")
    with pytest.raises(
        ParameterError, match="lerning_rate is not a setting; did you mean optimizer.learning_rate"
    ):
        HashGNN(lerning_rate=0.1)


@pytest.mark.parametrize("index", [np.array([0.5]), np.array([[0]]), np.array([4]), np.array([-1])])
def test_an_index_out_of_range_is_refused(index: np.ndarray) -> None:
    model = HashGNN.from_state(random_state(4, 5))
    with pytest.raises(ParameterError, match="user_index must be"):
        model.score_block(index, "float", 3)


def test_score_blocks_rank_as_searches_do() -> None:
    state = random_state(10, 40)
    model = HashGNN.from_state(state)
    users = np.arange(10)
    for way in model.search_ways:
        scores = model.score_block(users, way, 6)
        assert scores.dtype == np.float32
        assert np.isfinite(scores).all() or way == "hierarchical"
        scores[state.seen.toarray() > 0] = -np.inf
        found = model.search_block(users, way, 6)
        for user in users:
            expected = sorted(range(40), key=lambda item: (-scores[user, item], item))[:6]
            assert found.positions[user].tolist() == expected


def test_hierarchical_scores_only_its_candidates() -> None:
    state = random_state(10, 40)
    scores = HashGNN.from_state(state).score_block(np.arange(10), "hierarchical", 3, oversampling=2)
    assert (np.isfinite(scores).sum(axis=1) == 6).all()
    assert np.isneginf(scores[state.seen.toarray() > 0]).all()


def test_bytes_per_item_count_code_bias_and_embedding() -> None:
    with_bias = HashGNN.from_state(random_state(n_bits=64, dim=10))
    assert [with_bias.bytes_per_item(way) for way in with_bias.search_ways] == [8, 9, 9, 49, 40]
    without = HashGNN.from_state(random_state(n_bits=64, dim=10, item_bias=False))
    assert [without.bytes_per_item(way) for way in without.search_ways] == [8, 8, 48, 40]


def test_many_threads_get_the_answers_of_one() -> None:
    model = HashGNN.from_state(random_state(40, 200))
    users = [f"u{n}" for n in range(40)]
    expected = {
        way: HashGNN.from_state(model.state_).recommend(users, search=way).lists()
        for way in model.search_ways
    }
    expected_similar = HashGNN.from_state(model.state_).similar_items(["i1", "i2"]).lists()
    wrong: list[str] = []

    def ask(way: str) -> None:
        for _ in range(5):
            if model.recommend(users, search=way).lists() != expected[way]:
                wrong.append(way)
            if model.similar_items(["i1", "i2"]).lists() != expected_similar:
                wrong.append("similar_items")

    threads = [threading.Thread(target=ask, args=(way,)) for way in model.search_ways * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize("on_unknown", ["skip", "popular", "fold_in"])
def test_no_interactions_since_the_training_change_nothing(on_unknown) -> None:
    model = HashGNN.from_state(random_state())
    empty = pa.table({"user_id": pa.array([], pa.string()), "item_id": pa.array([], pa.string())})
    plain = model.recommend(["u3", "stranger"], 4, on_unknown=on_unknown).lists()
    for frame in (empty, empty.to_pandas()):
        found = model.recommend(["u3", "stranger"], 4, on_unknown=on_unknown, since_training=frame)
        assert found.lists() == plain
