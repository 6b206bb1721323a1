from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

import hashgnn as hg
from hashgnn.baselines import fit_baseline
from hashgnn.benchmarking.assessment import SideTable, assess, examples, health_advice, report_content
from hashgnn.benchmarking.assessment.verdict import verdict
from hashgnn.codes import BinaryCodes, code_health
from hashgnn.data import IdMap, Interactions, generate_interactions
from hashgnn.errors import DataError, DataWarning, ParameterError
from hashgnn.evaluation import Comparison, EvaluationResult
from hashgnn.state import ModelState
from hashgnn.testing.states import random_state


@pytest.fixture(scope="module")
def model():
    return hg.HashGNN.from_state(random_state())


@pytest.fixture(scope="module")
def test_part(model):
    state: ModelState = model.state_
    rng = np.random.default_rng(0)
    free = np.argwhere(state.seen.toarray() == 0)
    rows = free[np.sort(rng.choice(len(free), 120, replace=False))]
    return Interactions(state.users.ids, state.items.ids, rows[:, 0], rows[:, 1])


@pytest.fixture(scope="module")
def found(model, test_part):
    return assess(
        model,
        test_part,
        baselines=["popularity", "itemknn"],
        metrics=["recall@5", "ndcg@5"],
        n_bootstrap=50,
        progress=False,
    )


def test_ways_and_baselines_are_measured_by_the_one_protocol(model, test_part, found):
    state = model.state_
    assert list(found.result.metrics) == list(model.search_ways)
    alone = hg.evaluate(model, state.seen, test_part.csr, metrics=["recall@5", "ndcg@5"], n_timed=0, rng=0)
    for way, values in alone.metrics.items():
        assert {name: found.result.metrics[way][name] for name in values} == values
        assert found.result.expected[way]["recall@5"] == alone.expected[way]["recall@5"]
    # The baselines saw the model's training interactions, and nothing else.
    train = Interactions.from_csr(state.seen, user_ids=state.users.ids, item_ids=state.items.ids)
    knn = hg.evaluate(
        fit_baseline("itemknn", train), state.seen, test_part.csr, metrics=["recall@5"], n_timed=0
    )
    assert found.baselines["itemknn"].metrics["float"]["recall@5"] == knn.metrics["float"]["recall@5"]
    assert np.array_equal(found.baselines["itemknn"].user_index, found.result.user_index)


def test_each_way_is_tested_against_each_baseline(model, found):
    pairs = [(one.method, one.baseline) for one in found.comparisons]
    assert pairs == [(way, name) for name in ("popularity", "itemknn") for way in model.search_ways]
    for one in found.comparisons:
        ours = found.result.metrics[one.method]["recall@5"]
        theirs = found.baselines[one.baseline].metrics["float"]["recall@5"]
        assert one.difference == pytest.approx(ours - theirs, abs=1e-6)


def test_segments_add_up_to_the_whole(found):
    for search, result, way in found.methods():
        rows = [row for row in found.segments if row.segments == "history" and row.search == search]
        assert sum(row.n for row in rows) == result.n_users
        mean = sum(row.n * row.mean for row in rows) / result.n_users
        assert mean == pytest.approx(result.metrics[way]["recall@5"], abs=1e-6)
    assert {row.value for row in found.segments if row.segments == "popularity"} == {"head", "tail"}


def test_it_prints_and_shows_and_tabulates(found):
    text = repr(found)
    assert text.startswith(found.verdict)
    for part in (
        "popularity",
        "itemknn",
        "gini@5",
        "diversity@5",
        "less itemknn",
        "recall@5 by history of users",
    ):
        assert part in text
    assert max(map(len, text.splitlines()[1:])) < 120
    html = found._repr_html_()
    assert html.count("<table") == len(found.tables())
    best = max(values["recall@5"] for values in found.result.metrics.values())
    best = max(best, *(one.metrics["float"]["recall@5"] for one in found.baselines.values()))
    assert f"<strong>{best:.4f}</strong>" in html
    frame = found.to_frame(backend="pyarrow")
    assert frame.column_names[:3] == ["method", "search", "metric"]
    assert set(frame["method"].to_pylist()) == {"hashgnn", "popularity", "itemknn"}
    segments = found.to_frame("segments", backend="pyarrow")
    assert len(segments) == len(found.segments)
    assert found.to_frame("comparisons", backend="pyarrow")["baseline"][0].as_py() == "popularity"
    with pytest.raises(ParameterError, match="part must be one of"):
        found.to_frame("all")
    document = found.to_dict()
    assert document["verdict"] == found.verdict
    assert len(document["segments"]) == len(found.segments)


def test_what_is_left_out_is_said_once(model, test_part):
    state = model.state_
    known = np.argwhere(state.seen.toarray() > 0)[:3]
    rows = np.concatenate([np.stack([test_part.user_index, test_part.item_index], axis=1), known])
    rows = rows[np.lexsort((rows[:, 1], rows[:, 0]))]
    both = Interactions(state.users.ids, state.items.ids, rows[:, 0], rows[:, 1])
    with pytest.warns(DataWarning, match="3 of 123 test interactions are also in train") as caught:
        assess(
            model,
            both,
            baselines=["popularity", "itemknn"],
            metrics=["recall@5"],
            n_bootstrap=0,
            progress=False,
        )
    assert len(caught) == 1


def side(model, **columns):
    ids = model.state_.items.ids
    values = {"item_id": ids.at(np.arange(len(ids))).tolist(), **columns}
    return SideTable("item", pa.table(values), ids)


def test_a_column_of_items_gives_segments_and_calibration(model, test_part):
    n = model.state_.n_items
    table = side(model, kind=["even", "odd"] * (n // 2) + ["even"] * (n % 2))
    made = assess(
        model,
        test_part,
        baselines=[],
        metrics=["recall@5"],
        items=table,
        segments=["kind"],
        n_bootstrap=0,
        progress=False,
    )
    assert {row.value for row in made.segments if row.segments == "kind"} == {"even", "odd"}
    assert made.beyond[-1] == "calibration@5"
    assert made.comparisons == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"baselines": ["popular"]}, "baseline must be one of .*'popularity'.* did you mean"),
        ({"segments": ["colour"]}, "none, as no table was given, got 'colour'"),
        ({"metrics": ["coverage@5"]}, "a value for each user"),
        ({"metrics": ["recall@9999"]}, "cut at"),
        ({"rng": None}, "rng must be"),
    ],
)
def test_a_wrong_argument_is_named(model, test_part, options, message):
    with pytest.raises(ParameterError, match=message):
        assess(model, test_part, progress=False, **options)


def test_a_column_of_both_tables_must_say_whose_it_is(model, test_part):
    users = SideTable(
        "user",
        pa.table({"user_id": model.state_.users.ids.ids.tolist(), "kind": ["a"] * model.state_.n_users}),
        model.state_.users.ids,
    )
    items = side(model, kind=["b"] * model.state_.n_items)
    options = {"items": items, "users": users, "baselines": [], "metrics": ["recall@5"], "n_bootstrap": 0}
    with pytest.raises(ParameterError, match=r"user\.kind or item\.kind"):
        assess(model, test_part, segments=["kind"], progress=False, **options)
    made = assess(model, test_part, segments=["item.kind"], progress=False, **options)
    assert {row.side for row in made.segments if row.segments == "kind"} == {"item"}


def test_a_table_is_aligned_by_the_column_that_knows_the_most_ids():
    ids = IdMap(np.array([0, 1, 2, 3]))
    shifted = pa.table({"item": [0, 1, 2, 3], "item_id": [1, 2, 3, 4], "title": ["a", "b", None, "d"]})
    table = SideTable("item", shifted, ids)
    assert table.id_column == "item"
    assert table.titles() == ["a", "b", "2", "d"]
    assert SideTable("item", shifted, ids, "item_id").titles() == ["0", "a", "b", "3"]
    assert SideTable("item", shifted, ids, "item_id").n_known == 3


def test_a_table_that_does_not_fit_is_named():
    ids = IdMap(np.array([0, 1]))
    with pytest.raises(DataError, match="column 'item_id' is missing in the table of items, found 'sku'"):
        SideTable("item", pa.table({"sku": [1]}), ids)
    with pytest.raises(DataError, match="none of the 2 ids in 'item_id' is a item|none of the 2 ids"):
        SideTable("item", pa.table({"item_id": [8, 9]}), ids)
    with pytest.raises(DataError, match="item_id of the table of items"):
        SideTable("item", pa.table({"item_id": ["0", "1"]}), ids)
    with pytest.raises(ParameterError, match="'price' must be a column of the table of items"):
        SideTable("item", pa.table({"item_id": [0], "title": ["a"]}), ids).values("price")


def result(values, sizes):
    return EvaluationResult(
        n_users=9,
        n_items=9,
        served=False,
        metrics={way: {"recall@20": value} for way, value in values.items()},
        expected={},
        intervals={},
        confidence=0.95,
        per_user={},
        user_index=np.arange(9),
        bytes_per_item=sizes,
        milliseconds_per_query={},
        milliseconds_per_query_in_batch={},
    )


OURS = result({"hamming": 0.18, "biased": 0.194, "float": 0.2}, {"hamming": 16, "biased": 16, "float": 1000})


def test_the_verdict_says_what_the_codes_keep():
    popularity = {"popularity": result({"float": 0.12}, {})}
    assert verdict(OURS, popularity, [], "recall@20") == (
        "Codes keep 97 % of the floats' recall@20 in 1.6 % of their bytes; popularity reaches 60 % of the floats."
    )
    assert verdict(OURS, {}, [], "recall@20").endswith("in 1.6 % of their bytes.")


def test_the_verdict_names_a_baseline_that_is_better_and_says_whether_it_is_chance():
    ease = {"ease": result({"float": 0.22}, {})}
    sure = [Comparison("float", "ease", -0.02, 0.001, 0.002)]
    assert verdict(OURS, ease, sure, "recall@20").endswith(
        "ease is better than every search way by 10 %, beyond chance."
    )
    unsure = [Comparison("float", "ease", -0.02, 0.1, 0.2)]
    assert verdict(OURS, ease, unsure, "recall@20").endswith("by 10 %, within chance.")
    weaker = {"ease": result({"float": 0.18}, {})}
    assert verdict(OURS, weaker, [], "recall@20").endswith("ease, the best baseline, reaches 90 % of float.")


def test_the_verdict_of_a_model_that_finds_nothing_divides_by_nothing():
    nothing = result({"hamming": 0.0, "float": 0.0}, {"hamming": 16, "float": 1000})
    assert "0.0000" in verdict(nothing, {"popularity": result({"float": 0.1}, {})}, [], "recall@20")


def test_advice_names_the_fault_and_the_setting():
    rng = np.random.default_rng(0)
    good = BinaryCodes.from_signs(rng.normal(size=(3000, 32)))
    assert health_advice({"items": code_health(good)}) == [
        "Nothing to do: no bit is dead, and the bits are balanced and say different things."
    ]
    values = rng.normal(size=(3000, 32))
    values[:, :3] = 1
    (dead,) = health_advice({"items": code_health(BinaryCodes.from_signs(values))})
    assert dead.startswith("3 of 32 item bits are dead")
    assert "objective.balance_weight" in dead
    same = BinaryCodes.from_signs(np.repeat(rng.normal(size=(50, 1)), 32, axis=1))
    advice = " ".join(health_advice({"items": code_health(same)}))
    assert "decorrelation_weight" in advice
    assert "100 % of the items share their code" in advice
    hg.ModelConfig(**{"objective.balance_weight": 0.1, "objective.decorrelation_weight": 0.1})  # they exist


def test_examples_show_what_was_held_out_with_its_rank(model, test_part):
    titles = [f"Item {place}" for place in range(model.state_.n_items)]
    shown = examples(model, test_part, titles, k=model.state_.n_items, rng=0)
    assert len(shown) == 3
    for one in shown:
        marked = [
            f"{found.title} (rank {rank})" for rank, found in enumerate(one.recommended, 1) if found.held_out
        ]
        assert list(one.held_out) == marked  # every item is ranked, so every held-out one is found
        assert len(marked) >= 1
        assert not {found.title for found in one.recommended} & set(one.liked)


def test_what_a_user_had_is_ordered_by_the_training_data_where_they_are_given(model, test_part):
    state = model.state_
    titles = [f"Item {place}" for place in range(state.n_items)]
    users, items = state.seen.nonzero()
    rng = np.random.default_rng(0)
    weight = rng.integers(1, 3, len(users)).astype(np.float32)
    times = rng.integers(0, 5, len(users))
    train = Interactions(state.users.ids, state.items.ids, users, items, weight, times)
    for one in examples(model, test_part, titles, train=train, rng=0):
        own = np.flatnonzero(users == state.users.ids.index_of([one.user_id])[0])
        best = sorted(own, key=lambda row: (-weight[row], -times[row], items[row]))[:10]
        assert one.liked == [titles[items[row]] for row in best]
        assert one.user == f"User {one.user_id}"
        found = model.recommend([one.user_id], k=10, search="hierarchical").lists()[0]
        assert [entry.item_id for entry in one.recommended] == found


def test_the_report_of_any_model_is_made_of_what_was_measured(model, test_part, found):
    made = report_content(model, test_part, found, title="Ours")
    assert (made.title, made.verdict, made.accuracy) == ("Ours", found.verdict, ["recall@5", "ndcg@5"])
    assert made.data["held-out interactions"] == len(test_part)
    assert made.advice


def test_a_model_is_assessed_on_rows_of_its_own_ids(model):
    made = generate_interactions(30, 20, 200, rng=0)
    with pytest.raises(hg.errors.HashGNNError):
        assess(model, made.csr, progress=False)
