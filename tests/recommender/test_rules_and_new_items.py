"""Rules over models with items that came after the training, of which the table of items knows nothing yet."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from hashgnn import HashGNN
from hashgnn.rules import Rules
from hashgnn.testing.states import random_state

N = 30


@pytest.fixture(scope="module")
def model() -> HashGNN:
    table = pa.table(
        {
            "item_id": [f"i{n}" for n in range(N)],
            "price": list(range(N)),
            "brand": [f"b{n % 3}" for n in range(N)],
        }
    )
    plain = HashGNN.from_state(random_state())
    assert plain.state_.n_items == N
    return plain.with_item_table(table).add_items(["new", "newer"], [["u1", "u2"], ["u3"]])


@pytest.mark.parametrize("search", ["hamming", "hierarchical", "float"])
def test_a_new_item_has_no_values_until_the_table_has_some(model: HashGNN, search: str) -> None:
    def items(**rules: object) -> set[str]:
        found = model.recommend(["u0"], k=N + 2, search=search, filter_seen=False, **rules)  # type: ignore[arg-type]
        return set(found.lists()[0])

    assert {"new", "newer"} <= items()
    assert items(where="price < 5") == {f"i{n}" for n in range(5)}
    assert items(where="price is null") == {"new", "newer"}
    assert items(where="price is null or price < 2") == {"new", "newer", "i0", "i1"}
    capped = items(max_per={"brand": 2})
    assert len(capped) == 8
    assert {"new", "newer"} <= capped
    assert {"new", "newer"} <= items(boost={"price > 20": 2.0}, diversity=0.2)
    attributes = model.item_attributes
    assert attributes is not None
    assert len(attributes) == N + 2


def test_values_of_a_new_item_count_from_then_on(model: HashGNN) -> None:
    assert model.item_attributes is not None
    model.item_attributes.update({"new": {"price": 1, "brand": "b9"}})
    found = model.recommend(["u0"], k=5, where="brand = 'b9'", filter_seen=False)
    assert found.lists() == [["new"]]


def test_a_shorter_table_is_one_with_missing_values() -> None:
    plain = HashGNN.from_state(random_state())
    table = pa.table({"item_id": [f"i{n}" for n in range(N)], "price": list(range(N)), "shop": ["a"] * N})
    items = plain.with_item_table(table).item_attributes
    bound = Rules.read("price < 3", {"price < 9": 2.0}, {"shop": 1}, 0.0, None).bind(items, N + 40)
    assert bound.n_allowed == 3
    assert all(some is None or some.n_items == N + 40 for _, _, some in bound.parts)
    full = bound.full_groups(np.array([0, N + 5]))
    assert full is not None
    assert full.mask().tolist() == [True] * N + [False] * 40
    assert bound.groups(np.array([0, N + 5])).tolist() == [[0], [-1]]


def test_reasons_of_a_trained_user_are_items_of_the_training(model: HashGNN) -> None:
    """The user has the new item since, but the user's embedding is older."""
    found = model.explain("u1", ["i3"], N)
    assert "new" not in str(found.to_frame("pyarrow").to_pylist())
