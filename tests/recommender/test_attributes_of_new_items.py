"""New items with their attributes: rules see them in the model that has them, and in what is saved of it."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from hashgnn import HashGNN
from hashgnn.errors import ParameterError, ResultWarning
from hashgnn.testing.states import random_state

N = 30
GIVEN: list[dict[str, Any]] = [
    {"price": 1.5, "brand": "b9", "in_stock": True, "since": "2026-01-31", "tags": ["new"]},
    {"price": 90},
    {},
]
NEW = ["new", "dear", "blank"]


@pytest.fixture(scope="module")
def model() -> HashGNN:
    table = pa.table(
        {
            "item_id": [f"i{n}" for n in range(N)],
            "price": [float(n + 10) for n in range(N)],
            "brand": [f"b{n % 3}" for n in range(N)],
            "in_stock": [n % 2 == 0 for n in range(N)],
            "since": pa.array([n * 10**6 for n in range(N)], pa.timestamp("us")),
            "tags": [["old"]] * N,
        }
    )
    return HashGNN.from_state(random_state()).with_item_table(table)


@pytest.fixture(scope="module")
def grown(model: HashGNN) -> HashGNN:
    return model.add_items(NEW, [["u1"], ["u2"], ["u3"]], attributes=GIVEN)


def found(model: HashGNN, **rules: Any) -> set[str]:
    k = model.state_.n_items
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResultWarning)  # that nothing is left is asserted here
        return set(model.recommend(["u0"], k=k, filter_seen=False, **rules).lists()[0])


@pytest.mark.parametrize("search", ["hamming", "hierarchical", "float"])
def test_rules_see_a_new_item(grown: HashGNN, search: str) -> None:
    assert found(grown, search=search, where="price < 5 and in_stock and 'new' in tags") == {"new"}
    assert found(grown, search=search, where="since >= now - 7d", now="2026-02-03") == {"new"}
    assert found(grown, search=search, where="price > 80") == {"dear"}
    assert found(grown, search=search, where="in_stock is null") == {"dear", "blank"}
    assert found(grown, search=search, where="not price < 20") == {f"i{n}" for n in range(10, N)} | {"dear"}
    boosted = grown.recommend(["u0"], k=3, search=search, filter_seen=False, boost={"price > 80": "+900000"})
    assert boosted.lists()[0][0] == "dear"
    capped = grown.recommend(
        ["u0"], k=N, search=search, filter_seen=False, max_per={"brand": 1}, boost={"brand = 'b9'": 2.0}
    ).lists()[0]
    assert {"new", "dear", "blank"} <= set(capped)
    assert len(capped) == 3 + 3


def test_what_is_not_given_is_missing_and_the_first_model_stays(model: HashGNN, grown: HashGNN) -> None:
    assert found(model, where="price is null") == set()
    assert found(model.add_items(NEW, [[], [], []]), where="price is null") == set(NEW)
    assert found(model.add_items(["a"], [[]], attributes=[{"price": None}]), where="price is null") == {"a"}
    table = grown.item_attributes
    assert table is not None
    again = grown.add_items(["last"], [["u1"]], attributes=[{"brand": "b9"}])
    table.update({"new": {"price": 500}})
    assert found(again, where="price < 5") == {"new"}
    assert found(again, where="brand = 'b9'") == {"new", "last"}
    table.update({"new": {"price": 1.5}})


def test_they_are_saved_sent_and_loaded(grown: HashGNN, tmp_path: Path) -> None:
    grown.save(tmp_path / "m")
    for other in (HashGNN.load(tmp_path / "m"), pickle.loads(pickle.dumps(grown))):
        assert found(other, where="brand = 'b9'") == {"new"}
        assert found(other, where="brand is null") == {"dear", "blank"}


def test_known_items_stay_as_they_are(model: HashGNN) -> None:
    rows = [{"brand": "other"}, {"brand": "b9"}]
    more = model.add_items(["i3", "new"], [["u1"], ["u1"]], attributes=rows, on_known="skip")
    assert found(more, where="brand = 'other'") == set()
    assert found(more, where="brand = 'b9'") == {"new"}


def test_attributes_come_as_frames_too(model: HashGNN) -> None:
    frame = pa.table({"item_id": NEW, "price": [1.5, None, float("nan")], "brand": ["b9", None, "b1"]})
    more = model.add_items(NEW, [["u1"]] * 3, attributes=frame)
    assert found(more, where="price is null") == {"dear", "blank"}
    assert found(more, where="brand in ('b9', 'b1') and price is null or price < 2") == {"new", "blank"}


@pytest.mark.parametrize(
    ("attributes", "sentence"),
    [
        ([{}], "attributes must have one row an item, 2, got 1"),
        ([{}, {"prise": 1}], "attributes of row 1: the items have no column 'prise'; did you mean 'price'?"),
        ([{"price": "1"}, {}], "attributes of row 0: price must be a number, got '1'"),
        ([{"since": "soon"}, {}], "since must be seconds since 1970 or ISO 8601 text"),
    ],
)
def test_faults_are_one_sentence(model: HashGNN, attributes: Any, sentence: str) -> None:
    with pytest.raises(ParameterError) as error:
        model.add_items(["a", "b"], [["u1"], []], attributes=attributes)
    assert sentence in str(error.value)


def test_without_a_table_there_is_none_to_add_to() -> None:
    plain = HashGNN.from_state(random_state())
    with pytest.raises(
        ParameterError, match="attributes need a table of items, and this model has none; attach one"
    ):
        plain.add_items(["a"], [["u1"]], attributes=[{"price": 1}])
