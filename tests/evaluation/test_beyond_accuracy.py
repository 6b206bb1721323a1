from __future__ import annotations

import numpy as np
import pytest
from table_model import TableModel, matrix

from hashgnn.errors import DataError, ParameterError
from hashgnn.evaluation import (
    METRICS,
    Calibration,
    IntraListDiversity,
    Judged,
    Popularity,
    evaluate,
    head_items,
    parse_metric,
)

NAMED = ["coverage", "gini", "novelty", "arp", "lift", "aplt", "itemrecall"]


def lists(positions, popularity=None, seen=None):
    rows = np.array(positions)
    given = None if popularity is None else Popularity(np.array(popularity), 8)
    return Judged(rows, np.zeros(rows.shape, bool), np.ones(len(rows), int), None, seen, given)


def of_counts(name, counts):
    return parse_metric(f"{name}@1").of_counts(np.array(counts))


def test_gini_of_even_exposure_is_0_and_of_one_item_nearly_1():
    assert of_counts("gini", [7, 7, 7, 7]) == 0
    assert of_counts("gini", [0, 0, 0, 9]) == pytest.approx(3 / 4)
    assert of_counts("gini", [0, 0, 0, 0]) == 0
    # The mean difference of two items, by twice the mean: |1-2| + |1-3| + |2-3| over 9 pairs, both ways.
    assert of_counts("gini", [3, 1, 2]) == pytest.approx(2 * 4 / 9 / (2 * 2))


def test_coverage_is_counted():
    assert of_counts("coverage", [0, 3, 1, 0]) == 1 / 2


def test_novelty_is_the_information_of_the_items():
    given = lists([[0, 1], [2, -1]], popularity=[8, 2, 0])
    # Of 8 users: item 0 all, item 1 two, item 2 none, which counts as one.
    assert parse_metric("novelty@2").observed(given).tolist() == [(0 + 2) / 2, 3]
    assert parse_metric("novelty@1").observed(given).tolist() == [0, 3]


def test_popularity_is_that_of_the_listed_items():
    given = lists([[0, 1], [2, -1], [-1, -1]], popularity=[8, 2, 5])
    assert parse_metric("arp@2").observed(given).tolist() == [5, 5, 0]


def test_lift_compares_a_list_with_the_users_own_items():
    seen = matrix([[1], [0, 1], []], 3)
    given = lists([[0, 2], [1, 1], [0, 0]], popularity=[8, 2, 0], seen=seen)
    usual = (8 * 8 + 2 * 2) / 10  # the mean over all ten training interactions
    assert parse_metric("lift@2").observed(given) == pytest.approx([4 / 2 - 1, 2 / 5 - 1, 8 / usual - 1])


def test_the_head_is_a_fifth_of_the_catalogue():
    assert head_items(np.array([1, 9, 9, 3, 4, 5, 6, 7, 8, 0])).nonzero()[0].tolist() == [1, 2]
    assert head_items(np.array([2, 2, 2, 2, 2])).nonzero()[0].tolist() == [0]
    given = lists([[1, 0], [2, 3]], popularity=[1, 9, 2, 3, 4])
    assert parse_metric("aplt@2").observed(given).tolist() == [0.5, 1]


def test_diversity_is_the_mean_over_the_pairs_of_a_list():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(30, 5))
    positions = np.array([rng.choice(30, 6, replace=False) for _ in range(4)])
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    expected = []
    for row in positions:
        pairs = [1 - unit[a] @ unit[b] for n, a in enumerate(row) for b in row[:n]]
        expected.append(np.mean(pairs))
    metric = IntraListDiversity(6, vectors)
    assert metric.observed(lists(positions)) == pytest.approx(expected, abs=1e-6)
    assert str(metric) == "diversity@6"


def test_diversity_of_short_lists_and_of_equal_items():
    metric = IntraListDiversity(3, np.array([[1.0, 0], [5, 0], [0, 1], [0, 0]]))
    given = lists([[0, 1, -1], [0, 2, -1], [0, -1, -1], [-1, -1, -1], [0, 3, -1]])
    assert metric.observed(given).tolist() == [0, 1, 0, 0, 1]


def test_calibration_is_0_where_a_list_is_like_the_history():
    attributes = np.array([[1, 0], [0, 1], [1, 1], [0, 0]])
    seen = matrix([[0, 1], [0], [3], [2]], 4)
    found = Calibration(2, attributes).observed(lists([[0, 1], [1, 1], [0, 1], [0, 1]], seen=seen))
    assert found[[0, 2, 3]] == pytest.approx([0, 0, 0], abs=1e-12)
    assert found[1] == pytest.approx(np.log(1 / 0.01))  # nothing of what the user has


def test_a_wrong_attribute_table_is_named():
    given = lists([[0]], seen=matrix([[0]], 4))
    with pytest.raises(ParameterError, match="a row for each of 4 items, got 2"):
        Calibration(1, np.ones((2, 2))).observed(given)
    with pytest.raises(ParameterError, match="finite and >= 0"):
        Calibration(1, -np.ones((4, 2)))


@pytest.mark.parametrize("name", ["novelty", "lift"])
def test_a_metric_without_its_context_says_so(name):
    with pytest.raises(DataError, match="the metric needs the"):
        parse_metric(f"{name}@1").observed(lists([[0]]))


def test_evaluation_gives_the_metrics_what_they_need():
    table = np.array([[9, 5, 4, 3, 2, 1], [9, 8, 4, 3, 2, 1]], np.float32)
    train, test = matrix([[0], [0, 1]], 6), matrix([[1, 5], [2]], 6)
    wanted = [f"{name}@2" for name in NAMED]
    vectors = np.eye(6)
    result = evaluate(
        TableModel({"a": table}),
        train,
        test,
        metrics=[*wanted, IntraListDiversity(2, vectors), Calibration(2, vectors), "recall@2"],
        n_bootstrap=10,
        n_timed=0,
        rng=0,
    )
    found = result.metrics["a"]
    # The lists: items 1 and 2, and items 2 and 3. Users of the items: 2, 1, 0, 0, 0, 0.
    assert found["coverage@2"] == 3 / 6
    assert found["novelty@2"] == pytest.approx((1 + 1) / 2)  # an item without users counts as having one
    assert found["arp@2"] == pytest.approx((0.5 + 0) / 2)
    assert found["aplt@2"] == pytest.approx((0.5 + 1) / 2)  # the head: items 0 and 1
    assert found["lift@2"] == pytest.approx((0.5 / 2 - 1 + 0 / 1.5 - 1) / 2)
    assert found["diversity@2"] == pytest.approx(1)
    assert found["itemrecall@2"] == pytest.approx((1 + 1 + 0) / 3)  # items 1 and 2 found, 5 not
    assert np.nan_to_num(result.per_item["a"]["itemrecall@2"], nan=-1).tolist() == [-1, 1, 1, -1, -1, 0]
    assert result.n_held_out.tolist() == [0, 1, 1, 0, 0, 1]
    assert set(result.expected["a"]) == {"recall@2"}
    assert {"novelty@2", "calibration@2"} <= set(result.intervals["a"])
    assert "gini@2" not in result.intervals["a"]


def test_metrics_of_one_kind_and_other_vectors_are_not_the_same():
    one, other = (IntraListDiversity(2, np.eye(3)) for _ in range(2))
    assert one != other
    assert len({one, other}) == 2
    assert set(NAMED) <= set(METRICS)
