from __future__ import annotations

from itertools import pairwise, permutations

import ir_measures
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from table_model import matrix

from hashgnn.errors import ParameterError
from hashgnn.evaluation import METRICS, parse_metric
from hashgnn.evaluation.metrics import NDCG, AveragePrecision, Recall, parse_metrics
from hashgnn.evaluation.relevance import judge
from hashgnn.ranking import top_k

DOWN_TO_NOTHING = -np.inf
PER_USER = [name for name, kind in METRICS.items() if kind.__module__ == Recall.__module__]


def observed(metric, judged):
    return metric.observed(judged)


def expected(metric, judged):
    return metric.expected(judged, judged.ties)


def value_of(compute, name, scores, relevant, ranked=None):
    """Return a metric of one user; lists are ranked ``ranked`` long, at least as long as its cut."""
    metric = parse_metric(name)
    table = np.array([scores], np.float64)
    found = top_k(table, ranked or min(metric.k, len(scores)))
    return float(compute(metric, judge(found, matrix([sorted(relevant)], len(scores)), table))[0])


# Ranked 0, 1, 2, 3, 4; items 1 and 4 and 5 are relevant, and 5 is no candidate.
SCORES = [5, 4, 3, 2, 1, DOWN_TO_NOTHING]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("recall@1", 0),
        ("recall@3", 1 / 3),
        ("recall@5", 2 / 3),
        ("recall@6", 2 / 3),
        ("precision@1", 0),
        ("precision@4", 1 / 4),
        ("precision@6", 2 / 6),
        ("hr@1", 0),
        ("hr@2", 1),
        ("mrr@1", 0),
        ("mrr@6", 1 / 2),
        ("map@2", (1 / 2) / 3),
        ("map@5", (1 / 2 + 2 / 5) / 3),
        ("ndcg@1", 0),
        ("ndcg@2", (1 / np.log2(3)) / (1 + 1 / np.log2(3))),
        ("ndcg@5", (1 / np.log2(3) + 1 / np.log2(6)) / (1 + 1 / np.log2(3) + 1 / 2)),
    ],
)
def test_metrics_of_a_list_worked_by_hand(name, value):
    assert value_of(observed, name, SCORES, {1, 4, 5}) == pytest.approx(value, abs=1e-15)
    assert value_of(expected, name, SCORES, {1, 4, 5}) == pytest.approx(value, abs=1e-15)


def test_ties_are_ranked_by_position_and_valued_by_chance():
    scores = [1, 1, 1, 1]
    assert value_of(observed, "recall@1", scores, {0}) == 1
    assert value_of(observed, "recall@1", scores, {3}) == 0
    for item in range(4):
        assert value_of(expected, "recall@1", scores, {item}) == pytest.approx(1 / 4)
        assert value_of(expected, "mrr@4", scores, {item}) == pytest.approx((1 + 1 / 2 + 1 / 3 + 1 / 4) / 4)


def by_hand(kind, order, relevant, k):
    """Return a metric of one order of the candidates, from its definition, without arrays."""
    hit_ranks = [place + 1 for place, item in enumerate(order[:k]) if item in relevant]
    if kind == "recall":
        return len(hit_ranks) / len(relevant)
    if kind == "precision":
        return len(hit_ranks) / k
    if kind == "hr":
        return float(bool(hit_ranks))
    if kind == "mrr":
        return 1 / hit_ranks[0] if hit_ranks else 0.0
    if kind == "map":
        return sum((n + 1) / place for n, place in enumerate(hit_ranks)) / len(relevant)
    ideal = sum(1 / np.log2(place + 1) for place in range(1, min(len(relevant), k) + 1))
    return sum(1 / np.log2(place + 1) for place in hit_ranks) / ideal


@st.composite
def lists_with_ties(draw):
    n = draw(st.integers(1, 6))
    scores = draw(st.lists(st.sampled_from([DOWN_TO_NOTHING, 0.0, 1.0, 2.0]), min_size=n, max_size=n))
    relevant = draw(st.sets(st.integers(0, n - 1), min_size=1))
    k = draw(st.integers(1, n))
    return scores, relevant, k, draw(st.integers(k, n))


@settings(max_examples=150, deadline=None)
@example(([1.0] * 6, {1, 2, 5}, 3, 4))
@example(([2.0, 1.0, 1.0, 1.0, 1.0, 1.0], {0, 3, 4}, 3, 3))
@example(([DOWN_TO_NOTHING] * 3, {0}, 2, 3))
@given(lists_with_ties())
def test_expected_values_are_means_over_all_orders_of_the_ties(case):
    scores, relevant, k, ranked = case
    candidates = [item for item, score in enumerate(scores) if score > DOWN_TO_NOTHING]
    orders = [
        order
        for order in permutations(candidates)
        if all(scores[one] >= scores[other] for one, other in pairwise(order))
    ]
    for kind in PER_USER:
        values = [by_hand(kind, order, relevant, k) for order in orders]
        name = f"{kind}@{k}"
        assert value_of(expected, name, scores, relevant, ranked) == pytest.approx(np.mean(values), abs=1e-12)
        first = sorted(candidates, key=lambda item: (-scores[item], item))
        assert value_of(observed, name, scores, relevant, ranked) == pytest.approx(
            by_hand(kind, first, relevant, k), abs=1e-12
        )


def test_metrics_agree_with_ir_measures():
    rng = np.random.default_rng(5)
    n_users, n_items, cuts = 60, 40, (1, 3, 10, 25)
    scores = rng.random((n_users, n_items))
    scores[rng.random(scores.shape) < 0.5] = DOWN_TO_NOTHING  # some lists are shorter than the cut
    relevant = [
        sorted(rng.choice(n_items, rng.integers(1, 15), replace=False).tolist()) for _ in range(n_users)
    ]
    judged = judge(top_k(scores, max(cuts)), matrix(relevant, n_items), scores)
    qrels = {str(user): {str(item): 1 for item in items} for user, items in enumerate(relevant)}
    run = {
        str(user): {str(item): float(line[item]) for item in np.flatnonzero(line > DOWN_TO_NOTHING)}
        for user, line in enumerate(scores)
    }
    theirs = {
        "recall": ir_measures.R,
        "precision": ir_measures.P,
        "hr": ir_measures.Success,
        "ndcg": ir_measures.nDCG,
        "map": ir_measures.AP,
        "mrr": ir_measures.RR,
    }
    for kind in PER_USER:
        for k in cuts:
            measure = theirs[kind] @ k
            by_user = {row.query_id: row.value for row in ir_measures.iter_calc([measure], qrels, run)}
            for compute in (observed, expected):
                ours = compute(METRICS[kind](k), judged)
                np.testing.assert_allclose(ours, [by_user[str(user)] for user in range(n_users)], atol=1e-9)
                assert abs(ours.mean() - ir_measures.calc_aggregate([measure], qrels, run)[measure]) < 1e-9


@pytest.mark.parametrize(
    "name", ["recall", "recal@20", "recall@0", "recall@-1", "recall@2.5", "Recall@20", 20]
)
def test_a_name_that_is_no_metric_raises(name):
    with pytest.raises(
        ParameterError, match="metrics must be names like 'recall@20', of 'recall', 'precision'"
    ):
        parse_metric(name)


def test_metric_lists_are_checked():
    assert parse_metrics(["map@3", "recall@2", "map@3"], n_items=3) == [AveragePrecision(3), Recall(2)]
    with pytest.raises(
        ParameterError, match="metrics must be a list of names like 'recall@20', got 'recall@1'"
    ):
        parse_metrics("recall@1", n_items=3)
    with pytest.raises(ParameterError, match="metrics must name at least one metric, got none"):
        parse_metrics([], n_items=3)
    with pytest.raises(ParameterError, match="metrics must be cut at 3 items at most, got 'ndcg@4'"):
        parse_metrics(["recall@3", "ndcg@4"], n_items=3)
    with pytest.raises(ParameterError, match="metrics must have different names, got 'recall@2' twice"):
        parse_metrics(["recall@2", Shadow(2)], n_items=3)
    with pytest.raises(ParameterError, match="k must be an integer >= 1, got 0"):
        NDCG(0)


class Shadow(NDCG):
    name = "recall"
