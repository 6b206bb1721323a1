from __future__ import annotations

import json
import math

import numpy as np
import pytest
from scipy import sparse
from table_model import TableModel, matrix

from hashgnn.data import Interactions
from hashgnn.errors import DataError, DataWarning, ParameterError, ResultWarning
from hashgnn.evaluation import UserMetric, evaluate
from hashgnn.evaluation.bootstrap import bootstrap_intervals

# Three users, five items. Unmasked, item 0 leads for everybody.
TRAIN = matrix([[0], [0, 4], [1]], 5)
TEST = matrix([[1, 4], [2], []], 5)
TABLE = np.array([[9, 5, 4, 3, 2], [9, 5, 4, 3, 8], [9, 1, 1, 1, 1]], np.float32)
TIED = np.array([[9, 1, 1, 1, 1], [9, 1, 1, 1, 8], [9, 1, 1, 1, 1]], np.float32)
ALL = [f"{kind}@2" for kind in ("recall", "precision", "hr", "ndcg", "map", "mrr", "coverage")]


def model():
    return TableModel({"float": TABLE, "hamming": TIED})


def test_evaluation_of_three_users_worked_by_hand():
    # Masked lists: user 0: 1 2 3 4, relevant 1 and 4; user 1: 1 2 3, relevant 2; user 2 has nothing to find.
    result = evaluate(model(), TRAIN, TEST, metrics=ALL, n_bootstrap=0, rng=0)
    second = 1 / math.log2(3)
    assert result.n_users == 2
    assert result.user_index.tolist() == [0, 1]
    assert result.metrics["float"] == pytest.approx(
        {
            "recall@2": (1 / 2 + 1) / 2,
            "precision@2": 1 / 2,
            "hr@2": 1,
            "ndcg@2": (1 / (1 + second) + second) / 2,
            "map@2": (1 / 2 + 1 / 2) / 2,
            "mrr@2": (1 + 1 / 2) / 2,
            "coverage@2": 2 / 5,
        }
    )
    assert result.per_user["float"]["recall@2"].tolist() == [0.5, 1.0]
    assert result.per_user["float"]["recall@2"].dtype == np.float32


def test_expected_values_equal_the_metrics_without_ties():
    result = evaluate(model(), TRAIN, TEST, metrics=ALL, n_bootstrap=0, rng=0)
    per_user = {name: value for name, value in result.metrics["float"].items() if name != "coverage@2"}
    assert result.expected["float"] == pytest.approx(per_user)
    # User 0 finds half of what two draws of four hold, user 1 one of three with two draws.
    assert result.expected["hamming"]["recall@2"] == pytest.approx((2 / 4 + 2 / 3) / 2)
    assert result.metrics["hamming"]["recall@2"] == pytest.approx((1 / 2 + 1) / 2)


@pytest.mark.parametrize("batch_size", [1, 2, 100])
def test_the_batch_size_changes_nothing(batch_size):
    rng = np.random.default_rng(0)
    table = rng.integers(0, 5, (30, 20)).astype(np.float32)
    train = sparse.random(30, 20, 0.2, format="csr", rng=rng)
    test = sparse.random(30, 20, 0.2, format="csr", rng=rng)
    test = test - test.multiply(train > 0)
    test.eliminate_zeros()
    whole = evaluate(TableModel({"float": table}), train, test, metrics=["ndcg@7", "coverage@3"], rng=1)
    parts = evaluate(
        TableModel({"float": table}),
        train,
        test,
        metrics=["ndcg@7", "coverage@3"],
        rng=1,
        batch_size=batch_size,
    )
    for one, other in ((whole.metrics, parts.metrics), (whole.expected, parts.expected)):
        assert one["float"] == pytest.approx(other["float"], abs=1e-15)
    assert (whole.per_user["float"]["ndcg@7"] == parts.per_user["float"]["ndcg@7"]).all()
    assert whole.intervals == parts.intervals


def test_an_oracle_scores_one_and_its_opposite_nothing():
    rng = np.random.default_rng(3)
    train = (rng.random((20, 30)) < 0.2).astype(np.float32)
    test = ((rng.random((20, 30)) < 0.2) & (train == 0)).astype(np.float32)
    names = ["recall@30", "ndcg@30", "map@30", "mrr@1", "hr@1"]
    good = evaluate(
        TableModel({"float": test + 5 * train, "hamming": -test}),
        sparse.csr_matrix(train),
        sparse.csr_matrix(test),
        metrics=[*names, "precision@1"],
        rng=0,
    )
    assert good.metrics["float"] == pytest.approx(dict.fromkeys([*names, "precision@1"], 1.0))
    assert good.intervals["float"]["ndcg@30"] == pytest.approx((1, 1))
    assert good.metrics["hamming"]["hr@1"] == good.expected["hamming"]["hr@1"] == 0


def test_weights_of_interactions_do_not_count():
    doubled = TEST.copy()
    doubled.data[:] = [7.0, 0.0, 0.5]
    plain, weighted = (evaluate(model(), TRAIN, test, rng=0, metrics=ALL) for test in (TEST, doubled))
    assert plain.metrics == weighted.metrics


def test_test_items_that_are_in_train_are_left_out_with_a_count():
    test = matrix([[0, 1, 4], [2], [1]], 5)  # user 0 has item 0 in train, user 2 has item 1: nothing remains
    with pytest.warns(DataWarning, match="2 of 5 test interactions are also in train; they are left out"):
        result = evaluate(model(), TRAIN, test, metrics=ALL, rng=0)
    assert result.metrics == evaluate(model(), TRAIN, TEST, metrics=ALL, rng=0).metrics
    assert result.n_users == 2


def test_the_model_gets_the_arguments_of_the_call():
    recorder = model()
    result = evaluate(
        recorder,
        TRAIN,
        TEST,
        metrics=["recall@1", "ndcg@3"],
        search="hamming",
        oversampling=7,
        n_timed=1,
        batch_size=1,
        rng=0,
    )
    assert recorder.blocks == [(1, "hamming", 3, 7)] * 2
    # One warm-up, one query alone, one batch: each of the one user drawn.
    assert len(recorder.searches) == 3
    assert {(len(users), *rest) for users, *rest in recorder.searches} == {(1, "hamming", 3, 7)}
    assert list(result.metrics) == ["hamming"]
    assert result.bytes_per_item == {"hamming": 16.0}
    assert result.milliseconds_per_query["hamming"] > 0
    assert result.milliseconds_per_query_in_batch["hamming"] > 0


def test_times_and_intervals_can_be_left_out():
    recorder = model()
    result = evaluate(recorder, TRAIN, TEST, metrics=["recall@1"], n_timed=0, n_bootstrap=0)
    assert recorder.searches == []
    assert result.milliseconds_per_query == result.milliseconds_per_query_in_batch == result.intervals == {}


def test_the_report_becomes_json_of_this_form():
    result = evaluate(model(), TRAIN, TEST, metrics=["recall@2", "coverage@2"], rng=0)
    document = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert (document["n_users"], document["served"]) == (2, False)
    assert document["metrics"] == {way: dict(values) for way, values in result.metrics.items()}
    assert list(document["expected"]["float"]) == ["recall@2"]
    assert document["intervals"]["hamming"] == {"recall@2": [0.5, 1.0]}
    assert document["bytes_per_item"] == {"float": 8.0, "hamming": 16.0}
    assert set(document["milliseconds_per_query"]) == {"float", "hamming"}


def test_interactions_with_other_id_maps_are_refused():
    def interactions(items):
        return Interactions.from_arrays(["a", "b", "b"], items)

    train, test = interactions([1, 2, 3]), interactions([1, 2, 4])
    with pytest.raises(ParameterError, match="test must have the item_ids of train, in the same order"):
        evaluate(TableModel({"float": np.zeros((2, 3), np.float32)}), train, test)


def test_interactions_are_evaluated_as_their_matrices_are():
    train = Interactions.from_arrays([0, 1, 1, 2], [0, 0, 4, 1], item_ids=None)
    both = Interactions.from_arrays([0, 0, 0, 1, 1, 1, 2, 2], [0, 1, 4, 0, 4, 2, 1, 3])
    train = Interactions.from_arrays(
        [0, 1, 1, 2], [0, 0, 4, 1], user_ids=both.user_ids, item_ids=both.item_ids
    )
    test = Interactions.from_arrays([0, 0, 1], [1, 4, 2], user_ids=both.user_ids, item_ids=both.item_ids)
    assert both.n_items == 5
    result = evaluate(model(), train, test, metrics=ALL, rng=0)
    assert result.metrics == evaluate(model(), TRAIN, TEST, metrics=ALL, rng=0).metrics


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"metrics": ["recall@1001"]}, "metrics must be cut at 1000 at most, got 'recall@1001'"),
        ({"search": "fast"}, "search must be one of 'float', 'hamming', got 'fast'"),
        ({"search": []}, "search must name at least one search way, got none"),
        ({"batch_size": 0}, "batch_size must be an integer >= 1, got 0"),
        ({"oversampling": 0}, "oversampling must be an integer >= 1, got 0"),
        ({"n_bootstrap": -1}, "n_bootstrap must be an integer >= 0, got -1"),
        ({"n_timed": -1}, "n_timed must be an integer >= 0, got -1"),
        ({"confidence": 1}, "confidence must be a finite number > 0 and < 1, got 1"),
        ({"test": TEST[:2]}, r"test must have the users and items of train, \(3, 5\), got \(2, 5\)"),
        ({"test": [[1]]}, r"test must be Interactions or a sparse matrix \(n_users, n_items\), got list"),
    ],
)
def test_bad_arguments_are_named(settings, said):
    arguments = {"train": TRAIN, "test": TEST, "metrics": ["recall@2"], **settings}
    with pytest.raises(ParameterError, match=said):
        evaluate(model(), **arguments)


def test_nothing_to_find_is_an_error():
    with pytest.raises(DataError, match="none of 3 users has a held-out item"):
        evaluate(model(), TRAIN, matrix([[], [], []], 5), metrics=["recall@2"])


@pytest.mark.parametrize("table", [TABLE[:, :4], TABLE.astype(np.int64)])
def test_scores_of_the_wrong_form_are_refused(table):
    with pytest.raises(DataError, match=r"score_block must return floats of shape \(2, 5\) for 'float', got"):
        evaluate(TableModel({"float": table}), TRAIN, TEST, metrics=["recall@2"])


def test_bootstrap_intervals_are_those_of_the_normal_law_for_many_users():
    values = np.random.default_rng(0).normal(0.3, 0.2, (4000, 1))
    low, high = bootstrap_intervals(values, n_resamples=2000, rng=0)[0]
    error = values.std() / math.sqrt(4000)
    assert low == pytest.approx(values.mean() - 1.96 * error, abs=0.15 * error)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=0.15 * error)


def test_a_bootstrap_resamples_users_not_cells():
    values = np.random.default_rng(0).random((50, 1))
    ends = bootstrap_intervals(np.hstack([values, values, 1 - values]), rng=0)
    assert ends[0].tolist() == ends[1].tolist()
    np.testing.assert_allclose(ends[2], 1 - ends[0][::-1])


@pytest.mark.parametrize("served", [False, True])
def test_a_cut_beyond_the_catalogue_is_that_of_the_whole_list(served):
    metrics = [name.replace("@2", "@20") for name in ALL]
    whole = [name.replace("@2", "@5") for name in ALL]
    with pytest.warns(ResultWarning, match="'recall@20', 'precision@20', .* cut beyond the 5 items"):
        result = evaluate(model(), TRAIN, TEST, metrics=metrics, n_timed=0, n_bootstrap=0, served=served)
    same = evaluate(model(), TRAIN, TEST, metrics=whole, n_timed=0, n_bootstrap=0, served=served)
    for found, expected in ((result.metrics, same.metrics), (result.expected, same.expected)):
        for way in found:
            values = {name.replace("@20", "@5"): value for name, value in found[way].items()}
            if "precision@5" in values:
                values["precision@5"] *= 20 / 5  # hits of twenty places, of which fifteen are empty
            assert values == pytest.approx(expected[way])


def test_a_metric_of_ones_own_gets_as_many_ranks_as_its_cut():
    class Ranks(UserMetric):
        name = "ranks"

        def observed(self, judged):
            return np.full(len(judged.hits), judged.hits[:, : self.k].shape[1], float)

    with pytest.warns(ResultWarning, match="'ranks@9' cut beyond the 5 items"):
        result = evaluate(model(), TRAIN, TEST, metrics=[Ranks(9)], n_bootstrap=0)
    assert result.metrics["float"]["ranks@9"] == 9
