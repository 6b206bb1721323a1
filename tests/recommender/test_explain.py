"""Why an item is recommended: parts add up to the score, where it is a sum; what else is true, where it is none."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from tests.recommender.test_every_encoder import FORMS, fitted

from hashgnn import HashGNN, Interactions
from hashgnn.codes import BinaryCodes
from hashgnn.data import IdMap
from hashgnn.errors import ParameterError, UnknownIdError
from hashgnn.recommender import Explanation
from hashgnn.testing.states import random_state

ONE_LAYER = {
    "gcn of one layer": {"encoder": "gcn", "encoder.n_layers": 1},
    "gat of one layer": {"encoder": "gat", "encoder.n_layers": 1},
}
HISTORIES = {
    "history of length": {"encoder": "history", "encoder.normalization": "unit"},
    "history with two tables": {"encoder": "history", "encoder.input_table": True},
}
EVERY = {**FORMS, **ONE_LAYER, **HISTORIES}
FOLDED_SUMS = {"history", "lightgcn", "mf", *ONE_LAYER, *HISTORIES}
ALL = 1000


def total(found: Explanation) -> np.ndarray:
    return found.values.sum(axis=1) + found.others + found.rest


def scores(model: HashGNN, queries: object, search: str) -> np.ndarray:
    """The scores of all items that recommending gives."""
    kinds = {list: model.recommend_for_history, str: model.recommend, int: model.recommend}
    n = len(model.item_ids)
    found = kinds[type(queries)]([queries], k=n, search=search, filter_seen=False, oversampling=n)
    by_id = dict(zip(found.ids[0].tolist(), found.scores[0].tolist(), strict=True))
    return np.array([by_id[item] for item in model.item_ids.tolist()])


@pytest.mark.parametrize("name", EVERY)
def test_every_encoder_explains_what_is_true_of_it(name: str) -> None:
    model = fitted(EVERY[name], "edges", **{"float_embedding": "encoder"})
    items = model.item_ids.tolist()
    trained, folded = model.explain(3, items, reasons=ALL), model.explain([1, 2, 3, 8], items, reasons=ALL)
    assert trained.kind == ("sum" if "history" in name else "similarity")
    assert folded.kind == ("sum" if name in FOLDED_SUMS else "similarity")
    for found, query in ((trained, 3), (folded, [1, 2, 3, 8])):
        np.testing.assert_allclose(found.scores, scores(model, query, "hierarchical"), rtol=1e-4, atol=1e-5)
        assert f"encoder {EVERY[name]['encoder']}" in found.note or found.kind == "sum"
        if found.kind == "similarity":
            table = model.state_.items.embeddings
            unit = table / np.linalg.norm(table, axis=1, keepdims=True)
            places = model.state_.items.ids.index_of(found.reason_ids.ravel().tolist()).reshape(
                found.values.shape
            )
            np.testing.assert_allclose(
                found.values, (unit[:, None] * unit[places]).sum(axis=2), rtol=1e-4, atol=1e-5
            )
            assert (np.diff(found.values, axis=1) <= 0).all()
            continue
        np.testing.assert_allclose(total(found), found.scores, rtol=1e-12, atol=1e-12)
        if name in ("lightgcn", "mf") or "history" in name:
            assert np.abs(found.rest).max() < 1e-4 * np.abs(found.scores).max()  # nothing but the history


@pytest.mark.parametrize("float_embedding", ["encoder", "relaxed"])
@pytest.mark.parametrize("item_bias", [True, False])
def test_parts_add_up_by_every_search_way(float_embedding: str, item_bias: bool) -> None:
    state = random_state(n_bits=32, dim=32, float_embedding=float_embedding, item_bias=item_bias)
    model = HashGNN.from_state(state)
    for search in model.search_ways:
        for query in ("u3", ["i1", "i5", "i8", "i20"]):
            found = model.explain(query, model.item_ids, reasons=ALL, search=search)
            np.testing.assert_allclose(found.scores, scores(model, query, search), rtol=1e-5, atol=1e-5)
            np.testing.assert_allclose(total(found), found.scores, rtol=1e-12, atol=1e-9)
            bias = state.items.bias.values() if item_bias and search == "biased" else 0
            if search != "asymmetric":  # whose rest has the rounding of the query too
                np.testing.assert_allclose(found.rest, np.broadcast_to(bias, found.rest.shape), atol=1e-4)


def test_a_part_is_the_item_s_share_of_the_user_s_vector() -> None:
    model = HashGNN.from_state(random_state())
    found = model.explain(["i1", "i5", "i8", "i20"], "i4", reasons=ALL)
    table = model.state_.items.embeddings
    expected = {f"i{j}": float(table[j] @ table[4]) / 2 for j in (1, 5, 8, 20)}  # 4 items: d^-1/2 is 1/2
    got = dict(zip(found.reason_ids[0].tolist(), found.values[0].tolist(), strict=True))
    assert got == pytest.approx(expected, rel=1e-5)
    absolute = sum(map(abs, expected.values()))
    assert found.shares[0].tolist() == pytest.approx([got[i] / absolute for i in found.reason_ids[0]])
    assert np.abs(found.values[0]).tolist() == sorted(map(abs, expected.values()), reverse=True) or (
        np.abs(found.values[0]).tolist() == pytest.approx(sorted(map(abs, expected.values()), reverse=True))
    )


def test_what_is_not_shown_is_in_others() -> None:
    model = HashGNN.from_state(random_state())
    whole = model.explain("u3", ["i4", "i9"], reasons=ALL)
    some = model.explain("u3", ["i4", "i9"], reasons=2)
    assert some.values.shape == (2, 2)
    np.testing.assert_allclose(some.values, whole.values[:, :2])
    np.testing.assert_allclose(some.others, whole.values[:, 2:].sum(axis=1))
    assert some.n_history == whole.values.shape[1]


def test_a_bit_counts_for_the_items_that_pulled_it_its_way() -> None:
    """Two items, eight bits: item 0 pulls bits 0 to 3 up, item 1 pulls 2 to 5 down, twice as strongly."""
    model = HashGNN.from_state(random_state(n_bits=8, dim=8, item_bias=False, rng=5))
    state = model.state_
    weight = state.projection.arrays["shared_weight"].astype(float)
    found = model.explain(["i1", "i5"], "i4", reasons=ALL, search="hamming")
    parts = {f"i{j}": state.items.embeddings[j].astype(float) / 2**0.5 for j in (1, 5)}
    pulls = {name: part @ weight for name, part in parts.items()}
    bits = np.where(sum(pulls.values()) >= 0, 1, -1)
    agreed = bits * state.items.codes[4:5].signs()[0]
    towards = {name: np.maximum(pull * bits, 0) for name, pull in pulls.items()}
    expected = {name: float((agreed * way / sum(towards.values())).sum()) for name, way in towards.items()}
    assert dict(zip(found.reason_ids[0].tolist(), found.values[0].tolist(), strict=True)) == pytest.approx(
        expected, rel=1e-4, abs=1e-4
    )
    assert sum(expected.values()) == pytest.approx(8 - 2 * int((agreed < 0).sum()))


def test_weights_of_the_training_count_for_a_trained_user() -> None:
    rng = np.random.default_rng(0)
    dense = (rng.random((24, 12)) < 0.6) * rng.integers(1, 6, (24, 12))
    dense[:, 0] = 1
    data = Interactions.from_csr(sparse.csr_matrix(dense.astype(np.float32)))
    settings = {"n_bits": 16, "embedding_dim": 8, "optimizer.epochs": 2, "encoder": "history"}
    model = HashGNN(**settings).fit(data, device="cpu", n_threads=1, rng=0, progress=False)
    found = model.explain(3, model.item_ids, reasons=ALL, search="float")
    assert found.kind == "sum"
    assert np.abs(found.rest).max() < 1e-4 * np.abs(found.scores).max()


def test_new_interactions_of_a_user_are_among_the_reasons() -> None:
    model = HashGNN.from_state(random_state())
    seen = set(model.explain("u3", "i4", reasons=ALL).reason_ids[0].tolist())
    new = next(item for item in model.item_ids.tolist() if item not in seen)
    since = Interactions(IdMap(["u3", "new"]), IdMap([new, "i5"]), np.array([0, 1]), np.array([0, 1]))
    found = model.explain("u3", "i4", reasons=ALL, since_training=since)
    assert set(found.reason_ids[0].tolist()) == {*seen, new}
    assert total(found) == pytest.approx(found.scores)
    other = model.explain("new", "i4", since_training=since, on_unknown="fold_in")
    assert other.reason_ids.tolist() == [["i5"]]


def test_a_user_of_whom_nothing_is_known_gets_what_is_popular() -> None:
    model = HashGNN.from_state(random_state())
    found = model.explain("nobody", ["i4", "i5"], on_unknown="popular")
    assert (found.kind, found.n_history) == ("popularity", 0)
    popularity = np.bincount(model.state_.seen.indices, minlength=30)
    assert found.scores.tolist() == popularity[[4, 5]].tolist()
    assert found.sentences()[0] == f"i4: popular, {popularity[4]} users have it"
    assert len(model.explain("nobody", "i4", on_unknown="skip")) == 0
    assert len(model.explain("nobody", "i4", on_unknown="skip").to_frame("pyarrow")) == 0


def test_features_of_a_new_user_are_in_the_rest() -> None:
    from hashgnn.data import SideFeatures

    table = __import__("pyarrow").table({"user_id": ["u0", "u1"], "age": [20.0, 60.0]})
    vocabulary = SideFeatures.from_frame(table, id="user_id", categorical=[], numeric=["age"]).vocabulary
    model = HashGNN.from_state(random_state(features=vocabulary))
    frame = __import__("pyarrow").table({"age": [60.0]})
    plain = model.explain(["i1", "i2"], "i4", reasons=ALL)
    found = model.explain(["i1", "i2"], "i4", reasons=ALL, user_features=frame)
    np.testing.assert_allclose(found.values, plain.values, rtol=1e-5)
    assert abs(found.rest[0]) > 1e-3 > abs(plain.rest[0])
    assert total(found) == pytest.approx(found.scores)


def test_the_table_and_the_words() -> None:
    model = HashGNN.from_state(random_state())
    found = model.explain("u3", ["i4", "i0"], reasons=2)
    table = found.to_arrow()
    assert table.column_names == [
        "user_id", "item_id", "score", "because_of", "rank", "part", "share", "sign", "similarity", "others", "rest",
    ]  # fmt: skip
    rows = table.to_pylist()
    assert [(row["user_id"], row["item_id"], row["rank"]) for row in rows] == [
        ("u3", "i4", 1), ("u3", "i4", 2), ("u3", "i0", 1), ("u3", "i0", 2),
    ]  # fmt: skip
    assert all(row["sign"] == np.sign(row["part"]) == np.sign(row["share"]) for row in rows)
    assert table["similarity"].null_count == len(table)
    assert "i4: because of i16 (29 %); in spite of i23 (33 %)" in repr(found)
    assert "in spite of" in repr(found)
    assert found._repr_html_().count("<tr>") == 3
    assert len(found.to_frame("polars")) == 4
    history = model.explain(["i1"], "i4").to_arrow()
    assert "user_id" not in history.column_names


@pytest.mark.parametrize(
    ("arguments", "error", "sentence"),
    [
        (("nobody", "i4"), UnknownIdError, "pass a list of item ids to explain a history"),
        (("u3", "gone"), UnknownIdError, "explain knows those of the training data only"),
        ((["i1", "gone"], "i4"), UnknownIdError, 'on_unknown="skip"'),
        (([], "i4"), ParameterError, "history 0 is empty"),
        (({"i1": 2}, "i4"), ParameterError, "must be"),
        ((3, "i4"), ParameterError, "user ids"),
        (("u3", "i4", 0), ParameterError, "reasons must be"),
        (("u3", "i4", 1001), ParameterError, "reasons must be"),
    ],
)
def test_what_cannot_be_explained_is_an_error(arguments: tuple, error: type, sentence: str) -> None:
    model = HashGNN.from_state(random_state())
    with pytest.raises(error, match=sentence):
        model.explain(*arguments)


def test_a_search_way_that_there_is_not_is_an_error() -> None:
    model = HashGNN.from_state(random_state(item_bias=False))
    with pytest.raises(ParameterError, match="search must be one of"):
        model.explain("u3", "i4", search="biased")
    with pytest.raises(ParameterError, match="since_training must be None with a history"):
        model.explain(["i1"], "i4", since_training=Interactions.from_arrays(["u1"], ["i1"]))


def test_ids_that_are_tuples_are_users_and_not_histories() -> None:
    model = HashGNN.from_state(random_state([("a", n) for n in range(20)], list(range(30))))
    found = model.explain(("a", 3), 4)
    assert found.query_id == ("a", 3)
    assert found.to_arrow()["user_id"].to_pylist()[0] == '["a",3]'
    assert model.explain([1, 2], 4).query_id is None
    assert model.explain(np.array([1, 2]), 4).n_history == 2


def test_codes_of_one_bit_pattern_agree_in_all_bits() -> None:
    model = HashGNN.from_state(random_state(item_bias=False))
    found = model.explain(["i4"], "i4", search="hamming")
    assert found.scores[0] == 32 == found.values[0, 0] + found.rest[0]
    assert isinstance(model.state_.items.codes, BinaryCodes)


def test_a_folded_row_is_explained_by_the_weights_that_it_was_folded_in_from() -> None:
    """Rows of several sources lie in one request; each has reasons of its own."""
    from hashgnn.answering.reasons import reasons_of

    fitted_model = HashGNN.from_state(random_state()).fitted
    index = np.array([3, -1, 4, -1])
    new = fitted_model.seen[np.array([-1, 7, 8, 9])]
    queries = fitted_model.queries_of_users(index, since_training=new, on_unknown="fold_in")
    assert queries.source_names == ["model", "history", "history", "history"]
    items = np.arange(30)
    for row in range(4):
        found = reasons_of(fitted_model, queries, row, items, "float", user_index=int(index[row]))
        assert found.history.tolist() == queries.seen[np.array([row])].indices.tolist()
        assert np.abs(found.rest).max() < 1e-4
    with_weights = queries.histories
    assert with_weights is not None
    doubled = sparse.csr_matrix(with_weights.multiply(np.arange(1, 31)), dtype=np.float32)
    other = fitted_model._folded_users(doubled)
    from hashgnn.answering import Queries

    weighed = Queries(queries.source[1:], other, queries.seen[np.arange(1, 4)], np.arange(3), 3, doubled)
    for row in range(3):
        found = reasons_of(fitted_model, weighed, row, items, "float")
        assert np.abs(found.rest).max() < 1e-4
