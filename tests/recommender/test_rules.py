"""Answers under rules: those of scoring and ranking every item, for each search way and index."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashgnn import HashGNN
from hashgnn.answering import FittedModel
from hashgnn.codes import BinaryCodes
from hashgnn.errors import DataError, ParameterError
from hashgnn.index import HammingIndex, InvertedFile
from hashgnn.state import ModelState
from hashgnn.testing.states import random_state

N_USERS, N_ITEMS = 12, 180
EXACT_WAYS = ("hamming", "biased", "asymmetric", "float")


def attributes(seed: int = 1) -> dict[str, list[Any]]:
    rng = np.random.default_rng(seed)
    price = rng.integers(0, 100, N_ITEMS) / 2
    return {
        "item_id": [f"i{n}" for n in range(N_ITEMS)],
        "price": [None if rng.random() < 0.1 else float(value) for value in price],
        "in_stock": (rng.random(N_ITEMS) < 0.7).tolist(),
        "brand": [None if rng.random() < 0.2 else f"b{int(n)}" for n in rng.geometric(0.4, N_ITEMS)],
        "shelf": rng.integers(0, 6, N_ITEMS).tolist(),
    }


ROWS = attributes()
STATE = random_state(N_USERS, N_ITEMS, density=0.1, coarse=True, rng=5)
MODEL = HashGNN.from_state(STATE).with_item_table(pa.table(ROWS))
USERS = [f"u{n}" for n in range(N_USERS)]


def in_lists(state: ModelState) -> HashGNN:
    """The same model with its items in inverted lists, of which few are read."""
    model = HashGNN.from_state(state)
    index = InvertedFile(state.items.codes, item_bias=state.items.bias, n_lists=9, n_probe=2, rng=0)
    model._model = FittedModel(state)
    model._model.__dict__["item_index"] = index
    return model.with_item_table(pa.table(ROWS))


LISTS = in_lists(STATE)


def python_filter(where: str) -> np.ndarray:
    """The filter written a second time, in Python."""
    tests = {
        "in_stock": lambda row: row["in_stock"],
        "price < 30": lambda row: row["price"] is not None and row["price"] < 30,
        "price is null": lambda row: row["price"] is None,
        "brand in ('b1', 'b3')": lambda row: row["brand"] in ("b1", "b3"),
        "in_stock and price < 4": lambda row: (
            row["in_stock"] and row["price"] is not None and row["price"] < 4
        ),
        "price < 0": lambda row: False,
    }
    rows = [dict(zip(ROWS, values, strict=True)) for values in zip(*ROWS.values(), strict=True)]
    return np.array([bool(tests[where](row)) for row in rows])


WHERES = [
    "in_stock",
    "price < 30",
    "price is null",
    "brand in ('b1', 'b3')",
    "in_stock and price < 4",
    "price < 0",
]


def every_score(way: str) -> np.ndarray:
    """Scores of all items for all users, seen ones -inf."""
    scores = MODEL.score_block(np.arange(N_USERS), way, k=N_ITEMS).astype(np.float64)
    seen = STATE.seen.tocoo()
    scores[seen.row, seen.col] = -np.inf
    return scores


def ranking(scores: np.ndarray) -> list[int]:
    order = np.lexsort((np.arange(len(scores)), -scores))
    return [int(item) for item in order if scores[item] > -np.inf]


@pytest.mark.parametrize("where", WHERES)
@pytest.mark.parametrize("way", [*EXACT_WAYS, "hierarchical"])
@pytest.mark.filterwarnings("ignore:.* have no item left")
def test_a_filter_leaves_the_best_of_what_it_lets_through(way: str, where: str) -> None:
    mask = python_filter(where)
    scores = every_score("float" if way == "hierarchical" else way)
    found = MODEL.recommend(USERS, k=9, search=way, where=where, oversampling=100)
    assert found.effects is not None
    assert found.effects.n_allowed == mask.sum()
    for user, row in enumerate(found.lists()):
        expected = ranking(np.where(mask, scores[user], -np.inf))[:9]
        if way == "hierarchical":  # products of the kernels are rounded in another order
            got = found.scores[user, : len(row)]
            np.testing.assert_allclose(got, scores[user][expected], rtol=1e-4, atol=1e-5)
            assert all(mask[int(item[1:])] for item in row)
        else:
            assert row == [f"i{item}" for item in expected]
        assert found.effects.base_ranks[user, : len(row)].tolist() == list(range(1, len(row) + 1))


@pytest.mark.parametrize("model", [MODEL, LISTS], ids=["scan", "lists"])
@pytest.mark.parametrize("way", [*EXACT_WAYS, "hierarchical"])
@given(
    where=st.none() | st.sampled_from(WHERES),
    boost=st.dictionaries(
        st.sampled_from(["price < 10", "brand = 'b1'", "shelf in (1, 2)"]),
        st.sampled_from([0.5, 1.5, 4, "+3", "-2.5"]),
        max_size=3,
    ),
    max_per=st.dictionaries(st.sampled_from(["brand", "shelf", "in_stock"]), st.integers(1, 4), max_size=2),
    diversity=st.sampled_from([0.0, 0.3, 1.0]),
    k=st.integers(1, 30),
)
@settings(max_examples=25, deadline=None)
@pytest.mark.filterwarnings("ignore:.* have no item left")
def test_rules_hold_and_there_are_k_results_wherever_there_can_be(
    model: HashGNN,
    way: str,
    where: str | None,
    boost: dict[str, Any],
    max_per: dict[str, int],
    diversity: float,
    k: int,
) -> None:
    found = model.recommend(
        USERS[:4], k=k, search=way, where=where, boost=boost, max_per=max_per, diversity=diversity
    )
    mask = np.ones(N_ITEMS, bool) if where is None else python_filter(where)
    seen = STATE.seen.toarray() > 0
    for user, row in enumerate(found.lists()):
        items = [int(item[1:]) for item in row]
        assert len(set(items)) == len(items)
        candidates = mask & ~seen[user]
        assert candidates[items].all()
        assert len(items) <= k
        for column, cap in max_per.items():
            values = [ROWS[column][item] for item in items]
            assert all(values.count(value) <= cap for value in set(values) - {None})
        if len(items) < k:  # nothing more could be added
            for item in set(np.flatnonzero(candidates)) - set(items):
                assert any(
                    ROWS[column][item] is not None
                    and [ROWS[column][other] for other in items].count(ROWS[column][item]) == cap
                    for column, cap in max_per.items()
                )
        scores = found.scores[user, : len(items)]
        assert diversity or (np.diff(scores) <= 0).all()


def boosted(scores: np.ndarray, boost: dict[str, Any]) -> np.ndarray:
    """Each boost on each score, one by one."""
    masks = {
        "price < 10": np.array([price is not None and price < 10 for price in ROWS["price"]]),
        "brand = 'b1'": np.array([brand == "b1" for brand in ROWS["brand"]]),
        "in_stock": np.array(ROWS["in_stock"]),
    }
    factor, added = np.ones(N_ITEMS), np.zeros(N_ITEMS)
    for where, effect in boost.items():
        if isinstance(effect, str):
            added[masks[where]] += float(effect)
        else:
            factor[masks[where]] *= effect
    return np.where(scores > 0, scores * factor, scores / factor) + added


@pytest.mark.parametrize(
    "boost",
    [
        {"price < 10": 3.0},
        {"price < 10": 0.25},
        {"brand = 'b1'": "+7"},
        {"price < 10": 2, "brand = 'b1'": "-3", "in_stock": 1.1},
        {"price < 10": 2, "in_stock": 2},
    ],
)
@pytest.mark.parametrize("way", EXACT_WAYS)
def test_boosts_are_exact_however_deep_a_boosted_item_lay(way: str, boost: dict[str, Any]) -> None:
    found = MODEL.recommend(USERS, k=12, search=way, boost=boost)
    base = every_score(way)
    for user, row in enumerate(found.lists()):
        expected = boosted(base[user], boost).astype(np.float32)
        ranked = ranking(expected)[:12]
        # Scores that differ by the rounding of a product may change places.
        np.testing.assert_allclose(found.scores[user], expected[ranked], rtol=2e-5)
        items = [int(item[1:]) for item in row]
        np.testing.assert_allclose(found.scores[user], expected[items], rtol=2e-5)
        effects = found.effects
        np.testing.assert_allclose(effects.base_scores[user], base[user][items], rtol=2e-5)
        order = ranking(base[user])
        for item, rank in zip(items, effects.base_ranks[user].tolist(), strict=True):
            if rank and way != "float":
                assert order.index(item) + 1 == rank
        assert effects.base_ranks[user].any()


def test_a_factor_raises_negative_scores_too() -> None:
    plain = MODEL.recommend(["u1"], k=N_ITEMS, search="float", filter_seen=False)
    lowest = plain.lists()[0][-1]
    assert plain.scores[0, -1] < 0
    shelf = ROWS["shelf"][int(lowest[1:])]
    found = MODEL.recommend(
        ["u1"], k=N_ITEMS, search="float", filter_seen=False, boost={f"shelf = {shelf}": 2}
    )
    before, after = (
        dict(zip(plain.lists()[0], plain.scores[0], strict=True)),
        dict(zip(found.lists()[0], found.scores[0], strict=True)),
    )
    assert after[lowest] == pytest.approx(before[lowest] / 2)


def test_caps_take_the_best_that_they_allow_and_count_what_they_kept_out() -> None:
    scores = every_score("biased")
    found = MODEL.recommend(USERS, k=20, search="biased", max_per={"brand": 2})
    for user, row in enumerate(found.lists()):
        expected: list[int] = []
        n_out = 0
        for item in ranking(scores[user]):
            brand = ROWS["brand"][item]
            if brand is not None and [ROWS["brand"][other] for other in expected].count(brand) == 2:
                n_out += 1
                continue
            expected.append(item)
            if len(expected) == 20:
                break
        assert row == [f"i{item}" for item in expected]
        assert found.effects.n_capped["brand"][user] == n_out


def test_caps_go_on_beyond_the_first_candidates() -> None:
    """Nearly all items are of one group: 5 * k candidates hold one result, and there are k."""
    rows = {"item_id": ROWS["item_id"], "kind": ["same"] * (N_ITEMS - 6) + list("abcdef")}
    model = HashGNN.from_state(STATE).with_item_table(pa.table(rows))
    for way in model.search_ways:
        found = model.recommend(["u3"], k=7, search=way, max_per={"kind": 1}, filter_seen=False)
        assert sorted(rows["kind"][int(item[1:])] for item in found.lists()[0]) == [*"abcdef", "same"]


@pytest.mark.parametrize("diversity", [0.2, 0.5, 0.9])
def test_diversity_chooses_as_marginal_relevance_says(diversity: float) -> None:
    k, scores = 8, every_score("biased")
    found = MODEL.recommend(USERS, k=k, search="biased", diversity=diversity)
    distances = STATE.items.codes.distances(STATE.items.codes)
    for user, row in enumerate(found.lists()):
        pool = ranking(scores[user])[: 5 * k]
        best, worst = scores[user][pool[0]], scores[user][pool[-1]]
        relevance = {item: (scores[user][item] - worst) / (best - worst) for item in pool}
        chosen: list[int] = []
        while len(chosen) < k:
            values = {}
            for item in pool:
                if item not in chosen:
                    near = 1 - min(distances[item, chosen]) / STATE.n_bits if chosen else 0.0
                    values[item] = (1 - diversity) * relevance[item] - diversity * near
            chosen.append(max(values, key=lambda item: (values[item], -pool.index(item))))
        assert row == [f"i{item}" for item in chosen]
        assert found.effects.base_ranks[user].tolist() == [pool.index(item) + 1 for item in chosen]


def test_diversity_makes_codes_of_a_list_differ_more() -> None:
    def spread(diversity: float) -> float:
        found = MODEL.recommend(USERS, k=10, diversity=diversity)
        codes = [STATE.items.codes[[int(item[1:]) for item in row]] for row in found.lists()]
        return float(np.mean([one.distances(one).mean() for one in codes]))

    assert spread(0.0) < spread(0.3) < spread(0.9)


def test_a_table_is_needed_for_all_but_diversity() -> None:
    model = HashGNN.from_state(STATE)
    assert model.item_attributes is None
    assert model.recommend(["u1"], k=5, diversity=0.5).counts.tolist() == [5]
    for rules in ({"where": "price < 3"}, {"boost": {"price < 3": 2}}, {"max_per": {"brand": 1}}):
        with pytest.raises(ParameterError, match="where, boost and max_per need a table of items"):
            model.recommend(["u1"], **rules)  # type: ignore[arg-type]


def test_rules_that_say_nothing_change_nothing() -> None:
    plain = MODEL.recommend(USERS)
    found = MODEL.recommend(USERS, where=None, boost={}, max_per={}, diversity=0, now=3.0)
    assert found.effects is None
    assert found.lists() == plain.lists()
    assert "base_rank" not in plain.to_arrow().column_names


@pytest.mark.parametrize(
    ("rules", "sentence"),
    [
        ({"where": "prise < 3"}, "where: the items have no column 'prise'; did you mean 'price'?"),
        ({"boost": {"price <": 2}}, "boost: expected a column or a value at character 8"),
        ({"boost": {"price < 3": 0}}, "boost must have factors above 0 and up to 1000"),
        (
            {"boost": {"price < 3": "2x"}},
            "boost must have factors above 0 and up to 1000, .* got '2x' for 'price < 3'",
        ),
        ({"boost": {"price < 3": True}}, "boost must have factors above 0"),
        ({"boost": {"price < 3": float("nan")}}, "boost of 'price < 3' must be"),
        ({"boost": {f"price < {n}": 2 for n in range(6)}}, "boost must have at most 5 entries, got 6"),
        ({"boost": ["price < 3"]}, "boost must be a mapping from text"),
        ({"max_per": {"brand": 0}}, "max_per of 'brand' must be an integer >= 1, got 0"),
        ({"max_per": {"price": 1}}, "max_per: price must hold text, whole numbers or true and false"),
        ({"max_per": {"brnd": 1}}, "max_per: the items have no column 'brnd'; did you mean 'brand'?"),
        ({"max_per": "brand"}, "max_per must be a mapping from text, got 'brand'"),
        ({"diversity": 1.1}, "diversity must be .* got 1.1"),
        ({"now": "soon"}, "now must be seconds since 1970, a datetime or ISO 8601 text, got 'soon'"),
        ({"now": -1}, "now must be seconds since 1970"),
    ],
)
def test_a_wrong_rule_is_an_error(rules: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ParameterError, match=sentence):
        MODEL.recommend(["u1"], **rules)


def test_histories_and_popular_rows_keep_the_rules() -> None:
    found = MODEL.recommend_for_history([["i1", "i2"], []], k=6, where="in_stock", on_unknown="popular")
    for row in found.lists():
        assert len(row) == 6
        assert all(ROWS["in_stock"][int(item[1:])] for item in row)
    mixed = MODEL.recommend(
        ["new", "u1", "other"], k=6, max_per={"brand": 1}, boost={"shelf = 1": 50}, on_unknown="popular"
    )
    for row in mixed.lists():
        brands = [brand for item in row if (brand := ROWS["brand"][int(item[1:])]) is not None]
        assert len(row) == 6
        assert len(set(brands)) == len(brands)
    alone = MODEL.recommend(["u1"], k=6, max_per={"brand": 1}, boost={"shelf = 1": 50})
    assert mixed.lists()[1] == alone.lists()[0]
    popular = STATE.seen.getnnz(axis=0)
    best = max(
        range(N_ITEMS), key=lambda item: (popular[item] * (50 if ROWS["shelf"][item] == 1 else 1), -item)
    )
    assert mixed.lists()[0][0] == f"i{best}"


def test_similar_items_keep_the_rules_and_leave_the_item_out() -> None:
    mask = python_filter("price < 30")
    asked = int(np.flatnonzero(mask)[0])
    distances = STATE.items.codes.distances(STATE.items.codes)
    found = MODEL.similar_items([f"i{asked}", "i2"], k=7, search="hamming", where="price < 30")
    others = [item for item in np.flatnonzero(mask) if item != asked]
    expected = sorted(others, key=lambda item: (distances[asked, item], item))[:7]
    assert found.lists()[0] == [f"i{item}" for item in expected]
    capped = MODEL.similar_items("i2", k=7, where="price < 30", max_per={"shelf": 2}, diversity=0.4)
    shelves = [ROWS["shelf"][int(item[1:])] for item in capped.lists()[0]]
    assert max(shelves.count(shelf) for shelf in shelves) <= 2
    assert len(shelves) == 7


def test_lists_of_allowed_and_blocked_items_hold_beside_rules() -> None:
    allowed = [f"i{n}" for n in range(0, N_ITEMS, 2)]
    found = MODEL.recommend(
        USERS, k=5, where="in_stock", allow=allowed, block={"u1": ["i0", "i2"]}, filter_seen=False
    )
    for row in found.lists():
        assert all(int(item[1:]) % 2 == 0 and ROWS["in_stock"][int(item[1:])] for item in row)
    assert not {"i0", "i2"} & set(found.lists()[1])
    shared = MODEL.recommend(USERS, k=5, where="in_stock", allow=allowed, block=["i0"], filter_seen=False)
    assert all("i0" not in row for row in shared.lists())


def test_a_table_of_results_says_what_the_rules_did() -> None:
    table = MODEL.recommend(["u1"], k=3, boost={"price < 10": 9.0}, search="biased").to_arrow()
    assert table.column_names == ["user_id", "item_id", "rank", "score", "base_rank", "base_score"]
    assert table["base_rank"].type == pa.int32()


def test_the_table_is_saved_with_the_model_as_it_is_now(tmp_path: Path) -> None:
    model = HashGNN.from_state(STATE).with_item_table(pa.table(ROWS))
    assert model.item_attributes is not None
    model.item_attributes.update({"i5": {"price": -7.0, "brand": "new"}})
    model.save(tmp_path / "v1")
    loaded = HashGNN.load(tmp_path / "v1", verify=True)
    found = loaded.recommend(["u1"], k=1, where="price < 0 and brand = 'new'", filter_seen=False)
    assert found.lists() == [["i5"]]
    loaded.save(tmp_path / "v2")
    assert HashGNN.load(tmp_path / "v2").item_attributes.kinds == model.item_attributes.kinds  # type: ignore[union-attr]
    assert MODEL.item_attributes is not None
    assert MODEL.item_attributes.filter("brand = 'new'").count == 0


def test_ids_of_other_kinds_are_saved_and_found(tmp_path: Path) -> None:
    ids = [("shop", n) for n in range(6)]
    model = HashGNN.from_state(random_state(3, ids))
    table = pa.table({"item_id": [f'["shop", {n}]' for n in range(6)], "n": list(range(6))})
    model.with_item_table(table).save(tmp_path / "v1")
    found = HashGNN.load(tmp_path / "v1").recommend(["u1"], k=6, where="n >= 4", filter_seen=False)
    assert set(found.lists()[0]) == {("shop", 4), ("shop", 5)}


def test_a_scan_over_one_item_and_over_none_that_passes() -> None:
    model = HashGNN.from_state(random_state(3, ["only"])).with_item_table(
        pa.table({"item_id": ["only"], "x": [1], "g": ["a"]})
    )
    rules = {"max_per": {"g": 1}, "diversity": 0.5, "filter_seen": False}
    assert model.recommend(["u1"], k=1, where="x = 1", **rules).lists() == [["only"]]  # type: ignore[arg-type]
    with pytest.warns(match="have no item left"):
        assert model.recommend(["u1"], k=1, where="x = 2", **rules).lists() == [[]]  # type: ignore[arg-type]


def test_codes_of_a_filter_are_those_of_an_index_over_them_alone() -> None:
    mask = python_filter("brand in ('b1', 'b3')")
    places = np.flatnonzero(mask)
    alone = HammingIndex(BinaryCodes(STATE.items.codes.packed[places], STATE.n_bits))
    found = alone.search(STATE.users.codes, 5)
    ruled = MODEL.recommend(USERS, k=5, search="hamming", where="brand in ('b1', 'b3')", filter_seen=False)
    assert ruled.lists() == [[f"i{places[item]}" for item in row] for row in found.lists()]


def test_the_table_in_the_folder_of_a_stranger_is_bounded_and_regular(tmp_path: Path) -> None:
    HashGNN.from_state(random_state()).save(tmp_path / "v1")
    table = tmp_path / "v1" / "item_metadata.parquet"
    long = pa.DictionaryArray.from_arrays(np.zeros(300_000, np.int32), ["x" * 1000])
    bomb = pa.table({"item_id": [f"i{n}" for n in range(300_000)], "text": long})
    pq.write_table(bomb, table, store_schema=False)
    with pytest.raises(DataError, match="becomes more than"):
        _ = HashGNN.load(tmp_path / "v1").item_attributes
    table.unlink()
    os.mkfifo(table)
    with pytest.raises(DataError, match="cannot be read, it is no regular file"):
        _ = HashGNN.load(tmp_path / "v1").item_attributes
    table.unlink()
    assert HashGNN.load(tmp_path / "v1").item_attributes is None
