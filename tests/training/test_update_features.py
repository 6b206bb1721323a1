"""A model with side features is trained on: what it has learned stays, and new categories join."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

pytest.importorskip("torch")

from hashgnn.data import FeatureVocabulary, Interactions, SideFeatures
from hashgnn.data.feature_merging import in_known_columns
from hashgnn.errors import ParameterError
from hashgnn.recommender import HashGNN
from hashgnn.training.update import _parameters, known_interactions

RNG = np.random.default_rng(0)
USERS, ITEMS = np.repeat(np.arange(40), 6), RNG.integers(0, 30, 240)
QUICK: dict[str, Any] = {
    "embedding_dim": 16,
    "teacher": "none",
    "optimizer": {"epochs": 2},
    "validation": {"share": 0.0},
    "objective": {"observed_target": "all"},
}


def films(n: int, shift: int = 0) -> SideFeatures:
    rows = {
        "item_id": list(range(n)),
        "genre": [["War", "Drama", "Sci"][k % 2 if k < 30 else 2] for k in range(n)],
        "year": [None if k % 7 == 0 else 1990 + k + shift for k in range(n)],
    }
    return SideFeatures.from_frame(pa.table(rows), id="item_id", categorical=["genre"], numeric=["year"])


def people(n: int) -> SideFeatures:
    rows = {"user_id": list(range(n)), "town": [["a", "b", "c"][k % 3] for k in range(n)]}
    return SideFeatures.from_frame(pa.table(rows), id="user_id", categorical=["town"])


@pytest.fixture(scope="module", params=["history", "history without an input table", "mf"])
def fitted(request: pytest.FixtureRequest) -> HashGNN:
    encoder: Any = {"name": request.param.split()[0]}
    if request.param == "history without an input table":
        encoder["input_table"] = False
    return HashGNN(16, encoder=encoder, **QUICK).fit(
        Interactions.from_arrays(USERS, ITEMS),
        user_features=people(40),
        item_features=films(30),
        rng=0,
        progress=False,
    )


def test_parameters_are_read_back(fitted: HashGNN) -> None:
    state = fitted.state_
    users, items = people(40), films(30)
    known = known_interactions(state)
    assert state.users.features is not None
    assert state.items.features is not None
    found = _parameters(
        state,
        known,
        in_known_columns(state.users.features, users, "user"),
        in_known_columns(state.items.features, items, "item"),
    )
    part = items.design_matrix(state.items.ids) @ found["encoder.item_input.features.weight"]
    np.testing.assert_allclose(
        found["encoder.item_input.table"] + part, state.items.embeddings, rtol=1e-4, atol=1e-5
    )
    if "encoder.user_input.table" in found:
        part = users.design_matrix(state.users.ids) @ found["encoder.user_input.features.weight"]
        rows = found["encoder.user_input.table"] + part
    else:
        part = users.design_matrix(state.users.ids) @ found["encoder.user_features.weight"]
        rows = state.fold_in.users(state.seen) + part
    np.testing.assert_allclose(rows, state.users.embeddings, rtol=1e-4, atol=1e-5)


def test_new_items_and_categories_join(fitted: HashGNN, tmp_path: Path) -> None:
    new = Interactions.from_arrays([40, 40, 41, 3, 5], [30, 1, 31, 30, 31])
    updated = fitted.update(
        new, user_features=people(42), item_features=films(32), epochs=1, rng=0, progress=False
    )
    vocabulary = updated.state_.items.features
    assert vocabulary is not None
    assert vocabulary.categories == {"genre": ("Drama", "Sci", "War")}
    before = fitted.state_.items.features
    assert before is not None
    assert vocabulary.numbers == before.numbers  # a year means what it meant
    updated.save(tmp_path / "m")
    loaded = HashGNN.load(tmp_path / "m")
    rows = [{"genre": "Sci", "year": 2000}]
    grown = loaded.add_items([99], [[40, 3]], item_features=rows)
    assert 99 in grown.recommend([7], k=33, filter_seen=False).lists()[0]
    again = fitted.update(
        new, user_features=people(42), item_features=films(32), epochs=1, rng=0, progress=False
    )
    assert again.encode(item_ids=[30]).codes == updated.encode(item_ids=[30]).codes


def test_known_items_start_where_they_were(fitted: HashGNN) -> None:
    """A table of the new ones alone changes nothing that was learned."""
    state = fitted.state_
    assert state.items.features is not None
    partial = in_known_columns(state.items.features, films(30), "item")
    only = SideFeatures(partial.ids, partial.matrix * 0, partial.vocabulary)
    found = _parameters(state, known_interactions(state), None, only)
    np.testing.assert_allclose(
        found["encoder.item_input.table"], state.items.embeddings, rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"item_features": films(30)}, "user_features must be given, the model was trained with town"),
        (
            {"user_features": people(40)},
            "item_features must be given, the model was trained with genre, year",
        ),
        (
            {"user_features": people(40), "item_features": people(40)},
            r"item_features must have the columns that the model was trained with, genre \(categories\), "
            r"year \(numbers\), got town \(categories\)$",
        ),
    ],
)
def test_features_must_be_those_of_the_model(fitted: HashGNN, options: Any, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        fitted.update(Interactions.from_arrays([0], [31]), progress=False, **options)


def test_a_model_without_features_takes_none() -> None:
    model = HashGNN(16, **QUICK).fit(Interactions.from_arrays(USERS, ITEMS), rng=0, progress=False)
    with pytest.raises(
        ParameterError, match="item_features must be None, the model was trained without them"
    ):
        model.update(Interactions.from_arrays([0], [31]), item_features=films(32), progress=False)


def test_numbers_keep_their_scale() -> None:
    known = FeatureVocabulary({"genre": ("Drama", "War")}, {"year": (2000.0, 4.0)})
    given = films(32, shift=5)
    moved = in_known_columns(known, given, "item")
    table = [
        {"genre": ["War", "Drama", "Sci"][k % 2 if k < 30 else 2], "year": None if k % 7 == 0 else 1995 + k}
        for k in range(32)
    ]
    expected = moved.vocabulary.encode(table)
    np.testing.assert_allclose(moved.matrix.toarray(), expected.toarray(), rtol=1e-5, atol=1e-6)
